//! What docs/operating.md tells an operator to do about an unanswered message, done word for word: with the command line,
//! and with grpcurl alone. Only the addresses are others, and the handler with the fault is the test's own.

use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::Value;
use switchboard::simulator::Running;
use tokio::process::{Child, Command};

use crate::PATIENCE;
use crate::console::until;
use crate::gateway::{Gateway, Mode, Setup, telegram};
use crate::tools::tool;
use crate::web::Web;

const PAGE: &str = "docs/operating.md";
const TO_TRY: &str = "# Operating Switchboard";
const UNANSWERED: &str = "## Why did chat 42 get no answer?";

/// What the page sets up to try its steps with.
struct Trial {
    telegram: Running,
    gateway: Gateway,
    web: Web,
    mended: Arc<AtomicBool>,
    tail: Option<Child>,
    _data: tempfile::TempDir,
}

#[tokio::test]
async fn the_pages_commands_lead_from_an_unanswered_message_to_its_answer() {
    let trial = Trial::start().await;
    let commands = commands(UNANSWERED, "switchboard ");
    let [chat, blocked, poison, group, sooner, letters, letter, replay, settled, undo] = &commands[..] else {
        panic!("{PAGE} has other commands now: {commands:#?}")
    };
    trial.shows(chat, &["where is my pizza?  … blocked", "poison              … backing off"]).await;
    trial.shows(blocked, &["… orders: blocked, by sequence 2", "Next: switchboard timeline 2"]).await;
    trial.shows(poison, &["… orders: backing off", "nacked", "HTTP 500: KeyError: 'price'"]).await;
    trial.shows(group, &["chat:42", "HTTP 500: KeyError: 'price'", "2 unsettled"]).await;

    trial.runs(sooner).await;
    trial.shows(letters, &["orders         2  message", "HTTP 500: KeyError: 'price'"]).await;
    trial.shows(letter, &["\"text\": \"poison\"", "nacked", "chat:42"]).await;
    trial.shows(chat, &["where is my pizza?  ✓ acked", "poison              ✗ dead-lettered"]).await;

    trial.mended.store(true, Ordering::Relaxed);
    assert!(trial.runs(replay).await.starts_with("Replayed 1 dead letter to group orders."));
    trial.shows(settled, &["✓ orders: acked", "acked (replayed)"]).await;
    trial.runs(undo).await;
    trial.shows(group, &["max-failures 5, min-failure-span 5m", "0 unsettled"]).await;
    trial.end().await;
}

