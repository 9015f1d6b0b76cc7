//! At its limit and on a full disk the journal takes no updates, but settlements and trims, and recovers by itself.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use super::{BOT, Directory, OPTIONS};
use crate::journal::contract::{acks, event, new_group, update};
use crate::journal::lmdb::{LmdbJournal, OpenError, Options, open};
use crate::journal::{CommitError, Journal as _, JournalReader as _, Room, Usage};
use crate::model::{Batch, GroupId, Sequence, SettledAs};

/// As many updates as a large batch of the driver has.
const BATCH: u64 = 128;

fn batch_of(first: u64, size: usize) -> Batch {
    Batch { updates: (first..first + BATCH).map(|at| update(at, size)).collect(), ..Batch::default() }
}

/// Appends until it is refused; answers the next sequence.
fn fill(journal: &mut LmdbJournal, mut next: u64, size: usize) -> u64 {
    loop {
        match journal.commit(&batch_of(next, size)) {
            Ok(_) => next += BATCH,
            Err(CommitError::NoRoom { .. }) => return next,
            Err(other) => panic!("{other}"),
        }
    }
}

/// Settles and trims the updates from `from` up to `to`, in batches, and checks that each is durable.
fn settle_and_trim(journal: &mut LmdbJournal, from: u64, to: u64) -> Usage {
    let mut usage = journal.usage().unwrap();
    let all: Vec<_> = (from..to).collect();
    for some in all.chunks(100) {
        let last = *some.last().unwrap();
        let batch = Batch {
            cursors: vec![(GroupId(1), Sequence(last))],
            trimmed: some.iter().copied().map(Sequence).collect(),
            ..acks(1, some.iter().copied())
        };
        usage = journal.commit(&batch).unwrap();
        assert_eq!(journal.reader().recover().unwrap().groups[0].cursor, Sequence(last));
    }
    usage
}

fn assert_all_stored(journal: &LmdbJournal, from: u64, to: u64, size: usize) {
    let sequences: Vec<_> = (from..to).map(Sequence).collect();
    let payloads = journal.reader().read(&sequences).unwrap();
    for (at, payload) in (from..to).zip(payloads) {
        assert_eq!(payload, Some(update(at, size).payload), "{at}");
    }
}

#[test]
fn at_its_limit_only_settlements_and_trims_go_on() {
    for size in [100, 1000, 3000, 9000] {
        let options = Options { max_bytes: 8 << 20, reserve_bytes: 1 << 20 };
        let place = Directory::new();
        let mut journal = open(&place.path(), BOT, &options).unwrap();
        journal.commit(&new_group(1)).unwrap();
        let end = fill(&mut journal, 1, size);
        let usage = journal.usage().unwrap();
        assert!(usage.used_bytes > 6 << 20, "{usage:?}");
        assert!(usage.used_bytes <= 8 << 20, "{usage:?}");
        assert_all_stored(&journal, 1, end, size);

        // Twice the whole journal goes through, with the limit in between.
        let mut first = 1;
        let mut next = end;
        for _ in 0..4 {
            let middle = first + (next - first) / 2;
            let usage = settle_and_trim(&mut journal, first, middle);
            assert_eq!(usage.room, Room::Open, "size {size}: {usage:?}");
            first = middle;
            let before = next;
            next = fill(&mut journal, next, size);
            assert!(next > before, "size {size}: room came back");
        }
        assert_all_stored(&journal, first, next, size);
        drop(journal);
        let journal = open(&place.path(), BOT, &options).unwrap();
        assert_all_stored(&journal, first, next, size);
    }
}

#[test]
fn at_its_limit_the_room_says_so() {
    let options = Options { max_bytes: 4 << 20, reserve_bytes: 1 << 20 };
    let place = Directory::new();
    let mut journal = open(&place.path(), BOT, &options).unwrap();
    journal.commit(&new_group(1)).unwrap();
    let mut next = 1;
    while journal.usage().unwrap().room == Room::Open {
        let one = Batch { updates: vec![update(next, 1000)], ..Batch::default() };
        journal.commit(&one).unwrap();
        next += 1;
    }
    assert_eq!(journal.usage().unwrap().room, Room::JournalFull);
    assert_eq!(journal.reader().recover().unwrap().usage.room, Room::JournalFull);
    let error = journal.commit(&Batch { updates: vec![update(next, 1)], ..Batch::default() }).unwrap_err();
    assert!(matches!(error, CommitError::NoRoom { .. }), "{error}");
    assert!(error.to_string().contains("at its limit less the reserve"), "{error}");
    // A group is refused as well, unless it is the first; and a dead letter is not.
    assert!(matches!(journal.commit(&new_group(2)), Err(CommitError::NoRoom { .. })));
    journal.commit(&Batch { first_groups: true, ..new_group(3) }).unwrap();
    journal.commit(&Batch { deleted_groups: vec![GroupId(3)], ..Batch::default() }).unwrap();
    let letter = (GroupId(1), Sequence(1), crate::journal::contract::dead_letter(SettledAs::Rejected, 1));
    journal.commit(&Batch { dead_letters: vec![letter], ..acks(1, [1]) }).unwrap();
    assert_eq!(settle_and_trim(&mut journal, 1, next).room, Room::Open);
    journal.commit(&Batch { updates: vec![update(next, 1)], ..Batch::default() }).unwrap();
}

