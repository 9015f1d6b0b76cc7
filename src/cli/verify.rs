//! `switchboard check --deep`: reads every row of a journal, in a process of its own, since damage to LMDB's inner pages
//! can end the process that reads them.

use std::io::Write as _;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{ExitCode, Stdio};

use clap::Args;
use tokio::process::Command;

use super::exit::Exit;
use crate::gateway;

/// The hidden command that does it.
pub(super) const COMMAND: &str = "verify-journal";

/// Read every row of one journal that no gateway has open
#[derive(Args, Clone, Debug)]
pub struct VerifyArgs {
    /// The journal's directory
    #[arg(value_name = "DIRECTORY")]
    dir: PathBuf,
}

/// Reads the journal, and prints a line that says that it is whole, or one for each damage.
pub fn run(args: &VerifyArgs) -> ExitCode {
    let (exit, lines) = match gateway::verify(&args.dir) {
        Ok(found) if found.damaged == 0 => (Exit::Done, vec![whole(&found)]),
        Ok(mut found) => {
            let unnamed = found.damaged - found.damage.len() as u64;
            if unnamed > 0 {
                found.damage.push(format!("and {unnamed} more"));
            }
            (Exit::Place, found.damage)
        }
        Err(error) => (Exit::Place, vec![error.to_string()]),
    };
    // Nobody is left to tell where standard output is closed.
    let _ = std::io::stdout().write_all((lines.join("\n") + "\n").as_bytes());
    exit.into()
}

fn whole(found: &gateway::Verified) -> String {
    format!(
        "all {} rows are whole: {} updates, {} dead letters, {} commits (a last commit that is missing is not noticed)",
        found.rows, found.updates, found.dead_letters, found.commits
    )
}

/// What came of looking through a journal.
pub(super) enum Verdict {
    /// It is whole; what it holds.
    Whole(String),
    /// It is not, or cannot be looked at; each reason.
    Bad(Vec<String>),
}

/// Looks through the journal in another process.
pub(super) async fn look(dir: &Path) -> Verdict {
    let output = match std::env::current_exe() {
        Ok(program) => {
            let mut command = Command::new(program);
            command.arg(COMMAND).arg(dir).stdin(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
            command.output().await
        }
        Err(error) => Err(error),
    };
    let output = match output {
        Ok(output) => output,
        Err(error) => {
            return Verdict::Bad(vec![format!("it cannot be read in a process of its own: {error}")]);
        }
    };
    let text = String::from_utf8_lossy(&output.stdout);
    let mut lines: Vec<_> = text.lines().map(str::to_owned).collect();
    if output.status.success() {
        return Verdict::Whole(lines.concat());
    }
    if let Some(signal) = output.status.signal() {
        lines.push(format!(
            "LMDB's inner pages are damaged: reading them ended the process (signal {signal}); keep a copy of the \
             directory, and restore the last backup with `switchboard restore`"
        ));
    }
    Verdict::Bad(lines)
}
