//! The gateway as a process, and the Telegram it is pointed at.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::atomic::{AtomicU16, Ordering};

use serde_json::Value;
use switchboard::simulator::{Running, Simulator, SimulatorConfig};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::watch;

use crate::steps::http;
use crate::{PATIENCE, POLL_INTERVAL};

const SECRET: &str = "very_secret_part";

/// How updates come in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    Polling,
    Webhook,
}

/// A simulated Telegram that allows webhooks on loopback.
pub async fn telegram() -> Running {
    let listen = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let config = SimulatorConfig { listen, local: true, ..SimulatorConfig::default() };
    Simulator::start(config).await.unwrap()
}

/// All that a gateway is started with, and started again after it was killed.
pub struct Setup {
    data: PathBuf,
    /// Where webhooks come in.
    pub public: SocketAddr,
    environment: Vec<(&'static str, String)>,
}

impl Setup {
    /// A gateway on ports that are its own as long as the test lasts.
    pub fn new(data: &Path, telegram: &Running, mode: Mode) -> Self {
        let [grpc, public, ops] = [(); 3].map(|()| own_address());
        let mut environment = vec![
            ("TELEGRAM_BOT_TOKEN", format!("{}:{SECRET}", crate::BOT)),
            ("SWITCHBOARD_TELEGRAM_API_URL", telegram.url()),
            ("SWITCHBOARD_GRPC_LISTEN", grpc.to_string()),
            ("SWITCHBOARD_PUBLIC_LISTEN", public.to_string()),
            ("SWITCHBOARD_OPS_LISTEN", ops.to_string()),
            ("SWITCHBOARD_DATA_DIR", "data".to_owned()),
        ];
        match mode {
            Mode::Polling => environment.push(("SWITCHBOARD_MODE", "polling".to_owned())),
            Mode::Webhook => environment.extend([
                ("SWITCHBOARD_MODE", "webhook".to_owned()),
                ("SWITCHBOARD_TELEGRAM_LOCAL_API", "true".to_owned()),
                ("SWITCHBOARD_PUBLIC_URL", format!("http://{public}")),
            ]),
        }
        Self { data: data.to_owned(), public, environment }
    }

    /// The same with one more setting.
    pub fn with(mut self, name: &'static str, value: &str) -> Self {
        self.environment.push((name, value.to_owned()));
        self
    }

    /// Starts it and waits until it says where it listens.
    pub async fn start(&self) -> Gateway {
        let mut gateway = self.spawn();
        gateway.grpc = gateway.address("grpc.listen").await;
        gateway.ops = gateway.address("ops.listen").await;
        gateway
    }

    /// Starts one that must end by itself, with this exit code and these words.
    pub async fn is_refused(&self, code: i32, words: &[&str]) {
        let (ended, log) = self.spawn().ended().await;
        assert_eq!(ended, Some(code), "{log:#?}");
        for words in words {
            assert!(log.iter().any(|line| line.contains(words)), "never said `{words}`: {log:#?}");
        }
    }

    fn spawn(&self) -> Gateway {
        let mut command = Command::new(env!("CARGO_BIN_EXE_switchboard"));
        command.arg("serve").env_clear().current_dir(&self.data).envs(self.environment.iter().cloned());
        let mut process = command.kill_on_drop(true).stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(process.stderr.take().unwrap()).lines();
        let (log, said) = watch::channel(Vec::new());
        tokio::spawn(async move {
            while let Ok(Some(line)) = lines.next_line().await {
                log.send_modify(|log| log.push(line));
            }
        });
        let unknown = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0));
        Gateway { process, said, grpc: unknown, ops: unknown }
    }
}

/// A gateway at work. Dropping it kills it.
pub struct Gateway {
    process: Child,
    /// What it has logged, line by line; closed once it has ended.
    said: watch::Receiver<Vec<String>>,
    pub grpc: SocketAddr,
    pub ops: SocketAddr,
}