#[tokio::test]
async fn the_pages_grpcurl_calls_lead_from_an_unanswered_message_to_its_answer() {
    if tool("install-grpcurl", "tools/bin/grpcurl").is_none() {
        return;
    }
    let trial = Trial::start().await;
    let commands = commands(UNANSWERED, "grpcurl ");
    let [chat, blocked, poison, group, sooner, letters, replay, settled, undo] = &commands[..] else {
        panic!("{PAGE} has other calls now: {commands:#?}")
    };
    let failure = "HTTP 500: KeyError: 'price'";
    let listed =
        trial.says(chat, "/updates", |updates| updates.as_array().is_some_and(|all| all.len() == 2)).await;
    assert_eq!(
        (&listed["updates"][0]["sequence"], &listed["updates"][1]["sequence"]),
        (&"3".into(), &"2".into())
    );
    let waits = trial.says(blocked, "/timelines/0/state", |state| state == "UPDATE_STATE_BLOCKED").await;
    let waits = &waits["timelines"][0];
    assert_eq!((&waits["group"], &waits["blockedBySequence"]), (&"orders".into(), &"2".into()));
    assert!(waits["explanation"].as_str().unwrap().contains("waits behind update 2 of chat:42"), "{waits}");
    let failing = trial.says(poison, "/timelines/0/state", |state| state == "UPDATE_STATE_BACKING_OFF").await;
    let attempt = &failing["timelines"][0]["attempts"][0];
    assert_eq!(
        (&attempt["outcome"], &attempt["reason"]),
        (&"ATTEMPT_OUTCOME_NACKED".into(), &failure.into())
    );
    let held = trial.says(group, "/group/status/blockedKeys/0/lastReason", |reason| reason == failure).await;
    let held = &held["group"]["status"]["blockedKeys"][0];
    assert_eq!((&held["orderingKey"], &held["sequence"]), (&"chat:42".into(), &"2".into()));

    trial.runs(sooner).await;
    let dead = trial.says(letters, "/deadLetters/0/update/sequence", |sequence| sequence == "2").await;
    let dead = &dead["deadLetters"][0];
    assert_eq!(
        (&dead["cause"], &dead["history"][0]["failure"]["reason"]),
        (&"DEAD_LETTER_CAUSE_FAILED".into(), &failure.into())
    );
    assert!(dead["update"]["update"]["json"].as_str().unwrap().contains("\"text\":\"poison\""), "{dead}");
    trial.says(blocked, "/timelines/0/state", |state| state == "UPDATE_STATE_ACKED").await;

    trial.mended.store(true, Ordering::Relaxed);
    let replayed: Value = serde_json::from_str(&trial.runs(replay).await).unwrap();
    assert_eq!(replayed, serde_json::json!({"replayed": "1", "total": "1"}));
    let done = trial.says(settled, "/timelines/0/state", |state| state == "UPDATE_STATE_ACKED").await;
    let attempts = done["timelines"][0]["attempts"].as_array().unwrap();
    let last = attempts.last().unwrap();
    assert_eq!((&last["outcome"], &last["replayed"]), (&"ATTEMPT_OUTCOME_ACKED".into(), &true.into()));
    let undone: Value = serde_json::from_str(&trial.runs(undo).await).unwrap();
    assert_eq!(undone["group"]["settings"]["maxFailures"], 5);
    assert_eq!(undone["group"]["settings"]["minFailureSpan"], "300s");
    trial.end().await;
}

#[tokio::test]
async fn every_other_command_of_the_page_does_what_it_says_in_the_order_of_the_page() {
    let trial = Trial::start().await;
    trial.mended.store(true, Ordering::Relaxed);
    let has_grpcurl = tool("install-grpcurl", "tools/bin/grpcurl").is_some();
    let page = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(PAGE)).unwrap();
    let sections = page.lines().filter(|line| line.starts_with("## ") && *line != UNANSWERED);
    let mut ran = 0;
    for section in sections {
        for command in commands(section, "") {
            // The gateway must stand still for it; tests of backups do that.
            let needs_a_stop = command.starts_with("mv ") || command.starts_with("switchboard restore");
            if needs_a_stop || command.starts_with("grpcurl ") && !has_grpcurl {
                continue;
            }
            trial.runs(&command).await;
            ran += 1;
        }
    }
    assert!(ran > 30, "{PAGE} has lost its commands: {ran}");
    trial.end().await;
}

/// The commands in the shell blocks of a section of the page that begin like this.
fn commands(heading: &str, beginning: &str) -> Vec<String> {
    let page = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(PAGE)).unwrap();
    let (mut here, mut in_shell, mut found) = (false, false, Vec::new());
    for line in page.lines() {
        match line {
            "```sh" => in_shell = true,
            _ if line.starts_with("```") => in_shell = false,
            _ if !in_shell && (line.starts_with("# ") || line.starts_with("## ")) => here = line == heading,
            _ if here && in_shell && line.starts_with(beginning) => found.push(line.to_owned()),
            _ => {}
        }
    }
    found
}

