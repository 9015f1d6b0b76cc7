//! When a failed update is tried again, and when it is not.

use crate::model::{AttemptRecord, FailureRecord, GroupSettings, UnixMillis};

/// How many failures an update's history keeps, the newest: enough to see a pattern, little enough to hold for
/// thousands of updates that fail together.
pub(super) const HISTORY: usize = 10;

/// An update that was lost this many times with its consumer's stream is delivered alone from then on, so that it
/// takes nobody with it, and so that the next loss is known to be its own.
pub(super) const LOSSES_BEFORE_ALONE: u32 = 3;

/// A seeded generator for the spread of retries (SplitMix64). Not for secrets.
#[derive(Clone, Debug)]
pub struct Jitter(u64);

impl Jitter {
    /// The same seed gives the same numbers.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// `ms`, give or take up to 20 %.
    pub fn spread(&mut self, ms: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^= z >> 31;
        let fifth = ms / 5;
        ms - fifth + z % (2 * fifth + 1)
    }
}

/// The wait after failure number `failures` (1 for the first): doubling, with a ceiling, spread by ±20 %.
pub(super) fn backoff_ms(settings: &GroupSettings, failures: u32, jitter: &mut Jitter) -> u64 {
    let doublings = failures.saturating_sub(1).min(32);
    let wait = settings.backoff_initial_ms.saturating_mul(1 << doublings).min(settings.backoff_max_ms);
    jitter.spread(wait)
}

/// Adds a failure to an update's record.
pub(super) fn add_failure(state: &mut AttemptRecord, failure: FailureRecord) {
    if state.failures == 0 {
        state.first_failed = failure.time;
    }
    state.failures += 1;
    if state.history.len() == HISTORY {
        state.history.remove(0);
    }
    state.history.push(failure);
}

/// Whether an update that has just failed is poison: it failed often enough, over a long enough time. An outage of
/// everything behind the handlers fails many updates often, but not for that long.
pub(super) fn is_poison(settings: &GroupSettings, state: &AttemptRecord, now: UnixMillis) -> bool {
    state.failures >= settings.max_failures && now.since(state.first_failed) >= settings.min_failure_span_ms
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn backoff_doubles_up_to_its_ceiling_and_spreads_by_a_fifth() {
        let settings = GroupSettings::default();
        let mut jitter = Jitter::new(1);
        for (failures, middle) in [(1, 1_000), (2, 2_000), (6, 32_000), (7, 60_000), (u32::MAX, 60_000)] {
            for _ in 0..100 {
                let wait = backoff_ms(&settings, failures, &mut jitter);
                assert!((middle * 4 / 5..=middle * 6 / 5).contains(&wait), "{failures}: {wait}");
            }
        }
    }
}
