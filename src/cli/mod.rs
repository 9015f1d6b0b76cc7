//! The commands.

pub mod admin;
pub mod backup;
pub mod bench;
pub mod check;
pub(crate) mod client;
mod clock;
pub mod completions;
mod control;
pub mod demo;
mod exit;
pub mod health;
mod processes;
mod redact;
pub mod restore;
pub mod serve;
mod signals;
pub mod simulate;
mod simulation;
pub mod tail;
mod text;
pub mod trigger;
pub mod verify;

use std::ffi::OsString;
use std::io::Write as _;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand};

use exit::{BACKUP_EXIT_CODES, EXIT_CODES, Exit, RESTORE_EXIT_CODES};

/// A gateway for Telegram bots: takes a bot's updates by polling or webhook, keeps them in a durable journal, and
/// hands them to your handlers over gRPC, in order for each chat, until they are acknowledged.
#[derive(Debug, Parser)]
#[command(name = "switchboard", version, after_help = EXIT_CODES, arg_required_else_help = false)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the gateway (this is what happens without a command)
    #[command(after_help = EXIT_CODES)]
    Serve(serve::ServeArgs),
    /// Show the configuration as it holds, and try the token, the ports and the disk
    #[command(after_help = EXIT_CODES)]
    Check(check::CheckArgs),
    /// See it work, without a token: a simulated Telegram, a gateway and handlers in two groups
    Demo(demo::DemoArgs),
    /// Run a local Bot API server that stands in for Telegram
    Simulate(simulate::SimulateArgs),
    Trigger(trigger::TriggerArgs),
    Tail(tail::TailArgs),
    Health(health::HealthArgs),
    /// Measure this machine: throughput, latency, what the gateway takes
    Bench(bench::BenchArgs),
    #[command(flatten)]
    Admin(Box<admin::AdminCommand>),
    /// Copy a bot's journal while the gateway goes on
    #[command(after_help = BACKUP_EXIT_CODES)]
    Backup(backup::BackupArgs),
    /// Make a bot's journal from a backup
    #[command(after_help = RESTORE_EXIT_CODES)]
    Restore(restore::RestoreArgs),
    Completions(completions::CompletionsArgs),
    #[command(name = verify::COMMAND, hide = true)]
    Verify(verify::VerifyArgs),
}

async fn run(command: Command) -> ExitCode {
    match command {
        Command::Serve(args) => serve::run(args).await,
        Command::Check(args) => check::run(args).await,
        Command::Demo(args) => demo::run(args).await,
        Command::Simulate(args) => simulate::run(args).await,
        Command::Trigger(args) => trigger::run(args).await,
        Command::Tail(args) => tail::run(args).await,
        Command::Health(args) => health::run(args).await,
        Command::Bench(args) => bench::run(args).await,
        Command::Admin(command) => admin::run(*command).await,
        Command::Backup(args) => backup::run(args).await,
        Command::Restore(args) => restore::run(args).await,
        Command::Verify(args) => verify::run(&args),
        Command::Completions(args) => completions::run(&args, <Cli as clap::CommandFactory>::command()),
    }
}

/// What may still be under way on other threads when a command is done; nothing that matters.
const LAST_THREADS: Duration = Duration::from_millis(500);

/// Runs the command that the arguments name.
#[must_use]
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse_from(with_command(std::env::args_os())) {
        Ok(cli) => cli,
        Err(error) => return explain(&error),
    };
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("switchboard: no threads can be started: {error}");
            return Exit::Failed.into();
        }
    };
    let code = runtime.block_on(run(cli.command));
    runtime.shutdown_timeout(LAST_THREADS);
    code
}

/// Prints what clap has to say, be it help or what is wrong with the arguments.
fn explain(error: &clap::Error) -> ExitCode {
    let text = error.render().to_string();
    let shown = redact::tokens(&text);
    if shown == text {
        error.exit();
    }
    note(&format!(
        "{}\nA bot's token is never an argument: others see it with `ps`. Give it as TELEGRAM_BOT_TOKEN or in a file.",
        shown.trim_end()
    ));
    Exit::Config.into()
}

/// A line on standard error. What looks like a bot's token is left out.
fn note(text: &str) {
    // Nobody is left to tell where standard error is closed.
    let _ = writeln!(std::io::stderr(), "{}", redact::tokens(text));
}

/// A command's last words.
fn complain(command: &str, what: &dyn std::fmt::Display) {
    note(&format!("switchboard {command}: {what}"));
}

/// Without a command, or with flags only, it is `serve`.
fn with_command(args: impl Iterator<Item = OsString>) -> Vec<OsString> {
    let mut args: Vec<OsString> = args.collect();
    let is_about_all = |arg: &OsString| ["-h", "--help", "-V", "--version"].iter().any(|about| arg == about);
    let serves =
        args.get(1).is_none_or(|first| first.to_string_lossy().starts_with('-') && !is_about_all(first));
    if serves {
        args.insert(args.len().min(1), "serve".into());
    }
    args
}

#[cfg(test)]
mod tests {
    use super::*;

    fn command(args: &[&str]) -> Command {
        let args = std::iter::once(&"switchboard").chain(args).map(OsString::from);
        Cli::try_parse_from(with_command(args)).unwrap().command
    }

    #[test]
    fn the_command_line_is_consistent() {
        <Cli as clap::CommandFactory>::command().debug_assert();
    }

    #[test]
    fn without_a_command_the_gateway_is_served() {
        assert!(matches!(command(&[]), Command::Serve(_)));
        assert!(matches!(command(&["--mode", "polling"]), Command::Serve(_)));
        assert!(matches!(command(&["serve", "--takeover", "--grpc-listen=127.0.0.1:1"]), Command::Serve(_)));
        assert!(matches!(command(&["check"]), Command::Check(_)));
    }

    #[test]
    fn a_secret_is_no_flag() {
        let args = ["switchboard", "serve", "--token", "42:a"].map(OsString::from);
        assert!(Cli::try_parse_from(with_command(args.into_iter())).is_err());
    }
}
