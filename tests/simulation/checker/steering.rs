//! What operators ask for happens, and nothing that they did not ask for.

use switchboard::journal::JournalReader;
use switchboard::model::{Batch, Filter, GroupRecord, Sequence};

use super::{Checker, Wish};
use crate::disk::DiskReader;
use crate::violation::{Kept, Violation, demand};

impl Checker {
    pub(super) fn changes_are_asked_for(&self, gateway: u32, batch: &Batch) -> Kept {
        let wishes = &self.live(gateway).wishes;
        let end = batch.updates.last().map_or(self.books.tail, |update| update.head.sequence);
        for record in &batch.changed_groups {
            let Some(group) = self.books.groups.get(&record.id) else {
                demand!("P2", false, "{} is changed and does not exist", record.name);
                continue;
            };
            let old = &group.record;
            let of = |wish: &Wish| reaches(wish, old, record, end);
            demand!("P2", old == record || wishes.iter().any(of), "{old:?} becomes {record:?} unasked");
        }
        for id in &batch.deleted_groups {
            let Some(group) = self.books.groups.get(id) else { continue };
            let name = &group.record.name;
            let forced = wishes.contains(&Wish::Delete(name.clone(), true));
            let asked = forced || wishes.contains(&Wish::Delete(name.clone(), false));
            demand!("P2", asked, "{name} is deleted unasked");
            let left = self.books.stored.keys().any(|at| self.concerns(group, *at));
            demand!("P2", forced || !left, "{name} is deleted with unsettled updates, and not by force");
        }
        for at in &batch.purged {
            let asked = wishes.iter().any(|wish| matches!(wish, Wish::Purge(which) if which.contains(at)));
            demand!("P2", asked, "{at:?} is purged unasked");
        }
        for (id, at, _) in &batch.replays {
            let Some(group) = self.books.groups.get(id) else { continue };
            let asked = wishes.iter().any(|wish| match wish {
                Wish::Replay(name, which, _) => *name == group.record.name && which.contains(at),
                _ => false,
            });
            demand!("P4", asked, "{at:?} is replayed unasked");
            demand!("P4", !self.concerns(group, *at), "{at:?} is replayed before it is settled");
        }
        Ok(())
    }
}

impl Checker {
    /// A gateway has started, and has made the declared groups that were not there.
    pub fn declared(&mut self, reader: &DiskReader) -> Kept {
        let failed = |error: switchboard::journal::ReadError| Violation::of("P1", error.to_string());
        let records = reader.recover().map_err(failed)?.groups.into_iter().map(|group| group.record);
        let groups: Vec<_> = records.filter(|record| !self.books.groups.contains_key(&record.id)).collect();
        for record in &groups {
            let declared = self.settings.groups.contains(&record.name);
            demand!("P2", declared, "{} is made by the start", record.name);
            let deleted = self.books.deleted.contains(&record.name);
            demand!("P2", !deleted, "{} was deleted and is made again by the start", record.name);
            let taken = self.books.group(&record.name).is_some();
            demand!("P2", !taken, "{} is made twice", record.name);
        }
        self.books.apply(&Batch { groups, ..Batch::default() });
        self.the_journal_holds_it(reader, false)
    }

    /// An operator's wish was answered, granted or not.
    pub fn wish_answered(&mut self, gateway: u32, wish: &Wish) {
        let wishes = &mut self.live_mut(gateway).wishes;
        if let Some(at) = wishes.iter().position(|one| one == wish) {
            wishes.remove(at);
        }
    }
}

/// Whether a wish makes the new record of the old one.
fn reaches(wish: &Wish, old: &GroupRecord, new: &GroupRecord, end: Sequence) -> bool {
    let changed = match wish {
        Wish::Change(name) if *name == old.name => GroupRecord {
            filters: with_newest(&old.filters, &new.filters, end),
            settings: new.settings,
            max_ages: new.max_ages.clone(),
            ..old.clone()
        },
        Wish::Pause(name, _) if *name == old.name => GroupRecord { paused: new.paused, ..old.clone() },
        Wish::Seek(name, _) if *name == old.name => GroupRecord {
            generation: old.generation + 1,
            base_generation: old.generation + 1,
            start: new.start,
            filters: new.filters.clone(),
            ..old.clone()
        },
        Wish::Replay(name, ..) if *name == old.name => {
            GroupRecord { generation: old.generation + 1, ..old.clone() }
        }
        _ => return false,
    };
    changed == *new
}

type Filters = Vec<(Sequence, Option<Filter>)>;

/// The old filters with the new one's last, which holds from the next update on; without those that held for none.
fn with_newest(old: &Filters, new: &Filters, end: Sequence) -> Filters {
    if old == new {
        return new.clone();
    }
    let mut all: Filters = old.iter().filter(|(from, _)| *from <= end).cloned().collect();
    all.extend(new.last().map(|(_, filter)| (end.next(), filter.clone())));
    all
}
