//! What the dispatcher itself costs for one update: append, hand-out, ack, durable; with the journal in memory.
//!
//! `0` is a group that keeps up with 1,000 chats, `1000000` one that works off a million of their updates while as many
//! new ones come in as it settles, `1000000 of 300000 chats` the same with many more chats. The ratio of the first two is to stay below 1.2 (DESIGN section 11: CPU per update as the backlog grows).

#![allow(missing_docs, clippy::unwrap_used, reason = "a benchmark")]

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use switchboard::dispatch::{Command, Dispatcher, GroupStart, Handout, Identity, Jitter, Record, StreamId};
use switchboard::model::{
    ConsumerSettings, GroupId, GroupName, GroupRecord, GroupSettings, Head, KeyHash, Label, Monotonic, Now,
    Sequence, Settlement, UnixMillis,
};
use switchboard::update::KindCode;

const GROUP: GroupId = GroupId(1);
/// Updates of one commit.
const BATCH: u64 = 256;

struct Bench {
    keys: u64,
    dispatcher: Dispatcher,
    journal: Vec<Head>,
    out: Vec<Handout>,
    commands: Vec<Command>,
    records: Vec<Record>,
    now: Now,
    /// Heads read from the journal, and updates settled.
    read: usize,
    settled: usize,
}

fn head(keys: u64, sequence: u64) -> Head {
    // Scattered as chats are: neighbours in the journal are in different shards.
    let key = KeyHash((sequence.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 20) % keys * 0x1_0001);
    Head {
        sequence: Sequence(sequence),
        update_id: 0,
        key,
        user: key,
        topic: key,
        kind: KindCode::UNKNOWN,
        chat_type: None,
        label: Label::EMPTY,
        claimed: false,
        size: 1_000,
        received: UnixMillis(0),
        committed: UnixMillis(0),
    }
}

impl Bench {
    fn new(keys: u64, backlog: u64) -> Self {
        let mut dispatcher = Dispatcher::new(Identity { journal: 1, boot: 1 }, Jitter::new(1));
        dispatcher.add_group(GroupStart {
            record: GroupRecord::new(
                GROUP,
                GroupName::parse("bench").unwrap(),
                Sequence(1),
                GroupSettings::default(),
                UnixMillis(0),
            ),
            cursor: Sequence(0),
            settled: Vec::new(),
            attempts: Vec::new(),
            replays: Vec::new(),
            tail: Sequence(backlog),
        });
        let now = Now { mono: Monotonic(1), unix: UnixMillis(1) };
        let settings = ConsumerSettings { max_outstanding: BATCH as u32, ..ConsumerSettings::DEFAULT };
        dispatcher.handle_subscribe(now, GROUP, StreamId(1), "c1", settings, &[]);
        let journal = (1..=backlog).map(|at| head(keys, at)).collect();
        let mut bench = Self {
            keys,
            dispatcher,
            journal,
            out: Vec::new(),
            commands: Vec::new(),
            records: Vec::new(),
            now,
            read: 0,
            settled: 0,
        };
        bench.turn();
        bench.read = 0;
        bench
    }

    /// What the driver does in a turn.
    fn turn(&mut self) {
        self.dispatcher.poll(self.now, &mut self.commands);
        while let Some(wanted) = self.dispatcher.heads_wanted() {
            let from = wanted.from.0 as usize - 1;
            let to = self.journal.len().min(from + wanted.limit);
            self.read += to - from;
            self.dispatcher.handle_heads(wanted.group, &self.journal[from..to]);
            self.dispatcher.poll(self.now, &mut self.commands);
        }
        for command in self.commands.drain(..) {
            match command {
                Command::Record(record) => self.records.push(record),
                Command::Deliver { handouts, .. } => self.out.extend(handouts),
                _ => {}
            }
        }
    }

    /// One commit: as many updates come in as are settled.
    fn commit(&mut self) {
        let from = self.journal.len();
        self.journal.extend((from as u64 + 1..).take(BATCH as usize).map(|at| head(self.keys, at)));
        self.dispatcher.handle_appended(&self.journal[from..]);
        self.turn();
        assert!(!self.out.is_empty());
        for handout in std::mem::take(&mut self.out) {
            self.dispatcher.handle_settle(self.now, GROUP, &handout.token, &Settlement::Ack);
            self.settled += 1;
        }
        self.turn();
        self.dispatcher.handle_durable(self.now, &self.records);
        self.records.clear();
        self.turn();
    }
}

fn dispatch(c: &mut Criterion) {
    let mut group = c.benchmark_group("dispatch/backlog");
    group.throughput(Throughput::Elements(BATCH));
    for (name, keys, backlog) in
        [("0", 1_000, 0), ("1000000", 1_000, 1_000_000), ("1000000 of 300000 chats", 300_000, 1_000_000)]
    {
        let mut bench = Bench::new(keys, backlog);
        group.bench_function(name, |b| b.iter(|| bench.commit()));
        let lag = bench.dispatcher.stats(GROUP).unwrap().lag;
        let reads = bench.read as f64 / bench.settled as f64;
        println!("lag {lag}, {reads:.2} heads read for each update");
    }
    group.finish();
}

criterion_group!(benches, dispatch);
criterion_main!(benches);
