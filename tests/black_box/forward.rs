//! `tail --forward-to`: a web server gets what Telegram would post to its webhook.

use switchboard::grpc::proto::client::{Delivery, SettleCode};
use switchboard::simulator::Running;
use tokio::sync::watch;

use crate::gateway::{Gateway, Mode, Setup, own_address, telegram};
use crate::program::Program;
use crate::steps::{Hands, control, texts, write};
use crate::web::{Posted, Web};

const OK: (u16, &str) = (200, "");

fn forward(gateway: &Gateway, to: &str, more: &[&str]) -> Program {
    let address = format!("http://{}", gateway.grpc);
    let args = ["tail", "--address", &address, "--group", "web", "--start", "earliest", "--forward-to", to];
    Program::start(&[&args, more].concat())
}

async fn at_work(data: &tempfile::TempDir) -> (Running, Setup, Gateway) {
    let telegram = telegram().await;
    let setup = Setup::new(data.path(), &telegram, Mode::Polling);
    let gateway = setup.start().await;
    (telegram, setup, gateway)
}

fn all_texts(posted: &[Posted]) -> Vec<String> {
    posted.iter().map(Posted::text).collect()
}

fn last_reason(delivery: &Delivery) -> &str {
    &delivery.last_failure.as_ref().unwrap().reason
}

#[tokio::test]
async fn the_web_server_gets_each_update_verbatim_with_the_secret_and_what_it_takes_is_settled() {
    let data = tempfile::tempdir().unwrap();
    let (telegram, _setup, gateway) = at_work(&data).await;
    let id = write(&telegram, 1, &["one"]).await[0] + 1;
    let strange = format!(
        "{{ \"update_id\":{id},\r\n\"message\":{{\"n\":1.50e+2,\"chat\":{{\"id\":7}},\"text\":\"\\u00e4\"}}}}"
    );
    control(&telegram, "updates", strange.clone()).await;
    let web = Web::start(|_| Some((204, ""))).await;
    let secret = data.path().join("secret");
    std::fs::write(&secret, "hook_very-secret\n").unwrap();
    let to = format!("http://localhost:{}/hook?bot=a", web.address.port());
    let secret = ["--forward-secret-file", secret.to_str().unwrap(), "--count", "2"];
    let ended = forward(&gateway, &to, &secret).end().await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(!ended.err.contains("very-secret") && !ended.out.contains("very-secret"), "{ended:?}");
    let posted = web.posts(2).await;
    assert!(posted.iter().any(|post| post.body == strange), "{posted:#?}");
    for post in &posted {
        assert_eq!(post.path, "/hook?bot=a");
        assert_eq!(post.headers["content-type"], "application/json");
        assert_eq!(post.headers["x-telegram-bot-api-secret-token"], "hook_very-secret");
    }
    let lines: Vec<_> = ended.out.lines().collect();
    assert_eq!(lines.len(), 2, "{ended:?}");
    for part in ["message", "chat:1", "204", " ms"] {
        assert!(lines.iter().any(|line| line.contains(part)), "{ended:?}");
    }
    // Both are settled: only what is new comes.
    write(&telegram, 1, &["two"]).await;
    let mut hands = Hands::join(gateway.grpc, "web").await;
    assert_eq!(texts(&hands.deliveries(1).await), ["two"]);
    drop(hands);
    gateway.stop().await;
}

#[tokio::test]
async fn what_is_answered_with_an_error_comes_again_before_the_rest_of_its_chat() {
    let data = tempfile::tempdir().unwrap();
    let (telegram, _setup, gateway) = at_work(&data).await;
    write(&telegram, 1, &["first", "second"]).await;
    write(&telegram, 2, &["other"]).await;
    let web = Web::start(|posted| {
        let again = posted.iter().filter(|post| post.text() == "first").count() > 1;
        if posted.last()?.text() == "first" && !again { Some((500, "boom")) } else { Some(OK) }
    });
    let web = web.await;
    let ended = forward(&gateway, &format!("http://{}/", web.address), &["--count", "3"]).end().await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let mut posted = all_texts(&web.posts(4).await);
    posted.retain(|text| text != "other");
    assert_eq!(posted, ["first", "first", "second"]);
    let failed = ended.out.lines().find(|line| line.contains("500")).unwrap();
    assert!(failed.contains("failed; HTTP 500: boom"), "{ended:?}");
    assert!(ended.out.contains("(attempt 2)"), "{ended:?}");
    gateway.stop().await;
}

