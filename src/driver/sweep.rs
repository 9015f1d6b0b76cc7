//! Dead letters and unreadable elements go when they are too old, or too many.

use std::collections::HashSet;

use super::core::Core;
use crate::journal::{Counts, JournalReader, ReadError};
use crate::model::{Batch, GroupId, Now, Sequence};

/// Dead letters looked at in one step.
const STEP: usize = 128;
/// Unreadable elements that are kept, the newest: enough to see what is wrong.
const MAX_QUARANTINED: u64 = 1_000;

/// Where the sweep through the dead letters is. It goes round: a letter's age does not follow from its place.
#[derive(Debug, Default)]
pub(super) struct Sweep {
    at: Option<(GroupId, Sequence)>,
    /// Whether the next step is to be taken: once in each trimming pass, and as long as there is too much.
    pub(super) due: bool,
}

impl<R: JournalReader> Core<R> {
    /// One step, if it is due: puts into the batch what is to go.
    pub(super) fn sweep_step(&mut self, now: Now, batch: &mut Batch) -> Result<(), ReadError> {
        if !self.sweep.due {
            return Ok(());
        }
        let counts = self.reader.counts()?;
        if counts.quarantined > MAX_QUARANTINED
            && let Some((newest, _)) = self.reader.quarantined_back(u64::MAX, 1)?.first()
        {
            batch.forget_quarantined_to = newest.saturating_sub(MAX_QUARANTINED);
            let count = counts.quarantined - MAX_QUARANTINED;
            tracing::warn!(
                bot = self.tally.bot(),
                count,
                "the oldest unreadable elements are removed: there are too many"
            );
        }
        let before = batch.removed_dead_letters.len();
        self.sweep.due = self.sweep_by_size(&counts, batch)?;
        if !self.sweep.due {
            self.sweep_by_age(now, &counts, batch)?;
        }
        // What was read is the letter before: one that this very batch puts in its place stays.
        let new: HashSet<_> = batch.dead_letters.iter().map(|(group, at, _)| (*group, *at)).collect();
        let mut swept = batch.removed_dead_letters.split_off(before);
        swept.retain(|letter| !new.contains(letter));
        batch.removed_dead_letters.append(&mut swept);
        Ok(())
    }

    /// Removes the oldest dead letters of the group that has most, while all together are above their limit.
    fn sweep_by_size(&self, counts: &Counts, batch: &mut Batch) -> Result<bool, ReadError> {
        let bytes: u64 = counts.dead_letters.iter().map(|(_, count)| count.bytes).sum();
        let Some(mut excess) =
            bytes.checked_sub(self.settings.dead_letter_max_bytes).filter(|excess| *excess > 0)
        else {
            return Ok(false);
        };
        let Some((group, _)) = counts.dead_letters.iter().max_by_key(|(_, count)| count.bytes) else {
            return Ok(false);
        };
        let mut removed = 0;
        for letter in self.reader.dead_letters(*group, Sequence(0), STEP)? {
            if excess == 0 {
                break;
            }
            excess = excess.saturating_sub(u64::from(letter.head.size));
            batch.removed_dead_letters.push((*group, letter.head.sequence));
            removed += 1;
        }
        self.say_removed(
            *group,
            removed,
            "the oldest dead letters are removed: they take more than dead_letters.max_bytes",
        );
        // Without progress there is nothing to go on with at once.
        Ok(excess > 0 && removed > 0)
    }

    fn sweep_by_age(&mut self, now: Now, counts: &Counts, batch: &mut Batch) -> Result<(), ReadError> {
        let with_some = |after: Option<GroupId>| {
            let groups = counts.dead_letters.iter().filter(|(_, count)| count.count > 0).map(|(id, _)| *id);
            groups.filter(|id| after.is_none_or(|after| *id > after)).min()
        };
        let Some((group, from)) = self.sweep.at.or_else(|| Some((with_some(None)?, Sequence(0)))) else {
            return Ok(());
        };
        let letters = self.reader.dead_letters(group, from, STEP)?;
        self.sweep.at = match letters.last() {
            Some(last) if letters.len() == STEP => Some((group, last.head.sequence.next())),
            _ => with_some(Some(group)).map(|next| (next, Sequence(0))),
        };
        let old = |time| now.unix.since(time) >= self.settings.dead_letter_max_age_ms;
        let removed =
            letters.iter().filter(|letter| old(letter.letter.time)).map(|letter| letter.head.sequence);
        let before = batch.removed_dead_letters.len();
        batch.removed_dead_letters.extend(removed.map(|at| (group, at)));
        let count = batch.removed_dead_letters.len() - before;
        self.say_removed(group, count, "dead letters are removed: they have reached dead_letters.max_age");
        Ok(())
    }

    fn say_removed(&self, group: GroupId, count: usize, why: &'static str) {
        if count > 0 {
            let name = self.groups.name(group).map(crate::model::GroupName::as_str);
            tracing::warn!(bot = self.tally.bot(), group = name, count, "{why}");
        }
    }
}
