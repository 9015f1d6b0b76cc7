//! `switchboard simulate`: the simulated Bot API server as a command.

use std::io::Write as _;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use clap::Args;
use thiserror::Error;

use super::exit::Exit;
use super::{clock, complain, signals};
use crate::simulator::{
    CONTROL_HELP, FaultRule, Replay, Running, Simulator, SimulatorConfig, Source, Traffic,
};

/// Run a faithful local Bot API server, with generated or recorded updates.
#[derive(Args, Clone, Debug)]
#[command(after_long_help = CONTROL_HELP)]
pub struct SimulateArgs {
    /// Where to listen; port 0 picks a free one.
    #[arg(long, default_value = "127.0.0.1:8081", value_name = "ADDRESS:PORT")]
    pub listen: SocketAddr,
    /// Send these recorded updates, one object per line, in order and byte for byte, to every bot from its first call on.
    #[arg(long, value_name = "FILE.jsonl", conflicts_with_all = ["chats", "total", "size", "timestamps", "idle"])]
    pub updates: Option<PathBuf>,
    /// Updates per second for each bot; 0 means as fast as they are taken. [default: 10, recorded ones 0]
    #[arg(long, value_name = "N")]
    pub rate: Option<f64>,
    /// Number of chats that generated updates come from.
    #[arg(long, default_value_t = Traffic::default().chats, value_name = "N")]
    pub chats: u32,
    /// Generate so many updates for each bot and no more.
    #[arg(long, value_name = "N")]
    pub total: Option<u64>,
    /// About how many bytes of JSON a generated update has.
    #[arg(long, default_value_t = Traffic::default().size, value_name = "BYTES")]
    pub size: usize,
    /// Put `simulator_sent_us`, the time of sending in microseconds since 1970, into each generated payload.
    #[arg(long)]
    pub timestamps: bool,
    /// Generate nothing: updates come only from the control interface.
    #[arg(long, conflicts_with_all = ["rate", "total"])]
    pub idle: bool,
    /// Equal seeds give equal updates, first ids and probabilities. [default: another one at each start, since a gateway
    /// takes ids that it has seen for repeats]
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,
    /// Take webhooks on http, any port and any address, as `telegram-bot-api --local` does.
    #[arg(long)]
    pub local: bool,
    /// A fault: latency=MS, 429=SECONDS, 500, 502, reply-lost or reset; then, with commas, method=NAME,
    /// probability=0..1, count=N. Can be given several times.
    #[arg(long = "fault", value_name = "FAULT")]
    pub faults: Vec<FaultRule>,
    /// Answer 401 to the token of the bot with this id. Can be given several times.
    #[arg(long = "revoke", value_name = "BOT_ID")]
    pub revoked: Vec<i64>,
    /// Write the ledger of every update, as JSON, to this file at the end.
    #[arg(long, value_name = "FILE.json")]
    pub ledger: Option<PathBuf>,
    /// List so many updates of each bot in its ledger (32 bytes each) and only count those beyond.
    #[arg(long, default_value_t = SimulatorConfig::default().ledger_limit, value_name = "N")]
    pub ledger_limit: usize,
}

/// Runs until SIGINT or SIGTERM.
pub async fn run(args: SimulateArgs) -> ExitCode {
    match simulate(args).await {
        Ok(()) => Exit::Done.into(),
        Err(error) => {
            complain("simulate", &error);
            error.exit().into()
        }
    }
}

#[derive(Debug, Error)]
enum SimulateError {
    #[error("{0}")]
    Value(String),
    #[error(
        "cannot listen on {address}: {source}; choose another address with --listen, or port 0 for a free one"
    )]
    Listen { address: SocketAddr, source: std::io::Error },
    #[error("cannot write to stdout: {0}")]
    Output(std::io::Error),
    #[error("cannot wait for signals: {0}")]
    Signals(std::io::Error),
    #[error("cannot write the ledger to {}: {source}", .path.display())]
    Ledger { path: PathBuf, source: std::io::Error },
}

impl SimulateError {
    fn exit(&self) -> Exit {
        match self {
            Self::Value(_) => Exit::Config,
            Self::Listen { .. } => Exit::Place,
            Self::Output(error) => Exit::after_output(error),
            Self::Signals(_) | Self::Ledger { .. } => Exit::Failed,
        }
    }
}

async fn simulate(args: SimulateArgs) -> Result<(), SimulateError> {
    let ledger = args.ledger.clone();
    let address = args.listen;
    let described = describe(&args);
    let local = args.local;
    let config = config(args).map_err(SimulateError::Value)?;
    let running =
        Simulator::start(config).await.map_err(|source| SimulateError::Listen { address, source })?;
    announce(&running, &described, local).map_err(SimulateError::Output)?;
    signals::stop_requested().await.map_err(SimulateError::Signals)?;
    if let Some(path) = ledger {
        let written = std::fs::write(&path, running.ledgers());
        written.map_err(|source| SimulateError::Ledger { path, source })?;
    }
    running.shutdown().await;
    Ok(())
}

