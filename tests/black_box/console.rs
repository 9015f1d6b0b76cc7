//! What operators ask a gateway with: the command line, grpcurl, and the JSON API that the page uses.

use std::path::PathBuf;

use serde_json::Value;
use tokio::process::Command;

use crate::gateway::Gateway;
use crate::program::{self, Ended};
use crate::steps::http;
use crate::tools::tool;
use crate::{PATIENCE, POLL_INTERVAL};

/// Runs a command at the gateway.
pub async fn cli(gateway: &Gateway, line: &str) -> Ended {
    let address = gateway.grpc.to_string();
    let words: Vec<&str> = line.split_whitespace().chain(["--address", &address]).collect();
    program::run(&words).await
}

/// One that does as it is told; what it prints.
pub async fn done(gateway: &Gateway, line: &str) -> String {
    let ended = cli(gateway, line).await;
    assert_eq!(ended.code, Some(0), "{line}: {ended:?}");
    ended.out
}

/// The same as JSON, an object a line.
pub async fn json(gateway: &Gateway, line: &str) -> Vec<Value> {
    let out = done(gateway, &format!("{line} --json")).await;
    out.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Calls a method of AdminService as the page does.
pub async fn api(gateway: &Gateway, method: &str, request: Value) -> Value {
    let url = format!("http://{}/api/switchboard.v1.AdminService/{method}", gateway.ops);
    let post = http().post(url).header("content-type", "application/json").body(request.to_string());
    let answer = post.send().await.unwrap();
    let (status, text) = (answer.status(), answer.text().await.unwrap());
    assert!(status.is_success(), "{method} {request}: {status}: {text}");
    serde_json::from_str(&text).unwrap()
}

/// What GetGroup says of a group.
pub async fn group(gateway: &Gateway, name: &str) -> Value {
    api(gateway, "GetGroup", serde_json::json!({ "group": name })).await["group"].take()
}

/// A number of proto3's JSON, where zero is left out and 64 bits are a string.
pub fn number(value: &Value) -> i64 {
    match value {
        Value::Null => 0,
        Value::String(text) => text.parse().unwrap(),
        number => number.as_i64().unwrap(),
    }
}

/// Looks again and again until it is there.
pub async fn until<T>(what: &str, look: impl AsyncFn() -> Option<T>) -> T {
    let looking = async {
        loop {
            if let Some(found) = look().await {
                return found;
            }
            tokio::time::sleep(POLL_INTERVAL).await;
        }
    };
    tokio::time::timeout(PATIENCE, looking).await.unwrap_or_else(|_| panic!("waited in vain: {what}"))
}

/// grpcurl, and the gateway that it asks.
pub struct Grpcurl {
    program: PathBuf,
    address: String,
}

impl Grpcurl {
    /// `None`, loudly, where it is not installed and need not be.
    pub fn at(gateway: &Gateway) -> Option<Self> {
        let program = tool("install-grpcurl", "tools/bin/grpcurl")?;
        Some(Self { program, address: gateway.grpc.to_string() })
    }

    /// Calls a method of AdminService that is refused: the code, and all that is shown.
    pub async fn refused(&self, method: &str, request: Value) -> (String, String) {
        let ended = self.run(method, &request).await;
        let shown = String::from_utf8_lossy(&ended.stderr).into_owned();
        assert!(!ended.status.success(), "{method} {request} was granted");
        let code = shown.lines().find_map(|line| line.trim().strip_prefix("Code: "));
        let code = code.unwrap_or_else(|| panic!("{method} {request}: {shown}"));
        (code.to_owned(), shown)
    }

    /// Calls one that is granted.
    pub async fn call(&self, method: &str, request: Value) -> Value {
        let ended = self.run(method, &request).await;
        let said = String::from_utf8_lossy(&ended.stderr);
        assert!(ended.status.success(), "{method} {request}: {said}");
        serde_json::from_slice(&ended.stdout).unwrap()
    }

    async fn run(&self, method: &str, request: &Value) -> std::process::Output {
        let method = format!("switchboard.v1.AdminService/{method}");
        let request = request.to_string();
        let args = ["-plaintext", "-d", &request, &self.address, &method];
        let running = Command::new(&self.program).args(args).kill_on_drop(true).output();
        tokio::time::timeout(PATIENCE, running).await.expect("grpcurl ends").unwrap()
    }
}
