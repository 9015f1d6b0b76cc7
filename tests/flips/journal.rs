//! A journal with something of everything, and the same journal one commit earlier.

use std::path::{Path, PathBuf};

use switchboard::journal::Journal as _;
use switchboard::journal::lmdb::{self, LmdbJournal, Options};
use switchboard::model::{
    AttemptRecord, Batch, DeadLetter, Event, GroupId, GroupName, GroupRecord, GroupSettings, Head, IdRange,
    KeyHash, Label, Payload, Quarantined, Sequence, SettledAs, StoredUpdate, UnixMillis,
};
use switchboard::update::KindCode;

pub const BOT: i64 = 42;
pub const MAX_BYTES: u64 = 64 << 20;
/// Enough for tables of several pages, with pages above them.
const UPDATES: u64 = 1_500;

/// Where the two are.
pub struct Filled {
    pub last: PathBuf,
    pub before: PathBuf,
}

pub fn filled(place: &Path) -> Filled {
    let (last, before) = (place.join("last"), place.join("before"));
    let mut journal = open(&last);
    let groups = (1..=3).map(group).collect();
    journal.commit(&Batch { groups, ..Batch::default() }).unwrap();
    for from in (1..=UPDATES).step_by(100) {
        journal.commit(&batch(from)).unwrap();
    }
    journal.commit(&progress()).unwrap();
    journal.commit(&Batch { trimmed: (1..=50).map(Sequence).collect(), ..Batch::default() }).unwrap();
    drop(journal);
    // Opening is a commit, too: the last one of all shall change the contents.
    std::fs::create_dir_all(&before).unwrap();
    let mut journal = open(&last);
    std::fs::copy(last.join("data.mdb"), before.join("data.mdb")).unwrap();
    journal.commit(&batch(UPDATES + 101)).unwrap();
    drop(journal);
    Filled { last, before }
}

fn open(dir: &Path) -> LmdbJournal {
    lmdb::open(dir, BOT, &Options::with_max_bytes(MAX_BYTES)).unwrap()
}

fn group(id: u32) -> GroupRecord {
    let name = GroupName::parse(&format!("group-{id}")).unwrap();
    GroupRecord::new(GroupId(id), name, Sequence(1), GroupSettings::default(), UnixMillis(1))
}

fn batch(from: u64) -> Batch {
    let last = i64::try_from(from + 99).unwrap();
    let ids = vec![IdRange { hour: (from / 100) as u32, first: last - 99, last }];
    Batch { updates: (from..from + 100).map(update).collect(), ids, ..Batch::default() }
}

fn update(at: u64) -> StoredUpdate {
    let key = KeyHash::of(&format!("chat:{}", at % 37));
    let text = "x".repeat((at * 7 % 900) as usize) + &at.to_string();
    let head = Head {
        sequence: Sequence(at),
        update_id: at as i64,
        key,
        user: key,
        topic: key,
        kind: KindCode::UNKNOWN,
        chat_type: None,
        label: Label::EMPTY,
        claimed: false,
        size: text.len() as u32,
        received: UnixMillis(1_000 + at),
        committed: UnixMillis(1_000 + at),
    };
    // Some are larger than a page.
    let text = if at.is_multiple_of(97) { text.repeat(20) } else { text };
    StoredUpdate { head, payload: Payload { key: "chat:1".into(), update: text.into_bytes().into() } }
}

/// Something in every other table.
fn progress() -> Batch {
    let id = GroupId(1);
    let attempts = |at: u64| AttemptRecord {
        attempt: 2,
        failures: 1,
        losses: 0,
        first_delivered: UnixMillis(2_000 + at),
        first_failed: UnixMillis(2_500 + at),
        not_before: UnixMillis(3_000 + at),
        history: Vec::new(),
    };
    let letter =
        |at| DeadLetter { time: UnixMillis(3_000), settled: SettledAs::Rejected, attempts: attempts(at) };
    let rejected: Vec<_> = (300..400).step_by(3).collect();
    let event = |at: u64| {
        let event = Event { time: UnixMillis(3_000 + at), attempt: None, settled: Some(SettledAs::Rejected) };
        (id, Sequence(at), event)
    };
    Batch {
        attempts: (600..900).step_by(2).map(|at| (id, Sequence(at), attempts(at))).collect(),
        settled: rejected.iter().map(|&at| (id, Sequence(at), SettledAs::Rejected)).collect(),
        dead_letters: rejected.iter().map(|&at| (id, Sequence(at), letter(at))).collect(),
        events: rejected.iter().map(|&at| event(at)).collect(),
        cursors: vec![(id, Sequence(200)), (GroupId(2), Sequence(50))],
        quarantined: vec![Quarantined {
            received: UnixMillis(1),
            reason: "no object".into(),
            bytes: b"[]".as_slice().into(),
        }],
        replays: vec![(id, Sequence(100), 2)],
        own_webhook: Some("https://example.org".into()),
        ..Batch::default()
    }
}
