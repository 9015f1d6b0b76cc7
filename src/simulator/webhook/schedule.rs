//! Which update goes to the webhook next, and when: queues, retries and connections, without IO or a clock.
//!
//! The rules are those of Telegram's server (tdlib/telegram-bot-api, `WebhookActor.cpp`).

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::time::Duration;

use bytes::Bytes;

use super::super::queue::Entry;
use super::super::rng::Rng;

/// Loaded from the bot's queue are at most this many updates per allowed connection; so some 80 stuck updates hold
/// up everybody behind them at the default of 40 connections.
const LOADED_PER_CONNECTION: usize = 2;
/// The first retry that waits, waits twice this.
const FIRST_DELAY_S: u64 = 1;
/// No retry waits longer than something between this and twice this.
const MAX_DELAY_S: u64 = 60;
/// No `Retry-After` is honoured beyond this.
const MAX_RETRY_AFTER_S: u64 = 3600;
/// After so long without a success the webhook counts as inactive.
const INACTIVE_AFTER: Duration = Duration::from_secs(10);
/// An inactive webhook gets one connection, and a new attempt at it this often.
const INACTIVE_CONNECT_INTERVAL: Duration = Duration::from_secs(2);
/// An active webhook gets this many new connections in each `ACTIVE_CONNECT_WINDOW`.
const ACTIVE_CONNECTS: usize = 10;
const ACTIVE_CONNECT_WINDOW: Duration = Duration::from_millis(500);
/// A webhook that answers 410 and nothing else for so long is deleted.
const GONE_FOR: Duration = Duration::from_secs(23 * 3600);

/// An update that is to be sent now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Attempt {
    pub lane: i64,
    pub id: i64,
    pub record: u32,
    pub body: Bytes,
}

/// What went wrong with an attempt.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Failure {
    /// The status of the answer, if one came.
    pub status: Option<u16>,
    /// Its `Retry-After` in seconds, 0 for none.
    pub retry_after_s: u64,
}

/// What follows from a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Consequence {
    /// The update is sent again at this time; its queue waits until then.
    Retry(Duration),
    /// The update would expire before; it is given up.
    GiveUp {
        /// Its id.
        id: i64,
    },
    /// The webhook has answered 410 for so long that it is deleted.
    Delete,
}

/// How many connections to open now, and when to ask again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Connects {
    pub now: usize,
    pub ask_again_at: Option<Duration>,
}

#[derive(Debug)]
struct Loaded {
    id: i64,
    record: u32,
    body: Bytes,
    expires_at: Duration,
    ready_at: Duration,
    delay_s: u64,
    failures: u32,
}

/// A webhook's deliveries.
#[derive(Debug)]
pub(crate) struct Schedule {
    max_connections: usize,
    /// Loaded updates by queue; no queue is empty. The front one may be in flight.
    lanes: HashMap<i64, VecDeque<Loaded>>,
    loaded: usize,
    /// The queues whose front is not in flight, by when it may be sent.
    waiting: BTreeSet<(Duration, i64)>,
    /// The id from which to load on.
    load_from: i64,
    next_lone_lane: i64,
    /// Open ones and those being opened.
    connections: usize,
    recent_connects: VecDeque<Duration>,
    last_success: Option<Duration>,
    gone_since: Option<Duration>,
    rng: Rng,
}

impl Schedule {
    pub(crate) fn new(max_connections: usize, seed: u64) -> Self {
        Self {
            max_connections,
            lanes: HashMap::new(),
            loaded: 0,
            waiting: BTreeSet::new(),
            load_from: 0,
            // Far from every number that a chat or a user can lead to.
            next_lone_lane: 1 << 60,
            connections: 0,
            recent_connects: VecDeque::new(),
            last_success: None,
            gone_since: None,
            rng: Rng::new(seed),
        }
    }

    /// From which id, and how many updates it wants to load.
    pub(crate) fn room(&self) -> (i64, usize) {
        (self.load_from, (self.max_connections * LOADED_PER_CONNECTION).saturating_sub(self.loaded))
    }

    /// Takes over what was read from the bot's queue.
    pub(crate) fn load(&mut self, entries: Vec<Entry>, now: Duration) {
        for entry in entries {
            self.load_from = entry.id + 1;
            let lane = if entry.lane == 0 {
                self.next_lone_lane += 1;
                self.next_lone_lane
            } else {
                entry.lane
            };
            let queue = self.lanes.entry(lane).or_default();
            if queue.is_empty() {
                self.waiting.insert((now, lane));
            }
            queue.push_back(Loaded {
                id: entry.id,
                record: entry.record,
                body: entry.body,
                expires_at: entry.expires_at,
                ready_at: now,
                delay_s: FIRST_DELAY_S,
                failures: 0,
            });
            self.loaded += 1;
        }
    }

