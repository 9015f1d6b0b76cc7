//! The journal in memory under the contract, and what it has beyond that.

use super::{Memory, MemoryJournal};
use crate::journal::contract::{Place, contract_suite, update, updates};
use crate::journal::{CommitError, Journal, JournalReader, Room};
use crate::model::{Batch, Sequence};

impl Place for Memory {
    type Journal = MemoryJournal;

    fn open(&self) -> MemoryJournal {
        Self::open(self)
    }
}

contract_suite!(Memory::new(7, 64 << 20));

#[test]
fn p7_a_writer_is_deposed_by_the_next_one() {
    let memory = Memory::new(7, 1 << 20);
    let mut old = memory.open();
    old.commit(&updates([1])).unwrap();
    let mut new = memory.open();
    assert!(matches!(old.commit(&updates([2])), Err(CommitError::Fenced)));
    new.commit(&updates([2])).unwrap();
    assert_eq!(memory.reader().newest().unwrap(), Sequence(2));
}

#[test]
fn p6_a_full_one_refuses_updates_and_takes_the_rest() {
    let memory = Memory::new(7, 64 << 10);
    let mut journal = memory.open();
    let large = |at| Batch { updates: vec![update(at, 40 << 10)], ..Batch::default() };
    journal.commit(&large(1)).unwrap();
    assert!(matches!(journal.commit(&large(2)), Err(CommitError::NoRoom { .. })));
    let trim = Batch { trimmed: vec![Sequence(1)], ..Batch::default() };
    assert_eq!(journal.commit(&trim).unwrap().room, Room::Open);
    journal.commit(&large(2)).unwrap();
}
