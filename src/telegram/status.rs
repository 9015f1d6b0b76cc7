//! What is known about the connection to Telegram, for health, metrics and readiness.

use tokio::sync::watch;

use super::Fatal;
use super::settings::Settings;
use crate::intake::{Intake, PauseReason, UnixMillis, now};
use crate::observe::metrics::{BotLabels, Metrics};

/// How updates come in at the moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ActiveMode {
    /// `getUpdates`.
    Polling,
    /// A webhook.
    Webhook,
}

impl ActiveMode {
    /// `polling` or `webhook`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Polling => "polling",
            Self::Webhook => "webhook",
        }
    }
}

/// The state of one bot's connection to Telegram.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Status {
    /// How updates are to come in; `None` until Telegram has accepted the token.
    pub mode: Option<ActiveMode>,
    /// The bot's name at Telegram, without `@`.
    pub username: Option<Box<str>>,
    /// Since when updates can come in; `None` while they cannot.
    pub connected_since: Option<UnixMillis>,
    /// When the last update came.
    pub last_update: Option<UnixMillis>,
    /// Who else holds the bot, and what to do, in plain words.
    pub conflict: Option<Box<str>>,
    /// What does not work at the moment, in plain words.
    pub last_error: Option<Box<str>>,
    /// How many updates wait at Telegram; known with a webhook only.
    pub pending: Option<u64>,
    /// The webhook as Telegram reported it last; `None` while polling.
    pub webhook: Option<WebhookStatus>,
    /// The kinds that Telegram was asked for; none for its default, and as long as it was not asked.
    pub allowed_updates: Vec<Box<str>>,
    /// Why no updates are taken at the moment.
    pub paused: Option<PauseReason>,
}

/// What Telegram said last about the webhook.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WebhookStatus {
    /// Where Telegram posts to: scheme, host and path of our own, scheme and host of a stranger's. Empty if nowhere.
    pub url: Box<str>,
    /// When Telegram last failed to deliver.
    pub last_error_time: Option<UnixMillis>,
    /// Why, in Telegram's words; empty if it has not failed.
    pub last_error_message: Box<str>,
    /// How many connections Telegram opens at once.
    pub max_connections: u32,
    /// When this was asked.
    pub checked: UnixMillis,
}

/// Where the status is read. Cheap to clone.
#[derive(Clone, Debug)]
pub struct StatusReader {
    status: watch::Receiver<Status>,
    intake: Intake,
}

impl StatusReader {
    /// The status now.
    #[must_use]
    pub fn current(&self) -> Status {
        let last_update = self.intake.last_received();
        Status { last_update, ..self.status.borrow().clone() }
    }

