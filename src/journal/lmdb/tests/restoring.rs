//! Backups and restores.

use std::fs;
use std::path::{Path, PathBuf};

use super::opening::put_meta;
use super::{BOT, Directory, OPTIONS};
use crate::journal::contract::{Place as _, acks, group, update};
use crate::journal::lmdb::environment::DATA_FILE;
use crate::journal::lmdb::open::RESTORE_DIR;
use crate::journal::lmdb::tables::Table;
use crate::journal::lmdb::{LmdbJournal, OpenError, RestoreError, Restored, open, restore};
use crate::journal::{Journal as _, JournalReader as _, ReadError, Recovered};
use crate::model::{Batch, GroupId, Sequence};

/// A journal with a few hundred updates, of which some are trimmed, and a backup of it.
fn backed_up(place: &Directory) -> (LmdbJournal, PathBuf) {
    let mut journal = place.open();
    let updates = (1..=300).map(|at| update(at, at as usize * 30)).collect();
    journal.commit(&Batch { groups: vec![group(1), group(2)], updates, ..acks(1, [5, 9]) }).unwrap();
    journal.commit(&Batch { trimmed: (1..100).map(Sequence).collect(), ..Batch::default() }).unwrap();
    let file = place.0.path().join("backup");
    journal.reader().copy_to(&file).unwrap();
    (journal, file)
}

fn entries(dir: &Path) -> Vec<String> {
    let names = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.collect()
}

fn refusal(file: &Path, dir: &Path) -> String {
    let error = restore(file, dir).expect_err("it should be refused");
    assert!(matches!(error, RestoreError::Backup { .. }), "{error}");
    assert!(!dir.exists(), "nothing is left");
    error.to_string()
}

#[test]
fn a_backup_is_restored_whole_under_a_new_id() {
    let place = Directory::new();
    let (mut journal, file) = backed_up(&place);
    let before = journal.reader().recover().unwrap();
    let heads = journal.reader().heads(Sequence(0), usize::MAX).unwrap();
    // What comes after the backup is not in it.
    journal.commit(&Batch { updates: vec![update(301, 1)], ..Batch::default() }).unwrap();

    let dir = place.0.path().join("restored");
    let groups = vec![group(1).name, group(2).name];
    let expected = Restored { bot_id: BOT, last_sequence: Sequence(300), updates: 201, groups };
    assert_eq!(restore(&file, &dir).unwrap(), expected);

    let mut restored = open(&dir, BOT, &OPTIONS).unwrap();
    let after = restored.reader().recover().unwrap();
    assert_ne!(after.journal_id, before.journal_id);
    let same = Recovered { journal_id: after.journal_id, boot: 2, usage: after.usage, ..before };
    assert_eq!(after, same);
    assert_eq!(restored.reader().heads(Sequence(0), usize::MAX).unwrap(), heads);
    let payloads =
        restored.reader().read(&heads.iter().map(|head| head.sequence).collect::<Vec<_>>()).unwrap();
    for (head, payload) in heads.iter().zip(payloads) {
        assert_eq!(payload, Some(update(head.sequence.0, head.size as usize).payload));
    }
    restored.commit(&Batch { updates: vec![update(301, 1)], ..acks(2, [300]) }).unwrap();
    assert_eq!(restored.reader().recover().unwrap().groups[1].record.id, GroupId(2));
}

#[test]
fn nobody_else_can_read_a_backup_or_what_is_restored_from_one() {
    use std::os::unix::fs::PermissionsExt as _;
    let place = Directory::new();
    let (_journal, file) = backed_up(&place);
    let dir = place.0.path().join("restored");
    restore(&file, &dir).unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&place.path().join(DATA_FILE)), 0o600, "as the gateway makes it");
    assert_eq!((mode(&file), mode(&dir.join(DATA_FILE))), (0o600, 0o600));
}

