//! A simulated Telegram and a gateway, both as the built binary, and whatever talks to them.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};

const BINARY: &str = env!("CARGO_BIN_EXE_switchboard");
const PATIENCE: Duration = Duration::from_secs(60);
const POLL_INTERVAL: Duration = Duration::from_millis(20);

pub struct Rig {
    directory: tempfile::TempDir,
    simulator: SocketAddr,
    _simulator: Child,
    pub grpc: SocketAddr,
    ops: SocketAddr,
    gateway: Option<Child>,
    http: reqwest::Client,
}

impl Rig {
    pub async fn start() -> Self {
        let [simulator, grpc, public, ops] = free_addresses();
        let directory = tempfile::tempdir().unwrap();
        let mut command = Command::new(BINARY);
        command.args(["simulate", "--idle", "--listen", &simulator.to_string()]);
        let simulating = command.stdout(Stdio::null()).kill_on_drop(true).spawn().unwrap();
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        let mut rig = Self { directory, simulator, _simulator: simulating, grpc, ops, gateway: None, http };
        rig.answers(&format!("http://{simulator}/simulator")).await;
        rig.start_gateway(public).await;
        rig
    }

    async fn start_gateway(&mut self, public: SocketAddr) {
        let mut command = Command::new(BINARY);
        command.arg("serve").env_clear().kill_on_drop(true);
        command.env("TELEGRAM_BOT_TOKEN", "1:simulated");
        command.env("SWITCHBOARD_TELEGRAM_API_URL", format!("http://{}", self.simulator));
        command.env("SWITCHBOARD_GRPC_LISTEN", self.grpc.to_string());
        command.env("SWITCHBOARD_PUBLIC_LISTEN", public.to_string());
        command.env("SWITCHBOARD_OPS_LISTEN", self.ops.to_string());
        command.env("SWITCHBOARD_DATA_DIR", self.directory.path().join("data"));
        let log = std::fs::File::options().create(true).append(true).open(self.log()).unwrap();
        command.stdout(log.try_clone().unwrap()).stderr(log);
        self.gateway = Some(command.spawn().unwrap());
        self.answers(&format!("http://{}/readyz", self.ops)).await;
    }

    fn log(&self) -> PathBuf {
        self.directory.path().join("gateway.log")
    }

    /// Kills the gateway without warning and starts it again on the same directory and addresses.
    pub async fn kill_and_restart_gateway(&mut self) {
        let mut gateway = self.gateway.take().unwrap();
        gateway.kill().await.unwrap();
        let [public] = free_addresses();
        self.start_gateway(public).await;
    }

    /// Puts messages into Telegram's queue: (chat, text).
    pub async fn telegram_receives(&self, messages: &[(i64, &str)]) {
        let updates: Vec<String> = messages
            .iter()
            .map(|(chat, text)| {
                let chat = serde_json::json!({"id": chat, "type": "private"});
                let message = serde_json::json!({"message_id": 1, "date": 1, "chat": chat, "text": text});
                serde_json::json!({ "message": message }).to_string()
            })
            .collect();
        let url = format!("http://{}/simulator/bots/1/updates", self.simulator);
        let answer = self.http.post(url).body(updates.join("\n")).send().await.unwrap();
        assert!(answer.status().is_success(), "{}", answer.text().await.unwrap());
    }

    /// Waits until the group is done with so many updates since the gateway's start.
    pub async fn settled(&self, group: &str, updates: u64) {
        let url = format!("http://{}/metrics", self.ops);
        let label = format!("group=\"{group}\"");
        self.wait(&format!("{updates} updates settled in {group}"), async || {
            let text = self.http.get(&url).send().await.ok()?.text().await.ok()?;
            let settled: f64 = text
                .lines()
                .filter(|line| {
                    line.starts_with("switchboard_updates_settled_total{") && line.contains(&label)
                })
                .filter_map(|line| line.rsplit_once(' ')?.1.parse::<f64>().ok())
                .sum();
            (settled as u64 >= updates).then_some(())
        })
        .await;
    }

    async fn answers(&self, url: &str) {
        self.wait(&format!("an answer of {url}"), async || {
            let answer = self.http.get(url).send().await.ok()?;
            answer.status().is_success().then_some(())
        })
        .await;
    }

    async fn wait(&self, what: &str, ready: impl AsyncFn() -> Option<()>) {
        let waiting = async {
            while ready().await.is_none() {
                tokio::time::sleep(POLL_INTERVAL).await;
            }
        };
        if tokio::time::timeout(PATIENCE, waiting).await.is_err() {
            let log = std::fs::read_to_string(self.log()).unwrap_or_default();
            panic!("waited {PATIENCE:?} for {what}; the gateway's log:\n{log}");
        }
    }
}

fn free_addresses<const N: usize>() -> [SocketAddr; N] {
    // All are held until the last one is found, so that they differ.
    let held: [TcpListener; N] =
        std::array::from_fn(|_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap());
    held.map(|listener| listener.local_addr().unwrap())
}

/// One of the example handlers at work.
pub struct Handler {
    _child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Handler {
    pub fn start(rig: &Rig, program: &Path, args: &[PathBuf], group: &str) -> Self {
        let mut command = Command::new(program);
        command.args(args).kill_on_drop(true).stdout(Stdio::piped());
        command.env("SWITCHBOARD_ADDRESS", rig.grpc.to_string()).env("SWITCHBOARD_GROUP", group);
        command.env_remove("SWITCHBOARD_ACCESS_TOKEN").env_remove("SWITCHBOARD_BOT");
        // Loopback is not reached through a proxy, whatever the machine is set up for.
        command.env("no_proxy", "127.0.0.1,localhost").env("NO_PROXY", "127.0.0.1,localhost");
        let mut child = command
            .spawn()
            .unwrap_or_else(|error| panic!("{} cannot be started: {error}", program.display()));
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { _child: child, lines }
    }

    /// The next so many updates it handled, as (text, attempt) by key, in the order in which it took them.
    pub async fn took(&mut self, count: usize) -> BTreeMap<String, Vec<(String, i64)>> {
        let mut took: BTreeMap<String, Vec<(String, i64)>> = BTreeMap::new();
        let mut seen = 0;
        while seen < count {
            let line = tokio::time::timeout(PATIENCE, self.lines.next_line()).await;
            let line = line.unwrap_or_else(|_| panic!("waited {PATIENCE:?}; so far {took:?}")).unwrap();
            let line = line.unwrap_or_else(|| panic!("the handler ended; so far {took:?}"));
            // What is no JSON object is said to people, about lost streams for instance.
            let Ok(Value::Object(update)) = serde_json::from_str(&line) else { continue };
            let text = update["text"].as_str().unwrap().to_owned();
            let attempt = update["attempt"].as_i64().unwrap();
            took.entry(update["key"].as_str().unwrap().to_owned()).or_default().push((text, attempt));
            seen += 1;
        }
        took
    }
}