    /// Waits until the status is such. Not woken by `last_update` alone. Never ends once the connection has.
    pub async fn wait_for(&mut self, is: impl FnMut(&Status) -> bool) {
        if self.status.wait_for(is).await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

/// Where the status is written; says every change once in the log.
#[derive(Debug)]
pub(super) struct Reporter {
    status: watch::Sender<Status>,
    labels: BotLabels,
    metrics: Metrics,
}

impl Reporter {
    pub(super) fn new(settings: &Settings, metrics: Metrics) -> Self {
        let labels = BotLabels { bot: settings.bot.as_ref().into() };
        Self { status: watch::Sender::new(Status::default()), labels, metrics }
    }

    pub(super) fn reader(&self, intake: Intake) -> StatusReader {
        StatusReader { status: self.status.subscribe(), intake }
    }

    fn bot(&self) -> &str {
        &self.labels.bot
    }

    fn change(&self, change: impl FnOnce(&mut Status)) {
        self.status.send_if_modified(|status| {
            let before = status.clone();
            change(status);
            *status != before
        });
        let status = self.status.borrow();
        let flag = |is: bool| i64::from(is);
        self.metrics
            .telegram_connected
            .get_or_create(&self.labels)
            .set(flag(status.connected_since.is_some()));
        self.metrics.telegram_conflict.get_or_create(&self.labels).set(flag(status.conflict.is_some()));
        if let Some(pending) = status.pending {
            let pending = i64::try_from(pending).unwrap_or(i64::MAX);
            self.metrics.telegram_pending.get_or_create(&self.labels).set(pending);
        }
    }

    /// Telegram has accepted the token.
    pub(super) fn identified(&self, username: Option<&str>) {
        self.change(|status| status.username = username.map(Into::into));
    }

    /// Updates can come in; earlier trouble is over.
    pub(super) fn connected(&self, mode: ActiveMode) {
        let is_over = self.status.borrow().last_error.is_some();
        self.can_come_in(mode, None);
        if is_over {
            tracing::info!(bot = self.bot(), "all is well with Telegram again");
        }
    }

    /// Updates can come in, but something is wrong with what came.
    pub(super) fn hampered(&self, mode: ActiveMode, text: &str) {
        self.say(text);
        self.can_come_in(mode, Some(text));
    }

    fn can_come_in(&self, mode: ActiveMode, trouble: Option<&str>) {
        let was = self.status.borrow().connected_since.is_some();
        if !was {
            let username = self.status.borrow().username.clone().unwrap_or_default();
            tracing::info!(bot = self.bot(), mode = mode.name(), %username, "connected to Telegram");
        }
        self.change(|status| {
            status.mode = Some(mode);
            status.connected_since = status.connected_since.or(Some(now()));
            status.last_error = trouble.map(Into::into);
        });
    }

    /// How updates are to come in, before it is known whether they do.
    pub(super) fn entering(&self, mode: ActiveMode) {
        self.change(|status| {
            if status.mode != Some(mode) {
                status.connected_since = None;
            }
            status.mode = Some(mode);
            if mode == ActiveMode::Polling {
                status.webhook = None;
            }
        });
    }

    /// Telegram has told about the webhook.
    pub(super) fn webhook(&self, webhook: WebhookStatus) {
        self.change(|status| status.webhook = Some(webhook));
    }

    /// Telegram was asked for these kinds, and has answered.
    pub(super) fn asked_for(&self, kinds: &[Box<str>]) {
        if self.status.borrow().allowed_updates != kinds {
            tracing::info!(bot = self.bot(), ?kinds, "Telegram is asked for other kinds of updates now");
            self.change(|status| status.allowed_updates = kinds.into());
        }
    }

    /// Somebody else holds the bot.
    pub(super) fn conflict(&self, text: &str) {
        if self.status.borrow().conflict.as_deref() != Some(text) {
            tracing::warn!(bot = self.bot(), "{text}");
        }
        self.change(|status| {
            status.conflict = Some(text.into());
            status.connected_since = None;
        });
    }

    /// Nobody else does any more.
    pub(super) fn conflict_over(&self) {
        if self.status.borrow().conflict.is_some() {
            tracing::info!(bot = self.bot(), "nobody else holds the bot any more");
        }
        self.change(|status| status.conflict = None);
    }

    /// No updates can come in.
    pub(super) fn trouble(&self, text: &str) {
        self.say(text);
        self.change(|status| {
            status.last_error = Some(text.into());
            status.connected_since = None;
        });
    }

    /// Updates can come in, but something is wrong.
    pub(super) fn degraded(&self, text: &str) {
        self.say(text);
        self.change(|status| status.last_error = Some(text.into()));
    }

    /// Nothing comes in until an operator has mended this. It stays in the status when the connection ends with it.
    pub(super) fn refused(&self, fatal: &Fatal) {
        let text = fatal.to_string();
        if self.status.borrow().last_error.as_deref() != Some(&*text) {
            tracing::error!(bot = self.bot(), "{text}");
        }
        self.change(|status| {
            status.last_error = Some(text.into());
            status.connected_since = None;
            status.conflict = None;
        });
    }

    fn say(&self, text: &str) {
        if self.status.borrow().last_error.as_deref() == Some(text) {
            tracing::debug!(bot = self.bot(), "{text}");
        } else {
            tracing::warn!(bot = self.bot(), "{text}");
        }
    }

    /// The journal takes no updates, or does again.
    pub(super) fn paused(&self, reason: Option<PauseReason>) {
        match (self.status.borrow().paused, reason) {
            // Both come and go in the normal course of things.
            (_, Some(PauseReason::Overloaded | PauseReason::Stopping))
            | (Some(PauseReason::Overloaded | PauseReason::Stopping), None) => {}
            (None, Some(reason)) => {
                tracing::warn!(bot = self.bot(), "no updates are taken: {reason}; Telegram keeps them");
            }
            (Some(_), None) => tracing::info!(bot = self.bot(), "updates are taken again"),
            _ => {}
        }
        self.change(|status| status.paused = reason);
    }

    /// How many updates wait at Telegram.
    pub(super) fn pending(&self, pending: u64) {
        self.change(|status| status.pending = Some(pending));
    }
}
