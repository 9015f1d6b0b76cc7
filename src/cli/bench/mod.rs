//! `switchboard bench`: simulator → gateway → consumers, in separate processes, and what the machine could do at most.

mod backlog;
mod bare_intake;
mod consumer;
mod fleet;
mod histogram;
mod limits;
mod load;
mod report;
mod rig;
mod table;
mod trim;
mod usage;

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};
use thiserror::Error;
use tonic::Status;

use super::client::ConnectError;
use super::exit::Exit;
use super::processes::ProcessError;
use super::{complain, signals};

/// Measure the gateway on this machine
///
/// Runs a simulated Telegram, a gateway and consumers as separate processes; checks that every group gets every update
/// once and each chat in order; prints updates per second durable end to end, latencies, the gateway's CPU and memory,
/// and beside them what the disk, HTTP and gRPC alone can do here. It measures after a warm-up, in which the simulated
/// Telegram opens its connections. Fails if anything was lost, repeated or out of order.
#[derive(Args, Clone, Debug)]
#[command(args_conflicts_with_subcommands = true)]
pub struct BenchArgs {
    #[command(subcommand)]
    role: Option<Role>,

    /// How updates come in
    #[arg(long, value_enum, default_value_t = Mode::Webhook)]
    mode: Mode,

    /// Updates a second; 0 means as many as are taken
    #[arg(long, default_value_t = 0)]
    rate: u32,

    /// Updates in all
    #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u64).range(1..))]
    total: u64,

    /// Groups, each of which gets every update
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=100))]
    groups: u32,

    /// Consumers in each group
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=100))]
    consumers: u32,

    /// Chats that the updates come from
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..))]
    chats: u32,

    /// About how large each update is, in bytes of JSON
    #[arg(long, default_value_t = 1024, value_parser = clap::value_parser!(u32).range(600..=500_000))]
    size: u32,

    /// How many updates may be out to a consumer
    #[arg(long, default_value_t = 4096, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    max_outstanding: u32,

    /// Instead: the time from a restart with N unsettled updates until the first delivery
    #[arg(long, value_name = "N", conflicts_with = "backlog", value_parser = clap::value_parser!(u64).range(1..))]
    restart: Option<u64>,

    /// Instead: memory with N updates waiting, and CPU per update for draining them
    ///
    /// Stores N updates while no consumer is connected, takes the gateway's anonymous memory, then connects the
    /// consumers until all is delivered and acked. The gateway's CPU time from connecting to the last ack, less what
    /// connecting takes when nothing waits, is divided by N, and compared with the same for N/1000 updates, stored and
    /// drained the same way before, several times over. Storing is not in either.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1_000_000..))]
    backlog: Option<u64>,

    /// Instead: latency at a rate while N settled updates are trimmed
    ///
    /// Stores and settles N updates. Sends more at --rate (1000 if that is 0) for half a minute, restarts the gateway
    /// with a retention that all of them have passed, and sends at the same rate until they are gone.
    #[arg(
        long,
        value_name = "N",
        conflicts_with_all = ["backlog", "restart"],
        value_parser = clap::value_parser!(u64).range(1..),
    )]
    trim: Option<u64>,

    /// Leave out what the machine could do at most
    ///
    /// That is measured after the gateway, by processes that do one thing each: append and sync (as many bytes at a
    /// time as can be in flight), answer Telegram's POSTs with 200, fetch pages with getUpdates, stream over gRPC. The
    /// limit is the slowest of those that are on the updates' way in the mode of the run.
    #[arg(long)]
    no_limits: bool,

    /// Keep the gateway's data below this directory instead of the one for temporary files
    #[arg(long, value_name = "DIRECTORY")]
    directory: Option<PathBuf>,

    /// Print the result as JSON
    #[arg(long, long_help = concat!("Print the result as JSON, one object:\n\n", include_str!("json.txt")))]
    json: bool,
}

/// How updates come in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Mode {
    /// The gateway asks for them
    Polling,
    /// Telegram posts them
    Webhook,
}

impl Mode {
    fn name(self) -> &'static str {
        match self {
            Self::Polling => "polling",
            Self::Webhook => "webhook",
        }
    }
}

/// The processes that the command starts.
#[derive(Clone, Debug, Subcommand)]
enum Role {
    #[command(hide = true)]
    Consumer(consumer::ConsumerArgs),
    #[command(hide = true)]
    BareServer(limits::BareServerArgs),
    #[command(hide = true)]
    BareWebhook(bare_intake::BareWebhookArgs),
    #[command(hide = true)]
    BarePoller(bare_intake::BarePollerArgs),
}

/// Why there is no result.
#[derive(Debug, Error)]
enum BenchError {
    #[error(transparent)]
    Process(#[from] ProcessError),
    #[error(transparent)]
    Connect(#[from] ConnectError),
    #[error("the simulator: {0}")]
    Simulator(std::io::Error),
    #[error("cannot start {name}: {source}")]
    Child { name: &'static str, source: std::io::Error },
    #[error("a consumer of group {group} could not join")]
    Consumer { group: String },
    #[error("nothing has happened for {after:?}; the consumers stand at {progress}")]
    Stalled { after: Duration, progress: String },
    #[error("the gateway has stored {stored} of {wanted} updates and takes no more")]
    NotStored { stored: u64, wanted: u64 },
    #[error("the gateway has trimmed {trimmed} of {wanted} updates and does not go on")]
    NotTrimmed { trimmed: u64, wanted: u64 },
    #[error("the raw log {path}: {source}")]
    RawLog { path: PathBuf, source: std::io::Error },
    #[error("the bare stream: {0}")]
    BareStream(Status),
    #[error("the simulated Telegram: {0}")]
    Http(#[from] reqwest::Error),
    #[error("Telegram has got rid of no update for {after:?}")]
    NothingTaken { after: Duration },
    #[error("interrupted")]
    Interrupted,
}

/// Runs the command.
pub async fn run(args: BenchArgs) -> ExitCode {
    match args.role.clone() {
        Some(Role::Consumer(args)) => return consumer::run(args).await,
        Some(Role::BareServer(args)) => return limits::serve_bare(args).await,
        Some(Role::BareWebhook(args)) => return bare_intake::serve_webhook(args).await,
        Some(Role::BarePoller(args)) => return bare_intake::poll(args).await,
        None => {}
    }
    let json = args.json;
    let measured = tokio::select! {
        measured = measure(&args) => measured,
        // Dropping what runs ends the processes and removes their directory.
        _ = signals::stop_requested() => Err(BenchError::Interrupted),
    };
    match measured {
        Ok(report) => {
            let text = if json { report.json() } else { report.table() };
            if let Err(error) = writeln!(std::io::stdout(), "{text}") {
                return Exit::after_output(&error).into();
            }
            if report.holds() {
                ExitCode::SUCCESS
            } else {
                complain("bench", &"updates were lost, repeated or out of order; see above");
                ExitCode::FAILURE
            }
        }
        Err(error) => {
            complain("bench", &error);
            ExitCode::FAILURE
        }
    }
}

async fn measure(args: &BenchArgs) -> Result<report::Report, BenchError> {
    match (args.restart, args.backlog, args.trim) {
        (Some(updates), _, _) => rig::restart(args, updates).await,
        (None, Some(updates), _) => backlog::run(args, updates).await,
        (None, None, Some(updates)) => trim::run(args, updates).await,
        (None, None, None) => rig::throughput(args).await,
    }
}
