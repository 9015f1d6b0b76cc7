//! How the rest of the gateway talks to a bot's driver.

use std::sync::{Arc, mpsc};

use tokio::sync::{oneshot, watch};

use super::consumer_stream::ConsumerStream;
use super::steering::Steer;
use super::wanted::WantedKinds;
use crate::model::{
    ConsumerSettings, Filter, GroupName, KeyHash, Label, Payload, Quarantined, SettledResult, Settlement,
    Start, Token, UnixMillis,
};
use crate::update::{ChatType, KindCode};

/// A driver's mailbox; cheap to clone. All calls answer [`Stopped`](AppendError::Stopped) once the driver has ended.
#[derive(Clone, Debug)]
pub struct BotHandle {
    bot: Arc<str>,
    inputs: mpsc::Sender<Input>,
    intake: watch::Receiver<IntakeState>,
    own_webhook: watch::Receiver<Option<Box<str>>>,
    wanted: watch::Receiver<WantedKinds>,
}

/// Where the answer to an input goes. Settling and appending are answered when the commit is durable.
pub type Reply<T> = oneshot::Sender<T>;

/// What a driver can be asked.
#[derive(Debug)]
pub enum Input {
    /// Store updates and unreadable elements.
    Append {
        /// The updates.
        updates: Vec<NewUpdate>,
        /// The unreadable elements.
        quarantined: Vec<Quarantined>,
        /// Answered after the commit.
        reply: Reply<Result<Appended, AppendError>>,
    },
    /// Open a stream.
    Subscribe {
        /// What it asks for.
        subscription: Subscription,
        /// Answered after the commit that creates the group, or at once.
        reply: Reply<Result<ConsumerStream, SubscribeError>>,
    },
    /// A stream has ended without the driver's doing.
    Closed {
        /// Its [`ConsumerStream::id`].
        stream: u64,
    },
    /// Announce to a stream that it will end.
    Drain {
        /// Its [`ConsumerStream::id`].
        stream: u64,
    },
    /// Settle deliveries.
    Settle {
        /// The group.
        group: GroupName,
        /// The deliveries.
        tokens: Vec<Token>,
        /// The same for all of them.
        settlement: Settlement,
        /// One result for each token, after the commit.
        reply: Reply<Result<Vec<SettledResult>, SettleError>>,
    },
    /// A consumer is finishing.
    Leave {
        /// The group.
        group: GroupName,
        /// The consumer.
        consumer_id: Box<str>,
        /// How many deliveries it still has out.
        reply: Reply<Result<u32, LeaveError>>,
    },
    /// Remember the webhook URL that was set at Telegram; empty for none.
    RememberWebhook {
        /// The URL.
        url: Box<str>,
        /// After the commit.
        reply: Reply<Result<(), AppendError>>,
    },
    /// Look into it, or steer it.
    Steer(Steer),
    /// Take no more updates, tell all streams to drain, and end when nothing is outstanding or `deadline` is over.
    Shutdown {
        /// Milliseconds from now.
        grace_ms: u64,
    },
}

/// A parsed update on its way into the journal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewUpdate {
    /// Telegram's id.
    pub update_id: i64,
    /// See [`crate::model::Head::key`].
    pub key: KeyHash,
    /// See [`crate::model::Head::user`].
    pub user: KeyHash,
    /// See [`crate::model::Head::topic`].
    pub topic: KeyHash,
    /// Its kind.
    pub kind: KindCode,
    /// See [`crate::model::Head::chat_type`].
    pub chat_type: Option<ChatType>,
    /// See [`crate::model::Head::label`].
    pub label: Label,
    /// Bytes of its JSON.
    pub size: u32,
    /// When it was received.
    pub received: UnixMillis,
    /// Its content.
    pub payload: Payload,
}

/// What became of an append: all of it is durable.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Appended {
    /// Updates that are new.
    pub stored: usize,
    /// Updates that were known already.
    pub duplicates: usize,
}