fn config(args: SimulateArgs) -> Result<SimulatorConfig, String> {
    let seed = args.seed.unwrap_or_else(clock::unix_micros);
    let source = match (&args.updates, args.idle) {
        (Some(path), _) => {
            let rate = args.rate.unwrap_or(0.0);
            Traffic { rate, ..Traffic::default() }.check()?;
            let replay = Replay::from_file(path).map_err(|error| error.to_string())?;
            Some(Source::Replayed { replay: Arc::new(replay), rate })
        }
        (None, true) => None,
        (None, false) => {
            let mut traffic = Traffic::default();
            traffic.rate = args.rate.unwrap_or(traffic.rate);
            traffic.chats = args.chats;
            traffic.total = args.total;
            traffic.size = args.size;
            traffic.seed = seed;
            traffic.timestamps = args.timestamps;
            traffic.check()?;
            Some(Source::Generated(traffic))
        }
    };
    Ok(SimulatorConfig {
        listen: args.listen,
        source,
        local: args.local,
        faults: args.faults,
        revoked: args.revoked,
        ledger_limit: args.ledger_limit,
        seed,
    })
}

fn describe(args: &SimulateArgs) -> String {
    let rate = match (args.rate, args.updates.is_some()) {
        (Some(0.0), _) | (None, true) => "as fast as they are taken".to_owned(),
        (rate, _) => format!("{} a second", rate.unwrap_or(Traffic::default().rate)),
    };
    match (&args.updates, args.total) {
        (Some(path), _) => format!("the updates of {}, {rate}", path.display()),
        (None, _) if args.idle => "what POST /simulator/bots/<ID>/updates brings".to_owned(),
        (None, Some(total)) => format!("{total} generated updates of {} chats, {rate}", args.chats),
        (None, None) => format!("generated updates of {} chats, {rate}", args.chats),
    }
}

fn announce(running: &Running, described: &str, local: bool) -> std::io::Result<()> {
    let url = running.url();
    let webhooks = if local {
        "http or https, any port and address (--local)"
    } else {
        "https on ports 80, 88, 443, 8443 and public addresses only; --local takes all"
    };
    let mut out = std::io::stdout().lock();
    writeln!(out, "Simulated Bot API server on {url}")?;
    writeln!(out, "  Each bot gets, from its first call on: {described}")?;
    writeln!(out, "  Tokens:   any of the form 123456789:secret, each a bot of its own")?;
    writeln!(out, "  Webhooks: {webhooks}")?;
    writeln!(out, "  Control:  curl {url}/simulator")?;
    writeln!(out, "  Samples:  switchboard trigger message.text --text hello --simulator {url}")?;
    writeln!(out, "Point the gateway at it:")?;
    writeln!(
        out,
        "  SWITCHBOARD_TELEGRAM_API_URL={url} TELEGRAM_BOT_TOKEN=123456789:secret switchboard serve"
    )?;
    out.flush()
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Command {
        #[command(flatten)]
        args: SimulateArgs,
    }

    fn configured(line: &str) -> Result<SimulatorConfig, String> {
        let words = std::iter::once("simulate").chain(line.split_whitespace());
        let command = Command::try_parse_from(words).map_err(|error| error.to_string())?;
        config(command.args)
    }

    #[test]
    fn generated_traffic_is_the_default_and_idle_turns_it_off() {
        let Some(Source::Generated(traffic)) = configured("--seed 1").unwrap().source else {
            panic!("no traffic")
        };
        assert_eq!(traffic, Traffic::default());
        assert!(configured("--idle").unwrap().source.is_none());
        let line = "--rate 0 --chats 7 --total 9 --size 300 --seed 5 --timestamps";
        let Some(Source::Generated(traffic)) = configured(line).unwrap().source else { panic!("no traffic") };
        let wanted = Traffic { rate: 0.0, chats: 7, total: Some(9), size: 300, seed: 5, timestamps: true };
        assert_eq!(traffic, wanted);
    }

    #[test]
    fn recorded_updates_come_as_fast_as_they_are_taken_unless_a_rate_is_given() {
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/updates/updates.jsonl");
        for (rate, flag) in [(0.0, ""), (5.0, "--rate 5")] {
            let source = configured(&format!("--updates {file} {flag}")).unwrap().source;
            assert!(matches!(source, Some(Source::Replayed { rate: found, .. }) if found == rate));
        }
    }

    #[test]
    fn wrong_values_are_refused_with_what_would_be_right() {
        let refused = |line: &str| configured(line).unwrap_err();
        assert!(refused("--rate=-1").contains("0 or more"));
        assert!(refused("--chats 0").contains("at least 1"));
        assert!(refused("--fault 404").contains("latency=MS"));
        assert!(refused("--updates /nowhere.jsonl").contains("cannot read /nowhere.jsonl"));
        assert!(refused("--updates x --total 5").contains("cannot be used with"));
    }
}
