//! Random operations against the dispatcher, each judged; at the end healthy consumers settle everything.

use proptest::prelude::*;

use super::invariants;
use super::judge::Judge;
use super::steering::Steer;
use super::world::{GROUP, World, head, key};
use crate::dispatch::Command;
use crate::model::{
    ConsumerSettings, Filter, FilterParts, GroupSettings, Head, Ordering, Outcome, Sequence, Settlement,
};
use crate::update::KindCode;

const CONSUMERS: usize = 4;
/// Few, and most in one shard, so that shards and keys run full.
const KEYS: [&str; 10] = ["5/hot", "5/a", "5/b", "5/c", "5/d", "5/e", "5/f", "6/g", "900/h", "900/i"];
/// The first one may get too old to be delivered.
const KINDS: [KindCode; 3] = [KindCode::CALLBACK_QUERY, KindCode::POLL, KindCode::UNKNOWN];
/// After so many steps of healthy consumers everything must be settled.
const MAX_STEPS: usize = 5_000;

#[derive(Clone, Debug)]
enum Op {
    Append { keys: Vec<usize>, each: usize, size: u32, mix: usize },
    Subscribe { consumer: usize, outstanding: u32, bytes: u64, lease_ms: u64, holds: u8 },
    Close { consumer: usize },
    Leave { consumer: usize },
    Drain { consumer: usize },
    Settle { which: prop::sample::Index, journal: u64, settlement: Settlement },
    SettleAll { consumer: usize, settlement: Settlement },
    Commit,
    Durable,
    Refuse,
    PutBack,
    Time { ms: u64 },
    Stall { ms: u64 },
    Expire { which: prop::sample::Index, count: usize },
    Restart { committed: bool },
    Seek { which: prop::sample::Index },
    Replay { which: prop::sample::Index, count: usize },
    Purge { which: prop::sample::Index, count: usize },
    Pause { pauses: bool },
    Filter { kinds: Vec<KindCode> },
    MaxAges { ms: Option<u64> },
}

fn settlement() -> impl Strategy<Value = Settlement> {
    let outcome = prop_oneof![Just(Outcome::Failed), Just(Outcome::Released)];
    let delay = prop_oneof![Just(None), Just(Some(0)), (1u64..5_000).prop_map(Some)];
    prop_oneof![
        5 => Just(Settlement::Ack),
        3 => (outcome, delay).prop_map(|(outcome, delay_ms)| Settlement::Nack {
            outcome,
            delay_ms,
            reason: "no".into(),
        }),
        1 => prop_oneof![Just(None), (1_000u64..9_000).prop_map(Some)]
            .prop_map(|duration_ms| Settlement::Extend { duration_ms }),
        1 => Just(Settlement::Reject { reason: "never".into() }),
    ]
}

fn op() -> impl Strategy<Value = Op> {
    let keys = prop_oneof![
        2 => Just(vec![0]),
        1 => prop::collection::vec(0..KEYS.len(), 1..12),
    ];
    let consumer = || 0..CONSUMERS;
    prop_oneof![
        6 => (keys, prop_oneof![1usize..4, 10usize..40], 1u32..500, 0..100usize)
            .prop_map(|(keys, each, size, mix)| Op::Append { keys, each, size, mix }),
        5 => (consumer(), 1u32..12, prop_oneof![Just(1_000_000u64), 1u64..1_500], 1_000u64..6_000, any::<u8>())
            .prop_map(|(consumer, outstanding, bytes, lease_ms, holds)| {
                Op::Subscribe { consumer, outstanding, bytes, lease_ms, holds }
            }),
        2 => consumer().prop_map(|consumer| Op::Close { consumer }),
        1 => consumer().prop_map(|consumer| Op::Leave { consumer }),
        1 => consumer().prop_map(|consumer| Op::Drain { consumer }),
        8 => (any::<prop::sample::Index>(), prop_oneof![20 => Just(super::world::JOURNAL), 1 => Just(8)], settlement())
            .prop_map(|(which, journal, settlement)| Op::Settle { which, journal, settlement }),
        12 => (consumer(), settlement())
            .prop_map(|(consumer, settlement)| Op::SettleAll { consumer, settlement }),
        6 => Just(Op::Commit),
        12 => Just(Op::Durable),
        1 => Just(Op::Refuse),
        1 => Just(Op::PutBack),
        5 => prop_oneof![1u64..500, 500u64..8_000].prop_map(|ms| Op::Time { ms }),
        1 => (1u64..10_000).prop_map(|ms| Op::Stall { ms }),
        1 => (any::<prop::sample::Index>(), 1usize..30).prop_map(|(which, count)| Op::Expire { which, count }),
        1 => any::<bool>().prop_map(|committed| Op::Restart { committed }),
        1 => any::<prop::sample::Index>().prop_map(|which| Op::Seek { which }),
        3 => (any::<prop::sample::Index>(), 1usize..30).prop_map(|(which, count)| Op::Replay { which, count }),
        1 => (any::<prop::sample::Index>(), 1usize..4).prop_map(|(which, count)| Op::Purge { which, count }),
        2 => prop_oneof![1 => Just(true), 3 => Just(false)].prop_map(|pauses| Op::Pause { pauses }),
        1 => prop::sample::subsequence(&KINDS, 0..KINDS.len()).prop_map(|kinds| Op::Filter { kinds }),
        1 => prop_oneof![Just(None), (1u64..10_000).prop_map(Some)].prop_map(|ms| Op::MaxAges { ms }),
    ]
}

