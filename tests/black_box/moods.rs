//! Telegram out of reach, out of humour, and somebody who pretends to be it.

use std::net::SocketAddr;

use serde_json::json;
use switchboard::simulator::{Running, Simulator, SimulatorConfig};

use crate::console::done;
use crate::gateway::{Mode, Setup, own_address, telegram};
use crate::steps::{Hands, control, http, texts, write};
use crate::{BOT, PATIENCE};

async fn telegram_at(listen: SocketAddr, seed: u64) -> Running {
    Simulator::start(SimulatorConfig { listen, seed, ..SimulatorConfig::default() }).await.unwrap()
}

#[tokio::test]
async fn an_unreachable_telegram_is_waited_for_while_handlers_work_on() {
    let address = own_address();
    let data = tempfile::tempdir().unwrap();
    let away = telegram().await;
    let url = format!("http://{address}");
    let setup = Setup::new(data.path(), &away, Mode::Polling).with("SWITCHBOARD_TELEGRAM_API_URL", &url);
    let gateway = setup.start().await;
    let bot = gateway.until(|bot| bot["trouble"].is_string()).await;
    assert!(bot["trouble"].as_str().unwrap().contains("Telegram cannot be reached"), "{bot}");
    assert_eq!(bot["connected"], false);
    assert_eq!(gateway.get("/healthz").await.0, 200, "a restart would not help");
    assert_eq!(gateway.get("/readyz").await.0, 200, "handlers can settle what there is");

    let telegram = telegram_at(address, 1).await;
    gateway.until(|bot| bot["connected"] == true && bot["trouble"].is_null()).await;
    write(&telegram, 1, &["early"]).await;
    tokio::time::timeout(PATIENCE, telegram.settled(BOT)).await.unwrap();
    telegram.shutdown().await;
    gateway.until(|bot| bot["connected"] == false).await;
    let mut hands = Hands::join(gateway.grpc, "orders").await;
    let early = hands.deliveries(1).await;
    assert_eq!(texts(&early), ["early"]);
    hands.ack(&early).await;

    let telegram = telegram_at(address, 7).await;
    gateway.until(|bot| bot["connected"] == true && bot["trouble"].is_null()).await;
    write(&telegram, 1, &["late"]).await;
    assert_eq!(texts(&hands.deliveries(1).await), ["late"]);
    drop(hands);
    gateway.stop().await;
}

#[tokio::test]
async fn p10_what_is_no_update_is_set_aside_and_what_is_unknown_comes_through_verbatim() {
    let telegram = telegram().await;
    let data = tempfile::tempdir().unwrap();
    let gateway = Setup::new(data.path(), &telegram, Mode::Polling).start().await;
    let id = write(&telegram, 1, &["before"]).await[0];
    let unknown = format!("{{\"update_id\": {},\r\n \"brand_new\":{{\"x\":[1.50,\"\\u00e4\"]}} }}", id + 2);
    control(&telegram, &format!("updates?as_is={}", id + 1), json!({"no": "id"}).to_string()).await;
    control(&telegram, &format!("updates?as_is={}", id + 2), unknown.clone()).await;
    write(&telegram, 1, &["after"]).await;
    let mut hands = Hands::join(gateway.grpc, "orders").await;
    let got = hands.deliveries(2).await;
    let strange =
        got.iter().find_map(|delivery| delivery.update.as_ref().filter(|update| update.kind == "brand_new"));
    assert_eq!(strange.map(|update| update.json.as_str()), Some(unknown.as_str()));
    hands.ack(&got).await;
    assert_eq!(texts(&hands.deliveries(1).await), ["after"]);
    tokio::time::timeout(PATIENCE, telegram.settled(BOT)).await.unwrap();
    assert_eq!(gateway.metric("switchboard_updates_quarantined_total", "").await, 1.0);
    drop(hands);
    gateway.stop().await;
}

