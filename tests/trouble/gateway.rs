//! The gateway as a child process: its addresses, its metrics, its end. Everything that it says is looked through for
//! secrets.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::Value;
use switchboard::simulator::{Running, Simulator, SimulatorConfig};
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::watch;

/// The bot's id at Telegram.
pub const BOT: i64 = 42;
/// Its token.
pub const TOKEN: &str = "42:AAE-very_secret_part";
/// What must never be said: a part of every secret in these tests.
const SECRET: &str = "very_secret_part";
/// Nothing takes so long; a test that waits for more has failed.
pub const PATIENCE: Duration = Duration::from_secs(90);
/// Time between two looks at another process.
pub const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// A gateway that runs.
pub struct Gateway {
    process: Child,
    said: watch::Receiver<usize>,
    lines: Arc<Mutex<Vec<String>>>,
    readers: Vec<tokio::task::JoinHandle<()>>,
    /// Where handlers subscribe.
    pub grpc: SocketAddr,
    /// Where metrics and health are.
    pub ops: SocketAddr,
}

impl Gateway {
    /// Starts it on free ports, keeping its journal in `data`, and waits until it is ready.
    pub async fn start(telegram: &Running, data: &Path, environment: &[(&str, &str)]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_switchboard"));
        command.arg("serve").env_clear().current_dir(data).kill_on_drop(true);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        for key in ["GRPC", "OPS", "PUBLIC"] {
            command.env(format!("SWITCHBOARD_{key}_LISTEN"), "127.0.0.1:0");
        }
        command.env("SWITCHBOARD_DATA_DIR", data).env("SWITCHBOARD_TELEGRAM_API_URL", telegram.url());
        command.env("TELEGRAM_BOT_TOKEN", TOKEN).envs(environment.iter().copied());
        let mut process = command.spawn().unwrap();
        let lines = Arc::<Mutex<Vec<String>>>::default();
        let (count, said) = watch::channel(0);
        let readers = vec![
            read(process.stdout.take().unwrap(), lines.clone(), count.clone()),
            read(process.stderr.take().unwrap(), lines.clone(), count),
        ];
        let nowhere = SocketAddr::from(([127, 0, 0, 1], 0));
        let mut gateway = Self { process, said, lines, readers, grpc: nowhere, ops: nowhere };
        gateway.grpc = gateway.address("grpc.listen").await;
        gateway.ops = gateway.address("ops.listen").await;
        gateway.says("\"ready\"").await;
        gateway
    }

    /// Waits until it has said this, and returns the first line with it.
    pub async fn says(&mut self, words: &str) -> String {
        let lines = self.lines.clone();
        let find = || lines.lock().unwrap().iter().find(|line| line.contains(words)).cloned();
        let waited = tokio::time::timeout(PATIENCE, self.said.wait_for(|_| find().is_some())).await;
        let found = waited.is_ok_and(|said| said.is_ok()).then(find).flatten().or_else(find);
        found.unwrap_or_else(|| panic!("never said `{words}`: {:#?}", lines.lock().unwrap()))
    }

    /// Where webhooks come in.
    pub async fn public(&mut self) -> SocketAddr {
        self.address("public.listen").await
    }

    async fn address(&mut self, key: &str) -> SocketAddr {
        let line = self.says(&format!("listening ({key})")).await;
        let line: Value = serde_json::from_str(&line).unwrap();
        line["address"].as_str().unwrap().parse().unwrap()
    }

