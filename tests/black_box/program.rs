//! The built program's other commands.

use std::process::Stdio;

use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::watch;

use crate::PATIENCE;

/// How a command ended, and what it said.
#[derive(Debug)]
pub struct Ended {
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
}

/// Runs a command to its end.
pub async fn run(args: &[&str]) -> Ended {
    Program::start(args).end().await
}

/// A command at work. Dropping it kills it.
pub struct Program {
    process: Child,
    out: watch::Receiver<Vec<String>>,
    err: watch::Receiver<Vec<String>>,
}

impl Program {
    pub fn start(args: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_switchboard"));
        command.args(args).env_clear().kill_on_drop(true).stdin(Stdio::null());
        let mut process = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let out = lines(process.stdout.take().unwrap());
        let err = lines(process.stderr.take().unwrap());
        Self { process, out, err }
    }

    /// Waits until a line of standard output contains the words, which may have happened already.
    pub async fn prints(&self, words: &str) -> String {
        line(&self.out, words).await
    }

    /// The same on standard error.
    pub async fn says(&self, words: &str) -> String {
        line(&self.err, words).await
    }

    pub fn signal(&self, signal: &str) {
        let id = self.process.id().unwrap().to_string();
        assert!(std::process::Command::new("kill").args([signal, &id]).status().unwrap().success());
    }

    pub async fn end(mut self) -> Ended {
        let ended = tokio::time::timeout(PATIENCE, self.process.wait()).await;
        let code =
            ended.unwrap_or_else(|_| panic!("it did not end: {:#?}", self.err.borrow())).unwrap().code();
        // The readers' ends are those of the streams.
        while self.out.changed().await.is_ok() {}
        while self.err.changed().await.is_ok() {}
        let [out, err] = [&self.out, &self.err].map(|lines| lines.borrow().join("\n"));
        Ended { code, out, err }
    }
}

fn lines(stream: impl AsyncRead + Send + Unpin + 'static) -> watch::Receiver<Vec<String>> {
    let mut stream = BufReader::new(stream).lines();
    let (sender, lines) = watch::channel(Vec::new());
    tokio::spawn(async move {
        while let Ok(Some(line)) = stream.next_line().await {
            sender.send_modify(|lines| lines.push(line));
        }
    });
    lines
}

async fn line(lines: &watch::Receiver<Vec<String>>, words: &str) -> String {
    let mut lines = lines.clone();
    let mut found = None;
    let waiting = lines.wait_for(|lines| {
        found = lines.iter().find(|line| line.contains(words)).cloned();
        found.is_some()
    });
    let in_time = tokio::time::timeout(PATIENCE, waiting).await.is_ok_and(|said| said.is_ok());
    assert!(in_time, "never said `{words}`: {:#?}", lines.borrow());
    found.unwrap()
}
