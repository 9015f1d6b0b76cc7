//! `switchboard health`, as healthchecks and people run it.

use std::net::Ipv4Addr;
use std::path::Path;

use switchboard::grpc::proto::client::subscribe_response::Event;
use switchboard::simulator::Running;
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::transport::Server;

use crate::gateway::{Gateway, Mode, Setup, own_address, telegram};
use crate::program::{Ended, run};
use crate::steps::{Hands, write};

async fn health(address: &str, args: &[&str]) -> Ended {
    run(&[&["health", "--address", address], args].concat()).await
}

async fn started(data: &Path, telegram: &Running) -> (Gateway, String) {
    let gateway = Setup::new(data, telegram, Mode::Polling).start().await;
    let address = format!("http://{}", gateway.grpc);
    (gateway, address)
}

#[tokio::test]
async fn a_gateway_at_work_is_healthy_and_each_step_is_a_line() {
    let (telegram, data) = (telegram().await, tempfile::tempdir().unwrap());
    let (gateway, address) = started(data.path(), &telegram).await;
    let ended = health(&address, &[]).await;
    assert_eq!((ended.code, &*ended.err), (Some(0), ""));
    assert_eq!(ended.out, format!("ok  health: {address} is SERVING"));

    let ended = health(&address, &["--reflection", "--simulator", &telegram.url()]).await;
    assert_eq!((ended.code, &*ended.err), (Some(0), ""));
    let lines: Vec<&str> = ended.out.lines().collect();
    assert_eq!(lines.len(), 3, "{lines:?}");
    assert!(lines[1].contains("switchboard.v1.DeliveryService and switchboard.v1.AdminService"), "{lines:?}");
    assert!(lines[2].starts_with("ok  bot default: a message of the simulator came byte for byte in "));
    // The message was confirmed to Telegram, and nothing of the check is left at the gateway.
    let groups = run(&["groups", "--address", &address]).await;
    assert!(!groups.out.contains("health-"), "{groups:?}");
    gateway.stop().await;
}

#[tokio::test]
async fn a_handler_that_shares_the_gateway_is_not_disturbed() {
    let (telegram, data) = (telegram().await, tempfile::tempdir().unwrap());
    let (gateway, address) = started(data.path(), &telegram).await;
    let mut hands = Hands::join(gateway.grpc, "orders").await;
    let ended = health(&address, &["--simulator", &telegram.url()]).await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    // A group without a filter gets the message like any other; its own updates keep coming.
    let message = hands.deliveries(1).await;
    assert!(message[0].update.as_ref().unwrap().json.contains("switchboard health"));
    write(&telegram, 1, &["hello"]).await;
    let hello = hands.deliveries(1).await;
    assert!(hello[0].update.as_ref().unwrap().json.contains("hello"));
    gateway.kill().await;
}

#[tokio::test]
async fn each_bot_of_a_gateway_gets_a_message() {
    let (telegram, data) = (telegram().await, tempfile::tempdir().unwrap());
    let mut config = String::new();
    for (bot, id) in [("shop", 51), ("support", 52)] {
        std::fs::write(data.path().join(bot), format!("{id}:very_secret_part")).unwrap();
        config += &format!("[bots.{bot}]\ntoken_file = \"{bot}\"\n");
    }
    std::fs::write(data.path().join("switchboard.toml"), config).unwrap();
    let setup = Setup::new(data.path(), &telegram, Mode::Polling).with("TELEGRAM_BOT_TOKEN", "");
    let gateway = setup.start().await;
    let ended = health(&format!("http://{}", gateway.grpc), &["--simulator", &telegram.url()]).await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    for bot in ["shop", "support"] {
        assert!(ended.out.contains(&format!("ok  bot {bot}: a message of the simulator came")), "{ended:?}");
    }
    gateway.stop().await;
}

