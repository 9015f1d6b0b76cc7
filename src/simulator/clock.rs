//! The simulator's one clock: a monotonic time since the start, and the wall time that belongs to it.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Reads the time for everything else, which takes it as an argument.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clock {
    started: Instant,
    started_unix_us: i64,
}

impl Clock {
    #[expect(
        clippy::disallowed_methods,
        reason = "the simulator's edge: the only place where it reads a clock"
    )]
    pub(super) fn start() -> Self {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self { started: Instant::now(), started_unix_us: micros(since_epoch) }
    }

    /// Time since the start. Never goes backwards.
    #[expect(
        clippy::disallowed_methods,
        reason = "the simulator's edge: the only place where it reads a clock"
    )]
    pub(super) fn now(&self) -> Duration {
        Instant::now().saturating_duration_since(self.started)
    }

    /// The wall time that belongs to `now`, in microseconds since 1970. Does not follow later clock changes.
    pub(super) fn unix_us(&self, now: Duration) -> i64 {
        self.started_unix_us.saturating_add(micros(now))
    }

    /// The same in whole seconds, as Telegram's `date` fields have it.
    pub(super) fn unix_s(&self, now: Duration) -> i64 {
        self.unix_us(now) / 1_000_000
    }
}

fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}