struct Run {
    world: World,
    judge: Judge,
}

impl Run {
    fn new(ordering: Ordering, fallback: bool) -> Self {
        let mut world = World::of(|record| {
            record.ordering = ordering;
            record.fallback = fallback;
            record.settings = GroupSettings {
                max_failures: 3,
                min_failure_span_ms: 4_000,
                backoff_initial_ms: 200,
                backoff_max_ms: 2_000,
                member_grace_ms: 2_000,
                max_lease_ms: 8_000,
                ..GroupSettings::default()
            };
        });
        world.commits_at_once = false;
        // After each operation is often enough.
        world.checks = false;
        world.reads_per_turn = 1;
        Self { world, judge: Judge::default() }
    }

    fn turn(&mut self) -> Vec<Command> {
        let commands = self.world.turn();
        self.judge.commands(&self.world, &commands);
        commands
    }

    fn apply(&mut self, op: Op) {
        let now = self.world.now;
        match op {
            Op::Append { keys, each, size, mix } => {
                let chats = keys.iter().flat_map(|at| std::iter::repeat_n(KEYS[*at], each));
                let heads = chats.enumerate().map(|(i, chat)| Head {
                    user: key(KEYS[(i + mix) % 3]),
                    topic: key(&format!("{chat}, topic {}", (i + mix) % 2)),
                    kind: KINDS[(i + mix) % KINDS.len()],
                    claimed: (i + mix) % 5 == 0,
                    ..head(now.unix, key(chat), size)
                });
                self.world.append_heads(heads);
            }
            Op::Subscribe { consumer, outstanding, bytes, lease_ms, holds } => {
                let held: Vec<_> = self
                    .judge
                    .tokens
                    .iter()
                    .rev()
                    .take(24)
                    .enumerate()
                    .filter(|(i, _)| holds >> (i % 8) & 1 == 1)
                    .map(|(_, token)| *token)
                    .collect();
                let settings =
                    ConsumerSettings { max_outstanding: outstanding, max_outstanding_bytes: bytes, lease_ms };
                self.judge.subscribe(&mut self.world, consumer, settings, &held);
            }
            Op::Close { consumer } => {
                if let Some(stream) = self.judge.stream_of(consumer) {
                    self.world.dispatcher.handle_closed(now, stream);
                    self.judge.closed(stream);
                }
            }
            Op::Leave { consumer } => {
                self.world.dispatcher.handle_leave(now, GROUP, &format!("c{consumer}"));
                if let Some(stream) = self.judge.stream_of(consumer) {
                    self.judge.takes_no_more(stream);
                }
            }
            Op::Drain { consumer } => {
                if let Some(stream) = self.judge.stream_of(consumer) {
                    self.world.dispatcher.handle_drain(now, stream);
                    self.judge.takes_no_more(stream);
                }
            }
            Op::Settle { which, journal, settlement } => {
                if !self.judge.tokens.is_empty() {
                    let mut token = *which.get(&self.judge.tokens);
                    token.journal = journal;
                    self.settle(token, &settlement);
                }
            }
            Op::SettleAll { consumer, settlement } => {
                for token in self.judge.out_to(consumer) {
                    self.settle(token, &settlement);
                }
            }
            Op::Commit if self.world.in_flight.is_none() => self.world.begin_commit(),
            Op::Commit => {}
            Op::Durable => self.durable(),
            Op::Refuse => {
                let records = self.world.refuse_commit();
                self.judge.refused(&self.world, &records);
            }
            Op::PutBack => self.world.put_commit_back(),
            Op::Time { ms } => self.advance(ms),
            Op::Stall { ms } => {
                self.world.pass(ms);
                self.world.dispatcher.handle_stall(ms);
                self.judge.stalled(ms);
                self.world.dispatcher.handle_time(self.world.now);
            }
            Op::Expire { which, count } => {
                if !self.world.heads.is_empty() {
                    let from = which.index(self.world.heads.len());
                    for head in self.world.heads[from..].iter().take(count) {
                        if !self.world.purged.contains(&head.sequence) {
                            self.judge.given_up.insert(head.sequence);
                            self.world.dispatcher.handle_expire(now, GROUP, head);
                        }
                    }
                }
            }
            Op::Seek { which } => {
                let cursor = Sequence(which.index(self.world.heads.len() + 1) as u64);
                self.world.steer(Steer::Seek(GROUP, cursor));
            }
            Op::Replay { which, count } => {
                let sequences = self.some(which, count);
                self.world.steer(Steer::Replay(GROUP, sequences));
            }
            Op::Purge { which, count } => {
                let sequences = self.some(which, count);
                self.world.steer(Steer::Purge(sequences));
            }
            Op::Pause { pauses } => {
                self.world.change_group(|record| record.paused = pauses.then_some(now.unix));
            }
            Op::Filter { kinds } => {
                let filter = Filter::new(FilterParts { kinds, ..FilterParts::default() });
                self.world.filter(filter.ok());
            }
            Op::MaxAges { ms } => {
                let max_ages = ms.map(|ms| (KINDS[0], ms)).into_iter().collect();
                self.world.change_group(|record| record.max_ages = max_ages);
            }
            Op::Restart { committed } => {
                if committed {
                    self.durable();
                }
                self.world.restart();
                self.judge.restarted();
            }
        }
        self.turn();
        invariants::check(&self.world);
    }