#[tokio::test]
async fn chats_are_posted_at_the_same_time() {
    let data = tempfile::tempdir().unwrap();
    let (telegram, _setup, gateway) = at_work(&data).await;
    write(&telegram, 1, &["waits"]).await;
    write(&telegram, 2, &["passes"]).await;
    let (open, closed) = watch::channel(vec!["waits"]);
    let web = Web::gated(|_| Some(OK), closed).await;
    let tail = forward(&gateway, &format!("http://{}", web.address), &["--count", "2"]);
    tail.prints("chat:2").await;
    open.send(Vec::new()).unwrap();
    assert_eq!(tail.end().await.code, Some(0));
    gateway.stop().await;
}

#[tokio::test]
async fn a_web_server_that_is_away_or_silent_fails_the_update_with_the_reason() {
    let data = tempfile::tempdir().unwrap();
    let (telegram, _setup, gateway) = at_work(&data).await;
    write(&telegram, 1, &["unheard"]).await;
    let tail = forward(&gateway, &format!("http://{}", own_address()), &[]);
    tail.prints("Connection refused").await;
    tail.signal("-INT");
    let ended = tail.end().await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let mut hands = Hands::join(gateway.grpc, "web").await;
    let got = hands.deliveries(1).await;
    assert!(last_reason(&got[0]).contains("Connection refused"), "{got:?}");
    assert_eq!(hands.ack(&got).await, [SettleCode::Applied]);
    drop(hands);

    write(&telegram, 1, &["unanswered"]).await;
    let web = Web::start(|_| None).await;
    let tail = forward(&gateway, &format!("http://{}", web.address), &["--forward-timeout", "1s"]);
    tail.prints("no answer within 1s").await;
    tail.signal("-TERM");
    assert_eq!(tail.end().await.code, Some(0));
    let mut hands = Hands::join(gateway.grpc, "web").await;
    assert_eq!(last_reason(&hands.deliveries(1).await[0]), "no answer within 1s");
    drop(hands);
    gateway.stop().await;
}

#[tokio::test]
async fn a_reply_that_calls_the_bot_api_is_said_to_be_ignored() {
    let data = tempfile::tempdir().unwrap();
    let (telegram, _setup, gateway) = at_work(&data).await;
    write(&telegram, 1, &["one", "two"]).await;
    let web = Web::start(|_| Some((200, r#"{"method":"sendMessage","chat_id":1,"text":"hi"}"#))).await;
    let ended = forward(&gateway, &format!("http://{}", web.address), &["--count", "2"]).end().await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert_eq!(ended.out.matches("replied with sendMessage: NOT carried out").count(), 2, "{ended:?}");
    assert_eq!(ended.err.matches("NOT CARRIED OUT").count(), 1, "{ended:?}");
    assert!(ended.err.contains("reply with an empty 200"), "{ended:?}");
    gateway.stop().await;
}

#[tokio::test]
async fn a_gateway_that_is_started_anew_takes_the_ack_of_what_is_at_the_web_server() {
    let data = tempfile::tempdir().unwrap();
    let (telegram, setup, gateway) = at_work(&data).await;
    write(&telegram, 1, &["long", "next"]).await;
    let (open, closed) = watch::channel(vec!["long"]);
    let web = Web::gated(|_| Some(OK), closed).await;
    let tail = forward(&gateway, &format!("http://{}", web.address), &["--count", "2"]);
    web.posts(1).await;
    gateway.kill().await;
    tail.says("trying again").await;
    let gateway = setup.start().await;
    open.send(Vec::new()).unwrap();
    let ended = tail.end().await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert_eq!(all_texts(&web.posts(2).await), ["long", "next"], "{ended:?}");
    gateway.stop().await;
}

#[tokio::test]
async fn one_that_is_stopped_waits_for_the_web_server_and_takes_nothing_more() {
    let data = tempfile::tempdir().unwrap();
    let (telegram, _setup, gateway) = at_work(&data).await;
    write(&telegram, 1, &["long", "next"]).await;
    let (open, closed) = watch::channel(vec!["long"]);
    let web = Web::gated(|_| Some(OK), closed).await;
    let tail = forward(&gateway, &format!("http://{}", web.address), &[]);
    web.posts(1).await;
    tail.signal("-INT");
    tail.says("1 still at the web server").await;
    open.send(Vec::new()).unwrap();
    let ended = tail.end().await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(ended.out.contains("200"), "{ended:?}");
    let mut hands = Hands::join(gateway.grpc, "web").await;
    assert_eq!(texts(&hands.deliveries(1).await), ["next"]);
    drop(hands);
    gateway.stop().await;
}
