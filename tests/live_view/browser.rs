//! Node drives the browser; what it cannot do itself it asks for, a line for each.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::Command;

use crate::handler::Handler;
use crate::rig::Rig;
use crate::tools::tool;

/// A whole walk, on a machine that does other things, too.
const PATIENCE: Duration = Duration::from_secs(240);

pub struct Browser {
    executable: PathBuf,
}

impl Browser {
    /// The browser, if it is there or may be installed.
    pub fn find() -> Option<Self> {
        tool("install-browser", "tools/bin/browser").map(|executable| Self { executable })
    }

    /// Runs the script to its end, and does what it asks for.
    pub async fn walk(&self, script: &str, rig: &mut Rig, handler: &Handler) {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let mut command = Command::new("node");
        command.arg(root.join("tests/live_view").join(script)).kill_on_drop(true);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        command.env("BROWSER", &self.executable);
        command.env("PAGE", format!("http://{}", rig.ops));
        command.env("TELEGRAM", format!("http://{}/simulator/bots/1/updates", rig.simulator));
        command.env("SHOTS", root.join("target/live-view"));
        let mut walking = command.spawn().expect("node is installed");
        let mut answers = walking.stdin.take().unwrap();
        let mut lines = BufReader::new(walking.stdout.take().unwrap()).lines();
        let walked = async {
            let mut steps = Vec::new();
            while let Some(line) = lines.next_line().await.unwrap() {
                match line.as_str() {
                    "ask: kill the gateway" => rig.kill_gateway().await,
                    "ask: start the gateway" => rig.start_gateway().await,
                    "ask: mend the handler" => handler.mend(),
                    _ => {
                        steps.push(line);
                        continue;
                    }
                }
                answers.write_all(b"done\n").await.unwrap();
            }
            let ended = walking.wait().await.unwrap();
            assert!(ended.success(), "{}\n{}", steps.join("\n"), rig.log());
        };
        tokio::time::timeout(PATIENCE, walked).await.expect("the walk ends");
    }
}
