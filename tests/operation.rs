//! The built binary as an operator meets it: how it starts, stops, and what it says when something is wrong.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;
use switchboard::grpc::proto::client::delivery_service_client::DeliveryServiceClient;
use switchboard::grpc::proto::client::subscribe_response::Event;
use switchboard::grpc::proto::client::{AckRequest, SubscribeRequest, SubscribeResponse};
use switchboard::simulator::{Running, Simulator, SimulatorConfig, Source, Traffic};
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::net::TcpListener;
use tokio::process::{Child, ChildStderr, Command};

const BINARY: &str = env!("CARGO_BIN_EXE_switchboard");
const TOKEN: &str = "42:AAE-very_secret_part";
const SECRET: &str = "very_secret_part";
/// Nothing takes so long; a test that waits for more has failed.
const PATIENCE: Duration = Duration::from_secs(60);

/// A gateway on ports of its own choice. What it logs is looked through for secrets.
struct Gateway {
    process: Child,
    log: Lines<BufReader<ChildStderr>>,
    seen: Vec<String>,
}

impl Gateway {
    fn start(data: &Path, environment: &[(&str, &str)]) -> Self {
        Self::start_as(Command::new(BINARY), data, environment)
    }

    fn start_as(mut command: Command, data: &Path, environment: &[(&str, &str)]) -> Self {
        command.env_clear().current_dir(data).kill_on_drop(true).stderr(Stdio::piped());
        for key in ["GRPC", "OPS", "PUBLIC"] {
            command.env(format!("SWITCHBOARD_{key}_LISTEN"), "127.0.0.1:0");
        }
        command.env("TELEGRAM_BOT_TOKEN", TOKEN).envs(environment.iter().copied());
        let mut process = command.spawn().unwrap();
        let log = BufReader::new(process.stderr.take().unwrap()).lines();
        Self { process, log, seen: Vec::new() }
    }

    /// Reads the log up to the line that has this message.
    async fn says(&mut self, message: &str) -> Value {
        let line = tokio::time::timeout(PATIENCE, async {
            while let Some(line) = self.log.next_line().await.unwrap() {
                assert!(!line.contains(SECRET), "a secret in the log: {line}");
                self.seen.push(line.clone());
                if line.contains(message) {
                    return Some(serde_json::from_str(&line).unwrap_or_default());
                }
            }
            None
        });
        line.await.ok().flatten().unwrap_or_else(|| panic!("never said `{message}`: {:#?}", self.seen))
    }

    async fn address(&mut self, key: &str) -> SocketAddr {
        self.says(&format!("listening ({key})")).await["address"].as_str().unwrap().parse().unwrap()
    }

    fn signal(&self, signal: &str) {
        let id = self.process.id().unwrap().to_string();
        assert!(std::process::Command::new("kill").args([signal, &id]).status().unwrap().success());
    }

    /// The exit code, and all that was logged.
    async fn end(mut self) -> (Option<i32>, String) {
        let ended = tokio::time::timeout(PATIENCE, async {
            while let Some(line) = self.log.next_line().await.unwrap() {
                self.seen.push(line);
            }
            self.process.wait().await.unwrap()
        });
        let code = ended.await.expect("the gateway did not end").code();
        let log = self.seen.join("\n");
        assert!(!log.contains(SECRET), "a secret in the log: {log}");
        (code, log)
    }
}

async fn telegram(config: SimulatorConfig) -> Running {
    Simulator::start(SimulatorConfig { listen: ([127, 0, 0, 1], 0).into(), ..config }).await.unwrap()
}

async fn refused(data: &Path, environment: &[(&str, &str)], code: i32, said: &[&str]) {
    let (ended, log) = Gateway::start(data, environment).end().await;
    assert_eq!(ended, Some(code), "{log}");
    for said in said {
        assert!(log.contains(said), "`{said}` is not in: {log}");
    }
}

async fn get(address: SocketAddr, path: &str) -> (u16, String) {
    let http = reqwest::Client::builder().no_proxy().timeout(PATIENCE).build().unwrap();
    let answer = http.get(format!("http://{address}{path}")).send().await.unwrap();
    (answer.status().as_u16(), answer.text().await.unwrap())
}

