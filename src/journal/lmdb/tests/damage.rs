//! Damage is found by every read and named, never passed over.

use std::fs;

use bytes::Bytes;
use proptest::prelude::*;

use super::{BOT, Directory, OPTIONS};
use crate::journal::contract::{Place as _, acks, attempts, dead_letter, event, group, update, updates};
use crate::journal::lmdb::codec;
use crate::journal::lmdb::environment::DATA_FILE;
use crate::journal::lmdb::tables::{Read, Table};
use crate::journal::lmdb::{LmdbJournal, open};
use crate::journal::{CommitError, Journal as _, JournalReader as _, ReadError};
use crate::model::{Batch, GroupId, IdRange, Quarantined, Sequence, SettledAs, UnixMillis};

/// A journal with something in every table.
pub(super) fn filled(place: &Directory) -> LmdbJournal {
    let mut journal = place.open();
    let id = GroupId(1);
    let batch = Batch {
        groups: vec![group(1)],
        ids: vec![IdRange { hour: 1, first: 1, last: 9 }],
        quarantined: vec![Quarantined {
            received: UnixMillis(1),
            reason: "no object".into(),
            bytes: Bytes::from_static(b"[]"),
        }],
        attempts: vec![(id, Sequence(5), attempts(1, 1))],
        settled: vec![(id, Sequence(4), SettledAs::Rejected)],
        dead_letters: vec![(id, Sequence(4), dead_letter(SettledAs::Rejected, 9))],
        cursors: vec![(id, Sequence(1))],
        own_webhook: Some("https://example.org".into()),
        events: vec![(id, Sequence(4), event(1, 9, Some(SettledAs::Rejected)))],
        replays: vec![(id, Sequence(1), 2)],
        ..updates(1..=9)
    };
    journal.commit(&batch).unwrap();
    journal.commit(&Batch { groups: vec![group(2)], ..Batch::default() }).unwrap();
    journal.commit(&Batch { deleted_groups: vec![GroupId(2)], ..Batch::default() }).unwrap();
    journal
}

pub(super) fn keys(journal: &LmdbJournal, table: Table) -> Vec<Vec<u8>> {
    let txn = journal.shared.env.read_txn().unwrap();
    let txn: &Read<'_> = &txn;
    let rows = journal.shared.tables.rows(table).iter(txn).unwrap();
    rows.map(|row| row.unwrap().0.to_vec()).collect()
}

pub(super) fn raw(journal: &LmdbJournal, table: Table, key: &[u8]) -> Vec<u8> {
    let txn = journal.shared.env.read_txn().unwrap();
    let txn: &Read<'_> = &txn;
    journal.shared.tables.rows(table).get(txn, key).unwrap().unwrap().to_vec()
}

pub(super) fn put_raw(journal: &LmdbJournal, table: Table, key: &[u8], row: &[u8]) {
    let mut txn = journal.shared.env.write_txn().unwrap();
    journal.shared.tables.rows(table).put(&mut txn, key, row).unwrap();
    txn.commit().unwrap();
}

/// The first error of all reads there are.
fn read_all(journal: &LmdbJournal) -> Result<(), ReadError> {
    let reader = journal.reader();
    reader.recover()?;
    let heads = reader.heads(Sequence(0), usize::MAX)?;
    reader.read(&heads.iter().map(|head| head.sequence).collect::<Vec<_>>())?;
    reader.dead_letters(GroupId(1), Sequence(0), usize::MAX)?;
    reader.quarantined(0, usize::MAX)?;
    reader.counts()?;
    for head in heads {
        reader.events(head.sequence)?;
    }
    Ok(())
}

/// The table that the damage is said to be in; `None` if none is found.
fn named_damage(journal: &LmdbJournal, table: Table) -> bool {
    match read_all(journal) {
        Ok(()) => false,
        Err(ReadError::Damaged { what, .. }) => what.ends_with(&format!("of the table {}", table.name())),
        Err(other) => panic!("{other}"),
    }
}

