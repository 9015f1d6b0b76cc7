//! Two gateways with one token: only Telegram's 409 stands between them (P7).

use std::sync::Arc;

use serde_json::Value;
use switchboard::simulator::{Source, Traffic};
use tokio::sync::watch;

use crate::checker::Group;
use crate::consumer::{Consumer, Memory};
use crate::gateway::{Mode, Setup, telegram};
use crate::steps::{Hands, call, texts, write};
use crate::{BOT, PATIENCE};

#[tokio::test]
async fn p7_a_second_gateway_says_who_is_in_its_way_and_takes_over_when_that_one_has_stopped() {
    let telegram = telegram().await;
    let data = [(); 2].map(|()| tempfile::tempdir().unwrap());
    let [first, second] = data.each_ref().map(|data| {
        Setup::new(data.path(), &telegram, Mode::Polling).with("SWITCHBOARD_POLLING_TIMEOUT", "1s")
    });

    let first = first.start().await;
    first.says("connected to Telegram").await;
    let second = second.start().await;
    let said = second.says("another process polls with the same token (409)").await;
    assert_eq!(said["level"], "WARN", "{said}");
    let message = said.to_string();
    assert!(message.contains("stop the other process, or give it a bot of its own"), "{message}");
    assert!(message.contains("takes over when the other has stopped"), "{message}");
    let bot = second.until(|bot| bot["conflict"].is_string()).await;
    assert!(bot["conflict"].as_str().unwrap().contains("another process polls"), "{bot}");

    first.stop().await;
    second.says("nobody else holds the bot any more").await;
    let bot = second.until(|bot| bot["conflict"].is_null()).await;
    assert_eq!((&bot["connected"], &bot["mode"]), (&Value::Bool(true), &Value::from("polling")), "{bot}");

    let group = Arc::new(Group::new("orders", Mode::Polling));
    let (_boots, boot) = watch::channel(1);
    let _consumer = Consumer::start(&group, "one", second.grpc, Memory::Forgets, 1, boot);
    telegram.feed(BOT, Source::Generated(Traffic { rate: 0.0, total: Some(50), ..Traffic::default() }));
    group.settles(50).await;
    tokio::time::timeout(PATIENCE, telegram.settled(BOT)).await.unwrap();
    assert_eq!(telegram.counts(BOT).confirmed, 50);
    group.verify(&telegram.confirmed_ids(BOT));
    second.stop().await;
}

#[tokio::test]
async fn p7_a_strangers_webhook_is_left_alone_until_takeover_is_asked_for() {
    let telegram = telegram().await;
    let data = tempfile::tempdir().unwrap();
    call(&telegram, "setWebhook?url=http://127.0.0.1:9/their-hook").await;
    let setup = Setup::new(data.path(), &telegram, Mode::Polling);
    let gateway = setup.start().await;
    let bot = gateway.until(|bot| bot["conflict"].is_string()).await;
    let conflict = bot["conflict"].as_str().unwrap();
    assert!(conflict.contains("127.0.0.1") && conflict.contains("takeover"), "{bot}");
    assert!(!conflict.contains("their-hook"), "the path may be a secret: {bot}");
    assert_eq!(bot["connected"], false);
    gateway.stop().await;
    let info = call(&telegram, "getWebhookInfo").await;
    assert_eq!(info["url"], "http://127.0.0.1:9/their-hook", "the start has touched it");

    let gateway = setup.with("SWITCHBOARD_TAKEOVER", "true").start().await;
    gateway.until(|bot| bot["connected"] == true).await;
    assert_eq!(call(&telegram, "getWebhookInfo").await["url"], "");
    let mut hands = Hands::join(gateway.grpc, "orders").await;
    write(&telegram, 1, &["hello"]).await;
    assert_eq!(texts(&hands.deliveries(1).await), ["hello"]);
    drop(hands);
    gateway.stop().await;
}
