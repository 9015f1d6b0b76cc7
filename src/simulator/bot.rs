//! One bot at the simulated Telegram: its queue, its ledger, its webhook, and who waits for it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{Notify, oneshot};
use tokio::task::AbortHandle;

use super::kind::{Allowed, Kind};
use super::ledger::{Counts, Ledger, Moment};
use super::poll::PollRules;
use super::queue::{Entry, Fate, Refused, UpdateQueue};
use super::webhook::ActiveWebhook;

/// A bot, shared by everyone who serves it.
#[derive(Debug)]
pub(super) struct Bot {
    /// The digits of its token.
    pub id: i64,
    state: Mutex<State>,
    /// Told when updates have come, for the waiting poll.
    pub arrived: Notify,
    /// Told when the queue has become shorter, for the feed.
    pub room: Notify,
    /// Told when nothing is pending any more.
    pub drained: Notify,
}

/// What is behind the bot's lock. No lock is held across an await.
#[derive(Debug)]
pub(super) struct State {
    pub queue: UpdateQueue,
    pub ledger: Ledger,
    pub polls: PollRules,
    pub allowed: Allowed,
    /// The poll that waits, and how to end it.
    pub waiting: Option<WaitingPoll>,
    /// How many polls have waited; the number of the next one.
    pub waiting_number: u64,
    pub webhook: Option<ActiveWebhook>,
    /// How many webhooks have been set; the number of the next one.
    pub webhook_number: u64,
    pub next_set_webhook: Duration,
    pub feed: Feed,
    /// Whether every call is answered 401.
    pub revoked: bool,
    /// The number of the next message that the bot sends.
    pub next_message_id: i64,
}

/// A `getUpdates` that waits for updates.
#[derive(Debug)]
pub(super) struct WaitingPoll {
    pub number: u64,
    /// Takes the description of the conflict that ends it, and how long to hold that back.
    pub terminate: oneshot::Sender<(&'static str, Duration)>,
}

/// Where the bot's generated or replayed traffic stands.
#[derive(Debug)]
pub(super) enum Feed {
    /// There is none, or it is over.
    Over,
    /// It starts with the bot's first call.
    Due,
    /// It runs, in a task that ends when this is replaced.
    Running { _task: AbortOnDrop },
}

/// A task that ends with its owner.
#[derive(Debug)]
pub(super) struct AbortOnDrop(pub AbortHandle);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Bot {
    pub(super) fn new(id: i64, first_update_id: i64, ledger_limit: usize, feed: Feed) -> Arc<Self> {
        Arc::new(Self {
            id,
            state: Mutex::new(State {
                queue: UpdateQueue::new(first_update_id),
                ledger: Ledger::new(ledger_limit),
                polls: PollRules::default(),
                allowed: Allowed::default(),
                waiting: None,
                waiting_number: 0,
                webhook: None,
                webhook_number: 0,
                next_set_webhook: Duration::ZERO,
                feed,
                revoked: false,
                next_message_id: 1,
            }),
            arrived: Notify::new(),
            room: Notify::new(),
            drained: Notify::new(),
        })
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells whoever delivers that updates have come. Called after the lock is released.
    pub(super) fn announce(&self) {
        let webhook = self.lock().webhook.as_ref().map(|webhook| Arc::clone(&webhook.signals));
        match webhook {
            Some(signals) => signals.updates_came(),
            None => self.arrived.notify_waiters(),
        }
    }

    /// Tells the waiting ones that updates have left. Called after the lock is released.
    pub(super) fn announce_left(&self, settled: bool) {
        self.room.notify_one();
        if settled {
            self.drained.notify_waiters();
        }
    }
}

impl State {
    /// Queues an update. When it is refused it is counted as dropped.
    pub(super) fn push(&mut self, new: NewUpdate, moment: Moment) -> Result<(), Refused> {
        if !self.queue.has_room(new.body.len()) {
            self.expire(moment);
        }
        let NewUpdate { id, kind, lane, body } = new;
        let record = self.ledger.accepted(id, kind, moment.unix_us);
        let entry = Entry { id, body, expires_at: moment.now + kind.lifetime(), lane, record };
        let pushed = self.queue.push(entry);
        if pushed.is_err() {
            self.ledger.refused(record);
        }
        pushed
    }

    /// One page of updates, as `getUpdates` gives them.
    pub(super) fn poll(&mut self, offset: i64, limit: usize, moment: Moment) -> Vec<Bytes> {
        self.expire(moment);
        let ledger = &mut self.ledger;
        let page = self.queue.poll(offset, limit, moment.now, &mut |entry, fate| {
            ledger.left(entry.record, fate, moment.unix_us)
        });
        page.into_iter()
            .map(|entry| {
                self.ledger.sent(entry.record, moment.unix_us);
                entry.body
            })
            .collect()
    }

    /// Reads up to `limit` updates from an id on, for a webhook.
    pub(super) fn read(&mut self, from: i64, limit: usize, moment: Moment) -> Vec<Entry> {
        // A numbering that has restarted lower has left the reader behind.
        let from = if from > self.queue.next_id() { self.queue.head() } else { from };
        let ledger = &mut self.ledger;
        self.queue
            .read(from, limit, moment.now, &mut |entry, fate| ledger.left(entry.record, fate, moment.unix_us))
    }

    /// Takes out one update.
    pub(super) fn forget(&mut self, id: i64, fate: Fate, moment: Moment) {
        let ledger = &mut self.ledger;
        self.queue.forget(id, fate, &mut |entry, fate| ledger.left(entry.record, fate, moment.unix_us));
    }

    /// Drops everything that is pending.
    pub(super) fn clear(&mut self, moment: Moment) {
        let ledger = &mut self.ledger;
        self.queue.clear(0, &mut |entry, fate| ledger.left(entry.record, fate, moment.unix_us));
    }

    /// Drops what has expired.
    pub(super) fn expire(&mut self, moment: Moment) {
        let ledger = &mut self.ledger;
        self.queue.expire(moment.now, &mut |entry, fate| ledger.left(entry.record, fate, moment.unix_us));
    }

    /// Whether nothing is pending and nothing more will come by itself.
    pub(super) fn is_settled(&self) -> bool {
        self.queue.len() == 0 && matches!(self.feed, Feed::Over)
    }

    pub(super) fn counts(&self) -> Counts {
        self.ledger.counts
    }

    /// Ends the waiting poll, if there is one, with a 409.
    pub(super) fn terminate_waiting_poll(&mut self, description: &'static str, now: Duration) {
        if let Some(waiting) = self.waiting.take() {
            let delay = self.polls.conflict_delay(now);
            // Nobody listens if the client has gone.
            let _ = waiting.terminate.send((description, delay));
        }
    }
}

/// An update on its way into the queue.
#[derive(Clone, Debug)]
pub(super) struct NewUpdate {
    pub id: i64,
    pub kind: Kind,
    pub lane: i64,
    pub body: Bytes,
}
