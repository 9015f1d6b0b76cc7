//! The clocks, as the commands that measure or draw read them.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// Now, for measuring.
#[expect(clippy::disallowed_methods, reason = "a command is an edge: it measures the real world")]
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// Now, in microseconds since 1970: comparable between the processes of one machine.
#[expect(clippy::disallowed_methods, reason = "a command is an edge: it measures the real world")]
pub(crate) fn unix_micros() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}
