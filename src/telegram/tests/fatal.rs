use bytes::Bytes;
use serde_json::json;

use super::fake_api::{FakeApi, Reply, webhook_info};
use super::{Running, TOKEN, WEBHOOK, settings, update};
use crate::intake::fake_driver::FakeDriver;
use crate::observe::metrics::{BotLabels, Metrics};
use crate::telegram::{
    Fatal, Finding, InvalidSecret, InvalidWebhookUrl, Mode, Settings, Status, Telegram, check_webhook_url,
    probe, webhook_secret,
};

#[tokio::test]
async fn a_wrong_token_ends_it_with_a_message_that_does_not_hold_the_token() {
    for (code, text) in [(401, "Unauthorized"), (404, "Not Found")] {
        let api = FakeApi::start().await;
        api.script("getMe", [Reply::Error(code, text)]);
        let running = Running::start(settings(&api));
        let status = running.status.clone();
        let fatal = running.fatal().await;
        assert_eq!(fatal, Fatal::WrongToken { bot: "default".into(), code });
        assert!(!fatal.to_string().contains(TOKEN) && fatal.to_string().contains("@BotFather"), "{fatal}");
        let left = status.current();
        assert_eq!(
            left.last_error.as_deref(),
            Some(&*fatal.to_string()),
            "the status outlives the connection"
        );
    }
}

#[tokio::test]
async fn a_token_that_is_revoked_later_is_said_and_asked_about_until_it_is_accepted_again() {
    let api = FakeApi::start().await;
    let refusals = std::iter::repeat_n(Reply::Error(401, "Unauthorized"), 10_000);
    api.script("getMe", std::iter::once(Reply::Result(json!({"id": 42}))).chain(refusals));
    api.script("getUpdates", [Reply::Result(json!([update(3)])), Reply::Error(401, "Unauthorized")]);
    let mut running = Running::start(settings(&api));
    let refused =
        |status: &Status| status.last_error.as_deref().is_some_and(|text| text.contains("@BotFather"));
    let status = running.status(refused).await;
    assert_eq!((status.connected_since, status.conflict), (None, None));
    let labels = BotLabels { bot: "default".into() };
    assert_eq!(running.metrics.telegram_connected.get_or_create(&labels).get(), 0);
    api.called("getMe", 4).await;
    assert_eq!(api.calls("getUpdates").len(), 2, "nothing else is asked for with a token that is refused");

    api.rescript("getMe", []);
    running.status(|status| status.connected_since.is_some() && status.last_error.is_none()).await;
    running.stop().await;
}

#[tokio::test]
async fn a_token_that_is_good_for_get_me_alone_is_no_connection() {
    let api = FakeApi::start().await;
    api.script("getUpdates", std::iter::once(Reply::Result(json!([update(3)]))));
    api.script("getUpdates", std::iter::repeat_n(Reply::Error(404, "Not Found"), 10_000));
    let mut running = Running::start(settings(&api));
    let status = running.status(|status| status.last_error.is_some()).await;
    assert_eq!(status.connected_since, None);
    api.called("getUpdates", 5).await;
    assert_eq!(running.status.current().connected_since, None);
    running.stop().await;
}

#[tokio::test]
async fn another_bots_id_ends_it() {
    let api = FakeApi::start().await;
    api.script("getMe", [Reply::Result(json!({"id": 43, "username": "b"}))]);
    let fatal = Running::start(settings(&api)).fatal().await;
    assert_eq!(fatal, Fatal::OtherBot { bot: "default".into(), expected: 42, found: 43 });
}

#[tokio::test]
async fn a_webhook_that_telegram_refuses_ends_it() {
    let api = FakeApi::start().await;
    let description = "Bad Request: bad webhook: IP address 10.0.0.1 is reserved";
    api.script("setWebhook", [Reply::Error(400, description)]);
    let settings = Settings { webhook_url: Some(WEBHOOK.into()), ..settings(&api) };
    let fatal = Running::start(settings).fatal().await;
    let description = description.into();
    assert_eq!(fatal, Fatal::WebhookRefused { bot: "default".into(), url: WEBHOOK.into(), description });
}

#[tokio::test]
async fn a_token_that_a_proxy_or_server_repeats_is_not_repeated_further() {
    let api = FakeApi::start().await;
    api.script("getMe", [Reply::Error(400, "no route for /bot42:AAE-very_secret/getMe")]);
    let mut running = Running::start(settings(&api));
    let status = running.status(|status| status.last_error.is_some()).await;
    let text = status.last_error.unwrap();
    assert!(text.contains("/bot[token]/getMe") && !text.contains(TOKEN), "{text}");
    running.stop().await;
}

