//! A journal that format 1 left is brought up to date, whether it is opened or restored.

use std::fs;
use std::path::{Path, PathBuf};

use super::{BOT, Directory, OPTIONS};
use crate::journal::contract::{acks, attempts, dead_letter, group};
use crate::journal::lmdb::environment::DATA_FILE;
use crate::journal::lmdb::{LmdbJournal, OpenError, meta, open, restore};
use crate::journal::{Counts, DeadLetterCount, Journal as _, JournalReader as _};
use crate::model::{
    Batch, GroupId, Head, IdRange, KeyHash, Label, Sequence, SettledAs, StoredDeadLetter, UnixMillis,
};
use crate::update::{self, ChatType, KindCode};

/// See `tests/fixtures/journal/SOURCES.md`.
fn fixture() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/journal/format-1.backup")
}

/// The fixture as the data file of a journal.
fn of_format_1() -> Directory {
    let place = Directory::new();
    fs::create_dir(place.path()).unwrap();
    fs::copy(fixture(), place.path().join(DATA_FILE)).unwrap();
    place
}

/// The JSON of the fixture's updates.
fn json(at: u64) -> String {
    format!(
        r#"{{"update_id":{},"message":{{"message_id":{at},"message_thread_id":{at},"from":{{"id":{}}},"chat":{{"id":{},"type":"supergroup"}},"text":"/start"}}}}"#,
        5000 + at,
        40 + at % 3,
        -7 - (at % 2) as i64
    )
}

/// The head that the update would have got today.
fn head(at: u64) -> Head {
    let json = json(at);
    let update = update::parse(json.as_bytes()).unwrap();
    let received = UnixMillis(1_700_000_000_000 + at * 1000);
    let chat = update.chat_id.unwrap();
    Head {
        sequence: Sequence(at),
        update_id: 5000 + at as i64,
        key: KeyHash::of_chat(chat),
        user: KeyHash::of_user(40 + at as i64 % 3),
        topic: KeyHash::of(&format!("topic:{chat}:{at}")),
        kind: KindCode::from_name("message").unwrap(),
        chat_type: Some(ChatType::Supergroup),
        label: Label::new("start"),
        claimed: false,
        size: json.len() as u32,
        received,
        committed: received,
    }
}

/// The head of one that format 1 still had.
fn shorter_head(at: u64) -> Head {
    Head { chat_type: None, label: Label::EMPTY, ..head(at) }
}

fn assert_all_there(journal: &LmdbJournal) {
    let reader = journal.reader();
    let recovered = reader.recover().unwrap();
    assert_eq!((recovered.last_sequence, recovered.last_group), (Sequence(12), GroupId(3)));
    assert_eq!(recovered.ids, [IdRange { hour: 472_222, first: 5001, last: 5012 }]);
    assert_eq!(recovered.own_webhook.as_deref(), Some("https://example.org/hook"));
    assert_eq!(recovered.deleted, []);
    let records: Vec<_> = recovered.groups.iter().map(|group| group.record.clone()).collect();
    assert_eq!(records, [group(1), group(2)]);
    let first = &recovered.groups[0];
    assert_eq!((first.cursor, first.settled[0].words[0]), (Sequence(3), 1 << 6 | 1 << 9));
    assert_eq!(first.attempts, [(Sequence(8), attempts(4, 1_700_000_100_000))]);

    let expected: Vec<_> = (4..=12).map(shorter_head).collect();
    assert_eq!(reader.heads(Sequence(0), usize::MAX).unwrap(), expected);
    let letters = |id| reader.dead_letters(GroupId(id), Sequence(0), usize::MAX).unwrap();
    let heads = |id| letters(id).into_iter().map(|letter| letter.head).collect::<Vec<_>>();
    assert_eq!(heads(1), [head(2), shorter_head(6)], "from the payload, and from the update itself");
    assert_eq!(heads(2), [head(3)]);
    let StoredDeadLetter { letter, payload, .. } = letters(1).remove(0);
    assert_eq!(letter, dead_letter(SettledAs::Rejected, 1_700_000_100_002));
    assert!(payload.update.windows(json(2).len()).any(|window| window == json(2).as_bytes()));
    let count = |count, at: &[u64]| {
        let bytes = at.iter().map(|at| json(*at).len() as u64).sum();
        DeadLetterCount { count, bytes }
    };
    let expected = Counts {
        updates: 9,
        first: Some((Sequence(4), head(4).received)),
        dead_letters: vec![(GroupId(1), count(2, &[2, 6])), (GroupId(2), count(1, &[3]))],
        quarantined: 1,
    };
    assert_eq!(reader.counts().unwrap(), expected);
}

#[test]
fn a_journal_of_format_1_is_migrated_when_it_is_opened() {
    let place = of_format_1();
    let journal = open(&place.path(), BOT, &OPTIONS).unwrap();
    assert_all_there(&journal);
    drop(journal);
    let mut journal = open(&place.path(), BOT, &OPTIONS).unwrap();
    assert_all_there(&journal);
    // It goes on as one of today.
    let replay = |at| (GroupId(1), Sequence(at), 2);
    let removed = vec![(GroupId(1), Sequence(2))];
    let batch = Batch { replays: vec![replay(2)], removed_dead_letters: removed, ..acks(1, [4]) };
    journal.commit(&batch).unwrap();
    assert_eq!(journal.reader().recover().unwrap().groups[0].replays, [(head(2), 2)]);
    assert_eq!(journal.reader().counts().unwrap().dead_letters[0].1.count, 1);
}

#[test]
fn a_backup_of_format_1_is_restored_and_migrated() {
    let place = Directory::new();
    let restored = restore(&fixture(), &place.path()).unwrap();
    assert_eq!((restored.bot_id, restored.updates, restored.groups.len()), (BOT, 9, 2));
    assert_all_there(&open(&place.path(), BOT, &OPTIONS).unwrap());
}

#[test]
fn another_bots_journal_of_format_1_is_left_alone() {
    let place = of_format_1();
    let error = open(&place.path(), 4711, &OPTIONS).unwrap_err();
    assert!(matches!(error, OpenError::OtherBot { .. }), "{error}");
    let journal = open(&place.path(), BOT, &OPTIONS).unwrap();
    assert_all_there(&journal);
    assert_eq!(journal.reader().recover().unwrap().boot, 2, "only the backup's own open counted");
}

#[test]
fn a_migration_that_meets_damage_changes_nothing_and_names_it() {
    let place = of_format_1();
    let file = place.path().join(DATA_FILE);
    let mut bytes = fs::read(&file).unwrap();
    // The second of the two is the dead letter's copy: the update itself is trimmed.
    let needle = json(2);
    let found: Vec<_> =
        bytes.windows(needle.len()).enumerate().filter(|(_, window)| *window == needle.as_bytes()).collect();
    let at = found.iter().map(|(at, _)| *at).collect::<Vec<_>>();
    for at in at {
        bytes[at + 30] ^= 1;
    }
    fs::write(&file, bytes).unwrap();
    for _ in 0..2 {
        let error = open(&place.path(), BOT, &OPTIONS).unwrap_err();
        assert!(matches!(error, OpenError::Damaged { .. }), "{error}");
        assert!(error.to_string().contains("of the table dead_letters"), "{error}");
    }
}

#[test]
fn the_fixture_has_the_oldest_format_that_is_read() {
    assert_eq!((meta::OLDEST_FORMAT, meta::FORMAT), (1, 2));
}
