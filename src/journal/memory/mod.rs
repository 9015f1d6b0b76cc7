//! The journal in memory: the simplest thing that keeps the contract. It outlives its writers as a disk would, so that
//! simulations can crash them.

mod state;
#[cfg(test)]
mod tests;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{CommitError, Counts, Journal, JournalReader, ReadError, Recovered, Room, Usage};
use crate::model::{
    Batch, Event, GroupId, Head, Payload, Quarantined, Sequence, StoredDeadLetter, UnixMillis,
};
use crate::mutation::{self, Mutation};

pub(in crate::journal) use self::state::State;

/// What a row takes beside its texts, roughly.
const ROW_BYTES: u64 = 128;

/// Where a journal is kept. Cheap to clone; all clones are the same place.
#[derive(Clone, Debug)]
pub struct Memory {
    held: Arc<Mutex<Held>>,
}

#[derive(Debug)]
struct Held {
    state: State,
    max_bytes: u64,
}

/// The writer. It is deposed when the place is opened again.
#[derive(Debug)]
pub struct MemoryJournal {
    memory: Memory,
    /// The boot that it was opened as; the newest one may commit.
    boot: u32,
}

/// Reads a journal in memory.
#[derive(Clone, Debug)]
pub struct MemoryReader {
    memory: Memory,
}

impl Memory {
    /// A place for a journal of at most so many bytes, an eighth of which are kept for settlements.
    #[must_use]
    pub fn new(journal_id: u64, max_bytes: u64) -> Self {
        Self { held: Arc::new(Mutex::new(Held { state: State::new(journal_id), max_bytes })) }
    }

    /// Opens the journal for writing, and deposes whoever has it open.
    #[must_use]
    pub fn open(&self) -> MemoryJournal {
        let mut held = self.lock();
        held.state.recovered.boot += 1;
        MemoryJournal { memory: self.clone(), boot: held.state.recovered.boot }
    }

    /// A reader, whoever has it open.
    #[must_use]
    pub fn reader(&self) -> MemoryReader {
        MemoryReader { memory: self.clone() }
    }

