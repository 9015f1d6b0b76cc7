//! What the dispatcher wants done.

use crate::model::{
    AttemptOutcome, AttemptRecord, DeadLetter, Event, FailureRecord, GroupId, KeyHash, Monotonic, Sequence,
    SettledAs, Shard, StreamEnd, Token, UnixMillis,
};

/// One open Subscribe stream; numbered by the driver.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamId(pub u64);

/// Something to be done, in the order polled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Send these updates on the stream.
    Deliver {
        /// Where to.
        stream: StreamId,
        /// What.
        handouts: Vec<Handout>,
    },
    /// Tell the stream that its shards changed.
    Assign {
        /// Whom.
        stream: StreamId,
        /// New ones.
        gained: Vec<Shard>,
        /// Those that went.
        lost: Vec<Shard>,
        /// Counts the group's assignments since the start.
        generation: u64,
    },
    /// Tell the stream that these deliveries are no longer its own.
    LeaseLost {
        /// Whom.
        stream: StreamId,
        /// Which.
        tokens: Vec<Token>,
    },
    /// End the stream. The dispatcher takes it for closed.
    Close {
        /// Which.
        stream: StreamId,
        /// Why.
        end: StreamEnd,
    },
    /// Make this durable with the next commit, then say so with `handle_durable` or `handle_refused`.
    Record(Record),
}

/// A change to one update's state in one group, to be made durable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// The group.
    pub group: GroupId,
    /// The group's base generation when this was decided: after a seek it means nothing any more.
    pub base_generation: u32,
    /// The update.
    pub sequence: Sequence,
    /// What changes.
    pub change: Change,
    /// What happened, for the update's timeline; `None` where that was told before.
    pub event: Option<Box<Event>>,
    /// Where an update's whole way is known by this: when it began.
    pub since: Option<Since>,
}

impl Record {
    /// How the delivery ended that this is about, if it did not handle its update: it failed or was given back, also
    /// where the group gave the update up by that.
    #[must_use]
    pub fn unhandled(&self) -> Option<AttemptOutcome> {
        match &self.change {
            Change::Ended { how, .. } => Some((*how).into()),
            Change::Settled { how: SettledAs::Rejected | SettledAs::DeadLettered, .. } => {
                Some(self.event.as_ref()?.attempt.as_ref()?.outcome)
            }
            Change::Settled { .. } => None,
        }
    }
}

/// When an update's way to a group began. Known of one that was handed out in this boot, and not because a replay or a
/// seek asked for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Since {
    /// When it was received.
    pub received: UnixMillis,
    /// When it was first delivered to this group.
    pub first_delivered: UnixMillis,
}

/// What changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// A delivery ended and the update will be delivered again.
    Ended {
        /// How it ended.
        how: Ended,
        /// Its attempts up to now.
        state: Box<AttemptRecord>,
    },
    /// The group is done with the update.
    Settled {
        /// How.
        how: SettledAs,
        /// What to keep among the dead letters, if it goes there.
        dead: Option<Box<DeadLetter>>,
    },
}

/// How a delivery ended without settling its update.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// The handler said that it failed.
    Nacked,
    /// The handler gave it back untried.
    Released,
    /// Its lease ended.
    Expired,
    /// Its consumer's stream was lost.
    Lost,
}

/// One update for one consumer, without its payload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Handout {
    /// Names the delivery.
    pub token: Token,
    /// The update's ordering key.
    pub key: KeyHash,
    /// Failed attempts before it.
    pub failures: u32,
    /// The lease.
    pub lease_ms: u64,
    /// The lease's end.
    pub deadline: Monotonic,
    /// The lease's end by the wall clock.
    pub deadline_unix: UnixMillis,
    /// When it was first delivered to this group.
    pub first_delivered: UnixMillis,
    /// When it was received; `None` for one that is there again because a replay or a seek asked for it.
    pub received: Option<UnixMillis>,
    /// The newest failure.
    pub last_failure: Option<FailureRecord>,
    /// Whether a replay asked for it.
    pub replayed: bool,
}
