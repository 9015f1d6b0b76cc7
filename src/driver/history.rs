//! The last minutes of every group: what rates and charts are made of.

use std::collections::{BTreeMap, VecDeque};

use crate::model::{GroupId, GroupRates, GroupSample, Monotonic, Now};

/// Time between two samples.
const SAMPLE_EVERY_MS: u64 = 5_000;
/// Ten minutes of them.
const SAMPLES: usize = 120;
/// Rates are taken over so many samples: a minute.
const RATE_SAMPLES: usize = 12;

/// What a group has done since the start of the gateway.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Totals {
    deliveries: u64,
    settled: u64,
    failures: u64,
}

#[derive(Clone, Copy, Debug)]
struct Moment {
    at: Monotonic,
    totals: Totals,
    sample: GroupSample,
}

#[derive(Debug, Default)]
struct Group {
    totals: Totals,
    /// Oldest first.
    moments: VecDeque<Moment>,
}

/// The last minutes of all groups of a bot.
#[derive(Debug, Default)]
pub(super) struct History {
    groups: BTreeMap<GroupId, Group>,
    next_sample: Monotonic,
}

impl History {
    pub(super) fn delivered(&mut self, group: GroupId, count: usize) {
        self.groups.entry(group).or_default().totals.deliveries += count as u64;
    }

    pub(super) fn settled(&mut self, group: GroupId) {
        self.groups.entry(group).or_default().totals.settled += 1;
    }

    pub(super) fn failed(&mut self, group: GroupId) {
        self.groups.entry(group).or_default().totals.failures += 1;
    }

    pub(super) fn forget(&mut self, group: GroupId) {
        self.groups.remove(&group);
    }

    /// Whether it is time for the next samples; then it is not again until the ones after.
    pub(super) fn is_due(&mut self, now: Now) -> bool {
        let due = now.mono >= self.next_sample;
        if due {
            self.next_sample = now.mono.plus(SAMPLE_EVERY_MS);
        }
        due
    }

    pub(super) fn sample(&mut self, now: Now, group: GroupId, lag: u64, outstanding: usize) {
        let group = self.groups.entry(group).or_default();
        if group.moments.len() == SAMPLES {
            group.moments.pop_front();
        }
        let settled = group.totals.settled;
        let sample = GroupSample { time: now.unix, lag, outstanding, settled };
        group.moments.push_back(Moment { at: now.mono, totals: group.totals, sample });
    }

    pub(super) fn samples(&self, group: GroupId) -> Vec<GroupSample> {
        let group = self.groups.get(&group);
        group.into_iter().flat_map(|group| &group.moments).map(|moment| moment.sample).collect()
    }

    /// Rates from up to a minute ago until now.
    pub(super) fn rates(&self, now: Now, group: GroupId, lag: u64) -> GroupRates {
        let Some(group) = self.groups.get(&group) else { return GroupRates::default() };
        let Some(from) = group.moments.iter().rev().take(RATE_SAMPLES).next_back() else {
            return GroupRates::default();
        };
        #[expect(clippy::cast_precision_loss, reason = "rates are shown with few digits")]
        let per_second = |count: u64| count as f64 * 1_000.0 / now.mono.since(from.at).max(1) as f64;
        let settled = group.totals.settled - from.totals.settled;
        GroupRates {
            deliveries: per_second(group.totals.deliveries - from.totals.deliveries),
            settled: per_second(settled),
            failures: per_second(group.totals.failures - from.totals.failures),
            // What came is what went and what is there more than before.
            arrivals: per_second((lag + settled).saturating_sub(from.sample.lag)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::UnixMillis;

    const GROUP: GroupId = GroupId(1);

    fn at(ms: u64) -> Now {
        Now { mono: Monotonic(ms), unix: UnixMillis(1_000_000 + ms) }
    }

    #[test]
    fn rates_are_those_of_the_last_minute() {
        let mut history = History::default();
        assert_eq!(history.rates(at(0), GROUP, 0), GroupRates::default());
        for step in 0..100 {
            history.sample(at(step * SAMPLE_EVERY_MS), GROUP, 10, 1);
            // Ten settled in five seconds, twice as many delivered; the first samples are long gone.
            for _ in 0..if step < 50 { 1_000 } else { 10 } {
                history.settled(GROUP);
                history.delivered(GROUP, 2);
            }
        }
        let rates = history.rates(at(100 * SAMPLE_EVERY_MS), GROUP, 10);
        assert_eq!((rates.settled, rates.deliveries, rates.failures, rates.arrivals), (2.0, 4.0, 0.0, 2.0));
    }

    #[test]
    fn ten_minutes_are_kept() {
        let mut history = History::default();
        for step in 0..200 {
            history.sample(at(step * SAMPLE_EVERY_MS), GROUP, step, 0);
        }
        let samples = history.samples(GROUP);
        assert_eq!((samples.len(), samples[0].lag, samples[119].lag), (SAMPLES, 80, 199));
        history.forget(GROUP);
        assert_eq!(history.samples(GROUP), []);
    }

    #[test]
    fn a_sample_is_due_every_five_seconds() {
        let mut history = History::default();
        assert!(history.is_due(at(0)));
        assert!(!history.is_due(at(4_999)));
        assert!(history.is_due(at(5_000)));
    }
}
