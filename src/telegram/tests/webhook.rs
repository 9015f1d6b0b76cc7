use serde_json::json;

use super::fake_api::{FakeApi, Reply, webhook_info};
use super::{Running, TOKEN, WEBHOOK, settings};
use crate::intake::now;
use crate::telegram::{ActiveMode, Settings};

fn with_url(api: &FakeApi) -> Settings {
    Settings { webhook_url: Some(WEBHOOK.into()), ..settings(api) }
}

#[tokio::test]
async fn a_public_url_means_a_webhook_with_a_derived_secret_that_is_remembered() {
    let api = FakeApi::start().await;
    let mut settings = with_url(&api);
    settings.drop_pending_updates = true;
    let mut running = Running::start(settings);
    let status = running.status(|status| status.connected_since.is_some()).await;
    assert_eq!(status.mode, Some(ActiveMode::Webhook));
    let set = api.called("setWebhook", 1).await;
    // printf 'switchboard webhook secret' | openssl dgst -sha256 -hmac '42:AAE-very_secret'
    assert_eq!(
        set,
        [json!({
            "url": WEBHOOK,
            "secret_token": "4c6d36c9472f6a01951953104fb6920c288eb9255ce5094679128078d6b4354a",
            "max_connections": 100,
            "allowed_updates": [],
            "drop_pending_updates": true,
        })]
    );
    api.called("getWebhookInfo", 3).await;
    assert_eq!(running.driver.own_webhook.borrow().as_deref(), Some(WEBHOOK));
    assert_eq!((api.calls("setWebhook").len(), api.calls("getUpdates").len()), (1, 0));
    running.stop().await;
    assert_eq!(api.calls("deleteWebhook").len(), 0, "it stays registered, so that Telegram keeps what comes");
}

#[tokio::test]
async fn our_webhook_is_repaired_once_an_hour_and_its_loss_is_said_at_once() {
    let api = FakeApi::start().await;
    let mut running = Running::start(with_url(&api));
    running.status(|status| status.connected_since.is_some()).await;
    // A repair that fails is tried again at once: the hour counts from one that worked.
    api.script(
        "setWebhook",
        [Reply::Error(500, "Internal Server Error: restart"), Reply::Error(400, "Bad Request: x")],
    );
    api.set_webhook_info(webhook_info(""));
    api.called("setWebhook", 4).await;
    running.status(|status| status.connected_since.is_some()).await;
    api.set_webhook_info(webhook_info(""));
    let status = running
        .status(|status| status.last_error.as_deref().is_some_and(|text| text.contains("waiting")))
        .await;
    assert!(status.connected_since.is_none());
    let looks = api.calls("getWebhookInfo").len();
    api.called("getWebhookInfo", looks + 2).await;
    assert_eq!(api.calls("setWebhook").len(), 4);
    running.stop().await;
}

#[tokio::test]
async fn a_strangers_webhook_is_not_overwritten_unless_taken_over() {
    let api = FakeApi::start().await;
    api.set_webhook_info(webhook_info("https://other.example.com/x"));
    let mut running = Running::start(with_url(&api));
    let status = running.status(|status| status.conflict.is_some()).await;
    assert!(status.conflict.unwrap().contains("other.example.com"));
    api.called("getWebhookInfo", 3).await;
    assert_eq!(api.calls("setWebhook").len(), 0);
    running.stop().await;

    let mut settings = with_url(&api);
    settings.takeover = true;
    let mut running = Running::start(settings);
    running.status(|status| status.connected_since.is_some() && status.conflict.is_none()).await;
    assert_eq!(api.calls("setWebhook").len(), 1);
    running.stop().await;
}

#[tokio::test]
async fn a_new_public_url_replaces_the_one_that_was_ours() {
    let api = FakeApi::start().await;
    api.set_webhook_info(webhook_info("https://old.example.com/x"));
    let mut running = Running::start_with(with_url(&api), |driver| {
        driver.own_webhook.send_replace(Some("https://old.example.com/x".into()));
    });
    running.status(|status| status.connected_since.is_some()).await;
    assert_eq!(api.calls("setWebhook")[0]["url"], WEBHOOK);
    running.stop().await;
}

#[tokio::test]
async fn what_telegram_says_about_deliveries_shows_in_the_status() {
    let api = FakeApi::start().await;
    let mut running = Running::start(with_url(&api));
    running.status(|status| status.connected_since.is_some()).await;
    let mut info = webhook_info(WEBHOOK);
    info["pending_update_count"] = json!(17);
    info["last_error_date"] = json!(now().0 / 1000);
    info["last_error_message"] = json!("Wrong response from the webhook: 502 Bad Gateway");
    api.set_webhook_info(info.clone());
    let status = running.status(|status| status.last_error.is_some()).await;
    assert_eq!(status.pending, Some(17));
    assert!(status.last_error.unwrap().contains("502 Bad Gateway"));
    assert!(status.connected_since.is_some(), "the webhook is set all the same");
    info["last_error_date"] = json!(now().0 / 1000 - 3600);
    api.set_webhook_info(info);
    running.status(|status| status.last_error.is_none()).await;
    running.stop().await;
}

#[tokio::test]
async fn an_error_from_before_the_start_is_no_news() {
    let api = FakeApi::start().await;
    let mut info = webhook_info(WEBHOOK);
    info["last_error_date"] = json!(now().0 / 1000 - 60);
    info["last_error_message"] = json!("Connection refused");
    api.set_webhook_info(info.clone());
    let mut running = Running::start(with_url(&api));
    running.status(|status| status.connected_since.is_some()).await;
    let looks = api.calls("getWebhookInfo").len();
    info["pending_update_count"] = json!(3);
    api.set_webhook_info(info);
    api.called("getWebhookInfo", looks + 2).await;
    let status = running.status(|status| status.pending == Some(3)).await;
    assert_eq!(status.last_error, None);
    running.stop().await;
}

#[tokio::test]
async fn a_name_that_is_not_known_yet_is_waited_for_and_limits_are_kept() {
    let api = FakeApi::start().await;
    api.script(
        "setWebhook",
        [Reply::Error(400, "Bad Request: bad webhook: Failed to resolve host: Name or service not known")],
    );
    let mut running = Running::start(with_url(&api));
    running.status(|status| status.connected_since.is_some()).await;
    assert_eq!(api.calls("setWebhook").len(), 2);
    let text = running.metrics.encode().unwrap();
    assert!(text.contains("switchboard_telegram_connected{bot=\"default\"} 1"), "{text}");
    assert!(!text.contains(TOKEN));
    running.stop().await;
}
