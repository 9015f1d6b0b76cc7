//! What has come in since the last commit began, and who waits for it.

use crate::model::{Quarantined, SettledResult};

use super::consumer_stream::ConsumerStream;
use super::handle::{
    AppendError, Appended, LeaveError, NewUpdate, PauseReason, Reply, SettleError, SubscribeError,
    Subscription,
};
use super::steering::Steer;
use crate::dispatch::Record;

/// Bytes of updates that may wait for the next commit; beyond that appends are refused and Telegram keeps them.
const MAX_WAITING_BYTES: usize = 64 << 20;

/// Bytes of updates that go into one commit: enough for any throughput, little enough that a commit stays short and
/// fits the journal's reserve.
const MAX_COMMIT_BYTES: usize = 8 << 20;

/// Updates that wait to be stored, and who waits for that.
#[derive(Debug)]
pub(super) struct Append {
    pub(super) updates: Vec<NewUpdate>,
    pub(super) quarantined: Vec<Quarantined>,
    pub(super) reply: Reply<Result<Appended, AppendError>>,
}

/// All that waits.
#[derive(Debug, Default)]
pub(super) struct Gathering {
    appends: Vec<Append>,
    /// Bytes of all `appends`.
    append_bytes: usize,
    pub(super) subscriptions: Vec<(Subscription, Reply<Result<ConsumerStream, SubscribeError>>)>,
    pub(super) records: Vec<Record>,
    pub(super) settles: Vec<Settling>,
    /// Changes that operators ask for.
    pub(super) wishes: Vec<Steer>,
    pub(super) webhook: Option<Box<str>>,
    pub(super) webhook_replies: Vec<Reply<Result<(), AppendError>>>,
}

/// A settle call that waits for its commit.
#[derive(Debug)]
pub(super) struct Settling {
    pub(super) results: Vec<SettledResult>,
    pub(super) reply: Reply<Result<Vec<SettledResult>, SettleError>>,
}

impl Gathering {
    /// Takes an append in, or refuses it.
    pub(super) fn append(&mut self, append: Append) {
        let bytes = append.bytes();
        if self.append_bytes > 0 && self.append_bytes + bytes > MAX_WAITING_BYTES {
            answer(append.reply, Err(AppendError::Paused(PauseReason::Overloaded)));
            return;
        }
        self.append_bytes += bytes;
        self.appends.push(append);
    }

    /// Takes out what goes into one commit.
    pub(super) fn take_appends(&mut self) -> Vec<Append> {
        let mut bytes = 0;
        let fits = self.appends.iter().take_while(|append| {
            let first = bytes == 0;
            bytes += append.bytes();
            first || bytes <= MAX_COMMIT_BYTES
        });
        let count = fits.count();
        let taken: Vec<_> = self.appends.drain(..count).collect();
        self.append_bytes -= taken.iter().map(Append::bytes).sum::<usize>();
        taken
    }

    /// Takes out everything else.
    pub(super) fn take_rest(&mut self) -> Self {
        let appends = std::mem::take(&mut self.appends);
        let append_bytes = std::mem::take(&mut self.append_bytes);
        let rest = std::mem::take(self);
        self.appends = appends;
        self.append_bytes = append_bytes;
        rest
    }

    /// Puts back what `take_rest` took out, before what has come since.
    pub(super) fn put_back(&mut self, mut rest: Self) {
        rest.subscriptions.append(&mut self.subscriptions);
        rest.records.append(&mut self.records);
        rest.settles.append(&mut self.settles);
        rest.wishes.append(&mut self.wishes);
        rest.webhook_replies.append(&mut self.webhook_replies);
        self.subscriptions = rest.subscriptions;
        self.records = rest.records;
        self.settles = rest.settles;
        self.wishes = rest.wishes;
        self.webhook_replies = rest.webhook_replies;
        if self.webhook.is_none() {
            self.webhook = rest.webhook;
        }
    }

    /// Refuses all appends that wait.
    pub(super) fn refuse_appends(&mut self, reason: PauseReason) {
        self.append_bytes = 0;
        for append in self.appends.drain(..) {
            answer(append.reply, Err(AppendError::Paused(reason)));
        }
    }

    /// Whether there is something that waits, and nothing but settlements.
    pub(super) fn only_settles(&self) -> bool {
        !self.is_empty()
            && self.appends.is_empty()
            && self.subscriptions.is_empty()
            && self.wishes.is_empty()
            && self.webhook.is_none()
    }

    /// Whether anything waits.
    pub(super) fn is_empty(&self) -> bool {
        self.appends.is_empty()
            && self.subscriptions.is_empty()
            && self.records.is_empty()
            && self.settles.is_empty()
            && self.wishes.is_empty()
            && self.webhook.is_none()
    }
}

impl Append {
    fn bytes(&self) -> usize {
        // At least one byte each, so that nothing is free.
        let updates: usize = self.updates.iter().map(|update| update.payload.update.len() + 64).sum();
        let quarantined: usize = self.quarantined.iter().map(|element| element.bytes.len() + 64).sum();
        updates + quarantined + 1
    }
}

/// Answers a caller, who may have gone away meanwhile: then nobody needs the answer.
pub(super) fn answer<T>(reply: Reply<T>, value: T) {
    let _gone = reply.send(value);
}

/// Answers a leave call.
pub(super) fn answer_leave(reply: Reply<Result<u32, LeaveError>>, left: Option<u32>, consumer_id: Box<str>) {
    answer(reply, left.ok_or(LeaveError::UnknownConsumer(consumer_id)));
}