#[test]
fn settlements_go_on_without_events_when_the_reserve_is_nearly_used_up() {
    let options = Options { max_bytes: 4 << 20, reserve_bytes: 1 << 20 };
    let place = Directory::new();
    let mut journal = open(&place.path(), BOT, &options).unwrap();
    journal.commit(&new_group(1)).unwrap();
    let next = fill(&mut journal, 1, 1000);
    let ended = |at: u64, attempt| (GroupId(1), Sequence(at), event(attempt, at * 1000, None));
    let acked = |at: u64, attempt| Batch { events: vec![ended(at, attempt)], ..acks(1, [at]) };
    journal.commit(&acked(1, 1)).unwrap();
    assert_eq!(journal.reader().events(Sequence(1)).unwrap().len(), 1, "there is room for some");
    for attempt in 0..30 {
        for first in (1..next).step_by(100) {
            let some = first..next.min(first + 100);
            let events = some.clone().map(|at| ended(at, attempt)).collect();
            let usage = journal.commit(&Batch { events, ..acks(1, some) }).unwrap();
            assert!(usage.used_bytes <= options.max_bytes, "{usage:?}");
        }
    }
    let last = journal.reader().events(Sequence(next - 1)).unwrap();
    assert!(!last.is_empty() && last.len() < 30, "{}", last.len());
    // They are written again when there is room again.
    settle_and_trim(&mut journal, 1, next - 1);
    journal.commit(&acked(next - 1, 77)).unwrap();
    assert_eq!(journal.reader().events(Sequence(next - 1)).unwrap().len(), last.len() + 1);
}

#[test]
fn a_replay_is_refused_when_there_is_no_room() {
    let options = Options { max_bytes: 4 << 20, reserve_bytes: 1 << 20 };
    let place = Directory::new();
    let mut journal = open(&place.path(), BOT, &options).unwrap();
    journal.commit(&new_group(1)).unwrap();
    let next = fill(&mut journal, 1, 5000);
    while journal.usage().unwrap().room == Room::Open {
        let at = journal.reader().recover().unwrap().last_sequence.next().0;
        journal.commit(&Batch { updates: vec![update(at, 1000)], ..Batch::default() }).unwrap();
    }
    let letter = (GroupId(1), Sequence(1), crate::journal::contract::dead_letter(SettledAs::Rejected, 1));
    let trimmed = vec![Sequence(1)];
    journal.commit(&Batch { dead_letters: vec![letter], trimmed, ..acks(1, [1]) }).unwrap();
    let replay = Batch { replays: vec![(GroupId(1), Sequence(1), 2)], ..Batch::default() };
    assert!(matches!(journal.commit(&replay), Err(CommitError::NoRoom { .. })));
    settle_and_trim(&mut journal, 2, next / 2);
    journal.commit(&replay).unwrap();
    assert_eq!(journal.reader().read(&[Sequence(1)]).unwrap(), [Some(update(1, 5000).payload)]);
}

#[test]
fn a_batch_that_does_not_fit_is_refused_and_a_smaller_one_is_not() {
    let options = Options { max_bytes: 4 << 20, reserve_bytes: 1 << 20 };
    let place = Directory::new();
    let mut journal = open(&place.path(), BOT, &options).unwrap();
    assert!(matches!(journal.commit(&batch_of(1, 40_000)), Err(CommitError::NoRoom { .. })));
    journal.commit(&batch_of(1, 4_000)).unwrap();
    assert_all_stored(&journal, 1, BATCH + 1, 4_000);
}

#[test]
fn a_full_map_ends_the_commit_and_not_the_journal() {
    let options = Options { max_bytes: 4 << 20, reserve_bytes: 256 << 10 };
    let place = Directory::new();
    let mut journal = open(&place.path(), BOT, &options).unwrap();
    journal.commit(&new_group(1)).unwrap();
    let mut next = 1;
    let fault = loop {
        // Past the check for room, which otherwise keeps this from happening.
        match journal.write(&batch_of(next, 9_000)) {
            Ok(()) => next += BATCH,
            Err(fault) => break fault,
        }
    };
    let error = journal.judge(&fault, 0);
    assert!(matches!(error, CommitError::NoRoom { .. }), "{error}");
    assert_all_stored(&journal, 1, next, 9_000);
    assert_eq!(journal.reader().heads(Sequence(next), 1).unwrap(), []);
    assert_eq!(journal.usage().unwrap().room, Room::JournalFull);
}

/// A file system of its own, in memory; gone with it.
struct SmallDisk {
    place: Directory,
}