#[tokio::test]
async fn p10_an_element_that_breaks_whole_answers_is_set_aside_once_and_holds_up_nothing() {
    const BROKEN: &str = r#"{"update_id": "x", "message": 5"#;
    let telegram = telegram().await;
    let data = tempfile::tempdir().unwrap();
    let gateway = Setup::new(data.path(), &telegram, Mode::Polling).start().await;
    let mut hands = Hands::join(gateway.grpc, "orders").await;
    gateway.until(|bot| bot["connected"] == true).await;
    // Nothing has come yet that tells an id: it goes with the update behind it.
    control(&telegram, "updates?as_is=5000", BROKEN.to_owned()).await;
    let bot =
        gateway.until(|bot| bot["trouble"].as_str().is_some_and(|why| why.contains("quarantine"))).await;
    assert_eq!(bot["connected"], true, "{bot}");
    let id = write(&telegram, 1, &["behind"]).await[0];
    let behind = hands.deliveries(1).await;
    assert_eq!(texts(&behind), ["behind"]);
    hands.ack(&behind).await;
    gateway.until(|bot| bot["trouble"].is_null()).await;
    assert_eq!(gateway.metric("switchboard_updates_quarantined_total", "").await, 1.0);

    // Now the next id is known: it is passed, and that nothing is behind it is seen at once.
    control(&telegram, &format!("updates?as_is={}", id + 2), BROKEN.replace('5', "6")).await;
    tokio::time::timeout(PATIENCE, telegram.settled(BOT)).await.unwrap();
    gateway.until(|bot| bot["trouble"].is_null()).await;
    write(&telegram, 1, &["later"]).await;
    assert_eq!(texts(&hands.deliveries(1).await), ["later"]);
    let kept = done(&gateway, "quarantine").await;
    assert_eq!(
        kept.lines().filter(|line| line.contains(r#"{"update_id": "x", "message": "#)).count(),
        2,
        "{kept}"
    );
    drop(hands);
    gateway.stop().await;
}

#[tokio::test]
async fn a_webhook_request_that_is_not_telegrams_is_refused_and_a_real_one_gets_an_empty_answer() {
    const SECRET: &str = "webhook_very_secret_part";
    let telegram = telegram().await;
    let data = tempfile::tempdir().unwrap();
    let setup = Setup::new(data.path(), &telegram, Mode::Webhook)
        .with("SWITCHBOARD_WEBHOOK_SECRET", SECRET)
        .with("SWITCHBOARD_LOG_LEVEL", "trace");
    let gateway = setup.start().await;
    gateway.until(|bot| bot["connected"] == true).await;
    let url = format!("http://{}/telegram/webhook/default", setup.public);
    let post = async |secret: Option<&str>, body: &str| {
        let mut request = http().post(&url).body(body.to_owned());
        if let Some(secret) = secret {
            request = request.header("X-Telegram-Bot-Api-Secret-Token", secret);
        }
        let answer = request.send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    };
    let update = r#"{"update_id":7,"message":{"message_id":1,"chat":{"id":1},"text":"real"}}"#;
    let almost = SECRET.replace("part", "parT");
    for (secret, body, status) in [
        (None, update, 401),
        (Some(""), update, 401),
        (Some(almost.as_str()), update, 401),
        (Some(SECRET), "no update", 400),
        (Some(SECRET), "[]", 400),
        (Some(SECRET), &"x".repeat((1 << 20) + 1), 413),
    ] {
        assert_eq!(post(secret, body).await.0, status, "{secret:?}");
    }
    assert_eq!(http().get(&url).send().await.unwrap().status(), 405);
    let elsewhere = http().post(format!("http://{}/telegram/webhook/other", setup.public)).send().await;
    assert_eq!(elsewhere.unwrap().status(), 404);
    // Telegram would execute a method that it found in the answer.
    assert_eq!(post(Some(SECRET), update).await, (200, String::new()));
    assert_eq!(post(Some(SECRET), update).await, (200, String::new()), "a repeat is confirmed too");

    let mut hands = Hands::join(gateway.grpc, "orders").await;
    let got = hands.deliveries(1).await;
    assert_eq!(texts(&got), ["real"]);
    hands.ack(&got).await;
    write(&telegram, 1, &["through Telegram"]).await;
    assert_eq!(texts(&hands.deliveries(1).await), ["through Telegram"]);
    drop(hands);
    gateway.stop().await;
}