/// Why an append did not happen. Nothing of it is known to be durable: it must not be confirmed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AppendError {
    /// The journal takes no updates at the moment.
    #[error("the journal takes no updates: {0}")]
    Paused(PauseReason),
    /// The driver has stopped.
    #[error("the gateway is stopping")]
    Stopped,
}

/// Whether updates are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IntakeState {
    /// They are.
    Open,
    /// Not at the moment; Telegram keeps them.
    Paused {
        /// Why.
        reason: PauseReason,
        /// Since when.
        since: UnixMillis,
    },
}

/// Why no updates are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PauseReason {
    /// The journal has reached `max_bytes`, with the reserve that settlements need.
    #[error(
        "the journal has reached the bot's journal.max_bytes, less the reserve that is kept back for settlements; settle \
         or shorten the backlog, or raise journal.max_bytes"
    )]
    JournalFull,
    /// The disk is full.
    #[error("its disk is full; free some room")]
    DiskFull,
    /// More is waiting for a commit than memory should hold.
    #[error("too much is waiting for the disk")]
    Overloaded,
    /// The gateway stops.
    #[error("the gateway is stopping")]
    Stopping,
}

/// What a stream asks for; already checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subscription {
    /// The group; created if it does not exist.
    pub group: GroupName,
    /// The consumer; empty to have one made up.
    pub consumer_id: Box<str>,
    /// Its credit and lease.
    pub settings: ConsumerSettings,
    /// Where a new group begins.
    pub start: Start,
    /// The filter of a new group, which an existing one must have, too; `None` for whatever there is.
    pub filter: Option<Filter>,
    /// Tokens of an earlier stream that are still being worked on.
    pub held_tokens: Vec<Token>,
    /// Whether a new group lives only as long as its streams, and holds back nothing.
    pub ephemeral: bool,
}

/// Why a stream was not opened.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SubscribeError {
    /// The gateway stops; try another one, or again.
    #[error("the gateway is stopping")]
    Stopped,
    /// The group does not exist and cannot be made durable.
    #[error("group `{group}` cannot be created: the journal has no room")]
    NoRoom {
        /// The group.
        group: GroupName,
    },
    /// The group exists, and is durable where an ephemeral one was asked for, or the other way round.
    #[error("group `{group}` exists and is {}; use another name", if *.durable { "durable" } else { "ephemeral" })]
    OtherDurability {
        /// The group.
        group: GroupName,
        /// Whether the existing one is durable.
        durable: bool,
    },
    /// The group exists with another filter.
    #[error("group `{group}` has another filter: {difference}")]
    OtherFilter {
        /// The group.
        group: GroupName,
        /// How they differ.
        difference: String,
    },
    /// The group was deleted, and only an operator may make it anew.
    #[error("group `{0}` was deleted; create it again with `switchboard groups create {0}` or CreateGroup")]
    Deleted(GroupName),
    /// The bot has as many groups as it may.
    #[error("the bot has {limit} groups already, the most there can be")]
    TooManyGroups {
        /// How many.
        limit: usize,
    },
    /// The group has as many consumers as it may.
    #[error("group `{group}` has {limit} consumers already, the most there can be")]
    TooManyConsumers {
        /// The group.
        group: GroupName,
        /// How many.
        limit: usize,
    },
}

/// Why a settle call did nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SettleError {
    /// There is no such group.
    #[error("group `{0}` does not exist")]
    UnknownGroup(GroupName),
    /// It could not be made durable now; try again.
    #[error("the journal has no room at the moment; try again")]
    NoRoom,
    /// The driver has stopped; it is not known whether it was applied. Trying again is safe.
    #[error("the gateway is stopping")]
    Stopped,
}

/// Why a consumer could not leave.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LeaveError {
    /// There is no such group.
    #[error("group `{0}` does not exist")]
    UnknownGroup(GroupName),
    /// There is no such consumer in it.
    #[error("consumer `{0}` is not in this group")]
    UnknownConsumer(Box<str>),
    /// The driver has stopped.
    #[error("the gateway is stopping")]
    Stopped,
}

