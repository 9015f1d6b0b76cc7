//! Pause, seek and replay against the promises: with SIGKILL, and consumers that die.

use std::sync::Arc;

use switchboard::grpc::proto::client::SettleCode;
use switchboard::grpc::proto::client::subscribe_response::Event;
use switchboard::simulator::{Source, Traffic};
use tokio::sync::watch;

use crate::checker::Group;
use crate::console::done;
use crate::consumer::{Consumer, Memory};
use crate::gateway::{Mode, Setup, telegram};
use crate::steps::{Hands, texts, write};
use crate::taker::{delivered, deliveries, take};
use crate::{BOT, PATIENCE};

#[tokio::test]
async fn p2_p4_settled_updates_come_again_only_by_replay_or_seek_and_those_survive_sigkill() {
    let telegram = telegram().await;
    let data = tempfile::tempdir().unwrap();
    let setup = Setup::new(data.path(), &telegram, Mode::Polling);
    let gateway = setup.start().await;
    let mut hands = Hands::join(gateway.grpc, "orders").await;
    for chat in 1..=4 {
        write(&telegram, chat, &["a", "b", "c", "d", "e"]).await;
    }
    let all = take(&mut hands, 20).await;
    gateway.kill().await;

    // Settled stays settled: only what is new comes.
    let gateway = setup.start().await;
    let mut hands = Hands::join(gateway.grpc, "orders").await;
    write(&telegram, 1, &["new"]).await;
    assert_eq!(texts(&deliveries(&mut hands, 1).await), ["new"]);

    // A replay, at whose first update the gateway dies, and the handler with it.
    let replayed = done(&gateway, "replay orders --chat 2").await;
    assert!(replayed.contains("Replayed 5 updates"), "{replayed}");
    let first = hands.deliveries(1).await;
    assert!(first[0].replayed && texts(&first) == ["a"], "{first:?}");
    drop(hands);
    gateway.kill().await;
    let gateway = setup.start().await;
    let mut hands = Hands::join(gateway.grpc, "orders").await;
    let again = deliveries(&mut hands, 5).await;
    let ids: Vec<_> = again.iter().map(|delivery| delivery.update.as_ref().unwrap().update_id).collect();
    assert_eq!(ids, all["chat:2"]);
    assert!(again.iter().all(|delivery| delivery.replayed), "{again:?}");
    gateway.kill().await;

    // Replayed once is not replayed for ever.
    let gateway = setup.start().await;
    let mut hands = Hands::join(gateway.grpc, "orders").await;
    write(&telegram, 2, &["newer"]).await;
    assert_eq!(texts(&deliveries(&mut hands, 1).await), ["newer"]);
    assert_eq!(delivered(&gateway, "orders").await, 1.0);

    // A seek, after which the gateway dies before anybody has anything.
    drop(hands);
    let sought = done(&gateway, "seek orders --to earliest --yes").await;
    assert!(sought.contains("brings 22 updates (22 of them again)"), "{sought}");
    gateway.kill().await;
    let gateway = setup.start().await;
    let mut hands = Hands::join(gateway.grpc, "orders").await;
    let sought = take(&mut hands, 22).await;
    for (key, ids) in &all {
        assert_eq!(sought[key][..5], ids[..], "{key}: all of it, in order");
    }
    write(&telegram, 3, &["newest"]).await;
    assert_eq!(texts(&deliveries(&mut hands, 1).await), ["newest"]);
    drop(hands);
    gateway.stop().await;
}

#[tokio::test]
async fn p5_a_delivery_of_before_a_seek_settles_nothing_and_a_replay_leaves_what_is_out_alone() {
    let telegram = telegram().await;
    let data = tempfile::tempdir().unwrap();
    let gateway = Setup::new(data.path(), &telegram, Mode::Polling).start().await;
    let mut hands = Hands::join(gateway.grpc, "orders").await;
    write(&telegram, 1, &["one", "two"]).await;
    let before = hands.deliveries(1).await;
    let replayed = done(&gateway, "replay orders --chat 1").await;
    assert!(replayed.contains("Replayed 0 updates"), "{replayed}");

    done(&gateway, "seek orders --to earliest --yes").await;
    let lost = loop {
        match hands.next().await.unwrap() {
            Event::LeaseLost(lost) => break lost.tokens,
            Event::Deliveries(early) => panic!("the old delivery was not taken back before {early:?}"),
            _ => {}
        }
    };
    assert_eq!(lost, [before[0].token.clone()]);
    let after = hands.deliveries(1).await;
    assert_eq!(texts(&after), ["one"]);
    assert_ne!(after[0].token, before[0].token);
    assert_eq!(hands.ack(&before).await, [SettleCode::Superseded]);
    let timeline = done(&gateway, "timeline --chat 1").await;
    assert!(timeline.contains("… outstanding") && timeline.contains("… blocked"), "{timeline}");
    assert_eq!(hands.ack(&after).await, [SettleCode::Applied]);
    assert_eq!(texts(&hands.deliveries(1).await), ["two"]);
    assert_ne!(hands.ack(&before).await, [SettleCode::Applied]);
    drop(hands);
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn p2_p3_p4_pauses_over_sigkill_and_consumers_that_die_lose_and_repeat_nothing() {
    // So many that there is something left at every pause, however long it takes.
    const UPDATES: u64 = 5_000;
    let telegram = telegram().await;
    let data = tempfile::tempdir().unwrap();
    let setup =
        Setup::new(data.path(), &telegram, Mode::Polling).with("SWITCHBOARD_GROUP_MEMBER_GRACE", "50ms");
    let mut gateway = setup.start().await;
    let orders = Arc::new(Group::new("orders", Mode::Polling));
    let (boots, boot) = watch::channel(1);
    let grpc = gateway.grpc;
    let start = |id: &str, memory| Consumer::start(&orders, id, grpc, memory, 10, boot.clone());
    let consumers = [start("keeper", Memory::Holds), start("forgetful", Memory::Forgets)];
    let traffic = Traffic { rate: 0.0, chats: 60, total: Some(UPDATES), ..Traffic::default() };
    telegram.feed(BOT, Source::Generated(traffic));
    for round in 1..=3 {
        orders.settles(round * 250).await;
        done(&gateway, "groups pause orders").await;
        gateway.kill().await;
        boots.send_modify(|boots| *boots += 1);
        gateway = setup.start().await;
        let mut dying = Hands::join(gateway.grpc, "orders").await;
        assert_eq!(delivered(&gateway, "orders").await, 0.0, "paused is paused");
        done(&gateway, "groups resume orders").await;
        // It dies with all that it has got.
        while !matches!(dying.next().await.unwrap(), Event::Deliveries(_)) {}
    }
    orders.settles(UPDATES as usize).await;
    tokio::time::timeout(PATIENCE, telegram.settled(BOT)).await.unwrap();
    let confirmed = telegram.confirmed_ids(BOT);
    assert_eq!(confirmed.len(), UPDATES as usize);
    orders.verify(&confirmed);
    drop(consumers);
    gateway.stop().await;
}
