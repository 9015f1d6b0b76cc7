//! What is asked for follows what the groups want.

use serde_json::{Value, json};

use super::fake_api::{FakeApi, Reply, webhook_info};
use super::{Running, WEBHOOK, settings};
use crate::intake::{WantedKinds, now};
use crate::telegram::Settings;
use crate::update::KindCode;

fn members(default_kinds: bool) -> WantedKinds {
    WantedKinds { default_kinds, named: vec![KindCode::CHAT_MEMBER] }
}

/// The kinds that were asked for, call by call.
fn asked(calls: &[Value]) -> Vec<&Value> {
    calls.iter().map(|call| &call["allowed_updates"]).collect()
}

fn with_url(api: &FakeApi) -> Settings {
    Settings { webhook_url: Some(WEBHOOK.into()), ..settings(api) }
}

#[tokio::test]
async fn a_waiting_poll_is_given_up_when_groups_want_other_kinds() {
    let api = FakeApi::start().await;
    let mut running = Running::start(settings(&api));
    // The first one returns at once, the second one waits for ever.
    let calls = api.called("getUpdates", 2).await;
    assert_eq!(asked(&calls), [&json!([]), &json!([])]);
    assert_eq!(running.status.current().allowed_updates, []);

    running.driver.wanted.send_replace(members(false));
    let calls = api.called("getUpdates", 3).await;
    assert_eq!(calls[2]["allowed_updates"], json!(["chat_member"]));

    api.script("getUpdates", [Reply::Result(json!([]))]);
    running.driver.wanted.send_replace(members(true));
    let calls = api.called("getUpdates", 5).await;
    let kinds = calls[3]["allowed_updates"].as_array().unwrap();
    assert!(kinds.contains(&json!("message")) && kinds.contains(&json!("chat_member")), "{kinds:?}");
    assert!(!kinds.contains(&json!("message_reaction")), "{kinds:?}");
    assert_eq!(calls[4]["allowed_updates"], calls[3]["allowed_updates"], "it goes on with it");
    let status = running.status(|status| status.allowed_updates.len() == kinds.len()).await;
    assert_eq!(json!(status.allowed_updates), calls[4]["allowed_updates"]);

    // Another way to want the same changes nothing.
    running
        .driver
        .wanted
        .send_replace(WantedKinds { named: vec![KindCode::POLL, KindCode::CHAT_MEMBER], ..members(true) });
    running.driver.wanted.send_replace(WantedKinds::default());
    let calls = api.called("getUpdates", 6).await;
    assert_eq!(
        (calls.len(), &calls[5]["allowed_updates"]),
        (6, &json!([])),
        "the default is asked for by name"
    );
    running.stop().await;
}

#[tokio::test]
async fn what_is_configured_holds_whatever_groups_want() {
    let api = FakeApi::start().await;
    let configured = Settings { allowed_updates: Some(vec!["poll".into()]), ..settings(&api) };
    let mut running = Running::start_with(configured, |driver| {
        driver.wanted.send_replace(members(false));
    });
    api.called("getUpdates", 2).await;
    running.driver.wanted.send_replace(members(true));
    running.status(|status| status.allowed_updates == ["poll".into()]).await;
    running.stop().await;
    assert!(asked(&api.calls("getUpdates")).iter().all(|kinds| **kinds == json!(["poll"])));
}

#[tokio::test]
async fn the_webhook_is_set_again_when_groups_want_other_kinds_and_only_then() {
    let api = FakeApi::start().await;
    let mut running = Running::start_with(with_url(&api), |driver| {
        driver.wanted.send_replace(members(false));
    });
    running.status(|status| status.connected_since.is_some()).await;
    let set = api.called("setWebhook", 1).await;
    assert_eq!(asked(&set), [&json!(["chat_member"])]);

    // Telegram refuses the first attempt; meanwhile the webhook works as before.
    api.script("setWebhook", [Reply::Error(500, "Internal Server Error: restart")]);
    running.driver.wanted.send_replace(WantedKinds::default());
    let set = api.called("setWebhook", 3).await;
    assert_eq!(asked(&set)[1..], [&json!([]), &json!([])]);
    assert_eq!((&set[2]["url"], &set[2]["drop_pending_updates"]), (&json!(WEBHOOK), &json!(false)));
    let status =
        running.status(|status| status.allowed_updates.is_empty() && status.last_error.is_none()).await;
    assert!(status.connected_since.is_some());

    let looks = api.calls("getWebhookInfo").len();
    api.called("getWebhookInfo", looks + 3).await;
    assert_eq!(api.calls("setWebhook").len(), 3);

    // It was no repair: one that is lost now is repaired at once, with the newest list.
    running.driver.wanted.send_replace(members(false));
    api.called("setWebhook", 4).await;
    api.set_webhook_info(webhook_info(""));
    let set = api.called("setWebhook", 5).await;
    assert_eq!(set[4]["allowed_updates"], json!(["chat_member"]));
    running.stop().await;
}

#[tokio::test]
async fn the_status_shows_the_webhook_without_secrets() {
    let api = FakeApi::start().await;
    let url = "https://user:secret@bot.example.com/telegram/webhook/default?key=secret";
    let mut running = Running::start(Settings { webhook_url: Some(url.into()), ..settings(&api) });
    running.status(|status| status.connected_since.is_some()).await;
    let mut info = webhook_info(url);
    let failed = now().0 / 1000 - 3600;
    info["last_error_date"] = json!(failed);
    info["last_error_message"] = json!("Connection refused");
    info["max_connections"] = json!(40);
    api.set_webhook_info(info);
    let is = |max| {
        move |status: &crate::telegram::Status| {
            status.webhook.as_ref().is_some_and(|webhook| webhook.max_connections == max)
        }
    };
    let webhook = running.status(is(40)).await.webhook.unwrap();
    assert_eq!(&*webhook.url, "https://bot.example.com/telegram/webhook/default");
    assert_eq!(webhook.last_error_time.map(|time| time.0), Some(failed * 1000));
    assert_eq!(&*webhook.last_error_message, "Connection refused");
    assert!(now().since(webhook.checked) < 60_000);

    let mut info = webhook_info("https://other.example.com/their-secret");
    info["max_connections"] = json!(7);
    api.set_webhook_info(info);
    let webhook = running.status(is(7)).await.webhook.unwrap();
    assert_eq!(&*webhook.url, "https://other.example.com/");
    running.stop().await;
}
