//! Looking through a whole journal.

use std::fs;

use super::damage::{filled, keys, put_raw, raw};
use super::{BOT, Directory};
use crate::journal::Journal as _;
use crate::journal::contract::{Place as _, updates};
use crate::journal::lmdb::environment::DATA_FILE;
use crate::journal::lmdb::tables::Table;
use crate::journal::lmdb::{LmdbJournal, OpenError, Verified, verify};
use crate::model::Batch;

/// What is found once the journal is closed.
fn found(place: &Directory, journal: LmdbJournal) -> Verified {
    drop(journal);
    verify(&place.path()).unwrap()
}

#[test]
fn a_whole_journal_is_whole_and_is_not_changed_by_looking() {
    let place = Directory::new();
    let journal = filled(&place);
    drop(journal);
    let before = fs::read(place.path().join(DATA_FILE)).unwrap();
    let verified = verify(&place.path()).unwrap();
    assert_eq!((verified.damaged, verified.bot_id), (0, BOT), "{:?}", verified.damage);
    assert_eq!((verified.updates, verified.dead_letters), (9, 1));
    assert_eq!(fs::read(place.path().join(DATA_FILE)).unwrap(), before);
}

#[test]
fn every_damaged_row_is_named_not_only_the_first() {
    let place = Directory::new();
    let journal = filled(&place);
    for key in keys(&journal, Table::Payloads) {
        let mut row = raw(&journal, Table::Payloads, &key);
        row[3] ^= 1;
        put_raw(&journal, Table::Payloads, &key, &row);
    }
    let verified = found(&place, journal);
    assert_eq!(verified.damaged, 9);
    assert!(verified.damage.iter().all(|what| what.ends_with("of the table payloads")), "{verified:?}");
}

#[test]
fn rows_that_are_whole_but_do_not_belong_together_are_noticed() {
    let place = Directory::new();
    let journal = filled(&place);
    let mut txn = journal.shared.env.write_txn().unwrap();
    let payloads = journal.shared.tables.rows(Table::Payloads);
    payloads.delete(&mut txn, &7_u64.to_be_bytes()).unwrap();
    txn.commit().unwrap();
    let verified = found(&place, journal);
    assert_eq!(verified.damage, ["the update 7 and its payload do not belong together"]);
}

#[test]
fn a_journal_that_is_open_is_left_alone() {
    let place = Directory::new();
    let mut journal = place.open();
    journal.commit(&Batch { ..updates(1..=3) }).unwrap();
    assert!(matches!(verify(&place.path()), Err(OpenError::Locked { .. })));
    assert!(matches!(verify(&place.path().join("nowhere")), Err(OpenError::Lost { .. })));
}
