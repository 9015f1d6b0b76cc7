//! What is refused at open, and in which words.

use std::fs;
use std::path::Path;
use std::process::Command;

use super::{BOT, Directory, OPTIONS};
use crate::journal::contract::{Place as _, group, updates};
use crate::journal::lmdb::environment::DATA_FILE;
use crate::journal::lmdb::open::{LOCK_FILE, RESTORE_DIR};
use crate::journal::lmdb::tables::{Table, Writer};
use crate::journal::lmdb::{LmdbJournal, OpenError, Options, open};
use crate::journal::{Journal as _, JournalReader as _};
use crate::model::{Batch, Filter, FilterParts, GroupRecord, Sequence};

/// Tells the test of that name, run in a process of its own, which directory to open.
const DIRECTORY: &str = "SWITCHBOARD_TEST_JOURNAL";

fn refusal(dir: &Path) -> OpenError {
    open(dir, BOT, &OPTIONS).expect_err("it should be refused")
}

/// Writes a row of the table meta as another version would, checksum and all.
pub(super) fn put_meta(journal: &LmdbJournal, key: &[u8], value: &[u8]) {
    let shared = &journal.shared;
    let mut writer = Writer::new(shared.tables, shared.env.write_txn().unwrap(), 0, Vec::new());
    writer.put(Table::Meta, key, |out| out.extend_from_slice(value)).unwrap();
    writer.commit().unwrap();
}

#[test]
fn a_second_open_is_refused_until_the_last_reader_is_gone() {
    let place = Directory::new();
    let journal = place.open();
    let error = refusal(&place.path());
    assert!(matches!(error, OpenError::Locked { .. }), "{error}");
    assert!(error.to_string().contains(&place.path().display().to_string()), "{error}");
    let reader = journal.reader();
    drop(journal);
    assert!(matches!(refusal(&place.path()), OpenError::Locked { .. }));
    drop(reader);
    place.open();
}

#[test]
fn another_process_is_refused() {
    let place = Directory::new();
    let _journal = place.open();
    let output = Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "journal::lmdb::tests::opening::opens_the_directory_that_it_is_told",
            "--nocapture",
        ])
        .env(DIRECTORY, place.path())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.contains("is in use by another gateway"), "{text}");
}

/// The other process of the test above; without a directory there is nothing to do.
#[test]
fn opens_the_directory_that_it_is_told() {
    if let Some(dir) = std::env::var_os(DIRECTORY) {
        println!("{}", refusal(Path::new(&dir)));
    }
}

#[test]
fn a_journal_whose_data_file_is_lost_is_not_begun_anew() {
    let place = Directory::new();
    place.open();
    let data = place.path().join(DATA_FILE);
    let whole = fs::read(&data).unwrap();
    fs::write(&data, "").unwrap();
    for _ in 0..2 {
        let error = refusal(&place.path());
        assert!(matches!(error, OpenError::Lost { .. }), "{error}");
        let text = error.to_string();
        assert!(text.contains(&place.path().display().to_string()), "{text}");
        assert!(text.contains("missing or empty") && text.contains("switchboard restore"), "{text}");
        let _ = fs::remove_file(&data);
    }
    fs::remove_file(place.path().join("lock.mdb")).unwrap();
    assert!(matches!(refusal(&place.path()), OpenError::Lost { .. }));
    assert!(!data.exists(), "nothing was begun");
    fs::write(&data, whole).unwrap();
    assert_eq!(place.open().reader().recover().unwrap().boot, 2);
}

#[test]
fn a_directory_where_no_journal_was_made_yet_is_new() {
    let place = Directory::new();
    fs::create_dir(place.path()).unwrap();
    fs::write(place.path().join(LOCK_FILE), "").unwrap();
    fs::write(place.path().join(DATA_FILE), "").unwrap();
    place.open();
    assert!(fs::metadata(place.path().join(LOCK_FILE)).unwrap().len() > 0);
}

#[test]
fn another_bots_journal_is_refused_and_left_alone() {
    let place = Directory::new();
    let boot = place.open().reader().recover().unwrap().boot;
    let error = open(&place.path(), 4711, &OPTIONS).unwrap_err();
    let text = error.to_string();
    assert!(matches!(error, OpenError::OtherBot { found: BOT, expected: 4711, .. }), "{text}");
    assert!(text.contains("42") && text.contains("4711"), "{text}");
    assert_eq!(place.open().reader().recover().unwrap().boot, boot + 1, "the refused one did not count");
}

#[test]
fn a_newer_format_is_refused() {
    let place = Directory::new();
    put_meta(&place.open(), b"format", &3u32.to_be_bytes());
    let error = refusal(&place.path());
    assert!(matches!(error, OpenError::NewerFormat { found: 3, known: 2, .. }), "{error}");
    assert!(error.to_string().contains("has format 3, and this version of switchboard reads format 2"));
}

#[test]
fn a_format_that_never_was_is_damage() {
    let place = Directory::new();
    put_meta(&place.open(), b"format", &0u32.to_be_bytes());
    assert!(matches!(refusal(&place.path()), OpenError::Damaged { .. }));
}

