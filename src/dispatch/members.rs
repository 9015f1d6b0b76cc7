//! The consumers of a group.

use std::collections::VecDeque;
use std::sync::Arc;

use super::command::StreamId;
use crate::model::{ConsumerSettings, Monotonic, Sequence, Shard, UnixMillis};

/// A consumer's number inside its group, new for each consumer that joins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct MemberId(pub(super) u64);

/// After this many expiries without a settlement a consumer is taken for dead, though its stream is open.
const EXPIRIES_BEFORE_SUSPENDED: u32 = 3;

/// One consumer. It outlives its stream by the group's grace.
#[derive(Debug)]
pub(super) struct Member {
    pub(super) consumer_id: Arc<str>,
    pub(super) settings: ConsumerSettings,
    pub(super) presence: Presence,
    /// Whether its name was made up for its stream: nobody comes back under it.
    pub(super) unnamed: bool,
    /// When its newest stream was opened.
    pub(super) connected: UnixMillis,
    /// Those of its shards that may have something ready, in turn.
    pub(super) ready: VecDeque<Shard>,
    /// Deliveries that count against its credit.
    pub(super) charged: u32,
    /// Their bytes of JSON.
    pub(super) charged_bytes: u64,
    /// The update that is out to it alone, if there is one: nothing else is delivered meanwhile.
    pub(super) alone: Option<Sequence>,
    /// What the loss of its stream says; meaningless while it has one.
    pub(super) loss: Loss,
    /// The shard that it keeps while it is taken for dead.
    pub(super) probe: Option<Shard>,
    /// Leases that expired since its last settlement.
    expiries: u32,
}

/// Whether a consumer is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Presence {
    /// Its stream is open.
    Open(StreamId),
    /// Its stream is open, but will end: it gets nothing new and keeps its shards for its return.
    Draining(StreamId),
    /// Its stream is gone: its shards and leases wait for it until the time.
    Lost { until: Monotonic },
    /// It said that it is finishing: it gets nothing new, its shards have moved, its leases go on.
    Leaving(Option<StreamId>),
}

/// What the loss of a stream says about a delivery that was out on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Loss {
    /// It was the only one: it may be what killed its handler.
    Sole,
    /// There were several: one of them may be to blame, or none.
    Shared,
    /// Nothing: the stream was about to end anyway.
    Announced,
}

impl Member {
    pub(super) fn new(
        consumer_id: Arc<str>,
        settings: ConsumerSettings,
        stream: StreamId,
        connected: UnixMillis,
    ) -> Self {
        Self {
            consumer_id,
            settings,
            presence: Presence::Open(stream),
            unnamed: false,
            connected,
            ready: VecDeque::new(),
            charged: 0,
            charged_bytes: 0,
            alone: None,
            loss: Loss::Shared,
            probe: None,
            expiries: 0,
        }
    }

    pub(super) fn stream(&self) -> Option<StreamId> {
        match self.presence {
            Presence::Open(stream) | Presence::Draining(stream) => Some(stream),
            Presence::Leaving(stream) => stream,
            Presence::Lost { .. } => None,
        }
    }

    /// Whether it can be sent an update of this size now.
    pub(super) fn has_credit_for(&self, size: u32) -> bool {
        if self.charged == 0 {
            return true;
        }
        let limit = if self.is_suspended() { 1 } else { self.settings.max_outstanding };
        self.alone.is_none()
            && self.charged < limit
            && self.charged_bytes + u64::from(size) <= self.settings.max_outstanding_bytes
    }

    pub(super) fn charge(&mut self, size: u32) {
        self.charged += 1;
        self.charged_bytes += u64::from(size);
    }

    pub(super) fn discharge(&mut self, sequence: Sequence, size: u32) {
        self.charged -= 1;
        self.charged_bytes -= u64::from(size);
        if self.alone == Some(sequence) {
            self.alone = None;
        }
    }

    /// A seek has taken back all that it had and was about to get.
    pub(super) fn forget_deliveries(&mut self) {
        self.ready.clear();
        self.charged = 0;
        self.charged_bytes = 0;
        self.alone = None;
    }

    /// Notes an expired lease.
    pub(super) fn note_expiry(&mut self) {
        self.expiries += 1;
    }

    /// Notes a sign of life; whether the consumer was taken for dead until now.
    pub(super) fn note_settlement(&mut self) -> bool {
        let was_suspended = self.is_suspended();
        self.expiries = 0;
        was_suspended
    }

    /// Whether it is taken for dead: it keeps one shard and gets one update at a time, as a probe.
    pub(super) fn is_suspended(&self) -> bool {
        self.expiries >= EXPIRIES_BEFORE_SUSPENDED
    }
}