impl BotHandle {
    /// A handle on the driver that reads `inputs`, and keeps the watches up to date.
    #[must_use]
    pub fn new(
        bot: &str,
        inputs: mpsc::Sender<Input>,
        intake: watch::Receiver<IntakeState>,
        own_webhook: watch::Receiver<Option<Box<str>>>,
        wanted: watch::Receiver<WantedKinds>,
    ) -> Self {
        Self { bot: bot.into(), inputs, intake, own_webhook, wanted }
    }

    /// The bot's name.
    #[must_use]
    pub fn bot(&self) -> &str {
        &self.bot
    }

    /// Stores updates; answers when they are durable.
    ///
    /// # Errors
    /// [`AppendError`]: nothing may be confirmed to Telegram.
    pub async fn append(
        &self,
        updates: Vec<NewUpdate>,
        quarantined: Vec<Quarantined>,
    ) -> Result<Appended, AppendError> {
        self.ask(|reply| Input::Append { updates, quarantined, reply })
            .await
            .unwrap_or(Err(AppendError::Stopped))
    }

    /// Opens a stream.
    ///
    /// # Errors
    /// [`SubscribeError`].
    pub async fn subscribe(&self, subscription: Subscription) -> Result<ConsumerStream, SubscribeError> {
        self.ask(|reply| Input::Subscribe { subscription, reply })
            .await
            .unwrap_or(Err(SubscribeError::Stopped))
    }

    /// Settles deliveries; answers when that is durable.
    ///
    /// # Errors
    /// [`SettleError`].
    pub async fn settle(
        &self,
        group: GroupName,
        tokens: Vec<Token>,
        settlement: Settlement,
    ) -> Result<Vec<SettledResult>, SettleError> {
        self.ask(|reply| Input::Settle { group, tokens, settlement, reply })
            .await
            .unwrap_or(Err(SettleError::Stopped))
    }

    /// Lets a consumer finish; answers how many deliveries it still has out.
    ///
    /// # Errors
    /// [`LeaveError`].
    pub async fn leave(&self, group: GroupName, consumer_id: Box<str>) -> Result<u32, LeaveError> {
        self.ask(|reply| Input::Leave { group, consumer_id, reply }).await.unwrap_or(Err(LeaveError::Stopped))
    }

    /// Remembers the webhook URL that was set at Telegram; empty for none. Answers when that is durable.
    ///
    /// # Errors
    /// [`AppendError`].
    pub async fn remember_webhook(&self, url: &str) -> Result<(), AppendError> {
        let url = url.into();
        self.ask(|reply| Input::RememberWebhook { url, reply }).await.unwrap_or(Err(AppendError::Stopped))
    }

    /// The webhook URL that this gateway has set at Telegram, if any; from the journal.
    #[must_use]
    pub fn own_webhook(&self) -> Option<Box<str>> {
        self.own_webhook.borrow().clone()
    }

    /// The kinds that the groups want, and their changes.
    #[must_use]
    pub fn wanted(&self) -> watch::Receiver<WantedKinds> {
        self.wanted.clone()
    }

    /// Whether updates are taken, and its changes.
    #[must_use]
    pub fn intake(&self) -> watch::Receiver<IntakeState> {
        self.intake.clone()
    }

    /// Announces to a stream that it has reached its age: it is told to drain and gets no new updates.
    pub fn drain(&self, stream: u64) {
        // A driver that has ended has no streams to drain.
        let _ = self.inputs.send(Input::Drain { stream });
    }

    /// Begins the shutdown; the driver ends when nothing is outstanding, at the latest after `grace_ms`.
    pub fn shutdown(&self, grace_ms: u64) {
        // A driver that has ended needs no shutdown.
        let _ = self.inputs.send(Input::Shutdown { grace_ms });
    }

    pub(super) async fn ask<T>(&self, input: impl FnOnce(Reply<T>) -> Input) -> Option<T> {
        let (reply, answer) = oneshot::channel();
        self.inputs.send(input(reply)).ok()?;
        answer.await.ok()
    }
}