#[tokio::test]
async fn settings_that_cannot_work_are_refused_before_anything_is_sent() {
    let api = FakeApi::start().await;
    let try_url = |url: Option<&str>, secret: Option<&str>| {
        let settings = Settings {
            mode: Mode::Webhook,
            webhook_url: url.map(Into::into),
            webhook_secret: secret.map(Into::into),
            ..settings(&api)
        };
        let (_driver, intake) = FakeDriver::start(Metrics::new());
        Telegram::new(settings, intake, Metrics::new()).map(drop)
    };
    let bot = || "default".into();
    assert_eq!(try_url(None, None), Err(Fatal::NoWebhookUrl { bot: bot() }));
    assert!(matches!(try_url(Some("http://a.example/x"), None), Err(Fatal::InvalidWebhookUrl { .. })));
    let error = InvalidSecret;
    assert_eq!(try_url(Some(WEBHOOK), Some("a b")), Err(Fatal::InvalidSecret { bot: bot(), error }));
    assert_eq!(try_url(Some(WEBHOOK), Some("a_b")), Ok(()));
    assert_eq!(api.calls("getMe").len(), 0);
}

#[tokio::test]
async fn a_webhook_url_is_https_on_telegrams_ports_unless_the_api_is_local() {
    let api = FakeApi::start().await;
    let public = settings(&api);
    let local = Settings { local_api: true, ..public.clone() };
    for good in [
        "https://a.example/x",
        "https://a.example:8443/x",
        "https://a.example:88",
        "https://u:p@a.example:80/",
    ] {
        assert_eq!(check_webhook_url(good, &public), Ok(()), "{good}");
    }
    for bad in ["", "a.example", "ftp://a.example", "https://", "mailto:x@y"] {
        assert!(matches!(check_webhook_url(bad, &local), Err(InvalidWebhookUrl::NotAUrl(_))), "{bad}");
    }
    let http = "http://a.example:8080/x";
    assert!(matches!(check_webhook_url(http, &public), Err(InvalidWebhookUrl::NotHttps(_))));
    assert_eq!(check_webhook_url(http, &local), Ok(()));
    assert!(matches!(
        check_webhook_url("https://a.example:8080/x", &public),
        Err(InvalidWebhookUrl::Port { port: 8080, .. })
    ));
    let error = check_webhook_url(&format!("https://a.example/{TOKEN}"), &public).unwrap_err();
    assert!(error == InvalidWebhookUrl::HoldsToken && !error.to_string().contains(TOKEN));
}

#[tokio::test]
async fn the_secret_is_the_configured_one_or_the_same_for_every_start() {
    let api = FakeApi::start().await;
    let derived = settings(&api);
    assert_eq!(webhook_secret(&derived), webhook_secret(&derived.clone()));
    assert_eq!(webhook_secret(&derived).unwrap().len(), 64);
    let with =
        |secret: &str| webhook_secret(&Settings { webhook_secret: Some(secret.into()), ..derived.clone() });
    assert_eq!(with("abc-_9").as_deref(), Ok("abc-_9"));
    let shown = Settings {
        webhook_secret: Some("abc".into()),
        proxy: Some("http://u:abc@p".into()),
        ..derived.clone()
    };
    assert!(!format!("{shown:?}").contains("abc"));
    for bad in ["", "ä", "a b", &"x".repeat(257)] {
        assert_eq!(with(bad), Err(InvalidSecret));
    }
}

#[tokio::test]
async fn a_probe_looks_without_changing_anything() {
    let api = FakeApi::start().await;
    api.set_webhook_info(webhook_info("https://other.example.com/x"));
    let found = probe(&settings(&api)).await;
    assert!(found.is_good());
    assert_eq!(found.me.as_ref().map(|me| me.id), Some(42));
    assert!(
        found
            .findings
            .iter()
            .any(|finding| matches!(finding, Finding::Note(text) if text.contains("other.example.com")))
    );
    assert_eq!((api.calls("setWebhook").len(), api.calls("deleteWebhook").len()), (0, 0));

    api.script("getMe", [Reply::Error(401, "Unauthorized"), Reply::Raw(200, Bytes::from_static(b"<html>"))]);
    for _ in 0..2 {
        let found = probe(&settings(&api)).await;
        assert!(!found.is_good() && found.me.is_none());
        assert!(!format!("{found:?}").contains(TOKEN));
    }
}
