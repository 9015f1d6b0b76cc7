//! The memory of update ids, against repeats (P8).
//!
//! Ids are remembered for 48 hours, apart from the updates themselves, as ranges: Telegram counts up, so a few ranges
//! hold millions. An id below the newest one is no repeat for that: after a quiet week the numbering may start
//! anywhere.

use std::collections::BTreeMap;

use crate::model::{IdRange, UnixMillis};

/// How long ids are remembered. Telegram keeps an update for 24 hours at most.
const REMEMBER_HOURS: u32 = 48;
const HOUR_MS: u64 = 3_600_000;

/// The remembered ids. Ranges do not overlap.
#[derive(Debug, Default)]
pub(super) struct IdMemory {
    /// First id to last id (inclusive) and the hour in which they were first seen.
    ranges: BTreeMap<i64, (i64, u32)>,
}

/// What a batch changes in the memory; takes effect when the batch is durable.
#[derive(Debug, Default)]
pub(super) struct IdChanges {
    /// For the journal.
    pub(super) rows: Vec<IdRange>,
    /// For the journal: everything before this hour goes.
    pub(super) forget_before: u32,
}

impl IdMemory {
    /// From the journal's rows. Rows may touch or overlap, after a crash between versions of them.
    pub(super) fn new(rows: impl IntoIterator<Item = IdRange>) -> Self {
        let mut memory = Self::default();
        for row in rows {
            memory.apply_row(row);
        }
        memory
    }

    /// Whether the id is remembered. What is old enough to be forgotten stays in here until the next batch with new ids,
    /// which may never come if it were held against them.
    pub(super) fn contains(&self, now: UnixMillis, id: i64) -> bool {
        let forgotten = forgotten_before(hour_of(now));
        let range = self.ranges.range(..=id).next_back();
        range.is_some_and(|(_, (last, hour))| id <= *last && *hour >= forgotten)
    }

    /// What remembering these new ids, ascending and none of them known, changes.
    pub(super) fn plan(&self, now: UnixMillis, ids: &[i64]) -> IdChanges {
        let hour = hour_of(now);
        let mut rows: Vec<IdRange> = Vec::new();
        for &id in ids {
            match rows.last_mut() {
                Some(open) if open.last >= open.first && open.last + 1 == id => open.last = id,
                _ => rows.push(self.range_for(hour, id)),
            }
            // Joined with the range behind it, if that is of the same hour.
            if let Some((&first, &(last, of))) = self.ranges.range(id..).next()
                && of == hour
                && first == id + 1
                && let Some(open) = rows.last_mut()
            {
                open.last = last;
                rows.insert(rows.len() - 1, IdRange { hour, first, last: first - 1 });
            }
        }
        IdChanges { rows, forget_before: forgotten_before(hour) }
    }

    fn range_for(&self, hour: u32, id: i64) -> IdRange {
        match self.ranges.range(..id).next_back() {
            Some((&first, &(last, of))) if of == hour && last + 1 == id => IdRange { hour, first, last: id },
            _ => IdRange { hour, first: id, last: id },
        }
    }

    /// Makes a plan come true.
    pub(super) fn apply(&mut self, changes: &IdChanges) {
        // First, since new ids may begin where a forgotten range did.
        self.ranges.retain(|_, (_, hour)| *hour >= changes.forget_before);
        for &row in &changes.rows {
            self.apply_row(row);
        }
    }

    fn apply_row(&mut self, row: IdRange) {
        if row.last < row.first {
            self.ranges.remove(&row.first);
            return;
        }
        let last = self.ranges.get(&row.first).map_or(row.last, |(last, _)| row.last.max(*last));
        self.ranges.insert(row.first, (last, row.hour));
    }
}

fn hour_of(time: UnixMillis) -> u32 {
    u32::try_from(time.0 / HOUR_MS).unwrap_or(u32::MAX)
}

/// What was first seen before this hour is forgotten.
fn forgotten_before(hour: u32) -> u32 {
    hour.saturating_sub(REMEMBER_HOURS)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn at(hour: u64) -> UnixMillis {
        UnixMillis(hour * HOUR_MS)
    }

    fn remember(memory: &mut IdMemory, hour: u64, ids: &[i64]) -> Vec<IdRange> {
        let changes = memory.plan(at(hour), ids);
        memory.apply(&changes);
        changes.rows
    }

    #[test]
    fn p8_ids_counting_up_stay_one_range_and_a_gap_filled_late_closes() {
        let mut memory = IdMemory::default();
        remember(&mut memory, 100, &[1, 2, 3]);
        remember(&mut memory, 100, &[5, 6]);
        assert!(!memory.contains(at(100), 4));
        let rows = remember(&mut memory, 100, &[4]);
        assert_eq!(memory.ranges.len(), 1);
        assert_eq!(rows.len(), 2, "the joined range is removed from the journal: {rows:?}");
        assert!((1..=6).all(|id| memory.contains(at(100), id)));
        assert!(!memory.contains(at(100), 0) && !memory.contains(at(100), 7));
    }

    #[test]
    fn p8_ids_are_forgotten_after_48_hours_and_lower_ones_are_no_repeats() {
        let mut memory = IdMemory::default();
        remember(&mut memory, 100, &[1_000]);
        assert!(!memory.contains(at(100), 5));
        remember(&mut memory, 148, &[5]);
        assert!(memory.contains(at(148), 1_000));
        remember(&mut memory, 149, &[6]);
        assert!(!memory.contains(at(149), 1_000) && memory.contains(at(149), 5));
    }

    #[test]
    fn p8_after_a_quiet_week_the_numbering_may_go_on_inside_what_was_forgotten() {
        let week = at(100 + 7 * 24);
        let mut memory = IdMemory::default();
        remember(&mut memory, 100, &[1_000, 1_001, 1_002, 1_003]);
        assert!(!memory.contains(week, 1_003));
        remember(&mut memory, 100 + 7 * 24, &[1_000, 1_001]);
        assert!(memory.contains(week, 1_001));
        assert!(!memory.contains(week, 1_002), "not remembered anew with the others");
    }

    proptest! {
        #[test]
        fn p8_the_memory_and_its_rows_agree_with_a_plain_set(
            batches in prop::collection::vec((0u64..3, prop::collection::btree_set(0i64..60, 1..12)), 1..20),
        ) {
            let mut memory = IdMemory::default();
            let mut plain = BTreeSet::new();
            let mut journal: BTreeMap<(u32, i64), i64> = BTreeMap::new();
            let mut hour = 100;
            for (hours, ids) in batches {
                hour += hours;
                let new: Vec<_> = ids.into_iter().filter(|id| !plain.contains(id)).collect();
                for row in remember(&mut memory, hour, &new) {
                    journal.remove(&(row.hour, row.first));
                    if row.last >= row.first {
                        journal.insert((row.hour, row.first), row.last);
                    }
                }
                plain.extend(new);
                let rows = journal.iter().map(|(&(hour, first), &last)| IdRange { hour, first, last });
                let recovered = IdMemory::new(rows);
                for id in -1..61 {
                    prop_assert_eq!(memory.contains(at(hour), id), plain.contains(&id), "{}", id);
                    prop_assert_eq!(recovered.contains(at(hour), id), plain.contains(&id), "{} recovered", id);
                }
            }
        }
    }
}
