//! What a handler says about a delivery, and what it is told.

use super::time::{Monotonic, UnixMillis};

/// What a handler says about one delivery.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Settlement {
    /// Handled.
    Ack,
    /// Not handled; give it again.
    Nack {
        /// Whether it failed or is only given back.
        outcome: Outcome,
        /// How long to wait; without it the group's backoff for failures, nothing for releases.
        delay_ms: Option<u64>,
        /// Why.
        reason: Box<str>,
    },
    /// Still working: move the deadline to this long from now.
    Extend {
        /// Without it, the lease duration of the delivery.
        duration_ms: Option<u64>,
    },
    /// Can never be handled.
    Reject {
        /// Why.
        reason: Box<str>,
    },
}

/// Whether a nack counts as a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It does.
    Failed,
    /// It does not.
    Released,
}

/// What became of one settlement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SettledResult {
    /// Done.
    Applied {
        /// The lease's new end, from Extend only.
        deadline: Option<(Monotonic, UnixMillis)>,
    },
    /// Done, though the lease had expired; the update had not been handed out again.
    AppliedLate {
        /// The lease's new end, from Extend only.
        deadline: Option<(Monotonic, UnixMillis)>,
    },
    /// The update is settled already.
    AlreadySettled,
    /// A newer delivery exists, or the group's generation is another.
    Superseded,
    /// The token is of another journal or of a group that is gone.
    Unknown,
}