#[tokio::test]
async fn a_wrong_configuration_is_exit_code_2_and_everything_that_is_wrong() {
    let data = tempfile::tempdir().unwrap();
    let wrong = [("SWITCHBOARD_MODE", "both"), ("SWITCHBOARD_GRPC_LISTN", "x")];
    refused(data.path(), &wrong, 2, &["`mode` = \"both\"", "did you mean `SWITCHBOARD_GRPC_LISTEN`?"]).await;
    let http = [("WEBHOOK_URL", "http://bot.example.com"), ("SWITCHBOARD_MODE", "webhook")];
    refused(data.path(), &http, 2, &["(environment WEBHOOK_URL)", "is not https"]).await;
}

#[tokio::test]
async fn a_port_in_use_is_exit_code_3_with_its_key() {
    let data = tempfile::tempdir().unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let environment = [("SWITCHBOARD_OPS_LISTEN", address.as_str())];
    refused(data.path(), &environment, 3, &["cannot listen on", &address, "ops.listen"]).await;
    assert!(!data.path().join("data").exists(), "the start left something behind");
}

#[tokio::test]
async fn a_data_directory_that_cannot_be_used_is_exit_code_3() {
    let data = tempfile::tempdir().unwrap();
    std::fs::write(data.path().join("file"), "").unwrap();
    refused(data.path(), &[("SWITCHBOARD_DATA_DIR", "file")], 3, &["data directory file", "data_dir"]).await;

    let telegram = telegram(SimulatorConfig::default()).await;
    let mut first = Gateway::start(data.path(), &[("SWITCHBOARD_TELEGRAM_API_URL", &telegram.url())]);
    first.says("\"ready\"").await;
    refused(data.path(), &[], 3, &["bot `default`", "in use by another gateway"]).await;
    first.signal("-TERM");
    assert_eq!(first.end().await.0, Some(0));
    let other = [("TELEGRAM_BOT_TOKEN", "43:another_bot")];
    refused(data.path(), &other, 3, &["belongs to the bot with id 42", "id 43"]).await;
}

#[tokio::test]
async fn check_finds_two_listeners_on_one_port_and_a_file_in_the_place_of_the_data() {
    let data = tempfile::tempdir().unwrap();
    std::fs::write(data.path().join("file"), "").unwrap();
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().to_string();
    let check = async |environment: &[(&str, &str)]| {
        let mut command = Command::new(BINARY);
        command.env_clear().current_dir(data.path()).args(["check", "--offline"]);
        for key in ["GRPC", "OPS"] {
            command.env(format!("SWITCHBOARD_{key}_LISTEN"), "127.0.0.1:0");
        }
        command.env("TELEGRAM_BOT_TOKEN", TOKEN).envs(environment.iter().copied());
        let output = command.output().await.unwrap();
        (output.status.code(), String::from_utf8(output.stdout).unwrap())
    };
    let (code, said) = check(&[]).await;
    assert_eq!(code, Some(0), "{said}");
    let twice = [("SWITCHBOARD_GRPC_LISTEN", &*free), ("SWITCHBOARD_OPS_LISTEN", &*free)];
    let (code, said) = check(&twice).await;
    assert_eq!(code, Some(3), "{said}");
    let (code, said) = check(&[("SWITCHBOARD_DATA_DIR", "file")]).await;
    assert_eq!(code, Some(3), "{said}");
    assert!(said.contains("is not a directory"), "{said}");
}

#[tokio::test]
async fn a_token_that_telegram_refuses_is_exit_code_4() {
    let data = tempfile::tempdir().unwrap();
    let telegram = telegram(SimulatorConfig { revoked: vec![42], ..SimulatorConfig::default() }).await;
    let environment = [("SWITCHBOARD_TELEGRAM_API_URL", telegram.url())];
    let environment = environment.each_ref().map(|(name, value)| (*name, value.as_str()));
    refused(data.path(), &environment, 4, &["Telegram does not accept its token", "@BotFather"]).await;
}

