//! The gateway stopped in order: what is out is settled, Telegram keeps what comes meanwhile, nothing comes twice.

use std::sync::Arc;

use serde_json::Value;
use switchboard::grpc::proto::client::subscribe_response::Event;
use switchboard::grpc::proto::client::{DrainReason, NackOutcome, SettleCode};
use switchboard::simulator::{Source, Traffic};
use tokio::sync::watch;
use tonic::Code;

use crate::checker::Group;
use crate::consumer::{Consumer, Memory};
use crate::gateway::{Mode, Setup, telegram};
use crate::steps::{Hands, call, texts, write};
use crate::{BOT, PATIENCE};

#[tokio::test]
async fn a_stop_drains_streams_takes_settlements_and_leaves_the_webhook_in_place() {
    let telegram = telegram().await;
    let data = tempfile::tempdir().unwrap();
    let setup = Setup::new(data.path(), &telegram, Mode::Webhook);
    let gateway = setup.start().await;
    gateway.until(|bot| bot["connected"] == true).await;
    let url = format!("http://{}/telegram/webhook/default", setup.public);
    assert_eq!(call(&telegram, "getWebhookInfo").await["url"], url);

    let mut hands = Hands::join(gateway.grpc, "orders").await;
    write(&telegram, 1, &["first", "second"]).await;
    write(&telegram, 2, &["other"]).await;
    let got = hands.deliveries(2).await;
    let (first, other): (Vec<_>, Vec<_>) =
        got.into_iter().partition(|delivery| delivery.ordering_key == "chat:1");
    gateway.terminate();
    let draining = loop {
        if let Event::Draining(draining) = hands.next().await.unwrap() {
            break draining;
        }
    };
    assert_eq!(draining.reason(), DrainReason::Shutdown);
    assert!(draining.deadline.is_some());
    write(&telegram, 3, &["meanwhile"]).await;
    assert_eq!(hands.ack(&first).await, [SettleCode::Applied]);
    assert_eq!(hands.nack(&other[0], NackOutcome::Released).await, SettleCode::Applied);
    // Nothing is out any more: the stream ends and says why, and so does the gateway, long before its grace of 20 s.
    let ended = loop {
        match hands.next().await {
            Ok(event) => assert!(!matches!(event, Event::Deliveries(_)), "{event:?}"),
            Err(status) => break status,
        }
    };
    assert_eq!(ended.code(), Code::Unavailable, "{ended}");
    let (code, log) = gateway.ended().await;
    assert_eq!(code, Some(0), "{log:#?}");
    assert_eq!(call(&telegram, "getWebhookInfo").await["url"], url);

    let gateway = setup.start().await;
    let mut hands = Hands::join(gateway.grpc, "orders").await;
    let got = hands.deliveries(3).await;
    assert_eq!(texts(&got), ["meanwhile", "other", "second"]);
    assert!(got.iter().all(|delivery| delivery.failures == 0), "a deploy is nobody's failure");
    assert_eq!(hands.ack(&got).await, [SettleCode::Applied; 3]);
    tokio::time::timeout(PATIENCE, telegram.settled(BOT)).await.unwrap();
    drop(hands);
    gateway.stop().await;
}

#[tokio::test]
async fn p2_a_stop_whose_grace_is_over_says_what_handlers_still_have_and_it_comes_again() {
    let telegram = telegram().await;
    let data = tempfile::tempdir().unwrap();
    let setup = Setup::new(data.path(), &telegram, Mode::Polling).with("SWITCHBOARD_SHUTDOWN_GRACE", "1s");
    let gateway = setup.start().await;
    let mut hands = Hands::join(gateway.grpc, "orders").await;
    write(&telegram, 1, &["held", "behind it"]).await;
    write(&telegram, 2, &["done"]).await;
    let got = hands.deliveries(2).await;
    let (held, done): (Vec<_>, Vec<_>) =
        got.into_iter().partition(|delivery| delivery.ordering_key == "chat:1");
    assert_eq!(hands.ack(&done).await, [SettleCode::Applied]);
    gateway.terminate();
    let (code, log) = gateway.ended().await;
    assert_eq!(code, Some(0), "{log:#?}");
    let report =
        log.iter().find(|line| line.contains("stopped while handlers have updates")).expect("a report");
    let report: Value = serde_json::from_str(report).unwrap();
    assert_eq!((&report["group"], &report["outstanding"]), (&"orders".into(), &1.into()), "{report}");
    assert_eq!(report["sequences"], held[0].sequence.to_string(), "{report}");
    assert_eq!(report["unsettled"], 2, "{report}");

    let gateway = setup.start().await;
    let mut hands = Hands::join(gateway.grpc, "orders").await;
    let again = hands.deliveries(1).await;
    assert_eq!((texts(&again), again[0].failures), (vec!["held".to_owned()], 0));
    assert_eq!(hands.ack(&again).await, [SettleCode::Applied]);
    assert_eq!(texts(&hands.deliveries(1).await), ["behind it"]);
    gateway.kill().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn p2_p4_restarts_in_order_lose_nothing_and_repeat_nothing_while_polling() {
    restart(Mode::Polling).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn p2_p4_restarts_in_order_lose_nothing_and_repeat_nothing_behind_a_webhook() {
    restart(Mode::Webhook).await;
}

async fn restart(mode: Mode) {
    const UPDATES: usize = 3_000;
    let telegram = telegram().await;
    let data = tempfile::tempdir().unwrap();
    let setup = Setup::new(data.path(), &telegram, mode);
    let (boots, boot) = watch::channel(1);
    let mut gateway = setup.start().await;
    let group = Arc::new(Group::new("orders", mode));
    let _consumers = ["one", "two", "three"]
        .map(|id| Consumer::start(&group, id, gateway.grpc, Memory::Holds, 20, boot.clone()));
    let total = Some(UPDATES as u64);
    telegram.feed(BOT, Source::Generated(Traffic { rate: 0.0, chats: 100, total, ..Traffic::default() }));
    for deploy in 1..=3 {
        group.settles(deploy * UPDATES / 5).await;
        gateway.stop().await;
        boots.send_modify(|boots| *boots += 1);
        gateway = setup.start().await;
    }
    group.settles(UPDATES).await;
    tokio::time::timeout(PATIENCE, telegram.settled(BOT)).await.unwrap();
    let counts = group.verify(&telegram.confirmed_ids(BOT));
    assert_eq!((counts.redeliveries, counts.stale), (0, 0), "{}", group.report());
    gateway.stop().await;
}