    /// The sum of the metric's series that have all these labels.
    pub async fn metric(&self, name: &str, labels: &[&str]) -> f64 {
        let (status, text) = get(self.ops, "/metrics").await;
        assert_eq!(status, 200, "{text}");
        text.lines()
            .filter(|line| line.strip_prefix(name).is_some_and(|rest| rest.starts_with(['{', ' '])))
            .filter(|line| labels.iter().all(|label| line.contains(label)))
            .map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap())
            .sum()
    }

    /// Why no updates are taken, if so.
    pub async fn intake_paused(&self) -> Option<String> {
        let (_, body) = get(self.ops, "/readyz").await;
        let body: Value = serde_json::from_str(&body).unwrap();
        body["bots"][0]["intake_paused"]["reason"].as_str().map(str::to_owned)
    }

    /// Waits until the intake is paused, or is not, and returns why it is.
    pub async fn until_paused(&self, paused: bool) -> Option<String> {
        let waited = tokio::time::timeout(PATIENCE, async {
            loop {
                let reason = self.intake_paused().await;
                if reason.is_some() == paused {
                    return reason;
                }
                tokio::time::sleep(POLL_INTERVAL).await;
            }
        });
        waited.await.unwrap_or_else(|_| panic!("paused should be {paused}: {}", self.log()))
    }

    /// Whether it still runs.
    pub fn is_alive(&mut self) -> bool {
        self.process.try_wait().unwrap().is_none()
    }

    /// All that it has said until now.
    pub fn log(&self) -> String {
        self.lines.lock().unwrap().join("\n")
    }

    /// Stops it, and returns all that it said. It must end well and must not have told a secret.
    pub async fn stop(mut self) -> String {
        assert!(self.is_alive(), "the gateway has ended: {}", self.log());
        let id = self.process.id().unwrap().to_string();
        assert!(std::process::Command::new("kill").args(["-TERM", &id]).status().unwrap().success());
        let ended = tokio::time::timeout(PATIENCE, self.process.wait()).await;
        for reader in std::mem::take(&mut self.readers) {
            reader.await.unwrap();
        }
        let log = self.log();
        let code = ended.unwrap_or_else(|_| panic!("the gateway did not end: {log}")).unwrap().code();
        assert_eq!(code, Some(0), "{log}");
        assert!(!log.contains(SECRET), "a secret in the output: {log}");
        assert!(!log.contains("panicked"), "{log}");
        log
    }
}

fn read(
    output: impl AsyncRead + Unpin + Send + 'static,
    lines: Arc<Mutex<Vec<String>>>,
    count: watch::Sender<usize>,
) -> tokio::task::JoinHandle<()> {
    tokio::spawn(async move {
        let mut output = BufReader::new(output).lines();
        while let Ok(Some(line)) = output.next_line().await {
            lines.lock().unwrap().push(line);
            count.send_modify(|count| *count += 1);
        }
    })
}

/// A simulator on a free port, which also takes webhooks on loopback.
pub async fn telegram() -> Running {
    let listen = ([127, 0, 0, 1], 0).into();
    Simulator::start(SimulatorConfig { listen, local: true, ..SimulatorConfig::default() }).await.unwrap()
}

/// Asks for a page.
pub async fn get(address: SocketAddr, path: &str) -> (u16, String) {
    let answer = http().get(format!("http://{address}{path}")).send().await.unwrap();
    (answer.status().as_u16(), answer.text().await.unwrap())
}

/// An HTTP client that goes straight there.
pub fn http() -> reqwest::Client {
    reqwest::Client::builder().no_proxy().build().unwrap()
}

/// Gives the bot a message in each of these chats, in this order.
pub async fn write_in(telegram: &Running, chats: impl IntoIterator<Item = i64>) {
    let mut body = String::new();
    for chat in chats {
        let user = format!(r#"{{"id":{chat},"is_bot":false,"first_name":"U"}}"#);
        let chat = format!(r#"{{"id":{chat},"type":"private","first_name":"U"}}"#);
        let message =
            format!(r#"{{"message_id":1,"date":1700000000,"from":{user},"chat":{chat},"text":"x"}}"#);
        body += &format!("{{\"message\":{message}}}\n");
    }
    let url = format!("{}/simulator/bots/{BOT}/updates", telegram.url());
    let answer = http().post(url).body(body).send().await.unwrap();
    let status = answer.status();
    assert!(status.is_success(), "{status}: {}", answer.text().await.unwrap());
}

/// A free address for webhooks, and the URL with it.
pub fn webhook_at() -> (String, String) {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    (free.to_string(), format!("http://{free}"))
}

/// What makes the gateway take webhooks there.
pub fn webhook<'a>(listen: &'a str, url: &'a str) -> [(&'a str, &'a str); 4] {
    [
        ("SWITCHBOARD_MODE", "webhook"),
        ("SWITCHBOARD_TELEGRAM_LOCAL_API", "true"),
        ("SWITCHBOARD_PUBLIC_LISTEN", listen),
        ("SWITCHBOARD_PUBLIC_URL", url),
    ]
}