#[test]
fn a_backup_is_compact_and_does_not_overwrite() {
    let place = Directory::new();
    let (journal, file) = backed_up(&place);
    let backup = fs::metadata(&file).unwrap().len();
    assert!(backup < fs::metadata(place.path().join(DATA_FILE)).unwrap().len());
    let error = journal.reader().copy_to(&file).unwrap_err();
    assert!(matches!(&error, ReadError::Failed { why, .. } if why.contains("backup")), "{error}");
    assert_eq!(fs::metadata(&file).unwrap().len(), backup, "it is still there");
}

#[test]
fn a_restore_goes_into_an_empty_directory_only() {
    let place = Directory::new();
    let (journal, file) = backed_up(&place);
    let error = restore(&file, &place.path()).unwrap_err();
    assert!(matches!(error, RestoreError::NotEmpty { .. }), "{error}");
    assert!(journal.reader().recover().is_ok());
    let empty = place.0.path().join("empty");
    fs::create_dir(&empty).unwrap();
    restore(&file, &empty).unwrap();
    assert!(entries(&empty).contains(&DATA_FILE.to_owned()));
    assert!(matches!(restore(&file, &empty), Err(RestoreError::NotEmpty { .. })));
}

#[test]
fn a_restore_that_was_broken_off_is_begun_again() {
    let place = Directory::new();
    let (_journal, file) = backed_up(&place);
    let dir = place.0.path().join("restored");
    fs::create_dir_all(dir.join(RESTORE_DIR)).unwrap();
    fs::write(dir.join(RESTORE_DIR).join(DATA_FILE), "half").unwrap();
    assert!(matches!(open(&dir, BOT, &OPTIONS), Err(OpenError::UnfinishedRestore { .. })));
    restore(&file, &dir).unwrap();
    open(&dir, BOT, &OPTIONS).unwrap();
}

#[test]
fn a_missing_backup_leaves_nothing() {
    let place = Directory::new();
    let dir = place.0.path().join("restored");
    let error = restore(&place.0.path().join("nowhere"), &dir).unwrap_err();
    assert!(matches!(error, RestoreError::Copy { .. }), "{error}");
    assert!(!dir.exists());
}

#[test]
fn a_damaged_backup_is_refused() {
    let place = Directory::new();
    let (journal, file) = backed_up(&place);
    let dir = place.0.path().join("restored");
    let whole = fs::read(&file).unwrap();

    fs::write(&file, b"garbage".repeat(10_000)).unwrap();
    assert!(refusal(&file, &dir).contains("it is no backup of a journal"));
    fs::write(&file, "").unwrap();
    assert!(refusal(&file, &dir).contains("it is no backup of a journal"));
    fs::write(&file, &whole[..whole.len() / 2]).unwrap();
    assert!(refusal(&file, &dir).contains("is shorter than"));

    let needle = &update(200, 6000).payload.update[..500];
    let at = whole.windows(needle.len()).position(|window| window == needle).unwrap();
    let mut flipped = whole.clone();
    flipped[at + 250] ^= 4;
    fs::write(&file, flipped).unwrap();
    assert!(refusal(&file, &dir).contains("the key 00000000000000c8 of the table payloads"));

    for table in [Table::Ids, Table::Cursors, Table::Quarantine] {
        fs::remove_file(&file).unwrap();
        let mut txn = journal.shared.env.write_txn().unwrap();
        journal.shared.tables.rows(table).put(&mut txn, b"a key", b"and a row that is none").unwrap();
        txn.commit().unwrap();
        journal.reader().copy_to(&file).unwrap();
        assert!(refusal(&file, &dir).contains(table.name()), "{table:?}");
        let mut txn = journal.shared.env.write_txn().unwrap();
        journal.shared.tables.rows(table).delete(&mut txn, b"a key").unwrap();
        txn.commit().unwrap();
    }
}

#[test]
fn a_backup_of_a_newer_format_is_refused() {
    let place = Directory::new();
    let (journal, file) = backed_up(&place);
    fs::remove_file(&file).unwrap();
    put_meta(&journal, b"format", &7u32.to_be_bytes());
    journal.reader().copy_to(&file).unwrap();
    let text = refusal(&file, &place.0.path().join("restored"));
    assert!(text.contains("it has format 7, and this version of switchboard reads format 2"), "{text}");
}
