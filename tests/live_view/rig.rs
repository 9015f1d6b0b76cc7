//! A simulated Telegram and a gateway, both as the built binary.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::process::Stdio;
use std::time::Duration;

use tokio::process::{Child, Command};

use crate::POLL_INTERVAL;

const BINARY: &str = env!("CARGO_BIN_EXE_switchboard");
const PATIENCE: Duration = Duration::from_secs(30);

pub struct Rig {
    directory: tempfile::TempDir,
    pub simulator: SocketAddr,
    _simulator: Child,
    pub grpc: SocketAddr,
    pub ops: SocketAddr,
    pub access_token: Option<&'static str>,
    gateway: Option<Child>,
    http: reqwest::Client,
}

impl Rig {
    pub async fn start(access_token: Option<&'static str>) -> Self {
        let [simulator, grpc, ops] = free_addresses();
        let mut command = Command::new(BINARY);
        command.args(["simulate", "--idle", "--listen", &simulator.to_string()]);
        let simulating = command.stdout(Stdio::null()).kill_on_drop(true).spawn().unwrap();
        let directory = tempfile::tempdir().unwrap();
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        let mut rig = Self {
            directory,
            simulator,
            _simulator: simulating,
            grpc,
            ops,
            access_token,
            gateway: None,
            http,
        };
        let control = rig.http.get(format!("http://{simulator}/simulator"));
        rig.succeeds("the simulator", control).await;
        rig.start_gateway().await;
        rig
    }

    pub async fn start_gateway(&mut self) {
        let mut command = Command::new(BINARY);
        command.arg("serve").env_clear().kill_on_drop(true);
        command.env("TELEGRAM_BOT_TOKEN", "1:simulated");
        command.env("SWITCHBOARD_TELEGRAM_API_URL", format!("http://{}", self.simulator));
        command.env("SWITCHBOARD_GRPC_LISTEN", self.grpc.to_string());
        command.env("SWITCHBOARD_OPS_LISTEN", self.ops.to_string());
        command.env("SWITCHBOARD_DATA_DIR", self.directory.path().join("data"));
        if let Some(token) = self.access_token {
            command.env("SWITCHBOARD_ACCESS_TOKEN", token);
        }
        let log = self.directory.path().join("gateway.log");
        let log = std::fs::File::options().create(true).append(true).open(log).unwrap();
        command.stdout(log.try_clone().unwrap()).stderr(log);
        self.gateway = Some(command.spawn().unwrap());
        let ready = self.http.get(format!("http://{}/readyz", self.ops));
        self.succeeds("the gateway", ready).await;
    }

    pub async fn kill_gateway(&mut self) {
        self.gateway.take().unwrap().kill().await.unwrap();
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(self.directory.path().join("gateway.log")).unwrap_or_default()
    }

    /// Waits until the group is there.
    pub async fn has_group(&self, group: &str) {
        let url = format!("http://{}/api/switchboard.v1.AdminService/GetGroup", self.ops);
        let request = self.http.post(url).header("content-type", "application/json");
        let request = request.body(serde_json::json!({ "group": group }).to_string());
        let request = match self.access_token {
            Some(token) => request.bearer_auth(token),
            None => request,
        };
        self.succeeds(&format!("group {group}"), request).await;
    }

    async fn succeeds(&self, what: &str, request: reqwest::RequestBuilder) {
        let mut last = String::new();
        let waiting = async {
            loop {
                match request.try_clone().unwrap().send().await {
                    Ok(answer) if answer.status().is_success() => return,
                    Ok(answer) => last = answer.text().await.unwrap_or_default(),
                    Err(error) => last = error.to_string(),
                }
                tokio::time::sleep(POLL_INTERVAL).await;
            }
        };
        let waited = tokio::time::timeout(PATIENCE, waiting).await;
        assert!(waited.is_ok(), "waited {PATIENCE:?} for {what}: {last}; the gateway's log:\n{}", self.log());
    }
}

fn free_addresses<const N: usize>() -> [SocketAddr; N] {
    // All are held until the last one is found, so that they differ.
    let held: [TcpListener; N] =
        std::array::from_fn(|_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap());
    held.map(|listener| listener.local_addr().unwrap())
}
