//! What is remembered of an update's deliveries that ended without settling it.

use super::time::UnixMillis;

/// A handler's reason longer than this is cut (at a character).
pub const MAX_REASON_BYTES: usize = 1024;

/// `reason`, cut to [`MAX_REASON_BYTES`].
#[must_use]
pub fn clip_reason(reason: &str) -> Box<str> {
    let end = reason.floor_char_boundary(MAX_REASON_BYTES);
    reason.get(..end).unwrap_or_default().into()
}

/// How an attempt failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailureKind {
    /// The handler said so.
    Nacked,
    /// Its lease ended.
    Expired,
    /// Its consumer's stream was lost while it was the only update out.
    Lost,
    /// The handler said that it can never be handled.
    Rejected,
}

/// One failed attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FailureRecord {
    /// How.
    pub kind: FailureKind,
    /// The handler's words; empty where it said none.
    pub reason: Box<str>,
    /// When.
    pub time: UnixMillis,
    /// Which attempt.
    pub attempt: u32,
    /// Whose.
    pub consumer: Box<str>,
}

/// The state of an unsettled update that was delivered before, for one group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttemptRecord {
    /// The number of the last delivery that ended.
    pub attempt: u32,
    /// How many of them failed.
    pub failures: u32,
    /// How many of them were lost with their consumer's stream, failures or not.
    pub losses: u32,
    /// When it was first delivered.
    pub first_delivered: UnixMillis,
    /// When it first failed; meaningless while `failures` is 0.
    pub first_failed: UnixMillis,
    /// It is not delivered again before.
    pub not_before: UnixMillis,
    /// The newest failures, oldest first; bounded by the dispatcher.
    pub history: Vec<FailureRecord>,
}
