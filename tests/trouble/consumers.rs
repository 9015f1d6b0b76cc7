//! Handlers that hang, die, refuse, come back, or are there twice.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use prost_types::Duration;
use switchboard::grpc::proto::client::subscribe_response::Event;
use switchboard::grpc::proto::client::{SettleCode, SubscribeRequest};
use tonic::Code;

use super::client::{All, Consumer, Seen, chat_of, id_of, join};
use super::gateway::{Gateway, PATIENCE, POLL_INTERVAL, telegram, write_in};

/// The same, with room for so few updates and a lease of so many seconds.
fn small(request: SubscribeRequest, max_outstanding: i32, lease_s: i64) -> SubscribeRequest {
    let lease_duration = Some(Duration { seconds: lease_s, nanos: 0 });
    SubscribeRequest { max_outstanding: Some(max_outstanding), lease_duration, ..request }
}

/// So many updates in each of so many chats, in turn.
fn turns(chats: i64, each: usize) -> impl Iterator<Item = i64> {
    std::iter::repeat_n((1..=chats).map(|chat| 1000 + chat), each).flatten()
}

/// Reads on until the consumer has been told its shards.
async fn shards_of(consumer: &mut Consumer) -> BTreeSet<i32> {
    loop {
        if let Event::Assignment(assignment) = consumer.next().await.unwrap() {
            return assignment.gained.into_iter().collect();
        }
    }
}

#[tokio::test]
async fn p6_a_consumer_that_hangs_delays_only_the_chats_it_owns() {
    let (telegram, data) = (telegram().await, tempfile::tempdir().unwrap());
    let gateway = Gateway::start(&telegram, data.path(), &[]).await;
    let (seen, others) = (Seen::new(), Seen::new());
    for name in ["one", "two", "three"] {
        Consumer::join(gateway.grpc, join("orders", name)).await.work(&seen, |_| false);
    }
    Consumer::join(gateway.grpc, join("audit", "one")).await.work(&others, |_| false);
    let mut hanging = Consumer::join(gateway.grpc, small(join("orders", "hanging"), 4, 600)).await;
    let owned = shards_of(&mut hanging).await;
    assert_eq!(owned.len(), 256, "a quarter");

    write_in(&telegram, turns(200, 10)).await;
    let mut held = Vec::new();
    while held.len() < 4 {
        held.extend(hanging.deliveries().await);
    }
    others.until("the other group has all", |all| all.acked.len() == 2000).await;
    let theirs: BTreeSet<i64> = others.look(|all| {
        let not_owned = all.shards.iter().filter(|(_, shard)| !owned.contains(shard));
        not_owned.flat_map(|(key, _)| all.by_key[key].clone()).collect()
    });
    assert!((1000..2000).contains(&theirs.len()), "{}", theirs.len());
    seen.until("all but its chats are done", |all| theirs.iter().all(|id| all.acked.contains_key(id))).await;
    assert_eq!(
        seen.look(|all| all.acked.len()),
        theirs.len(),
        "something of its chats was handled elsewhere"
    );

    let codes = hanging.ack(held.iter().map(|delivery| delivery.token.clone()).collect()).await;
    assert_eq!(codes, [SettleCode::Applied; 4]);
    hanging.work(&seen, |_| false);
    seen.until("its chats are done too", |all| all.acked.len() + held.len() == 2000).await;
    for all in [&seen, &others] {
        all.look(|all| {
            all.assert_in_order();
            assert_eq!((all.in_vain, all.max_attempt), (0, 1));
            assert!(all.acked.values().all(|times| *times == 1));
        });
    }
    gateway.stop().await;
}

/// Failures that come to an end within a test's time.
const QUICK_FAILURES: [(&str, &str); 5] = [
    ("SWITCHBOARD_GROUP_MAX_FAILURES", "3"),
    ("SWITCHBOARD_GROUP_MIN_FAILURE_SPAN", "100ms"),
    ("SWITCHBOARD_GROUP_BACKOFF_INITIAL", "20ms"),
    ("SWITCHBOARD_GROUP_BACKOFF_MAX", "100ms"),
    ("SWITCHBOARD_GROUP_MEMBER_GRACE", "300ms"),
];