#[tokio::test]
async fn what_is_wrong_is_said_with_what_to_do_and_an_exit_code_of_its_own() {
    let (telegram, data) = (telegram().await, tempfile::tempdir().unwrap());
    let setup = Setup::new(data.path(), &telegram, Mode::Polling)
        .with("SWITCHBOARD_ACCESS_TOKEN", "let_me_very_secret_part");
    let gateway = setup.start().await;
    let address = format!("http://{}", gateway.grpc);
    let [right, wrong] = ["right", "wrong"].map(|name| data.path().join(name));
    std::fs::write(&right, "let_me_very_secret_part\n").unwrap();
    std::fs::write(&wrong, "another").unwrap();
    let [right, wrong] = [&right, &wrong].map(|file| file.to_str().unwrap());
    let nobody = own_address();
    let (there, other) = (telegram.url(), format!("http://{nobody}"));

    // Health itself is open: a probe needs no secret.
    assert_eq!(health(&address, &[]).await.code, Some(0));
    let with_token = ["--access-token-file", right, "--reflection", "--simulator", &there];
    assert_eq!(health(&address, &with_token).await.code, Some(0));
    for (address, args, code, said) in [
        (&other, &[][..], 7, "is `switchboard serve` running there?"),
        (&address, &["--reflection"], 8, "--access-token-file"),
        (&address, &["--simulator", &there], 8, "--access-token-file"),
        (&address, &["--reflection", "--access-token-file", wrong], 8, "is not the gateway's"),
        (&address, &["--access-token-file", right, "--simulator", &other], 1, "no simulator answers"),
        (&address, &["--access-token-file", right, "--simulator", "here"], 2, "give it as http://"),
        (&address, &["--timeout", "soon"], 2, "such as 30s"),
    ] {
        let ended = health(address, args).await;
        assert_eq!(ended.code, Some(code), "{args:?}: {ended:?}");
        assert!(ended.err.contains(said), "{args:?}: {ended:?}");
        assert!(!ended.err.contains("very_secret"), "{args:?}: {ended:?}");
    }
    gateway.stop().await;
}

#[tokio::test]
async fn a_gateway_that_is_stopping_is_not_healthy() {
    let (telegram, data) = (telegram().await, tempfile::tempdir().unwrap());
    let (gateway, address) = started(data.path(), &telegram).await;
    let mut hands = Hands::join(gateway.grpc, "orders").await;
    write(&telegram, 1, &["out"]).await;
    let out = hands.deliveries(1).await;
    gateway.terminate();
    while !matches!(hands.next().await.unwrap(), Event::Draining(_)) {}
    let ended = health(&address, &["--reflection"]).await;
    assert_eq!((ended.code, &*ended.out), (Some(7), ""), "{ended:?}");
    assert!(ended.err.contains("NOT_SERVING: it is stopping"), "{ended:?}");
    hands.ack(&out).await;
    assert_eq!(gateway.ended().await.0, Some(0));
}

#[tokio::test]
async fn another_server_with_a_health_service_is_no_gateway() {
    let (_reporter, service) = tonic_health::server::health_reporter();
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let server = Server::builder().add_service(service).serve_with_incoming(TcpListenerStream::new(listener));
    let server = tokio::spawn(server);
    assert_eq!(health(&address, &[]).await.code, Some(0));
    let ended = health(&address, &["--reflection"]).await;
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.err.contains("does not know this call"), "{ended:?}");
    server.abort();
}

#[tokio::test]
async fn a_simulator_that_is_not_the_gateways_telegram_is_not_waited_for_for_ever() {
    let (mine, other) = (telegram().await, telegram().await);
    let data = tempfile::tempdir().unwrap();
    let (gateway, address) = started(data.path(), &mine).await;
    let ended = health(&address, &["--simulator", &other.url(), "--timeout", "1s"]).await;
    assert_eq!(ended.code, Some(7), "{ended:?}");
    assert!(ended.err.contains("telegram.api_url"), "{ended:?}");
    gateway.stop().await;
}
