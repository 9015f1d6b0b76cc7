//! The gateway killed with SIGKILL over and over, held against Telegram's ledger of what was confirmed.

use std::sync::Arc;

use switchboard::simulator::{Source, Traffic};
use tokio::sync::watch;

use crate::checker::Group;
use crate::consumer::{Consumer, Memory};
use crate::gateway::{Mode, Setup, telegram};
use crate::{BOT, PATIENCE};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn p1_p2_p3_p4_p8_sigkill_while_polling_loses_nothing_and_brings_nothing_settled_back() {
    survive(Mode::Polling).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn p1_p2_p3_p4_p8_sigkill_behind_a_webhook_loses_nothing_and_brings_nothing_settled_back() {
    survive(Mode::Webhook).await;
}

async fn survive(mode: Mode) {
    let (kills, updates) = if variable("SWITCHBOARD_LONG") == Some(1) { (20, 100_000) } else { (5, 5_000) };
    let seed = variable("SWITCHBOARD_SEED").unwrap_or(1);
    let mut random = Random(seed);
    let data = tempfile::tempdir().unwrap();
    let telegram = telegram().await;
    let setup = Setup::new(data.path(), &telegram, mode);
    let (boots, boot) = watch::channel(1);
    let mut gateway = setup.start().await;

    let groups @ [orders, audit] = &["orders", "audit"].map(|name| Arc::new(Group::new(name, mode)));
    let consumers = [
        (orders, "keeper", Memory::Holds),
        (orders, "forgetful", Memory::Forgets),
        (orders, "oblivious", Memory::Forgets),
        (audit, "auditor", Memory::Forgets),
    ];
    let consumers = consumers.map(|(group, id, memory)| {
        Consumer::start(group, id, gateway.grpc, memory, 20 + random.below(80), boot.clone())
    });
    let total = Some(updates as u64);
    telegram
        .feed(BOT, Source::Generated(Traffic { rate: 0.0, chats: 500, total, seed, ..Traffic::default() }));

    // Moments are measured in progress, not in time: so they are spread over the run on every machine.
    let mut moments: Vec<_> = (0..kills).map(|_| updates / 50 + random.below(updates * 9 / 10)).collect();
    moments.sort_unstable();
    for (number, moment) in moments.iter().enumerate() {
        // Every fourth time the gateway has hardly been started.
        if number % 4 != 3 {
            groups[random.below(2)].settles(*moment).await;
            for _ in 0..random.below(200) {
                tokio::task::yield_now().await;
            }
        }
        gateway.kill().await;
        boots.send_modify(|boots| *boots += 1);
        gateway = setup.start().await;
    }
    for group in groups {
        group.settles(updates).await;
    }
    tokio::time::timeout(PATIENCE, telegram.settled(BOT)).await.unwrap();

    let counts = telegram.counts(BOT);
    assert_eq!((counts.confirmed, counts.expired), (updates as u64, 0), "{counts:?}");
    let confirmed = telegram.confirmed_ids(BOT);
    let seen = groups.each_ref().map(|group| group.verify(&confirmed));
    for group in groups {
        println!("{mode:?}, {kills} kills, {} sent again by Telegram, {}", counts.resent, group.report());
    }
    assert!(seen.iter().any(|counts| counts.redeliveries > 0), "no kill has hit anything: {seen:?}");
    drop(consumers);
    gateway.stop().await;
}

fn variable(name: &str) -> Option<u64> {
    let value = std::env::var(name).ok()?;
    Some(value.parse().unwrap_or_else(|_| panic!("{name}={value} is no number")))
}

/// SplitMix64: the same numbers for the same seed.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) % limit as u64) as usize
    }
}