#[tokio::test]
async fn p9_one_hangs_one_dies_one_nacks_a_chat_and_the_rest_moves_on() {
    let (telegram, data) = (telegram().await, tempfile::tempdir().unwrap());
    let gateway = Gateway::start(&telegram, data.path(), &QUICK_FAILURES).await;
    let seen = Seen::new();
    Consumer::join(gateway.grpc, join("orders", "good")).await.work(&seen, |_| false);
    let nacking = Consumer::join(gateway.grpc, join("orders", "nacking")).await;
    let mut hanging = Consumer::join(gateway.grpc, small(join("orders", "hanging"), 8, 1)).await;
    let mut dying = Consumer::join(gateway.grpc, small(join("orders", "dying"), 8, 600)).await;

    // The first chat that it is given is the one that it cannot bear.
    let poison = Arc::new(AtomicI64::new(0));
    let nacks = poison.clone();
    nacking.work(&seen, move |delivery| {
        let chat = chat_of(delivery);
        let poison = nacks.compare_exchange(0, chat, Ordering::SeqCst, Ordering::SeqCst);
        poison.map_or_else(|poison| poison == chat, |_| true)
    });
    write_in(&telegram, turns(60, 10)).await;
    assert!(!dying.deliveries().await.is_empty());
    drop(dying);
    assert!(!hanging.deliveries().await.is_empty());
    let hangs = tokio::spawn(async move { while hanging.next().await.is_ok() {} });

    seen.until("all but one chat are done", |all| all.acked.len() == 590).await;
    let label = ["outcome=\"dead_lettered\""];
    let waited = tokio::time::timeout(PATIENCE, async {
        while gateway.metric("switchboard_updates_settled_total", &label).await < 10.0 {
            tokio::time::sleep(POLL_INTERVAL).await;
        }
    });
    waited.await.expect("the poison does not end in dead letters");

    let poisoned = poison.swap(-1, Ordering::SeqCst);
    write_in(&telegram, [poisoned]).await;
    let key = format!("chat:{poisoned}");
    seen.until("the poisoned chat goes on", |all| all.by_key.contains_key(&key)).await;
    assert!(!hangs.is_finished(), "what hangs has lost its stream");
    seen.look(|all| {
        all.assert_in_order();
        assert!(all.nacked.is_sorted(), "the poisoned chat out of order: {:?}", all.nacked);
        // Of an update's failures one or another may be an expiry at the consumer that hangs.
        let poisonous: BTreeSet<_> = all.nacked.iter().collect();
        assert_eq!(poisonous.len(), 10, "{poisonous:?}");
        assert!(all.acked.values().all(|times| *times == 1));
    });
    assert_eq!(gateway.metric("switchboard_updates_settled_total", &label).await, 10.0, "an innocent died");
    gateway.stop().await;
}

#[tokio::test]
async fn a_consumer_that_comes_back_within_its_grace_gets_its_shards_and_its_updates_back() {
    let (telegram, data) = (telegram().await, tempfile::tempdir().unwrap());
    let grace = [("SWITCHBOARD_GROUP_MEMBER_GRACE", "10m")];
    let gateway = Gateway::start(&telegram, data.path(), &grace).await;
    let seen = Seen::new();
    let mut returning = Consumer::join(gateway.grpc, join("orders", "returning")).await;
    Consumer::join(gateway.grpc, join("orders", "staying")).await.work(&seen, |_| false);
    let mut owned = shards_of(&mut returning).await;
    let Event::Assignment(moved) = returning.next().await.unwrap() else { panic!("no shards moved") };
    owned.retain(|shard| !moved.lost.contains(shard));
    assert_eq!(owned.len(), 512);

    write_in(&telegram, turns(40, 1)).await;
    let held = returning.deliveries().await.remove(0);
    drop(returning);
    let waited = tokio::time::timeout(PATIENCE, async {
        while gateway.metric("switchboard_consumers", &[]).await > 1.0 {
            tokio::time::sleep(POLL_INTERVAL).await;
        }
    });
    waited.await.expect("the lost stream is not noticed");
    write_in(&telegram, turns(40, 1)).await;

    let again = SubscribeRequest { held_tokens: vec![held.token.clone()], ..join("orders", "returning") };
    let mut returned = Consumer::join(gateway.grpc, again).await;
    assert_eq!(returned.opened.held_tokens, std::slice::from_ref(&held.token));
    assert_eq!(shards_of(&mut returned).await, owned);
    assert_eq!(returned.ack(vec![held.token]).await, [SettleCode::Applied]);
    returned.work(&seen, |_| false);
    seen.until("all is done", |all| all.acked.len() == 79).await;
    seen.look(All::assert_in_order);
    seen.look(|all| {
        for (key, shard) in &all.shards {
            let name = if owned.contains(shard) { "returning" } else { "staying" };
            assert_eq!(all.by_consumer[key], BTreeSet::from([name.to_owned()]), "{key}");
        }
    });
    gateway.stop().await;
}

