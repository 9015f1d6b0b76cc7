use std::time::Duration;

use bytes::Bytes;
use serde_json::{Value, json};

use super::fake_api::{FakeApi, Reply, webhook_info};
use super::{FAST, Pace, Running, TOKEN, WEBHOOK, settings, update};
use crate::intake::PauseReason;
use crate::observe::metrics::{CallLabels, IntakeLabels};
use crate::telegram::{ActiveMode, Mode};

#[tokio::test]
async fn p1_a_page_is_confirmed_only_after_it_is_durable_and_the_first_poll_has_no_offset() {
    let api = FakeApi::start().await;
    api.script(
        "getUpdates",
        [Reply::Result(json!([update(10), update(12)])), Reply::Result(json!([update(13)]))],
    );
    let mut running = Running::start(settings(&api));
    let calls = api.called("getUpdates", 3).await;
    assert_eq!(calls[0], json!({"limit": 100, "timeout": 0, "allowed_updates": []}));
    assert_eq!(calls[1], json!({"limit": 100, "timeout": 50, "offset": 13, "allowed_updates": []}));
    assert_eq!(calls[2], json!({"limit": 100, "timeout": 50, "offset": 14, "allowed_updates": []}));
    assert_eq!(running.driver.ids(), [10, 12, 13]);
    let status = running.status(|status| status.connected_since.is_some()).await;
    assert_eq!((status.mode, status.username.as_deref()), (Some(ActiveMode::Polling), Some("a_bot")));
    assert!(status.last_update.is_some());
    let received = IntakeLabels { bot: "default".into(), mode: "polling", kind: "message" };
    assert_eq!(running.metrics.received.get_or_create(&received).get(), 3);
    running.stop().await;
    assert_eq!(api.calls("getUpdates").len(), 3, "the end confirms nothing");
}

#[tokio::test]
async fn p6_while_the_journal_is_full_nothing_is_confirmed_and_polling_resumes_by_itself() {
    let api = FakeApi::start().await;
    api.script("getUpdates", [Reply::Result(json!([])), Reply::Result(json!([update(10)]))]);
    let mut running = Running::start_with(settings(&api), |driver| driver.pause(PauseReason::JournalFull));
    running.status(|status| status.paused == Some(PauseReason::JournalFull)).await;
    assert_eq!(api.calls("getUpdates").len(), 0);
    running.driver.resume();
    running.driver.wait_until(|stored| stored.updates.len() == 1).await;
    running.status(|status| status.paused.is_none()).await;
    assert_eq!(api.called("getUpdates", 3).await[2]["offset"], 11);
    running.stop().await;
}

#[tokio::test]
async fn a_page_that_the_journal_refuses_is_asked_for_again() {
    let api = FakeApi::start().await;
    let page = || Reply::Result(json!([update(11)]));
    api.script("getUpdates", [Reply::Result(json!([update(10)])), page(), page()]);
    let running = Running::start_with(settings(&api), |driver| driver.stored().refuse_after = Some(1));
    let calls = api.called("getUpdates", 4).await;
    let offsets: Vec<_> = calls.iter().map(|call| call["offset"].as_i64()).collect();
    assert_eq!(offsets, [None, Some(11), Some(11), Some(12)]);
    assert_eq!(running.driver.ids(), [10, 11]);
    running.stop().await;
}

#[tokio::test]
async fn p1_at_the_end_a_page_that_is_not_durable_yet_stays_unconfirmed() {
    let api = FakeApi::start().await;
    api.script("getUpdates", [Reply::Result(json!([update(10)]))]);
    let running = Running::start_with(settings(&api), |driver| driver.stored().stuck = true);
    running.driver.wait_until(|stored| !stored.unanswered.is_empty()).await;
    running.stop().await;
    assert_eq!(api.calls("getUpdates").len(), 1);
}

#[tokio::test]
async fn another_poller_is_said_in_plain_words_and_the_bot_is_taken_over_when_it_stops() {
    let api = FakeApi::start().await;
    let conflict = Reply::Error(
        409,
        "Conflict: terminated by other getUpdates request; make sure that only one bot instance is running",
    );
    api.script(
        "getUpdates",
        [Reply::Result(json!([])), conflict.clone(), conflict, Reply::Result(json!([update(5)]))],
    );
    let mut running = Running::start(settings(&api));
    let status = running.status(|status| status.conflict.is_some()).await;
    let text = status.conflict.unwrap();
    assert!(text.contains("another process polls with the same token"), "{text}");
    running.driver.wait_until(|stored| stored.updates.len() == 1).await;
    assert!(
        running.status.current().conflict.is_some(),
        "a page with updates does not tell that nobody else polls"
    );
    api.called("getUpdates", 5).await;
    running.stop().await;

    let api = FakeApi::start().await;
    let conflict = Reply::Error(409, "Conflict: terminated by other getUpdates request");
    api.script("getUpdates", [conflict, Reply::Result(json!([])), Reply::Result(json!([]))]);
    let pace = Pace { conflict_memory: Duration::ZERO, ..FAST };
    let mut running = Running::start_at(pace, settings(&api), |_| {});
    api.called("getUpdates", 3).await;
    let status = running.status(|status| status.connected_since.is_some() && status.conflict.is_none()).await;
    assert_eq!(status.mode, Some(ActiveMode::Polling));
    running.stop().await;
}

