//! Latencies, counted in buckets that grow with the value, so that they can be added up over processes.

use serde::{Deserialize, Serialize};

/// Counts of values in microseconds. A bucket is at most 1/64 wider than its lower edge.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub(super) struct Histogram {
    /// By bucket; as long as the largest value needs.
    counts: Vec<u64>,
    max_us: u64,
}

/// The usual quantiles, in milliseconds.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub(super) struct Quantiles {
    pub(super) samples: u64,
    pub(super) p50_ms: f64,
    pub(super) p90_ms: f64,
    pub(super) p99_ms: f64,
    pub(super) max_ms: f64,
}

impl Histogram {
    pub(super) fn record(&mut self, us: u64) {
        let bucket = bucket(us);
        if self.counts.len() <= bucket {
            self.counts.resize(bucket + 1, 0);
        }
        if let Some(count) = self.counts.get_mut(bucket) {
            *count += 1;
        }
        self.max_us = self.max_us.max(us);
    }

    pub(super) fn add(&mut self, other: &Self) {
        if self.counts.len() < other.counts.len() {
            self.counts.resize(other.counts.len(), 0);
        }
        for (count, more) in self.counts.iter_mut().zip(&other.counts) {
            *count += more;
        }
        self.max_us = self.max_us.max(other.max_us);
    }

    pub(super) fn quantiles(&self) -> Quantiles {
        let samples = self.counts.iter().sum();
        let at = |share: f64| self.quantile_us(samples, share) as f64 / 1000.0;
        Quantiles {
            samples,
            p50_ms: at(0.5),
            p90_ms: at(0.9),
            p99_ms: at(0.99),
            max_ms: self.max_us as f64 / 1000.0,
        }
    }

    /// The upper edge of the bucket in which the quantile lies, but never more than the largest value.
    fn quantile_us(&self, samples: u64, share: f64) -> u64 {
        let rank = (samples as f64 * share).ceil() as u64;
        let mut seen = 0;
        for (bucket, count) in self.counts.iter().enumerate() {
            seen += count;
            if seen >= rank && seen > 0 {
                return upper_edge(bucket).min(self.max_us);
            }
        }
        0
    }
}

/// Values below 128 have a bucket each; above, every power of two has 64.
fn bucket(us: u64) -> usize {
    if us < 2 * PER_OCTAVE {
        return us as usize;
    }
    let octave = u64::from(us.ilog2()) - u64::from(PER_OCTAVE.ilog2());
    (octave * PER_OCTAVE + (us >> octave)) as usize
}

fn upper_edge(bucket: usize) -> u64 {
    let bucket = bucket as u64;
    if bucket < 2 * PER_OCTAVE {
        return bucket;
    }
    let octave = bucket / PER_OCTAVE - 1;
    ((bucket - octave * PER_OCTAVE + 1) << octave) - 1
}

const PER_OCTAVE: u64 = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_lies_in_a_bucket_hardly_wider_than_itself() {
        for us in (0..100_000).chain([u64::MAX / 3, 1 << 40, (1 << 40) - 1]) {
            let edge = upper_edge(bucket(us));
            assert!(edge >= us && edge - us <= us / 64, "{us} is put at {edge}");
        }
    }

    #[test]
    fn quantiles_of_a_thousand_values_are_theirs_within_the_buckets_width() {
        let mut histogram = Histogram::default();
        let mut other = Histogram::default();
        for us in 1..=500 {
            histogram.record(us * 10);
            other.record((us + 500) * 10);
        }
        histogram.add(&other);
        let quantiles = histogram.quantiles();
        assert_eq!(quantiles.samples, 1000);
        assert!((quantiles.p50_ms - 5.0).abs() < 0.1, "{quantiles:?}");
        assert!((quantiles.p99_ms - 9.9).abs() < 0.2, "{quantiles:?}");
        assert!((quantiles.max_ms - 10.0).abs() < f64::EPSILON, "{quantiles:?}");
    }

    #[test]
    fn nothing_recorded_gives_zeros() {
        assert_eq!(Histogram::default().quantiles().samples, 0);
    }
}