#[tokio::test]
async fn the_shards_of_a_consumer_that_stays_away_go_to_the_others() {
    let (telegram, data) = (telegram().await, tempfile::tempdir().unwrap());
    let grace = [("SWITCHBOARD_GROUP_MEMBER_GRACE", "200ms")];
    let gateway = Gateway::start(&telegram, data.path(), &grace).await;
    let mut staying = Consumer::join(gateway.grpc, join("orders", "staying")).await;
    let leaving = Consumer::join(gateway.grpc, join("orders", "leaving")).await;
    assert_eq!(shards_of(&mut staying).await.len(), 1024);
    let Event::Assignment(moved) = staying.next().await.unwrap() else { panic!("no shards moved") };
    drop(leaving);
    let lost: BTreeSet<i32> = moved.lost.into_iter().collect();
    assert_eq!((lost.len(), shards_of(&mut staying).await), (512, lost));
    gateway.stop().await;
}

#[tokio::test]
async fn of_two_consumers_with_one_name_the_newest_goes_on_and_the_old_one_ends_aborted() {
    let (telegram, data) = (telegram().await, tempfile::tempdir().unwrap());
    let gateway = Gateway::start(&telegram, data.path(), &[]).await;
    let mut old = Consumer::join(gateway.grpc, join("orders", "twin")).await;
    write_in(&telegram, [7]).await;
    let first = old.deliveries().await.remove(0);
    let mut new = Consumer::join(gateway.grpc, join("orders", "twin")).await;
    let status = loop {
        if let Err(status) = old.next().await {
            break status;
        }
    };
    assert_eq!(status.code(), Code::Aborted, "{status}");
    let again = new.deliveries().await.remove(0);
    assert_eq!((id_of(&again), again.attempt), (id_of(&first), 2));
    assert_eq!(old.ack(vec![first.token]).await, [SettleCode::Superseded]);
    assert_eq!(new.ack(vec![again.token]).await, [SettleCode::Applied]);
    gateway.stop().await;
}

#[tokio::test]
async fn p9_the_probes_of_a_consumer_that_hangs_cost_no_update_its_life() {
    let (telegram, data) = (telegram().await, tempfile::tempdir().unwrap());
    let gateway = Gateway::start(&telegram, data.path(), &QUICK_FAILURES).await;
    let seen = Seen::new();
    let mut hanging = Consumer::join(gateway.grpc, small(join("orders", "hanging"), 8, 1)).await;
    Consumer::join(gateway.grpc, join("orders", "good")).await.work(&seen, |_| false);
    tokio::spawn(async move { while hanging.next().await.is_ok() {} });
    // Enough chats that some are in every shard, also in that which it is left with.
    write_in(&telegram, turns(6000, 1)).await;
    let settled = async {
        while gateway.metric("switchboard_updates_settled_total", &[]).await < 6000.0 {
            tokio::time::sleep(POLL_INTERVAL).await;
        }
    };
    tokio::time::timeout(PATIENCE, settled).await.expect("not all are settled");
    let label = ["outcome=\"dead_lettered\""];
    assert_eq!(gateway.metric("switchboard_updates_settled_total", &label).await, 0.0);
    gateway.stop().await;
}