#[test]
fn a_flipped_bit_in_any_row_is_found_and_named() {
    let place = Directory::new();
    let journal = filled(&place);
    for table in Table::ALL {
        let keys = keys(&journal, table);
        assert!(!keys.is_empty(), "{table:?}");
        // The table meta's format has no reader but the next open.
        let read = |key: &[u8]| key != b"format";
        for key in keys.iter().filter(|key| read(key)) {
            let row = raw(&journal, table, key);
            for at in [0, row.len() / 2, row.len().saturating_sub(9), row.len() - 1] {
                let mut flipped = row.clone();
                flipped[at] ^= 0x10;
                put_raw(&journal, table, key, &flipped);
                assert!(named_damage(&journal, table), "byte {at} of {key:?} in {table:?}");
            }
            for cut in [0, 7, row.len() / 2, row.len() - 1] {
                put_raw(&journal, table, key, &row[..cut]);
                assert!(named_damage(&journal, table), "{key:?} in {table:?} cut to {cut} bytes");
            }
            put_raw(&journal, table, key, &row);
        }
    }
    read_all(&journal).unwrap();
}

/// The start of every branch page in the file: pages of LMDB begin with their number, two bytes, and their flags.
fn branch_pages(file: &[u8]) -> Vec<usize> {
    const PAGE: usize = 4096;
    let is_branch = |at: &usize| {
        let number = u64::from_ne_bytes(file[*at..at + 8].try_into().unwrap());
        number == (at / PAGE) as u64 && file[at + 10] == 1 && file[at + 11] == 0
    };
    (2 * PAGE..file.len()).step_by(PAGE).filter(is_branch).collect()
}

#[test]
fn rows_that_vanish_with_a_damaged_inner_page_are_missed() {
    let place = Directory::new();
    let mut journal = place.open();
    let ids = (0..4000).map(|hour| IdRange { hour, first: 1, last: 9 }).collect();
    let tried = (1..=500).map(|at| (GroupId(1), Sequence(at), attempts(3, at))).collect();
    journal.commit(&Batch { groups: vec![group(1)], ids, attempts: tried, ..Batch::default() }).unwrap();
    drop(journal);
    let path = place.path().join(DATA_FILE);
    let whole = fs::read(&path).unwrap();
    let pages = branch_pages(&whole);
    assert!(pages.len() >= 2, "{pages:?}");
    for page in pages {
        // The page forgets its last child.
        let mut damaged = whole.clone();
        let lower = u16::from_ne_bytes(damaged[page + 12..page + 14].try_into().unwrap());
        damaged[page + 12..page + 14].copy_from_slice(&(lower - 2).to_ne_bytes());
        fs::write(&path, damaged).unwrap();
        let error = place.open().reader().recover().unwrap_err();
        assert!(matches!(error, ReadError::Damaged { .. }), "{error}");
        assert!(error.to_string().contains("rows in the place of"), "{error}");
    }
    fs::write(&path, whole).unwrap();
    assert_eq!(place.open().reader().recover().unwrap().ids.len(), 4000);
}

#[test]
fn a_row_in_anothers_place_is_found() {
    let place = Directory::new();
    let journal = filled(&place);
    let row = raw(&journal, Table::Heads, &3u64.to_be_bytes());
    put_raw(&journal, Table::Heads, &4u64.to_be_bytes(), &row);
    assert!(named_damage(&journal, Table::Heads));

    let place = Directory::new();
    let journal = filled(&place);
    let row = raw(&journal, Table::Cursors, &1u32.to_be_bytes());
    put_raw(&journal, Table::Groups, &1u32.to_be_bytes(), &row);
    assert!(named_damage(&journal, Table::Groups));
}

#[test]
fn a_flipped_byte_in_the_file_is_found() {
    let place = Directory::new();
    let mut journal = place.open();
    let mut needle = update(7, 900);
    needle.payload.update = Bytes::from(b"a payload to look for ".repeat(40));
    journal.commit(&Batch { updates: vec![needle.clone()], ..Batch::default() }).unwrap();
    drop(journal);
    let path = place.path().join(DATA_FILE);
    let mut file = fs::read(&path).unwrap();
    let at = file.windows(900 - 40).position(|window| needle.payload.update.starts_with(window)).unwrap();
    file[at + 100] ^= 1;
    fs::write(&path, file).unwrap();
    let error = place.open().reader().read(&[Sequence(7)]).unwrap_err();
    let text = error.to_string();
    assert!(matches!(error, ReadError::Damaged { .. }), "{text}");
    assert!(text.contains("the key 0000000000000007 of the table payloads"), "{text}");
    assert!(
        text.contains(&place.path().display().to_string()) && text.contains("switchboard restore"),
        "{text}"
    );
}