    /// Takes the update that has waited longest; its queue is held until the attempt's end is reported.
    pub(crate) fn next(&mut self, now: Duration) -> Option<Attempt> {
        let (ready_at, lane) = *self.waiting.first()?;
        if ready_at > now {
            return None;
        }
        self.waiting.pop_first();
        let front = self.lanes.get(&lane)?.front()?;
        Some(Attempt { lane, id: front.id, record: front.record, body: front.body.clone() })
    }

    /// When the next update may be sent, if one waits.
    pub(crate) fn next_ready_at(&self) -> Option<Duration> {
        self.waiting.first().map(|(ready_at, _)| *ready_at)
    }

    /// The attempt was never sent: its update waits as before.
    pub(crate) fn not_sent(&mut self, lane: i64) {
        if let Some(front) = self.lanes.get(&lane).and_then(VecDeque::front) {
            self.waiting.insert((front.ready_at, lane));
        }
    }

    /// A 2xx came; the update is done and its queue goes on.
    pub(crate) fn succeeded(&mut self, lane: i64, now: Duration) {
        self.last_success = Some(now);
        self.gone_since = None;
        self.advance(lane);
    }

    /// Anything else came, or nothing.
    pub(crate) fn failed(&mut self, lane: i64, failure: Failure, now: Duration) -> Consequence {
        if failure.status == Some(410) {
            let since = *self.gone_since.get_or_insert(now);
            if now > since + GONE_FOR {
                return Consequence::Delete;
            }
        } else if failure.status.is_some() {
            self.gone_since = None;
        }
        let longest = MAX_DELAY_S + self.rng.below(MAX_DELAY_S + 1);
        let Some(front) = self.lanes.get_mut(&lane).and_then(VecDeque::front_mut) else {
            return Consequence::Retry(now);
        };
        let mut wait_s = failure.retry_after_s.min(MAX_RETRY_AFTER_S);
        if wait_s == 0 && front.failures > 0 {
            front.delay_s = (front.delay_s * 2).min(longest);
            wait_s = front.delay_s;
        }
        let retry_at = now + Duration::from_secs(wait_s);
        if retry_at > front.expires_at {
            let id = front.id;
            self.advance(lane);
            return Consequence::GiveUp { id };
        }
        front.failures += 1;
        front.ready_at = retry_at;
        self.waiting.insert((retry_at, lane));
        Consequence::Retry(retry_at)
    }

    /// Decides about new connections; those granted count as open until [`Self::disconnected`].
    pub(crate) fn connect(&mut self, now: Duration) -> Connects {
        let active = self.last_success.is_some_and(|success| success + INACTIVE_AFTER >= now);
        let wanted = self.lanes.len().min(if active { self.max_connections } else { 1 });
        let missing = wanted.saturating_sub(self.connections);
        let (window, budget) =
            if active { (ACTIVE_CONNECT_WINDOW, ACTIVE_CONNECTS) } else { (INACTIVE_CONNECT_INTERVAL, 1) };
        while self.recent_connects.len() > ACTIVE_CONNECTS {
            self.recent_connects.pop_front();
        }
        let recent = self.recent_connects.iter().filter(|at| **at + window > now).count();
        let granted = missing.min(budget.saturating_sub(recent));
        self.connections += granted;
        self.recent_connects.extend(std::iter::repeat_n(now, granted));
        let oldest_recent = self.recent_connects.iter().find(|at| **at + window > now);
        let ask_again_at = oldest_recent.filter(|_| granted < missing).map(|at| *at + window);
        Connects { now: granted, ask_again_at }
    }

    /// A connection ended, or could not be opened.
    pub(crate) fn disconnected(&mut self) {
        self.connections = self.connections.saturating_sub(1);
    }

    /// How many are open or being opened.
    pub(crate) fn connections(&self) -> usize {
        self.connections
    }

    /// Whether [`Self::connect`] could have anything to grant.
    pub(crate) fn may_connect(&self) -> bool {
        self.connections < self.max_connections
    }

    fn advance(&mut self, lane: i64) {
        let Some(queue) = self.lanes.get_mut(&lane) else { return };
        if queue.pop_front().is_some() {
            self.loaded -= 1;
        }
        match queue.front() {
            Some(front) => {
                self.waiting.insert((front.ready_at, lane));
            }
            None => {
                self.lanes.remove(&lane);
            }
        }
    }
}

#[cfg(test)]
mod tests;