    fn settle(&mut self, token: crate::model::Token, settlement: &Settlement) {
        let expected = self.judge.expect(&self.world, &token, settlement);
        let result = self.world.settle(&token, settlement);
        self.judge.settled(&self.world, &token, settlement, expected, result);
        // What it recorded is seen at once, so that the next answer can be told.
        self.turn();
    }

    fn durable(&mut self) {
        let commit =
            self.world.in_flight.as_ref().map(|commit| (commit.records.clone(), commit.steers.clone()));
        self.world.finish_commit();
        let (records, steers) = commit.unwrap_or_default();
        self.judge.durable(&self.world, &records, &steers);
        self.judge.purged(&steers);
    }

    /// So many sequences from somewhere on.
    fn some(&self, which: prop::sample::Index, count: usize) -> Vec<Sequence> {
        let from = which.index(self.world.heads.len() + 1);
        self.world.heads[from..].iter().take(count).map(|head| head.sequence).collect()
    }

    fn advance(&mut self, ms: u64) {
        let end = self.world.now.mono.plus(ms);
        while let Some(at) = self.world.dispatcher.next_wake().filter(|at| *at <= end) {
            self.world.pass(at.since(self.world.now.mono));
            self.world.dispatcher.handle_time(self.world.now);
            self.turn();
        }
        self.world.pass(end.since(self.world.now.mono));
    }

    /// Everybody else goes; two healthy consumers settle what is left.
    fn finish(&mut self) {
        self.apply(Op::Pause { pauses: false });
        for consumer in 0..CONSUMERS {
            self.apply(Op::Close { consumer });
        }
        let settings = ConsumerSettings::DEFAULT;
        for consumer in [CONSUMERS, CONSUMERS + 1] {
            self.judge.subscribe(&mut self.world, consumer, settings, &[]);
        }
        for _ in 0..MAX_STEPS {
            self.turn();
            self.durable();
            self.world.begin_commit();
            self.durable();
            self.turn();
            if self.world.dispatcher.cursor(GROUP) == Some(self.world.tail())
                && self.world.dispatcher.replays_pending(GROUP) == 0
                && self.world.in_flight.is_none()
                && self.world.dispatcher.stats(GROUP).is_some_and(|stats| stats.lag_exact)
            {
                break;
            }
            let out: Vec<_> =
                [CONSUMERS, CONSUMERS + 1].into_iter().flat_map(|at| self.judge.out_to(at)).collect();
            if out.is_empty() && self.world.gathered.is_empty() {
                self.advance(200);
            }
            for token in out {
                self.settle(token, &Settlement::Ack);
            }
        }
        invariants::check(&self.world);
        // That nothing is settled twice but after a replay is seen to by the journal.
        assert_eq!(
            self.world.dispatcher.cursor(GROUP),
            Some(self.world.tail()),
            "it does not come to an end"
        );
        let group = &self.world.groups[&GROUP];
        for head in self.world.retained().filter(|head| group.record.matches(head)) {
            assert!(group.settled.contains_key(&head.sequence), "{head:?}");
        }
        assert!(group.replays.is_empty());
        let stats = self.world.dispatcher.stats(GROUP).unwrap();
        assert_eq!((stats.outstanding, stats.backing_off, stats.lag, stats.lag_exact), (0, 0, 0, true));
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        max_shrink_iters: 20_000,
        // A seed means nothing any more once the operations change; what it found becomes a transcript.
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn whatever_happens_every_update_is_settled_once_in_order_by_its_newest_delivery(
        ordering in prop::sample::select(vec![Ordering::Chat, Ordering::User, Ordering::Topic, Ordering::None]),
        fallback in prop::bool::weighted(0.2),
        ops in prop::collection::vec(op(), 1..120),
    ) {
        let mut run = Run::new(ordering, fallback);
        for op in ops {
            run.apply(op);
        }
        run.finish();
    }
}
