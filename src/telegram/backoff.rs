//! Waiting between tries: doubling, bounded, with jitter so that many gateways do not knock together.

use std::time::Duration;

/// The waits of one kind of trouble.
#[derive(Clone, Copy, Debug)]
pub(super) struct Waits {
    /// The first wait.
    pub initial: Duration,
    /// The longest wait.
    pub max: Duration,
}

/// Waits that double up to a limit, each shortened or lengthened by up to a fifth.
#[derive(Debug)]
pub(super) struct Backoff {
    waits: Waits,
    next: Duration,
    random: u64,
}

impl Backoff {
    /// Begins with the first wait. The seed makes the jitter.
    pub(super) fn new(waits: Waits, seed: u64) -> Self {
        Self { waits, next: waits.initial, random: seed }
    }

    /// The wait before the next try.
    pub(super) fn wait(&mut self) -> Duration {
        let wait = self.next;
        self.next = (wait * 2).min(self.waits.max);
        self.jitter(wait)
    }

    /// `wait`, shortened or lengthened by up to a fifth.
    pub(super) fn jitter(&mut self, wait: Duration) -> Duration {
        wait.mul_f64(0.8 + 0.4 * self.fraction())
    }

    /// Begins again with the first wait.
    pub(super) fn reset(&mut self) {
        self.next = self.waits.initial;
    }

    /// From 0 to 1: the next number of splitmix64.
    fn fraction(&mut self) -> f64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.random;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        f64::from(((mixed ^ (mixed >> 31)) >> 32) as u32) / f64::from(u32::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WAITS: Waits = Waits { initial: Duration::from_secs(1), max: Duration::from_secs(60) };

    #[test]
    fn waits_double_up_to_the_limit_and_begin_again_after_a_reset() {
        let mut backoff = Backoff::new(WAITS, 7);
        for expected in [1_u64, 2, 4, 8, 16, 32, 60, 60, 60] {
            let wait = backoff.wait().as_secs_f64();
            let expected = expected as f64;
            assert!((0.8 * expected..=1.2 * expected).contains(&wait), "{wait} for {expected}");
        }
        backoff.reset();
        assert!(backoff.wait() < Duration::from_millis(1_201));
    }

    #[test]
    fn other_seeds_give_other_waits() {
        assert_ne!(Backoff::new(WAITS, 1).wait(), Backoff::new(WAITS, 2).wait());
        assert_eq!(Backoff::new(WAITS, 1).wait(), Backoff::new(WAITS, 1).wait());
    }
}
