//! The one place that reads clocks for everything behind the driver.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::turns::Clocks;
use crate::model::{Monotonic, Now, UnixMillis};

/// Reads both clocks.
#[derive(Debug)]
pub(super) struct Clock {
    start: Instant,
    steady: Steady,
}

impl Clock {
    /// `not_before` is the newest time that is stored already.
    #[expect(clippy::disallowed_methods, reason = "this is where time comes from")]
    pub(super) fn new(not_before: UnixMillis) -> Self {
        Self { start: Instant::now(), steady: Steady::new(not_before) }
    }
}

impl Clocks for Clock {
    #[expect(clippy::disallowed_methods, reason = "this is where time comes from")]
    fn now(&mut self) -> Now {
        let mono = u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX);
        let unix = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
        let unix = u64::try_from(unix).unwrap_or(u64::MAX);
        self.steady.read(Now { mono: Monotonic(mono), unix: UnixMillis(unix) })
    }

    fn fine(&self) -> Duration {
        self.start.elapsed()
    }
}

/// Clocks that never go back, not even behind what is stored.
#[derive(Debug)]
pub(super) struct Steady {
    last: Now,
}

impl Steady {
    /// `not_before` is the newest time that is stored already.
    pub(super) fn new(not_before: UnixMillis) -> Self {
        Self { last: Now { mono: Monotonic(0), unix: not_before } }
    }

    /// What is told where the machine's clocks say `now`.
    pub(super) fn read(&mut self, now: Now) -> Now {
        self.last = Now { mono: self.last.mono.max(now.mono), unix: self.last.unix.max(now.unix) };
        self.last
    }
}

/// Starts measuring how long something takes, for metrics.
#[expect(clippy::disallowed_methods, reason = "this is where time comes from")]
pub(super) fn stopwatch() -> Instant {
    Instant::now()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wall_clock_never_goes_back_behind_what_is_stored() {
        let future = UnixMillis(u64::MAX / 2);
        let mut clock = Clock::new(future);
        assert_eq!(clock.now().unix, future);
    }
}
