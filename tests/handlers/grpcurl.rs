//! The README's section on grpcurl, word for word but for the port.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::process::Command;

use crate::rig::Rig;
use crate::tools::tool;

/// The README's commands, in their order, with the gateway's address put in.
fn readmes_commands(rig: &Rig) -> Vec<Vec<String>> {
    let readme = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md")).unwrap();
    let lines = readme.lines().filter_map(|line| line.strip_prefix("grpcurl "));
    let address = format!("localhost:{}", rig.grpc.port());
    lines.map(|line| words(&line.replace("localhost:50051", &address))).collect()
}

/// Splits as a shell does, as far as the README needs it: single quotes.
fn words(line: &str) -> Vec<String> {
    let parts = line.split('\'').enumerate();
    parts
        .flat_map(|(index, part)| match index % 2 {
            1 => vec![part.to_owned()],
            _ => part.split_whitespace().map(str::to_owned).collect(),
        })
        .collect()
}

async fn output(grpcurl: &Path, args: &[String]) -> String {
    let output = Command::new(grpcurl).args(args).output().await.unwrap();
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "grpcurl {args:?}: {err}");
    out.into_owned()
}

#[tokio::test]
async fn the_readmes_grpcurl_commands_list_describe_subscribe_and_ack() {
    let Some(grpcurl) = tool("install-grpcurl", "tools/bin/grpcurl") else { return };
    let rig = Rig::start().await;
    let commands = readmes_commands(&rig);
    let [list, describe, subscribe, ack] = commands.as_slice() else {
        panic!("the README has other commands now: {commands:?}")
    };

    let services = output(&grpcurl, list).await;
    for service in ["grpc.health.v1.Health", "switchboard.v1.AdminService", "switchboard.v1.DeliveryService"]
    {
        assert!(services.lines().any(|line| line == service), "{services}");
    }
    let described = output(&grpcurl, describe).await;
    assert!(described.contains("rpc Subscribe ( .switchboard.v1.SubscribeRequest )"), "{described}");

    rig.telegram_receives(&[(1, "hello"), (1, "again")]).await;
    let mut command = Command::new(&grpcurl);
    let mut subscribed = command.args(subscribe).stdout(Stdio::piped()).kill_on_drop(true).spawn().unwrap();
    let mut out = subscribed.stdout.take().unwrap();
    let mut shown = String::new();

    let token = token_beside(&mut out, &mut shown, "hello").await;
    assert!(shown.contains(r#""orderingKey": "chat:1""#), "readable: {shown}");
    assert!(shown.contains(r#"\"text\":\"hello\""#), "the update is shown as text: {shown}");
    assert!(!shown.contains("again"), "one at a time of a chat: {shown}");

    let ack: Vec<String> = ack.iter().map(|word| word.replace("TOKEN", &token)).collect();
    let acked = output(&grpcurl, &ack).await;
    assert!(acked.contains(r#""code": "SETTLE_CODE_APPLIED""#), "{acked}");
    token_beside(&mut out, &mut shown, "again").await;
}

/// Reads on until the update with this text has been shown; its token.
async fn token_beside(out: &mut (impl AsyncReadExt + Unpin), shown: &mut String, text: &str) -> String {
    let text = format!(r#"\"text\":\"{text}\""#);
    let reading = async {
        let mut buffer = [0; 4096];
        while !shown.contains(&text) {
            let read = out.read(&mut buffer).await.unwrap();
            assert!(read > 0, "grpcurl ended: {shown}");
            shown.push_str(&String::from_utf8_lossy(&buffer[..read]));
        }
    };
    tokio::time::timeout(Duration::from_secs(60), reading).await.expect("grpcurl shows the update");
    let before = &shown[..shown.find(&text).unwrap()];
    let token = before.rsplit_once("\"token\": \"").expect("a token before the update").1;
    token.split('"').next().unwrap().to_owned()
}
