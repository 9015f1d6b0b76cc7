//! All open Subscribe streams: how many there are, when they must end.
//!
//! tonic's maximum connection age and its graceful shutdown do not end open server streams, so each one is told here.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::watch;

/// How long streams live, and how they end. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Streams {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    lifetime: Lifetime,
    opened: AtomicU64,
    open: watch::Sender<usize>,
    stopping: watch::Sender<bool>,
}

/// How long a stream lives.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lifetime {
    /// Its maximum age; spread by [`JITTER_PERCENT`] when a stream is opened.
    pub(super) max_age: Duration,
    /// How long it may go on after that for its deliveries to be settled.
    pub(super) drain_grace: Duration,
    /// A heartbeat is sent after this much silence.
    pub(super) heartbeat: Duration,
    /// Seeds the spreading.
    pub(super) jitter_seed: u64,
}

/// Streams opened together (a deploy) must not end together for ever: their ages differ by up to this, both ways.
const JITTER_PERCENT: u64 = 10;

/// One open stream; counted as such until it is dropped.
#[derive(Debug)]
pub(super) struct OpenStream {
    shared: Arc<Shared>,
    /// When it must begin to drain.
    pub(super) max_age: Duration,
}

impl Streams {
    pub(super) fn new(lifetime: Lifetime) -> Self {
        let (open, stopping) = (watch::Sender::new(0), watch::Sender::new(false));
        Self { shared: Arc::new(Shared { lifetime, opened: AtomicU64::new(0), open, stopping }) }
    }

    pub(super) fn open(&self) -> OpenStream {
        let shared = Arc::clone(&self.shared);
        let number = shared.opened.fetch_add(1, Ordering::Relaxed);
        shared.open.send_modify(|open| *open += 1);
        let max_age = jittered(shared.lifetime.max_age, shared.lifetime.jitter_seed, number);
        OpenStream { shared, max_age }
    }

    /// Tells all streams, also those that are yet to be opened, to end within their grace.
    pub(super) fn stop(&self) {
        self.shared.stopping.send_replace(true);
    }

    /// Returns when no stream is open.
    pub(super) async fn ended(&self) {
        // An error would mean that the sender is gone, which `self` holds.
        let _ = self.shared.open.subscribe().wait_for(|&open| open == 0).await;
    }
}

impl OpenStream {
    pub(super) fn lifetime(&self) -> Lifetime {
        self.shared.lifetime
    }

    pub(super) fn stopping(&self) -> watch::Receiver<bool> {
        self.shared.stopping.subscribe()
    }
}

impl Drop for OpenStream {
    fn drop(&mut self) {
        self.shared.open.send_modify(|open| *open -= 1);
    }
}

fn jittered(age: Duration, seed: u64, number: u64) -> Duration {
    let random = xxhash_rust::xxh3::xxh3_64_with_seed(&number.to_be_bytes(), seed);
    // 90.00 % to 110.00 %, in hundredths of a percent, so that many streams differ.
    let hundredths = (100 - JITTER_PERCENT) * 100 + random % (2 * JITTER_PERCENT * 100 + 1);
    age.mul_f64(hundredths as f64 / 10_000.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_are_spread_by_ten_percent_both_ways_and_repeat_with_the_seed() {
        let hour = Duration::from_secs(3_600);
        let ages: Vec<_> = (0..1_000).map(|number| jittered(hour, 7, number)).collect();
        assert!(ages.iter().all(|age| (hour.mul_f64(0.9)..=hour.mul_f64(1.1)).contains(age)));
        assert!(ages.iter().min() < Some(&hour.mul_f64(0.91)));
        assert!(ages.iter().max() > Some(&hour.mul_f64(1.09)));
        assert_eq!(ages[17], jittered(hour, 7, 17));
        assert_ne!(ages[17], jittered(hour, 8, 17));
    }
}
