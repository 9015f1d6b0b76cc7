//! The one place that reads clocks for everything behind the driver.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::model::{Monotonic, Now, UnixMillis};

/// A gap between two turns of the driver's loop that is longer than it should have been by more than this is taken for
/// a standstill of the gateway itself: a SIGSTOP, a blocked disk, a suspended machine.
const STALL: Duration = Duration::from_secs(1);

/// Reads both clocks. The wall clock it tells never goes back.
#[derive(Debug)]
pub(super) struct Clock {
    start: Instant,
    last: Now,
}

impl Clock {
    /// `not_before` is the newest time that is stored already.
    #[expect(clippy::disallowed_methods, reason = "this is where time comes from")]
    pub(super) fn new(not_before: UnixMillis) -> Self {
        Self { start: Instant::now(), last: Now { mono: Monotonic(0), unix: not_before } }
    }

    #[expect(clippy::disallowed_methods, reason = "this is where time comes from")]
    pub(super) fn now(&mut self) -> Now {
        let mono = u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX);
        let unix = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
        let unix = u64::try_from(unix).unwrap_or(u64::MAX);
        self.last =
            Now { mono: self.last.mono.max(Monotonic(mono)), unix: self.last.unix.max(UnixMillis(unix)) };
        self.last
    }
}

/// Starts measuring how long something takes, for metrics.
#[expect(clippy::disallowed_methods, reason = "this is where time comes from")]
pub(super) fn stopwatch() -> Instant {
    Instant::now()
}

/// How long the gateway stood still, in milliseconds, if it did: it meant to wait for `meant` at most, and `passed`
/// has passed.
pub(super) fn stalled_ms(meant: Duration, passed: Duration) -> Option<u64> {
    let over = passed.saturating_sub(meant);
    (over > STALL).then(|| u64::try_from(over.as_millis()).unwrap_or(u64::MAX))
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

    #[test]
    fn a_late_turn_is_a_stall_only_when_it_is_much_too_late() {
        let s = Duration::from_secs;
        assert_eq!(stalled_ms(s(5), s(5)), None);
        assert_eq!(stalled_ms(s(0), s(1)), None);
        assert_eq!(stalled_ms(s(5), s(65)), Some(60_000));
    }
}
