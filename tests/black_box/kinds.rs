//! Telegram is asked for the kinds that the groups want.

use serde_json::{Value, json};
use switchboard::grpc::proto::client::{Filter, SubscribeRequest};
use switchboard::simulator::Running;

use crate::gateway::{Gateway, Mode, Setup, telegram};
use crate::steps::{Hands, call, control};
use crate::{PATIENCE, POLL_INTERVAL};

/// Waits until Telegram was asked for these kinds; `Null` for its default.
async fn asked_for(telegram: &Running, is: impl Fn(&Value) -> bool) -> Value {
    let look = async {
        loop {
            let info = call(telegram, "getWebhookInfo").await;
            if is(&info["allowed_updates"]) {
                return info["allowed_updates"].clone();
            }
            tokio::time::sleep(POLL_INTERVAL).await;
        }
    };
    tokio::time::timeout(PATIENCE, look).await.expect("Telegram is asked for the kinds in time")
}

async fn join(gateway: &Gateway, group: &str, kinds: &[&str]) -> Hands {
    let kinds = kinds.iter().map(ToString::to_string).collect();
    let filter = Some(Filter { kinds, ..Filter::default() });
    let request = SubscribeRequest { group: group.to_owned(), filter, ..SubscribeRequest::default() };
    Hands::subscribe(gateway.grpc, request).await
}

/// It comes to the bot only if Telegram was asked for its kind.
async fn happens(telegram: &Running, update: &Value) -> Value {
    control(telegram, "updates?filter=true", update.to_string()).await
}

fn written() -> Value {
    json!({"message": {"message_id": 1, "date": 1, "chat": {"id": 1, "type": "private"}, "text": "hello"}})
}

fn somebody_joined() -> Value {
    let member = |status| json!({"status": status, "user": {"id": 7, "is_bot": false, "first_name": "A"}});
    json!({"chat_member": {
        "chat": {"id": -5, "type": "supergroup"},
        "from": {"id": 7, "is_bot": false, "first_name": "A"},
        "date": 1,
        "old_chat_member": member("left"),
        "new_chat_member": member("member"),
    }})
}

async fn kinds_follow_the_groups(mode: Mode) {
    let telegram = telegram().await;
    let data = tempfile::tempdir().unwrap();
    let gateway = Setup::new(data.path(), &telegram, mode).start().await;
    gateway.until(|bot| bot["connected"] == true).await;

    let mut members = join(&gateway, "members", &["chat_member"]).await;
    assert_eq!(asked_for(&telegram, |kinds| !kinds.is_null()).await, json!(["chat_member"]));
    assert_eq!(happens(&telegram, &written()).await["filtered"], 1, "Telegram leaves messages out");
    assert_eq!(happens(&telegram, &somebody_joined()).await["filtered"], 0);
    let delivery = members.deliveries(1).await.remove(0);
    assert_eq!(delivery.update.as_ref().unwrap().kind, "chat_member");
    members.ack(&[delivery]).await;

    let mut all = Hands::join(gateway.grpc, "all").await;
    let has = |kinds: &Value, name: &str| kinds.as_array().is_some_and(|kinds| kinds.contains(&json!(name)));
    let kinds = asked_for(&telegram, |kinds| has(kinds, "message")).await;
    assert!(has(&kinds, "chat_member") && !has(&kinds, "message_reaction"), "{kinds}");
    assert_eq!(happens(&telegram, &written()).await["filtered"], 0);
    let delivery = all.deliveries(1).await.remove(0);
    assert_eq!(delivery.update.as_ref().unwrap().kind, "message");
    all.ack(&[delivery]).await;
    drop((members, all));
    gateway.stop().await;
}

#[tokio::test]
async fn kinds_that_come_only_if_asked_for_come_by_polling_as_soon_as_a_group_names_them() {
    kinds_follow_the_groups(Mode::Polling).await;
}

#[tokio::test]
async fn kinds_that_come_only_if_asked_for_come_by_webhook_as_soon_as_a_group_names_them() {
    kinds_follow_the_groups(Mode::Webhook).await;
}
