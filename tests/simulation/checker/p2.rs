//! P2: every matching update is delivered until it is settled, and nothing leaves without a reason that is counted and
//! visible.

use switchboard::model::{Batch, GroupId, Sequence, SettledAs};

use super::live::State;
use super::{Checker, Wish};
use crate::violation::{Kept, demand};

impl Checker {
    pub(super) fn p2_nothing_leaves_without_a_reason(&self, gateway: u32, batch: &Batch) -> Kept {
        for (id, at, how) in &batch.settled {
            self.reason(gateway, *id, *at, *how)?;
            let told = batch
                .events
                .iter()
                .any(|(of, event_at, event)| (of, event_at) == (id, at) && event.settled == Some(*how));
            demand!("P2", told, "{id:?} {at:?} is {how:?} and its timeline does not say so");
            let letter = batch.dead_letters.iter().any(|(of, letter, _)| (of, letter) == (id, at));
            let wanted = matches!(how, SettledAs::Rejected | SettledAs::DeadLettered);
            demand!(
                "P2",
                letter == wanted,
                "{id:?} {at:?} is {how:?}, and whether there is a dead letter: {letter}"
            );
        }
        self.cursors(batch)?;
        self.trims(gateway, batch)?;
        self.removed_letters(gateway, batch)
    }

    /// Why an update leaves a group.
    fn reason(&self, gateway: u32, id: GroupId, at: Sequence, how: SettledAs) -> Kept {
        let live = self.live(gateway);
        let Some(group) = self.books.groups.get(&id) else { return Ok(()) };
        let Some((sent, head)) = self.facts(at) else {
            demand!("P2", false, "{id:?} {at:?} is {how:?} and was never stored");
            return Ok(());
        };
        let newest = live.groups.get(&id).and_then(|out| out.newest.get(&at));
        match how {
            SettledAs::Acked => {
                demand!(
                    "P2",
                    newest.is_some_and(|newest| newest.acked),
                    "{id:?} {at:?} was acked by nobody: {newest:?}"
                );
            }
            SettledAs::Rejected => {
                demand!(
                    "P2",
                    newest.is_some_and(|newest| newest.rejected),
                    "{id:?} {at:?} was rejected by nobody"
                );
            }
            // P9 says when.
            SettledAs::DeadLettered => {
                demand!("P2", newest.is_some(), "{id:?} {at:?} is buried without a delivery");
            }
            SettledAs::Expired => {
                let age = live.clock.unix.since(head.received);
                let least = group.shortest_age(if sent.kind == "x_event" { "unknown" } else { sent.kind });
                demand!("P2", age >= least, "{id:?} {at:?} expires after {age} ms, not {least}");
                let is_out = newest.is_some_and(|newest| live.is_surely_out(newest));
                demand!("P2", !is_out, "{id:?} {at:?} expires while a handler has it");
            }
            SettledAs::Purged => demand!("P2", false, "{id:?} {at:?} is purged by itself"),
        }
        Ok(())
    }

    /// A cursor passes only what is settled, or is none of the group's business.
    fn cursors(&self, batch: &Batch) -> Kept {
        for (id, cursor) in &batch.cursors {
            let Some(group) = self.books.groups.get(id) else { continue };
            demand!("P2", *cursor <= self.books.tail, "{id:?}: the cursor {cursor:?} is ahead");
            for (at, _) in self.books.stored.range(group.cursor.next()..=*cursor) {
                demand!("P2", !self.concerns(group, *at), "{id:?}: the cursor {cursor:?} passes {at:?}");
            }
        }
        Ok(())
    }

    /// What goes is settled for everybody, and old enough or too much.
    fn trims(&self, gateway: u32, batch: &Batch) -> Kept {
        let now = self.live(gateway).clock.unix;
        for at in &batch.trimmed {
            let Some((_, head)) = self.facts(*at) else { continue };
            let age = now.since(head.received);
            for (id, group) in &self.books.groups {
                demand!("P2", !self.concerns(group, *at), "{at:?} is trimmed and {id:?} has not settled it");
                demand!(
                    "P2",
                    !group.replays.contains_key(at),
                    "{at:?} is trimmed and {id:?} waits for its replay"
                );
            }
            let crowded = self.settings.retention_max_bytes < 1 << 30;
            let retained = if self.books.groups.is_empty() {
                // They wait for a first group as long as they would for a handler.
                age < self.settings.group.max_unsettled_age_ms
            } else {
                age < self.settings.retention_max_age_ms && !crowded
            };
            demand!("P2", !retained, "{at:?} is trimmed after {age} ms");
        }
        Ok(())
    }

    /// Dead letters go when an operator says so, or when they are too old or too many.
    fn removed_letters(&self, gateway: u32, batch: &Batch) -> Kept {
        let live = self.live(gateway);
        for (id, at) in &batch.removed_dead_letters {
            let Some(group) = self.books.groups.get(id) else { continue };
            let Some(time) = group.dead.get(at) else { continue };
            let asked = live.wishes.iter().any(|wish| match wish {
                Wish::Bury(name, which) | Wish::Replay(name, which, true) => {
                    *name == group.record.name && which.contains(at)
                }
                _ => false,
            });
            let old = live.clock.unix.0.saturating_sub(*time) >= self.settings.dead_letter_max_age_ms;
            let crowded = self.settings.dead_letter_max_bytes < 1 << 30;
            demand!("P2", asked || old || crowded, "{id:?}: the dead letter {at:?} goes without a reason");
        }
        Ok(())
    }

    /// At the end: nothing is left to do.
    pub fn p2_everything_is_settled(&self, gateway: u32) -> Kept {
        for (id, group) in &self.books.groups {
            let left: Vec<_> = self.books.stored.keys().filter(|at| self.concerns(group, **at)).collect();
            demand!("P2", left.is_empty(), "{id:?} is not done with {left:?}");
            demand!(
                "P2",
                group.replays.is_empty(),
                "{id:?} is not done with the replays {:?}",
                group.replays
            );
            let held = self.live(gateway).groups.get(id).and_then(|out| out.newest.values().next());
            let out = held.filter(|newest| matches!(newest.state, State::Out { .. }));
            demand!("P2", out.is_none(), "{id:?} still has {out:?}");
        }
        Ok(())
    }
}