#[test]
fn a_file_of_something_else_is_refused() {
    let place = Directory::new();
    fs::create_dir(place.path()).unwrap();
    for garbage in [vec![b'x'; 100], vec![0; 8192], vec![0xff; 1 << 20]] {
        fs::write(place.path().join(DATA_FILE), garbage).unwrap();
        let error = refusal(&place.path());
        assert!(matches!(error, OpenError::NotAJournal { .. }), "{error}");
    }
    fs::write(place.path().join(DATA_FILE), "").unwrap();
    place.open();
}

#[test]
#[expect(unsafe_code, reason = "LMDB's open")]
fn another_programs_lmdb_file_is_refused() {
    let place = Directory::new();
    fs::create_dir(place.path()).unwrap();
    // SAFETY: nobody else knows the directory.
    let env = unsafe { heed::EnvOpenOptions::new().read_txn_without_tls().open(place.path()).unwrap() };
    let put = env.create_databases_and_commit(env.write_txn().unwrap(), |opener, txn| {
        let rows = opener.create_database::<heed::types::Bytes, heed::types::Bytes>(txn, None)?;
        rows.put(txn, b"heads", b"another program's")?;
        Ok::<_, heed::Error>(heed::CommitOrAbort::<_, ()>::Commit(()))
    });
    assert!(put.is_ok());
    drop(env);
    let error = refusal(&place.path());
    assert!(matches!(error, OpenError::NotAJournal { .. }), "{error}");
}

#[test]
fn a_cut_file_is_damage() {
    let place = Directory::new();
    let mut journal = place.open();
    journal.commit(&updates(1..2000)).unwrap();
    drop(journal);
    fs::OpenOptions::new().write(true).open(place.path().join(DATA_FILE)).unwrap().set_len(20_000).unwrap();
    let error = refusal(&place.path());
    assert!(matches!(error, OpenError::Damaged { .. }), "{error}");
}

#[test]
fn a_creation_that_was_broken_off_is_finished() {
    let place = Directory::new();
    fs::create_dir(place.path()).unwrap();
    let map_bytes = 16 << 20;
    let Ok(super::super::environment::Found::Nothing(env)) =
        super::super::environment::open(&place.path(), map_bytes)
    else {
        panic!("the directory is empty");
    };
    super::super::environment::create_tables(&env).unwrap();
    drop(env);
    assert_eq!(place.open().reader().recover().unwrap().boot, 1);
}

#[test]
fn a_directory_that_is_none_is_refused() {
    let place = Directory::new();
    fs::write(place.path(), "a file").unwrap();
    assert!(matches!(refusal(&place.path()), OpenError::Access { .. }));
    let error = refusal(&place.path().join("below"));
    assert!(matches!(error, OpenError::Access { .. }));
    assert!(error.to_string().contains("must be readable and writable"), "{error}");
}

#[test]
fn a_file_system_that_cannot_be_written_is_refused() {
    let error = refusal(Path::new("/proc/switchboard"));
    assert!(matches!(error, OpenError::Access { .. }), "{error}");
}

#[test]
fn an_unfinished_restore_is_not_taken_for_an_empty_journal() {
    let place = Directory::new();
    fs::create_dir_all(place.path().join(RESTORE_DIR)).unwrap();
    assert!(matches!(refusal(&place.path()), OpenError::UnfinishedRestore { .. }));
}

#[test]
fn senseless_options_are_refused() {
    let place = Directory::new();
    for (max_bytes, reserve_bytes) in [(1 << 20, 1 << 19), (8 << 20, 0), (8 << 20, 5 << 20)] {
        let error = open(&place.path(), BOT, &Options { max_bytes, reserve_bytes }).unwrap_err();
        assert!(matches!(error, OpenError::Options { .. }), "{error}");
    }
    assert!(!place.path().exists());
    open(&place.path(), BOT, &Options::with_max_bytes(4 << 20)).unwrap();
    open(&place.path(), BOT, &Options::default()).unwrap();
}

#[test]
fn every_journal_has_an_id_of_its_own_that_stays() {
    let (one, other) = (Directory::new(), Directory::new());
    let id = |place: &Directory| place.open().reader().recover().unwrap().journal_id;
    assert_eq!(id(&one), id(&one));
    assert_ne!(id(&one), id(&other));
}

#[test]
fn a_filter_that_an_older_release_let_in_is_still_read() {
    let place = Directory::new();
    let parts = FilterParts { chat_ids: vec![0], ..FilterParts::default() };
    assert!(Filter::new(parts.clone()).is_err(), "this release refuses it");
    let filter = Filter::recorded(parts).unwrap();
    let record = GroupRecord { filters: vec![(Sequence(1), Some(filter.clone()))], ..group(1) };
    place.open().commit(&Batch { groups: vec![record], ..Batch::default() }).unwrap();
    let recovered = place.open().reader().recover().unwrap();
    assert_eq!(recovered.groups[0].record.filter(), Some(&filter));
}
