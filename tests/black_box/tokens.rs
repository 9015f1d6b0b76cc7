//! A token that Telegram refuses: all that shows a bot's state says so, and what works without it works on.

use serde_json::Value;
use switchboard::grpc::proto::client::SettleCode;

use crate::console::{api, cli, done, until};
use crate::gateway::{Gateway, Mode, Setup, telegram};
use crate::steps::{Hands, control, texts, write};

/// Words that only a refused token has.
const REFUSED: &str = "Telegram does not accept its token (401)";

/// Two bots: `support`, whose token is the one that is revoked here, and `shop`.
fn two_bots(setup: Setup) -> Setup {
    setup
        .with("SWITCHBOARD_BOTS", "shop,support")
        .with("SWITCHBOARD_BOT_SHOP_TOKEN", "47:very_secret_part")
        .with("SWITCHBOARD_BOT_SUPPORT_TOKEN", "42:very_secret_part")
}

async fn readiness(gateway: &Gateway, bot: &str) -> Option<Value> {
    let body: Value = serde_json::from_str(&gateway.get("/readyz").await.1).unwrap();
    body["bots"].as_array().into_iter().flatten().find(|entry| entry["bot"] == bot).cloned()
}

async fn connected(gateway: &Gateway, bot: &str) {
    until("the bot is connected", async || {
        readiness(gateway, bot).await.filter(|entry| entry["connected"] == true)
    })
    .await;
}

/// Waits until it is known that the token of `support` is refused; then everything must say so, and that `shop` is
/// well.
async fn all_say_it(gateway: &Gateway) {
    let is_refused = |entry: &Value| entry["trouble"].as_str().is_some_and(|words| words.contains(REFUSED));
    let entry =
        until("/readyz says it", async || readiness(gateway, "support").await.filter(is_refused)).await;
    assert_eq!((&entry["connected"], &entry["connected_since_ms"]), (&Value::Bool(false), &Value::Null));
    let said = format!("bot `support`: {REFUSED}");
    assert!(
        gateway.log().iter().any(|line| line.contains("ERROR") && line.contains(&said)),
        "{:#?}",
        gateway.log()
    );

    assert_eq!(gateway.metric("switchboard_telegram_connected", "bot=\"support\"").await, 0.0);
    assert_eq!(gateway.metric("switchboard_telegram_connected", "bot=\"shop\"").await, 1.0);
    let bot = api(gateway, "GetBot", serde_json::json!({"bot": "support"})).await["bot"].take();
    assert!(bot["lastError"].as_str().is_some_and(|words| words.contains(REFUSED)), "{bot}");
    assert_eq!(bot["connectedTime"], Value::Null);

    let table = done(gateway, "bots").await;
    let row = |bot: &str| table.lines().find(|line| line.starts_with(bot)).unwrap().to_owned();
    assert!(row("support").contains("not connected") && row("support").contains(REFUSED), "{table}");
    assert!(!row("shop").contains("not connected"), "{table}");
    let nothing = cli(gateway, "timeline --chat 43 --bot support").await;
    assert_eq!(nothing.code, Some(5), "{nothing:?}");
    assert!(nothing.err.contains("updates do not come in") && nothing.err.contains(REFUSED), "{nothing:?}");
    assert!(!nothing.err.contains("updates do come in"), "{nothing:?}");
}

#[tokio::test]
async fn a_token_revoked_at_work_is_said_by_all_that_shows_the_bot_while_another_bot_works() {
    let telegram = telegram().await;
    let data = tempfile::tempdir().unwrap();
    let gateway = two_bots(Setup::new(data.path(), &telegram, Mode::Polling)).start().await;
    connected(&gateway, "support").await;
    connected(&gateway, "shop").await;
    control(&telegram, "revoke", String::new()).await;
    // The poll that waits is answered with this; the next one meets the revoked token.
    write(&telegram, 1, &["last"]).await;
    all_say_it(&gateway).await;
    gateway.stop().await;
}

#[tokio::test]
async fn a_token_refused_at_the_start_is_said_by_all_that_shows_the_bot_while_another_bot_works() {
    let telegram = telegram().await;
    let data = tempfile::tempdir().unwrap();
    control(&telegram, "revoke", String::new()).await;
    let gateway = two_bots(Setup::new(data.path(), &telegram, Mode::Polling)).start().await;
    connected(&gateway, "shop").await;
    all_say_it(&gateway).await;
    gateway.stop().await;
}

#[tokio::test]
async fn with_the_only_token_revoked_at_work_handlers_go_on_and_the_next_start_is_refused_with_code_4() {
    let telegram = telegram().await;
    let data = tempfile::tempdir().unwrap();
    let setup = Setup::new(data.path(), &telegram, Mode::Polling);
    let gateway = setup.start().await;
    let mut hands = Hands::join(gateway.grpc, "orders").await;
    write(&telegram, 1, &["taken"]).await;
    let taken = hands.deliveries(1).await;
    control(&telegram, "revoke", String::new()).await;
    // The poll that waits is answered with this; the next one meets the revoked token.
    write(&telegram, 1, &["last"]).await;
    gateway.until(|bot| bot["trouble"].as_str().is_some_and(|words| words.contains(REFUSED))).await;

    assert_eq!(gateway.get("/healthz").await.0, 200, "a restart would not help");
    assert_eq!(gateway.get("/readyz").await.0, 200, "handlers can settle what there is");
    assert_eq!(hands.ack(&taken).await, [SettleCode::Applied]);
    let last = hands.deliveries(1).await;
    assert_eq!(texts(&last), ["last"]);
    assert_eq!(hands.ack(&last).await, [SettleCode::Applied]);
    drop(hands);
    gateway.stop().await;

    setup.is_refused(4, &[REFUSED]).await;
    control(&telegram, "restore", String::new()).await;
    let gateway = setup.start().await;
    let mut hands = Hands::join(gateway.grpc, "orders").await;
    write(&telegram, 1, &["late"]).await;
    assert_eq!(texts(&hands.deliveries(1).await), ["late"]);
    drop(hands);
    gateway.stop().await;
}
