//! One commit of the journal (128 updates appended, the 128 before them settled and trimmed), without and with an event
//! for each settlement, as the driver writes them, against the least that
//! durability costs: the same bytes appended to a file, and fdatasync.

#![expect(clippy::expect_used, reason = "a benchmark that cannot run ends")]

use std::fs::File;
use std::io::{Seek, Write};

use bytes::Bytes;
use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use switchboard::journal::Journal;
use switchboard::journal::lmdb::{LmdbJournal, Options, open};
use switchboard::model::{
    AttemptOutcome, Batch, EndedAttempt, Event, GroupId, GroupName, GroupRecord, GroupSettings, Head,
    KeyHash, Label, Payload, Sequence, SettledAs, StoredUpdate, UnixMillis,
};
use switchboard::update::KindCode;

/// Updates in a commit.
const BATCH: u64 = 128;
/// Bytes of an update.
const SIZES: [usize; 6] = [300, 1024, 2048, 4096, 16_384, 65_536];
/// The raw file begins anew at this length.
const RAW_FILE_BYTES: u64 = 512 << 20;
const GROUP: GroupId = GroupId(1);

fn update(at: u64, bytes: &Bytes) -> StoredUpdate {
    let key = format!("chat:{}", at % 1000);
    let hash = KeyHash::of(&key);
    StoredUpdate {
        head: Head {
            sequence: Sequence(at),
            update_id: at as i64,
            key: hash,
            user: hash,
            topic: hash,
            kind: KindCode(1),
            chat_type: None,
            label: Label::EMPTY,
            claimed: false,
            size: bytes.len() as u32,
            received: UnixMillis(at),
            committed: UnixMillis(at),
        },
        payload: Payload { key: key.into(), update: bytes.clone() },
    }
}

/// The batch that appends from `first` on, and is done with what the one before it appended.
fn batch(first: u64, bytes: &Bytes) -> Batch {
    let done = || (first.saturating_sub(BATCH)..first).map(Sequence);
    Batch {
        updates: (first..first + BATCH).map(|at| update(at, bytes)).collect(),
        settled: done().map(|at| (GROUP, at, SettledAs::Acked)).collect(),
        cursors: vec![(GROUP, Sequence(first.saturating_sub(1)))],
        trimmed: done().collect(),
        ..Batch::default()
    }
}

/// The same with an event for each ack.
fn with_events(batch: Batch) -> Batch {
    let ended = |at: Sequence| EndedAttempt {
        generation: 1,
        attempt: 1,
        consumer: "orders-7f9c6d5b8-x2x5z".into(),
        delivered: UnixMillis(at.0),
        replayed: false,
        outcome: AttemptOutcome::Acked,
        reason: "".into(),
    };
    let event = |settled: &(GroupId, Sequence, SettledAs)| {
        let (group, at, how) = *settled;
        (group, at, Event { time: UnixMillis(at.0 + 20), attempt: Some(ended(at)), settled: Some(how) })
    };
    Batch { events: batch.settled.iter().map(event).collect(), ..batch }
}

fn with_group(journal: &mut LmdbJournal) {
    let name = GroupName::parse("bench").expect("a name");
    let group = GroupRecord::new(GROUP, name, Sequence(1), GroupSettings::default(), UnixMillis(0));
    journal.commit(&Batch { groups: vec![group], ..Batch::default() }).expect("the group is stored");
}

fn commits(criterion: &mut Criterion) {
    let dir = tempfile::tempdir().expect("a directory");
    let mut group = criterion.benchmark_group("commit of 128");
    group.throughput(Throughput::Elements(BATCH));
    for size in SIZES {
        let bytes = Bytes::from(vec![b'x'; size]);

        let mut file = File::create(dir.path().join("raw")).expect("a file");
        let block = vec![b'x'; size * BATCH as usize];
        group.bench_function(BenchmarkId::new("raw", size), |bencher| {
            bencher.iter(|| {
                file.write_all(&block).expect("a write");
                file.sync_data().expect("a sync");
                if file.stream_position().expect("a position") > RAW_FILE_BYTES {
                    file.set_len(0).and_then(|()| file.rewind()).expect("a shorter file");
                }
            });
        });

        type Dress = fn(Batch) -> Batch;
        let dresses: [(&str, Dress); 2] = [("lmdb", |batch| batch), ("lmdb with events", with_events)];
        for (name, dress) in dresses {
            let path = dir.path().join(format!("{name} {size}"));
            let mut journal = open(&path, 1, &Options::default()).expect("a journal");
            with_group(&mut journal);
            let mut next = 1;
            group.bench_function(BenchmarkId::new(name, size), |bencher| {
                let setup = || {
                    let batch = dress(batch(next, &bytes));
                    next += BATCH;
                    batch
                };
                bencher.iter_batched_ref(
                    setup,
                    |batch| journal.commit(batch).expect("a commit"),
                    BatchSize::PerIteration,
                );
            });
        }
    }
    group.finish();
}

criterion_group!(benches, commits);
criterion_main!(benches);
