//! Two gateways with one token: only Telegram's 409 stands between them (P7).

use std::sync::Arc;

use serde_json::Value;
use switchboard::simulator::{Source, Traffic};
use tokio::sync::watch;

use crate::checker::Group;
use crate::consumer::{Consumer, Memory};
use crate::gateway::{Gateway, Mode, Setup, telegram};
use crate::{BOT, PATIENCE, POLL_INTERVAL};

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
    let bot = until(&second, |bot| bot["conflict"].is_string()).await;
    assert!(bot["conflict"].as_str().unwrap().contains("another process polls"), "{bot}");

    first.stop().await;
    second.says("nobody else holds the bot any more").await;
    let bot = until(&second, |bot| bot["conflict"].is_null()).await;
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

/// What `/readyz` says of the bot, as soon as it is such.
async fn until(gateway: &Gateway, is: impl Fn(&Value) -> bool) -> Value {
    let look = async {
        loop {
            let bot = gateway.bot().await;
            if is(&bot) {
                return bot;
            }
            tokio::time::sleep(POLL_INTERVAL).await;
        }
    };
    tokio::time::timeout(PATIENCE, look).await.unwrap_or_else(|_| panic!("/readyz: {:#?}", gateway.log()))
}
