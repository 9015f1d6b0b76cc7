//! P9: an update becomes a dead letter after `max_failures` failures over at least `min_failure_span`, not earlier, and
//! then it does. Releases, drains, neighbours' losses and the gateway's own standstills are no failures.

use std::collections::BTreeMap;

use switchboard::model::{Batch, GroupId, Sequence, SettledAs};

use super::Checker;
use crate::violation::{Kept, demand};

impl Checker {
    pub(super) fn p9_failures_are_counted_rightly(&self, gateway: u32, batch: &Batch) -> Kept {
        let live = self.live(gateway);
        // Of several records of one update the last one counts.
        let last: BTreeMap<(GroupId, Sequence), _> =
            batch.attempts.iter().map(|(group, at, record)| ((*group, *at), record)).collect();
        for ((id, at), record) in last {
            let Some(out) = live.groups.get(&id) else { continue };
            if batch.sought.iter().any(|(sought, _)| *sought == id) {
                continue;
            }
            let tally = out.tallies.get(&at).copied().unwrap_or_default();
            let Some(newest) = out.newest.get(&at) else {
                demand!("P5", false, "{id:?} {at:?}: a delivery that was not made has ended: {record:?}");
                continue;
            };
            let is_settled = batch.settled.iter().any(|(of, settled, _)| (*of, *settled) == (id, at));
            if is_settled || newest.again {
                // It tells of an earlier end.
                continue;
            }
            demand!(
                "P9",
                !live.is_surely_out(newest),
                "{id:?} {at:?} has ended at {:?} though nothing ended it: {newest:?}",
                live.clock
            );
            demand!(
                "P9",
                (tally.certain..=tally.possible).contains(&record.failures),
                "{id:?} {at:?} has {} failures, not {tally:?}",
                record.failures
            );
            demand!("P9", !newest.must_be_buried, "{id:?} {at:?} is tried again after {tally:?}");
        }
        for (id, at, how) in &batch.settled {
            let (Some(group), Some(out)) = (self.books.groups.get(id), live.groups.get(id)) else { continue };
            if *how != SettledAs::DeadLettered {
                continue;
            }
            let tally = out.tallies.get(at).copied().unwrap_or_default();
            let fewest = group.ever.iter().map(|settings| settings.max_failures).min().unwrap_or(1);
            let shortest = group.ever.iter().map(|settings| settings.min_failure_span_ms).min().unwrap_or(0);
            let span = live.clock.unix.0.saturating_sub(tally.first_possible.unwrap_or(u64::MAX));
            demand!("P9", tally.possible >= fewest, "{id:?} {at:?} is buried after {tally:?}");
            demand!("P9", span >= shortest, "{id:?} {at:?} is buried after {span} ms: {tally:?}");
        }
        Ok(())
    }
}