#[tokio::test]
async fn trouble_of_every_kind_is_waited_out() {
    let api = FakeApi::start().await;
    let html = Bytes::from_static(b"<html>502 Bad Gateway</html>");
    for reply in [
        Reply::Raw(502, html.clone()),
        Reply::Raw(200, html),
        Reply::Error(500, "Internal Server Error: restart"),
        Reply::Reset,
        Reply::Result(json!("no array")),
        Reply::Raw(302, Bytes::new()),
        Reply::Error(400, "Bad Request: odd"),
    ] {
        api.script("getMe", [reply.clone()]);
        api.script("getWebhookInfo", [reply.clone()]);
        api.script("getUpdates", [reply]);
    }
    api.script("getUpdates", [Reply::Result(json!([update(3)]))]);
    let mut running = Running::start(settings(&api));
    running.status(|status| status.last_error.is_some()).await;
    running.driver.wait_until(|stored| stored.updates.len() == 1).await;
    running.status(|status| status.connected_since.is_some() && status.last_error.is_none()).await;
    let outcome = |outcome| CallLabels { bot: "default".into(), method: "getUpdates", outcome };
    for (label, times) in [("server_error", 2), ("unreadable", 3), ("unreachable", 1), ("refused", 1)] {
        assert_eq!(running.metrics.telegram_calls.get_or_create(&outcome(label)).get(), times, "{label}");
    }
    running.stop().await;
}

#[tokio::test]
async fn a_429_is_waited_out_as_long_as_telegram_says() {
    let api = FakeApi::start().await;
    api.script("getUpdates", [Reply::Error(429, "Too Many Requests: retry after 1")]);
    let began = tokio::time::Instant::now();
    let mut running = Running::start(settings(&api));
    running.status(|status| status.connected_since.is_some()).await;
    assert!(began.elapsed() >= Duration::from_secs(1));
    running.stop().await;
}

#[tokio::test]
async fn p7_a_strangers_webhook_is_left_alone_and_both_ways_out_are_said() {
    let api = FakeApi::start().await;
    api.set_webhook_info(webhook_info("https://prod.example.com/secret-path"));
    let mut settings = settings(&api);
    settings.mode = Mode::Polling;
    // That it is the configured URL does not make it ours while polling: the laptop may have production's file.
    settings.webhook_url = Some(WEBHOOK.into());
    let mut running = Running::start(settings);
    let status = running.status(|status| status.conflict.is_some()).await;
    let text = status.conflict.unwrap();
    assert!(text.contains("prod.example.com") && !text.contains("secret-path"), "{text}");
    assert!(text.contains("a bot of your own") && text.contains("--takeover"), "{text}");
    api.called("getWebhookInfo", 3).await;
    assert_eq!((api.calls("deleteWebhook").len(), api.calls("getUpdates").len()), (0, 0));
    api.set_webhook_info(webhook_info(""));
    running.status(|status| status.connected_since.is_some() && status.conflict.is_none()).await;
    assert_eq!(api.calls("deleteWebhook").len(), 0);
    running.stop().await;
}

#[tokio::test]
async fn with_takeover_or_when_it_is_ours_the_webhook_goes_and_nothing_pending_with_it() {
    for takeover in [true, false] {
        let api = FakeApi::start().await;
        api.set_webhook_info(webhook_info(WEBHOOK));
        let mut settings = settings(&api);
        settings.takeover = takeover;
        let mut running = Running::start_with(settings, |driver| {
            if !takeover {
                driver.own_webhook.send_replace(Some(WEBHOOK.into()));
            }
        });
        running.status(|status| status.connected_since.is_some()).await;
        assert_eq!(api.calls("deleteWebhook"), [json!({"drop_pending_updates": false})]);
        assert!(running.driver.own_webhook.borrow().as_deref().unwrap_or_default().is_empty());
        running.stop().await;
    }
}

#[tokio::test]
async fn pending_updates_are_dropped_once_and_only_when_asked_for() {
    let api = FakeApi::start().await;
    let mut settings = settings(&api);
    settings.drop_pending_updates = true;
    let conflict = Reply::Error(409, "Conflict: terminated by setWebhook request");
    api.script("getUpdates", [conflict]);
    let mut running = Running::start(settings);
    running.status(|status| status.connected_since.is_some()).await;
    assert_eq!(api.calls("deleteWebhook"), [json!({"drop_pending_updates": true})]);
    assert_eq!(api.calls("getWebhookInfo").len(), 2, "a webhook that somebody sets makes it look again");
    running.stop().await;
}

#[tokio::test]
async fn a_proxy_carries_the_calls_unless_the_host_is_excepted() {
    let api = FakeApi::start().await;
    let mut through = settings(&api);
    through.proxy = Some(std::mem::replace(&mut through.api_url, "http://telegram.invalid".into()));
    let mut running = Running::start(through.clone());
    running.status(|status| status.connected_since.is_some()).await;
    running.stop().await;

    through.no_proxy = Some("telegram.invalid".into());
    let mut running = Running::start(through);
    let status = running.status(|status| status.last_error.is_some()).await;
    let text = status.last_error.unwrap();
    assert!(text.contains("telegram.invalid") && !text.contains(TOKEN), "{text}");
    running.stop().await;
}

#[tokio::test]
async fn allowed_updates_are_asked_for_with_every_poll() {
    let api = FakeApi::start().await;
    let mut settings = settings(&api);
    settings.allowed_updates = Some(vec!["message".into(), "poll".into()]);
    let running = Running::start(settings);
    let calls: Vec<Value> = api.called("getUpdates", 2).await;
    assert!(calls.iter().all(|call| call["allowed_updates"] == json!(["message", "poll"])));
    running.stop().await;
}