#[tokio::test]
async fn one_bots_refused_token_leaves_the_others_at_work() {
    let data = tempfile::tempdir().unwrap();
    let telegram = telegram(SimulatorConfig { revoked: vec![7], ..SimulatorConfig::default() }).await;
    let url = telegram.url();
    let mut gateway = Gateway::start(
        data.path(),
        &[
            ("SWITCHBOARD_TELEGRAM_API_URL", &url),
            ("SWITCHBOARD_BOTS", "good,bad"),
            ("SWITCHBOARD_BOT_GOOD_TOKEN", TOKEN),
            ("SWITCHBOARD_BOT_BAD_TOKEN", "7:very_secret_part"),
        ],
    );
    let ops = gateway.address("ops.listen").await;
    gateway.says("bot `bad`: Telegram does not accept").await;
    let (status, body) = get(ops, "/readyz").await;
    let body: Value = serde_json::from_str(&body).unwrap();
    assert_eq!((status, &body["ready"]), (200, &Value::Bool(true)));
    let bots = body["bots"].as_array().unwrap();
    let bad = bots.iter().find(|bot| bot["bot"] == "bad").unwrap();
    assert!(bad["trouble"].as_str().unwrap().contains("does not accept"), "{body}");
    gateway.signal("-TERM");
    assert_eq!(gateway.end().await.0, Some(0));
}

#[tokio::test]
async fn an_unreachable_telegram_is_said_and_waited_for_at_every_level_of_log_without_a_secret() {
    let data = tempfile::tempdir().unwrap();
    let nobody = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let url = format!("http://{nobody}");
    let secrets = [
        ("SWITCHBOARD_TELEGRAM_API_URL", url.as_str()),
        ("SWITCHBOARD_LOG_LEVEL", "trace"),
        ("SWITCHBOARD_ACCESS_TOKEN", "access_very_secret_part"),
    ];
    let mut gateway = Gateway::start(data.path(), &secrets);
    let ops = gateway.address("ops.listen").await;
    gateway.says("Telegram cannot be reached").await;
    assert_eq!(get(ops, "/healthz").await.0, 200);
    assert_eq!(get(ops, "/readyz").await.0, 200);
    assert_eq!(get(ops, "/metrics").await.0, 401);
    assert_eq!(get(ops, "/else").await.0, 404);
    gateway.signal("-INT");
    assert_eq!(gateway.end().await.0, Some(0));
}

/// A gateway with one update out at a consumer.
async fn with_one_outstanding(
    data: &Path,
    grace: &str,
) -> (Gateway, Running, SocketAddr, tonic::Streaming<SubscribeResponse>, String) {
    let telegram = telegram(SimulatorConfig::default()).await;
    telegram.feed(42, Source::Generated(Traffic { total: Some(1), rate: 0.0, ..Traffic::default() }));
    let url = telegram.url();
    let environment = [("SWITCHBOARD_TELEGRAM_API_URL", url.as_str()), ("SWITCHBOARD_SHUTDOWN_GRACE", grace)];
    let mut gateway = Gateway::start(data, &environment);
    let grpc = gateway.address("grpc.listen").await;
    gateway.says("\"ready\"").await;
    let mut client = DeliveryServiceClient::connect(format!("http://{grpc}")).await.unwrap();
    let request = SubscribeRequest { group: "orders".into(), ..SubscribeRequest::default() };
    let mut stream = client.subscribe(request).await.unwrap().into_inner();
    let token = loop {
        if let Some(Event::Deliveries(deliveries)) = next(&mut stream).await {
            break deliveries.deliveries[0].token.clone();
        }
    };
    (gateway, telegram, grpc, stream, token)
}

async fn next(stream: &mut tonic::Streaming<SubscribeResponse>) -> Option<Event> {
    tokio::time::timeout(PATIENCE, stream.message()).await.unwrap().unwrap().unwrap().event
}

#[tokio::test]
async fn a_stop_tells_streams_to_drain_and_waits_for_their_settlements() {
    let data = tempfile::tempdir().unwrap();
    let (gateway, _telegram, grpc, mut stream, token) = with_one_outstanding(data.path(), "60s").await;
    gateway.signal("-TERM");
    while !matches!(next(&mut stream).await, Some(Event::Draining(_))) {}
    let mut client = DeliveryServiceClient::connect(format!("http://{grpc}")).await.unwrap();
    let ack = AckRequest { group: "orders".into(), tokens: vec![token], ..AckRequest::default() };
    assert_eq!(client.ack(ack).await.unwrap().into_inner().results.len(), 1);
    // Long before the grace is over: nothing is outstanding any more.
    let (code, log) = gateway.end().await;
    assert_eq!(code, Some(0), "{log}");
}

