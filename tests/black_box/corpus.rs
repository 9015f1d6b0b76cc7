//! The whole corpus of updates on its way to two groups.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use switchboard::simulator::{Replay, Source};
use tokio::sync::watch;

use crate::BOT;
use crate::checker::Group;
use crate::consumer::{Consumer, Memory};
use crate::gateway::{Mode, Setup, telegram};

const UPDATES: usize = 540;

#[tokio::test]
async fn p2_p3_p10_the_corpus_comes_by_polling_verbatim_in_order_and_once_to_every_group() {
    carry(Mode::Polling).await;
}

#[tokio::test]
async fn p2_p3_p10_the_corpus_comes_by_webhook_verbatim_in_order_and_once_to_every_group() {
    carry(Mode::Webhook).await;
}

async fn carry(mode: Mode) {
    let data = tempfile::tempdir().unwrap();
    let telegram = telegram().await;
    let gateway = Setup::new(data.path(), &telegram, mode).start().await;
    let expected = reference();
    let orders = Arc::new(Group::expecting("orders", mode, expected.clone()));
    let audit = Arc::new(Group::expecting("audit", mode, expected));
    let (_boots, boot) = watch::channel(1);
    let mut consumers = Vec::new();
    for (group, id) in [(&orders, "one"), (&orders, "two"), (&orders, "three"), (&audit, "alone")] {
        let mut consumer = Consumer::start(group, id, gateway.grpc, Memory::Forgets, 1, boot.clone());
        // So that the shards are spread before the first update.
        consumer.opened().await;
        consumers.push(consumer);
    }

    let replay = Replay::from_file(&fixtures().join("updates.jsonl")).unwrap();
    telegram.feed(BOT, Source::Replayed { replay: Arc::new(replay), rate: 0.0 });
    orders.settles(UPDATES).await;
    audit.settles(UPDATES).await;
    tokio::time::timeout(crate::PATIENCE, telegram.settled(BOT)).await.unwrap();

    let counts = telegram.counts(BOT);
    assert_eq!((counts.confirmed, counts.resent, counts.expired), (UPDATES as u64, 0, 0), "{counts:?}");
    let confirmed = telegram.confirmed_ids(BOT);
    for (group, consumers) in [(&orders, 3), (&audit, 1)] {
        let counts = group.verify(&confirmed);
        assert_eq!((counts.redeliveries, counts.stale), (0, 0), "{}", group.report());
        assert_eq!(counts.by_consumer.len(), consumers, "each has its share: {}", group.report());
        assert_eq!(counts.by_consumer.values().sum::<usize>(), UPDATES);
    }
    drop(consumers);
    gateway.stop().await;
}

/// Key and JSON of every update by its id.
pub fn reference() -> HashMap<i64, (String, String)> {
    let read = |file| std::fs::read_to_string(fixtures().join(file)).unwrap();
    let (updates, routing) = (read("updates.jsonl"), read("updates.routing.tsv"));
    let rows = routing.lines().skip(1).map(|row| row.split('\t').collect::<Vec<_>>());
    let reference: HashMap<_, _> = updates
        .lines()
        .zip(rows)
        .map(|(json, row)| {
            let [_, id, _, chat, user, other, key_kind] = row[..] else { panic!("seven columns: {row:?}") };
            let key = match key_kind {
                "chat" => format!("chat:{chat}"),
                "user" => format!("user:{user}"),
                "other" => format!("poll:{other}"),
                "none" => format!("update:{id}"),
                unknown => panic!("update {id}: key kind {unknown}"),
            };
            (id.parse().unwrap(), (key, json.to_owned()))
        })
        .collect();
    assert_eq!(reference.len(), UPDATES);
    reference
}

fn fixtures() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/updates")
}