impl Trial {
    async fn start() -> Self {
        let telegram = telegram().await;
        let data = tempfile::tempdir().unwrap();
        // An operator has more time.
        let setup = Setup::new(data.path(), &telegram, Mode::Polling)
            .with("SWITCHBOARD_GROUP_BACKOFF_INITIAL", "300ms")
            .with("SWITCHBOARD_GROUP_BACKOFF_MAX", "600ms");
        let gateway = setup.start().await;
        let mended = Arc::new(AtomicBool::new(false));
        let is_mended = Arc::clone(&mended);
        let web = Web::start(move |posted| {
            let fails = posted.last()?.text() == "poison" && !is_mended.load(Ordering::Relaxed);
            Some(if fails { (500, "KeyError: 'price'") } else { (200, "") })
        });
        let web = web.await;
        let mut trial = Self { telegram, gateway, web, mended, tail: None, _data: data };
        gateway_is_ready(&trial.gateway).await;
        let commands = commands(TO_TRY, "switchboard ");
        let [_simulate, create, tail, hello, poison, pizza] = &commands[..] else {
            panic!("{PAGE} is tried in another way now: {commands:#?}")
        };
        trial.runs(create).await;
        let tail = tail.strip_suffix(" > tail.log &").unwrap();
        let mut tail = trial.command(&format!("exec {tail}"));
        trial.tail = Some(tail.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
        for command in [hello, poison, pizza] {
            trial.runs(command).await;
        }
        // An operator does not look before they have come.
        until("they have come", async || {
            let kept = trial.runs("switchboard updates --json").await;
            (kept.lines().count() == 3).then_some(())
        })
        .await;
        trial
    }

    /// The page's command for a shell, with the addresses of this trial.
    fn command(&self, line: &str) -> Command {
        let (grpc, ops) = (self.gateway.grpc.to_string(), self.gateway.ops.to_string());
        let mut line = line.replace("127.0.0.1:50051", &grpc).replace("127.0.0.1:9090", &ops);
        line = line.replace("http://localhost:3000/hook", &format!("http://{}/hook", self.web.address));
        if line.contains("switchboard trigger") {
            line = format!("{line} --simulator {}", self.telegram.url());
        } else if line.contains("switchboard ") {
            line = format!("{line} --address http://{grpc}");
        }
        let tools = tool("install-grpcurl", "tools/bin/grpcurl");
        let programs = [Some(Path::new(env!("CARGO_BIN_EXE_switchboard"))), tools.as_deref()];
        let mut path: Vec<_> =
            programs.into_iter().flatten().map(|program| program.parent().unwrap().into()).collect();
        path.extend(std::env::split_paths(&std::env::var_os("PATH").unwrap()));
        let mut command = Command::new("sh");
        command.args(["-c", &line]).env_clear().env("PATH", std::env::join_paths(path).unwrap());
        command.env("no_proxy", "127.0.0.1").current_dir(self._data.path()).stdin(Stdio::null());
        command.kill_on_drop(true);
        command
    }

    /// Does what the page says; what is shown.
    async fn runs(&self, line: &str) -> String {
        let ended = tokio::time::timeout(PATIENCE, self.command(line).output()).await;
        let ended = ended.unwrap_or_else(|_| panic!("{line}: it does not end")).unwrap();
        let [out, err] = [ended.stdout, ended.stderr].map(|bytes| String::from_utf8(bytes).unwrap());
        assert!(ended.status.success(), "{line}: {}: {out}{err}", ended.status);
        out
    }

    /// Looks until all of these words are shown at once.
    async fn shows(&self, line: &str, words: &[&str]) {
        until(&format!("{line} shows {words:?}"), async || {
            let shown = self.runs(line).await;
            words.iter().all(|words| shown.contains(words)).then_some(())
        })
        .await;
    }

    /// Looks until the answer's value at this pointer is such; the answer.
    async fn says(&self, line: &str, pointer: &str, is: impl Fn(&Value) -> bool) -> Value {
        until(&format!("{line} says so at {pointer}"), async || {
            let answer: Value = serde_json::from_str(&self.runs(line).await).unwrap();
            is(answer.pointer(pointer).unwrap_or(&Value::Null)).then_some(answer)
        })
        .await
    }

    async fn end(mut self) {
        drop(self.tail.take());
        self.gateway.stop().await;
    }
}

async fn gateway_is_ready(gateway: &Gateway) {
    gateway.until(|bot| bot["connected"] == true).await;
}