#[tokio::test]
async fn a_second_signal_stops_at_once_with_exit_code_130() {
    let data = tempfile::tempdir().unwrap();
    let (mut gateway, _telegram, _, mut stream, _) = with_one_outstanding(data.path(), "60s").await;
    gateway.signal("-TERM");
    while !matches!(next(&mut stream).await, Some(Event::Draining(_))) {}
    gateway.says("\"stopping\"").await;
    // Another SIGTERM within a second would be taken for the same request.
    gateway.signal("-INT");
    let (code, log) = gateway.end().await;
    assert_eq!(code, Some(130), "{log}");
}

#[tokio::test]
async fn idle_webhook_connections_leave_files_for_handlers_and_operators() {
    let data = tempfile::tempdir().unwrap();
    let telegram = telegram(SimulatorConfig { local: true, ..SimulatorConfig::default() }).await;
    let mut command = Command::new("/bin/sh");
    command.args(["-c", r#"ulimit -n 400 && exec "$0""#, BINARY]);
    let url = telegram.url();
    let environment = [
        ("SWITCHBOARD_TELEGRAM_API_URL", url.as_str()),
        ("SWITCHBOARD_TELEGRAM_LOCAL_API", "true"),
        ("SWITCHBOARD_WEBHOOK_URL", "http://127.0.0.1:1"),
    ];
    let mut gateway = Gateway::start_as(command, data.path(), &environment);
    let grpc = gateway.address("grpc.listen").await;
    let ops = gateway.address("ops.listen").await;
    let public = gateway.address("public.listen").await;
    gateway.says("connected to Telegram").await;
    // More than there are files; those that are not accepted wait in the system's queue.
    let mut idle = Vec::new();
    for _ in 0..450 {
        let connecting = tokio::net::TcpStream::connect(public);
        let Ok(stream) = tokio::time::timeout(Duration::from_secs(1), connecting).await else { break };
        idle.push(stream.unwrap());
    }
    assert!(idle.len() > 60, "{} connections", idle.len());
    let (status, metrics) = get(ops, "/metrics").await;
    assert_eq!(status, 200, "{metrics}");
    let mut client = DeliveryServiceClient::connect(format!("http://{grpc}")).await.unwrap();
    let request = SubscribeRequest { group: "orders".into(), ..SubscribeRequest::default() };
    let mut stream = client.subscribe(request).await.unwrap().into_inner();
    assert!(matches!(next(&mut stream).await, Some(Event::Opened(_))));
    drop((idle, stream));
    gateway.signal("-TERM");
    let (code, log) = gateway.end().await;
    assert_eq!(code, Some(0), "{log}");
    assert!(!log.contains("Too many open files"), "{log}");
}

#[tokio::test]
async fn a_backup_of_a_running_gateway_can_be_restored_elsewhere() {
    let data = tempfile::tempdir().unwrap();
    let (gateway, _telegram, grpc, stream, _) = with_one_outstanding(data.path(), "0s").await;
    let run = async |args: &[&str]| {
        let output =
            Command::new(BINARY).env_clear().current_dir(data.path()).args(args).output().await.unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    let address = format!("http://{grpc}");
    let (code, said) = run(&["backup", "--address", &address, "copy.journal"]).await;
    assert_eq!(code, Some(0), "{said}");
    let (code, said) = run(&["backup", "--address", &address, "copy.journal"]).await;
    assert_eq!(code, Some(6), "a backup overwrites nothing: {said}");
    let (code, said) = run(&["restore", "copy.journal", "--data-dir", "elsewhere"]).await;
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("id 42") && said.contains("1 updates, 1 groups"), "{said}");
    let (code, said) = run(&["restore", "copy.journal", "--data-dir", "elsewhere"]).await;
    assert_eq!(code, Some(3), "{said}");
    let (code, said) = run(&["restore", "copy.journal", "--bot", "../x"]).await;
    assert_eq!(code, Some(2), "{said}");
    drop(stream);
    gateway.signal("-TERM");
    assert_eq!(gateway.end().await.0, Some(0));
}