#[test]
fn a_damaged_row_stops_the_commit_that_needs_it_and_all_after_it() {
    let place = Directory::new();
    let mut journal = filled(&place);
    let key = codec::position_key(GroupId(1), 0);
    let mut row = raw(&journal, Table::Settled, &key);
    row[100] ^= 1;
    put_raw(&journal, Table::Settled, &key, &row);
    let error = journal.commit(&acks(1, [7])).unwrap_err();
    assert!(matches!(&error, CommitError::Failed { why, .. } if why.contains("table settled")), "{error}");
    let error = journal.commit(&updates([10])).unwrap_err();
    assert!(matches!(&error, CommitError::Failed { why, .. } if why.contains("it failed before")), "{error}");
    assert_eq!(journal.reader().heads(Sequence(10), 1).unwrap(), []);
}

#[test]
fn a_damaged_quarantine_is_found_when_it_grows() {
    let place = Directory::new();
    let mut journal = filled(&place);
    put_raw(&journal, Table::Quarantine, &1u64.to_be_bytes(), b"what is this");
    let element =
        Quarantined { received: UnixMillis(1), reason: "".into(), bytes: Bytes::from_static(b"more") };
    let batch = Batch { quarantined: vec![element], ..Batch::default() };
    assert!(matches!(journal.commit(&batch), Err(CommitError::Failed { .. })));
}

#[test]
fn a_missing_row_of_the_table_meta_is_damage() {
    for key in [&b"bot"[..], b"journal", b"boot", b"commit", b"webhook"] {
        let place = Directory::new();
        let journal = place.open();
        let mut txn = journal.shared.env.write_txn().unwrap();
        assert!(journal.shared.tables.rows(Table::Meta).delete(&mut txn, key).unwrap());
        txn.commit().unwrap();
        assert!(named_damage(&journal, Table::Meta));
        drop(journal);
        let opened = open(&place.path(), BOT, &OPTIONS);
        assert!(key == b"webhook" || opened.is_err(), "{}", key.escape_ascii());
    }
}

#[test]
fn a_sequence_that_was_given_out_before_is_refused_whole() {
    let place = Directory::new();
    let mut journal = filled(&place);
    assert!(matches!(journal.commit(&updates([10, 10])), Err(CommitError::Failed { .. })));
    assert_eq!(journal.reader().heads(Sequence(10), 1).unwrap(), []);
}

proptest! {
    #[test]
    fn decoding_garbage_never_panics(key in prop::collection::vec(any::<u8>(), 0..16),
                                     value in prop::collection::vec(any::<u8>(), 0..600)) {
        let _ = codec::decode_sequence_key(&key);
        let _ = codec::decode_group_key(&key);
        let _ = codec::decode_position_key(&key);
        let _ = codec::decode_ids(&key, &value);
        let _ = codec::decode_head(&key, &value);
        let _ = codec::decode_payload(&value);
        let _ = codec::decode_group(&key, &value);
        let _ = codec::decode_attempts(&value);
        let _ = codec::decode_dead_letter(Sequence(1), &value);
        let _ = codec::decode_quarantined(&value);
        let _ = codec::decode_words(&value);
        let _ = codec::decode_event(&key, &value);
        let _ = codec::decode_event(&[1; 29], &value);
        let _ = codec::decode_dead_letter_count(&value);
        let _ = codec::decode_format_1_dead_letter(&value);
    }

    #[test]
    fn what_is_cut_is_not_decoded(attempt in 0..100u32, cut in 0.0..1.0f64) {
        let mut row = Vec::new();
        codec::encode_attempts(&mut row, &attempts(attempt, 7));
        let whole = codec::decode_attempts(&row);
        prop_assert_eq!(whole, Some(attempts(attempt, 7)));
        let length = (row.len() as f64 * cut) as usize;
        prop_assert_eq!(codec::decode_attempts(&row[..length]), None);
    }
}

#[test]
fn a_payload_that_cannot_be_found_though_its_update_is_there_is_damage() {
    let place = Directory::new();
    let journal = filled(&place);
    let mut txn = journal.shared.env.write_txn().unwrap();
    journal.shared.tables.rows(Table::Payloads).delete(&mut txn, &7_u64.to_be_bytes()).unwrap();
    txn.commit().unwrap();
    let error = journal.reader().read(&[Sequence(6), Sequence(7)]).unwrap_err();
    assert!(matches!(error, ReadError::Damaged { .. }), "{error}");
    assert_eq!(journal.reader().read(&[Sequence(99)]).unwrap(), [None], "there never was one");
}