impl SmallDisk {
    /// `None`, with a loud word, where mounting is not permitted.
    fn mount(megabytes: u32) -> Option<Self> {
        let place = Directory::new();
        fs::create_dir(place.path()).unwrap();
        let size = format!("size={megabytes}m");
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &size, "switchboard-test"])
            .arg(place.path())
            .output()
            .is_ok_and(|output| output.status.success());
        if !mounted {
            eprintln!(
                "\n*** SKIPPED: mounting a tmpfs is not permitted, a full disk is NOT tested here ***\n"
            );
            return None;
        }
        Some(Self { place })
    }

    fn path(&self) -> PathBuf {
        self.place.path()
    }

    /// Takes all that is free.
    fn take_all(&self) {
        let file = File::create(self.path().join("filler")).unwrap();
        let mut end = 0;
        for step in [1 << 20, 64 << 10, 4 << 10] {
            while rustix::fs::fallocate(&file, rustix::fs::FallocateFlags::empty(), end, step).is_ok() {
                end += step;
            }
        }
    }

    fn give_back(&self) {
        fs::remove_file(self.path().join("filler")).unwrap();
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let unmounted = Command::new("umount").arg("--lazy").arg(self.path()).status();
        assert!(unmounted.is_ok_and(|status| status.success()));
    }
}

fn journal_on(disk: &Path) -> LmdbJournal {
    open(&disk.join("bot"), BOT, &OPTIONS).unwrap()
}

#[test]
fn on_a_full_disk_settlements_and_trims_go_on_and_trimming_makes_room() {
    let Some(disk) = SmallDisk::mount(16) else { return };
    for size in [1000, 5000] {
        let _ = fs::remove_dir_all(disk.path().join("bot"));
        let mut journal = journal_on(&disk.path());
        journal.commit(&new_group(1)).unwrap();
        let end = fill(&mut journal, 1, size);
        assert!(end > 1000, "{end}");
        let usage = journal.usage().unwrap();
        assert!(usage.used_bytes < OPTIONS.max_bytes / 2, "{usage:?}");
        let error = journal.commit(&batch_of(end, size)).unwrap_err();
        assert!(error.to_string().contains("disk"), "{error}");
        assert_all_stored(&journal, 1, end, size);

        let usage = settle_and_trim(&mut journal, 1, end / 2);
        assert_eq!(usage.room, Room::Open, "the pages of what was trimmed are room again");
        let next = fill(&mut journal, end, size);
        assert!(next > end, "size {size}");
        drop(journal);
        assert_all_stored(&journal_on(&disk.path()), end / 2, next, size);
    }
}

#[test]
fn a_disk_filled_by_others_stops_intake_until_there_is_room_again() {
    let Some(disk) = SmallDisk::mount(32) else { return };
    let mut journal = journal_on(&disk.path());
    journal.commit(&new_group(1)).unwrap();
    for first in [1, 1 + BATCH, 1 + 2 * BATCH] {
        journal.commit(&batch_of(first, 1000)).unwrap();
    }
    let stored = 1 + 3 * BATCH;
    disk.take_all();
    // What is allocated is used up first.
    let next = fill(&mut journal, stored, 1000);
    assert_eq!(journal.usage().unwrap().room, Room::DiskFull);
    assert!(matches!(journal.commit(&new_group(2)), Err(CommitError::NoRoom { .. })));
    for at in 1..next {
        // One by one: many transactions, on a disk without a free block.
        journal.commit(&acks(1, [at])).unwrap();
    }
    drop(journal);
    let mut journal = journal_on(&disk.path());
    assert_eq!(journal.usage().unwrap().room, Room::DiskFull, "a reopen changes nothing");
    journal.commit(&Batch { cursors: vec![(GroupId(1), Sequence(3))], ..Batch::default() }).unwrap();
    disk.give_back();
    assert_eq!(journal.usage().unwrap().room, Room::Open, "it is seen without a commit");
    journal.commit(&batch_of(next, 1000)).unwrap();
    assert_all_stored(&journal, 1, next + BATCH, 1000);
}

#[test]
fn a_write_that_meets_a_full_disk_ends_the_commit_and_not_the_journal() {
    let Some(disk) = SmallDisk::mount(16) else { return };
    let mut journal = journal_on(&disk.path());
    journal.commit(&new_group(1)).unwrap();
    disk.take_all();
    let mut next = 1;
    let fault = loop {
        // Past the check for room, which otherwise keeps this from happening.
        match journal.write(&batch_of(next, 1000)) {
            Ok(()) => next += BATCH,
            Err(fault) => break fault,
        }
    };
    let error = journal.judge(&fault, 1 << 20);
    assert!(matches!(error, CommitError::NoRoom { .. }), "{fault}: {error}");
    assert_all_stored(&journal, 1, next, 1000);
    assert_eq!(journal.reader().heads(Sequence(next), 1).unwrap(), []);
    disk.give_back();
    journal.commit(&batch_of(next, 1000)).unwrap();
    assert_all_stored(&journal, 1, next + BATCH, 1000);
}

#[test]
fn no_journal_is_opened_on_a_full_disk_but_it_is_said() {
    let Some(disk) = SmallDisk::mount(4) else { return };
    disk.take_all();
    let error = open(&disk.path().join("bot"), BOT, &OPTIONS).unwrap_err();
    assert!(matches!(error, OpenError::DiskFull { .. }), "{error}");
}
