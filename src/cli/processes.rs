//! A gateway and its consumers as processes of their own, for `demo` and `bench`: free ports, a directory that is
//! removed afterwards, and children that end with their parent.

use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use thiserror::Error;
use tokio::process::{Child, Command};

use super::clock;
use super::simulation::TOKEN;
use crate::config::Environment;

/// Why a process of the set could not be had.
#[derive(Debug, Error)]
pub(crate) enum ProcessError {
    #[error("no directory for the gateway's data: {0}")]
    Directory(std::io::Error),
    #[error("no free port: {0}")]
    Port(std::io::Error),
    #[error("cannot start {name}: {source}")]
    Start { name: &'static str, source: std::io::Error },
    #[error("the gateway {what}; its log ends with:\n{log}")]
    Gateway { what: String, log: String },
    #[error("the gateway's ops listener: {0}")]
    Ops(#[from] reqwest::Error),
    #[error("no random bytes from the operating system: {0}")]
    Random(getrandom::Error),
}

/// A new directory; removed with everything in it when dropped.
pub(crate) struct TemporaryDirectory(PathBuf);

impl TemporaryDirectory {
    /// Below the system's directory for temporary files.
    pub(crate) fn new(name: &str) -> Result<Self, ProcessError> {
        Self::below(&std::env::temp_dir(), name)
    }

    pub(crate) fn below(parent: &Path, name: &str) -> Result<Self, ProcessError> {
        let random = getrandom::u64().map_err(ProcessError::Random)?;
        let path = parent.join(format!("switchboard-{name}-{random:016x}"));
        std::fs::create_dir(&path).map_err(ProcessError::Directory)?;
        Ok(Self(path))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for TemporaryDirectory {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.0) {
            let _ = writeln!(std::io::stderr(), "{} could not be removed: {error}", self.0.display());
        }
    }
}

/// `N` loopback addresses that nobody listens on: the system hands them out again only much later.
pub(crate) fn free_addresses<const N: usize>() -> Result<[SocketAddr; N], ProcessError> {
    let mut addresses = [SocketAddr::from((Ipv4Addr::LOCALHOST, 0)); N];
    // All are held until the last one is found, so that they differ.
    let mut held = Vec::with_capacity(N);
    for address in &mut addresses {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(ProcessError::Port)?;
        *address = listener.local_addr().map_err(ProcessError::Port)?;
        held.push(listener);
    }
    Ok(addresses)
}

/// Another process of this program, which is killed when it is dropped.
pub(crate) fn own_command(name: &'static str) -> Result<Command, ProcessError> {
    let program = std::env::current_exe().map_err(|source| ProcessError::Start { name, source })?;
    let mut command = Command::new(program);
    command.kill_on_drop(true).stdin(Stdio::null());
    // Only what the parent sets counts, not what the shell it was started from is set up for.
    let environment = Environment::of_process();
    command.env_clear().envs(KEPT.iter().filter_map(|name| Some((name, environment.get(name)?))));
    Ok(command)
}

/// What a gateway is started with.
pub(crate) struct GatewaySettings {
    pub(crate) telegram: String,
    pub(crate) grpc: SocketAddr,
    pub(crate) public: SocketAddr,
    pub(crate) ops: SocketAddr,
    pub(crate) data: PathBuf,
    /// Further variables of its environment.
    pub(crate) environment: Vec<(String, String)>,
}

/// A gateway in a process of its own.
pub(crate) struct Gateway {
    child: Child,
    http: reqwest::Client,
    ops: SocketAddr,
    log: PathBuf,
}

impl Gateway {
    /// Starts it, without waiting for anything.
    pub(crate) fn spawn(settings: &GatewaySettings) -> Result<Self, ProcessError> {
        let log = settings.data.join("gateway.log");
        let start = |source| ProcessError::Start { name: "the gateway", source };
        std::fs::create_dir_all(&settings.data).map_err(ProcessError::Directory)?;
        let file = std::fs::File::options().create(true).append(true).open(&log).map_err(start)?;
        let child = own_command("the gateway")?
            .arg("serve")
            .env("TELEGRAM_BOT_TOKEN", TOKEN)
            .env("SWITCHBOARD_TELEGRAM_API_URL", &settings.telegram)
            .env("SWITCHBOARD_GRPC_LISTEN", settings.grpc.to_string())
            .env("SWITCHBOARD_PUBLIC_LISTEN", settings.public.to_string())
            .env("SWITCHBOARD_OPS_LISTEN", settings.ops.to_string())
            .env("SWITCHBOARD_DATA_DIR", settings.data.join("journal"))
            .envs(settings.environment.iter().map(|(name, value)| (name, value)))
            .stdout(file.try_clone().map_err(start)?)
            .stderr(file)
            .spawn()
            .map_err(start)?;
        let http = reqwest::Client::builder().no_proxy().timeout(OPS_TIMEOUT).build()?;
        Ok(Self { child, http, ops: settings.ops, log })
    }

    /// Its process id; `None` after its end.
    pub(crate) fn id(&self) -> Option<u32> {
        self.child.id()
    }

    /// Waits until it is ready to take and hand out updates.
    pub(crate) async fn ready(&mut self) -> Result<(), ProcessError> {
        let url = format!("http://{}/readyz", self.ops);
        let deadline = clock::now() + READY_TIMEOUT;
        loop {
            if let Ok(Some(status)) = self.child.try_wait() {
                return Err(self.failed(format!("ended with {status}")));
            }
            let answer = self.http.get(&url).send().await;
            if answer.is_ok_and(|response| response.status().is_success()) {
                return Ok(());
            }
            if clock::now() > deadline {
                return Err(self.failed(format!("was not ready after {READY_TIMEOUT:?}")));
            }
            tokio::time::sleep(POLL_INTERVAL).await;
        }
    }

    /// The sum of a metric over those of its label sets that contain `label` (`group="orders"`, say; empty: all).
    pub(crate) async fn metric(&self, name: &str, label: &str) -> Result<f64, ProcessError> {
        let url = format!("http://{}/metrics", self.ops);
        let text = self.http.get(url).send().await?.error_for_status()?.text().await?;
        Ok(metric(&text, name, label))
    }

    /// Ends it as an operator would, and waits for that.
    pub(crate) async fn stop(&mut self) -> Result<(), ProcessError> {
        if let Some(id) = self.child.id().and_then(|id| i32::try_from(id).ok()) {
            terminate(id).map_err(|source| ProcessError::Start { name: "the gateway's stop", source })?;
        }
        match tokio::time::timeout(STOP_TIMEOUT, self.child.wait()).await {
            Ok(Ok(status)) if status.success() => Ok(()),
            Ok(Ok(status)) => Err(self.failed(format!("ended with {status} when asked to stop"))),
            Ok(Err(error)) => Err(self.failed(format!("cannot be waited for: {error}"))),
            Err(_) => Err(self.failed(format!("did not stop within {STOP_TIMEOUT:?}"))),
        }
    }

    fn failed(&self, what: String) -> ProcessError {
        let log = std::fs::read_to_string(&self.log).unwrap_or_default();
        let from = log.lines().count().saturating_sub(LOG_LINES);
        let log = log.lines().skip(from).collect::<Vec<_>>().join("\n");
        ProcessError::Gateway { what, log }
    }
}

/// Sends SIGTERM.
fn terminate(id: i32) -> std::io::Result<()> {
    let id = rustix::process::Pid::from_raw(id).ok_or(std::io::ErrorKind::InvalidInput)?;
    Ok(rustix::process::kill_process(id, rustix::process::Signal::TERM)?)
}

fn metric(text: &str, name: &str, label: &str) -> f64 {
    text.lines()
        .filter_map(|line| {
            let rest = line.strip_prefix(name)?;
            let (labels, value) = rest.rsplit_once(' ')?;
            let whole_name = labels.is_empty() || labels.starts_with('{');
            (whole_name && labels.contains(label)).then(|| value.parse::<f64>().ok())?
        })
        .sum()
}

/// What a process needs to run at all, and to be looked into.
const KEPT: [&str; 6] = ["PATH", "HOME", "TMPDIR", "LD_LIBRARY_PATH", "RUST_BACKTRACE", "RUST_LOG"];
const READY_TIMEOUT: Duration = Duration::from_secs(60);
const STOP_TIMEOUT: Duration = Duration::from_secs(60);
const OPS_TIMEOUT: Duration = Duration::from_secs(5);
const POLL_INTERVAL: Duration = Duration::from_millis(20);
const LOG_LINES: usize = 15;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_metric_is_summed_over_the_label_sets_asked_for() {
        let text = "# HELP m x\nm_total{group=\"a\",code=\"x\"} 2\nm_total{group=\"a\",code=\"y\"} 3\n\
                    m_total{group=\"b\"} 5\nm_total_other 7\nplain 1.5\n";
        assert!((metric(text, "m_total", "group=\"a\"") - 5.0).abs() < f64::EPSILON);
        assert!((metric(text, "m_total", "") - 10.0).abs() < f64::EPSILON);
        assert!((metric(text, "plain", "") - 1.5).abs() < f64::EPSILON);
    }

    #[test]
    fn free_addresses_differ() {
        let [one, two] = free_addresses::<2>().unwrap();
        assert_ne!(one, two);
    }

    #[test]
    fn a_temporary_directory_goes_with_its_value() {
        let directory = TemporaryDirectory::new("test").unwrap();
        let path = directory.path().to_owned();
        std::fs::write(path.join("file"), "x").unwrap();
        drop(directory);
        assert!(!path.exists());
    }
}
