//! The trail of an update's deliveries and outcomes, for timelines.

use std::sync::Arc;

use super::batch::SettledAs;
use super::time::UnixMillis;

/// One step of an update's way through a group: a delivery ended, or the group is done with it, or both. Kept until the
/// update is trimmed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// When.
    pub time: UnixMillis,
    /// The delivery that ended; `None` if there was none: it expired or was purged before.
    pub attempt: Option<EndedAttempt>,
    /// If the group is done with it by this: how.
    pub settled: Option<SettledAs>,
}

/// A delivery that ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndedAttempt {
    /// The generation of its token: deliveries of a seek or a replay count from their own.
    pub generation: u32,
    /// Its number.
    pub attempt: u32,
    /// Who had it; empty where that is not known any more (taken over from an earlier boot).
    pub consumer: Arc<str>,
    /// When it was made; 0 where that is not known any more.
    pub delivered: UnixMillis,
    /// Whether a replay asked for it.
    pub replayed: bool,
    /// How it ended.
    pub outcome: AttemptOutcome,
    /// The handler's words.
    pub reason: Box<str>,
}

/// How a delivery ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AttemptOutcome {
    /// The handler handled it.
    Acked,
    /// The handler said that it failed.
    Nacked,
    /// The handler gave it back untried.
    Released,
    /// Its lease ended.
    Expired,
    /// Its consumer's stream was lost.
    Lost,
    /// The handler said that it can never be handled.
    Rejected,
    /// A purge took it back.
    Revoked,
}