    fn lock(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Journal for MemoryJournal {
    type Reader = MemoryReader;

    fn reader(&self) -> MemoryReader {
        self.memory.reader()
    }

    fn commit(&mut self, batch: &Batch) -> Result<Usage, CommitError> {
        let mut held = self.memory.lock();
        if self.boot != held.state.recovered.boot && !mutation::on(Mutation::SkipFence) {
            return Err(CommitError::Fenced);
        }
        if batch.is_empty() {
            return Ok(held.usage());
        }
        held.check(batch)?;
        held.state.apply(batch);
        Ok(held.usage())
    }

    fn usage(&mut self) -> Result<Usage, CommitError> {
        Ok(self.memory.lock().usage())
    }
}

impl Held {
    fn usage(&self) -> Usage {
        let used_bytes = self.state.bytes();
        let room = if used_bytes >= self.max_bytes - self.reserve() { Room::JournalFull } else { Room::Open };
        Usage { used_bytes, max_bytes: self.max_bytes, room }
    }

    fn reserve(&self) -> u64 {
        self.max_bytes / 8
    }

    /// Whether the batch may be applied: it fits, and its sequences go up.
    fn check(&self, batch: &Batch) -> Result<(), CommitError> {
        let path = || "memory".to_owned();
        let needed: u64 = batch.updates.iter().map(|update| row(&update.payload)).sum();
        let usage = self.usage();
        let over_limit = usage.used_bytes + needed > self.max_bytes - self.reserve() / 2;
        if batch.appends() && (usage.room != Room::Open || over_limit) {
            return Err(CommitError::NoRoom { path: path(), why: "it is at its limit".into() });
        }
        let last = self.state.recovered.last_sequence;
        let sequences = std::iter::once(last).chain(batch.updates.iter().map(|update| update.head.sequence));
        if !sequences.is_sorted_by(|one, next| one < next) {
            return Err(CommitError::Failed { path: path(), why: "sequences go back".into() });
        }
        Ok(())
    }
}

impl State {
    /// What all that is kept takes.
    fn bytes(&self) -> u64 {
        let updates: u64 = self.payloads.values().map(row).sum();
        let letters = self.groups.values().flat_map(|group| group.dead.values());
        updates + letters.map(|letter| row(&letter.payload)).sum::<u64>()
    }
}

fn row(payload: &Payload) -> u64 {
    ROW_BYTES + payload.key.len() as u64 + payload.update.len() as u64
}

impl JournalReader for MemoryReader {
    fn heads(&self, from: Sequence, limit: usize) -> Result<Vec<Head>, ReadError> {
        Ok(self.memory.lock().state.heads.range(from..).take(limit).map(|(_, head)| *head).collect())
    }

    fn heads_back(&self, from: Sequence, limit: usize) -> Result<Vec<Head>, ReadError> {
        let held = self.memory.lock();
        Ok(held.state.heads.range(..=from).rev().take(limit).map(|(_, head)| *head).collect())
    }

    fn read(&self, sequences: &[Sequence]) -> Result<Vec<Option<Payload>>, ReadError> {
        let held = self.memory.lock();
        Ok(sequences.iter().map(|at| held.state.payloads.get(at).cloned()).collect())
    }

    fn first_at(&self, from: Sequence, time: UnixMillis) -> Result<Option<Sequence>, ReadError> {
        Ok(self.memory.lock().state.first_at(from, time))
    }

    fn recover(&self) -> Result<Recovered, ReadError> {
        let held = self.memory.lock();
        Ok(Recovered { usage: held.usage(), ..held.state.recover() })
    }

    fn dead_letters(
        &self,
        group: GroupId,
        from: Sequence,
        limit: usize,
    ) -> Result<Vec<StoredDeadLetter>, ReadError> {
        let held = self.memory.lock();
        let dead = held.state.groups.get(&group).map(|state| state.dead.range(from..));
        Ok(dead.into_iter().flatten().take(limit).map(|(_, letter)| letter.clone()).collect())
    }

    fn dead_letters_back(
        &self,
        group: GroupId,
        from: Sequence,
        limit: usize,
    ) -> Result<Vec<StoredDeadLetter>, ReadError> {
        let held = self.memory.lock();
        let dead = held.state.groups.get(&group).map(|state| state.dead.range(..=from).rev());
        Ok(dead.into_iter().flatten().take(limit).map(|(_, letter)| letter.clone()).collect())
    }

    fn events(&self, sequence: Sequence) -> Result<Vec<(GroupId, Event)>, ReadError> {
        let held = self.memory.lock();
        let first = (sequence, GroupId(0), UnixMillis(0), 0, 0, 0);
        let of = held.state.events.range(first..).take_while(|((at, ..), _)| *at == sequence);
        Ok(of.map(|((_, group, ..), event)| (*group, event.clone())).collect())
    }

    fn quarantined(&self, from: u64, limit: usize) -> Result<Vec<(u64, Quarantined)>, ReadError> {
        let held = self.memory.lock();
        let some = held.state.quarantined.range(from..).take(limit);
        Ok(some.map(|(number, element)| (*number, element.clone())).collect())
    }

    fn quarantined_back(&self, from: u64, limit: usize) -> Result<Vec<(u64, Quarantined)>, ReadError> {
        let held = self.memory.lock();
        let some = held.state.quarantined.range(..=from).rev().take(limit);
        Ok(some.map(|(number, element)| (*number, element.clone())).collect())
    }

    fn newest(&self) -> Result<Sequence, ReadError> {
        Ok(self.memory.lock().state.recovered.last_sequence)
    }

    fn usage(&self) -> Usage {
        self.memory.lock().usage()
    }

    fn counts(&self) -> Result<Counts, ReadError> {
        Ok(self.memory.lock().state.counts())
    }

    fn copy_to(&self, path: &std::path::Path) -> Result<(), ReadError> {
        let path = path.display().to_string();
        Err(ReadError::Failed { path, why: "a journal in memory has no copies".into() })
    }
}