impl Gateway {
    /// Waits until a line of the log contains the words, which may have happened already.
    pub async fn says(&self, words: &str) -> Value {
        let mut said = self.said.clone();
        let mut found = None;
        let waiting = said.wait_for(|lines| {
            found = lines.iter().find(|line| line.contains(words)).cloned();
            found.is_some()
        });
        let in_time = tokio::time::timeout(PATIENCE, waiting).await.is_ok_and(|said| said.is_ok());
        assert!(in_time, "never said `{words}`: {:#?}", self.log());
        serde_json::from_str(&found.unwrap()).unwrap()
    }

    async fn address(&self, key: &str) -> SocketAddr {
        self.says(&format!("listening ({key})")).await["address"].as_str().unwrap().parse().unwrap()
    }

    pub fn log(&self) -> Vec<String> {
        let log = self.said.borrow().clone();
        assert!(!log.iter().any(|line| line.contains(SECRET)), "a secret in the log: {log:#?}");
        log
    }

    /// Asks the ops listener for a page.
    pub async fn get(&self, path: &str) -> (u16, String) {
        let answer = http().get(format!("http://{}{path}", self.ops)).send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    }

    /// What `/readyz` says of the bot.
    pub async fn bot(&self) -> Value {
        let mut readiness: Value = serde_json::from_str(&self.get("/readyz").await.1).unwrap();
        // There is none until the journals are recovered.
        readiness.pointer_mut("/bots/0").map(Value::take).unwrap_or_default()
    }

    /// What `/readyz` says of the bot, as soon as it is such.
    pub async fn until(&self, is: impl Fn(&Value) -> bool) -> Value {
        let look = async {
            loop {
                let bot = self.bot().await;
                if is(&bot) {
                    return bot;
                }
                tokio::time::sleep(POLL_INTERVAL).await;
            }
        };
        tokio::time::timeout(PATIENCE, look).await.unwrap_or_else(|_| panic!("/readyz: {:#?}", self.log()))
    }

    /// The sum of the metric's series that have this label.
    pub async fn metric(&self, name: &str, label: &str) -> f64 {
        let (_, text) = self.get("/metrics").await;
        let series = text.lines().filter(|line| line.starts_with(name) && line.contains(label));
        series.filter_map(|line| line.rsplit_once(' ')?.1.parse::<f64>().ok()).sum()
    }

    /// SIGKILL: it gets no chance to do anything more.
    pub async fn kill(mut self) {
        self.log();
        assert_eq!(self.process.try_wait().unwrap(), None, "it ended by itself: {:#?}", self.log());
        self.process.kill().await.unwrap();
    }

    /// SIGTERM.
    pub fn terminate(&self) {
        let id = self.process.id().unwrap().to_string();
        assert!(std::process::Command::new("kill").args(["-TERM", &id]).status().unwrap().success());
    }

    /// Its exit code once it has ended, and all that it has said.
    pub async fn ended(mut self) -> (Option<i32>, Vec<String>) {
        let ended = tokio::time::timeout(PATIENCE, self.process.wait()).await;
        let code = ended.unwrap_or_else(|_| panic!("it did not end: {:#?}", self.log())).unwrap().code();
        // The reader's end is that of the log.
        while self.said.changed().await.is_ok() {}
        (code, self.log())
    }

    /// Stops it in order.
    pub async fn stop(self) {
        self.terminate();
        let (code, log) = self.ended().await;
        assert_eq!(code, Some(0), "{log:#?}");
    }
}

/// An address whose port nobody is given by chance while the gateway is down: it is below the range from which Linux
/// takes ports for outgoing connections and for listeners on port 0.
pub fn own_address() -> SocketAddr {
    static TAKEN: AtomicU16 = AtomicU16::new(0);
    const FIRST: u16 = 10_240;
    const COUNT: u16 = 20_000;
    // Test processes that run at the same time begin at different ports.
    const EACH: u32 = 64;
    let begin = std::process::id().wrapping_mul(EACH) % u32::from(COUNT);
    for _ in 0..COUNT {
        let offset = begin + u32::from(TAKEN.fetch_add(1, Ordering::Relaxed));
        let port = FIRST + u16::try_from(offset % u32::from(COUNT)).unwrap();
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        if TcpListener::bind(address).is_ok() {
            return address;
        }
    }
    panic!("no port is free");
}
