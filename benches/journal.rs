//! One commit of the journal (128 updates appended, the 128 before them settled and trimmed) against the least that
//! durability costs: the same bytes appended to a file, and fdatasync.

#![expect(clippy::expect_used, reason = "a benchmark that cannot run ends")]

use std::fs::File;
use std::io::{Seek, Write};

use bytes::Bytes;
use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use switchboard::journal::Journal;
use switchboard::journal::lmdb::{LmdbJournal, Options, open};
use switchboard::model::{
    Batch, GroupId, GroupName, GroupRecord, GroupSettings, Head, KeyHash, Label, Payload, Sequence,
    SettledAs, StoredUpdate, UnixMillis,
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

        let path = dir.path().join(format!("lmdb-{size}"));
        let mut journal = open(&path, 1, &Options::default()).expect("a journal");
        with_group(&mut journal);
        let mut next = 1;
        group.bench_function(BenchmarkId::new("lmdb", size), |bencher| {
            let setup = || {
                let batch = batch(next, &bytes);
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
    group.finish();
}

criterion_group!(benches, commits);
criterion_main!(benches);
