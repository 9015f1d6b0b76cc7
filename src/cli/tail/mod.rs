//! `switchboard tail`: joins a group, and prints what comes or hands it to a local web server.

mod follow;
mod forward;
mod line;
mod print;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, ValueEnum};
use thiserror::Error;
use tonic::Status;

use self::follow::{Hands, Tail};
use self::forward::target::{Target, TargetError};
use self::forward::{Forward, MAX_CONNECTIONS};
use self::print::Printer;
use super::client::{self, ConnectArgs, ConnectError};
use super::complain;
use super::exit::Exit;
use crate::config::units;
use crate::grpc::proto::client::SubscribeRequest;
use crate::grpc::proto::client::subscribe_request::Start;

/// Print updates as they come in, or post them to a web server on this machine
///
/// Joins a group as a consumer, prints every update it gets and acks it. Without --group it makes up a group of its
/// own that ends with the command, so that nothing is taken from the handlers and nothing is left behind.
///
/// With --forward-to it does what Telegram does with a webhook, so that a bot that expects one can be developed on a
/// laptop: each update is posted as Telegram sent it. A 2xx acks it; anything else, or no answer, gives it back as
/// failed, and it comes again after a delay that grows (or after the answer's Retry-After). Each chat is in order;
/// different chats are posted at the same time. Updates that are not answered when the command ends come again to a
/// group that was named with --group; a made-up one ends with the command, and what it had left with it.
#[derive(Args, Clone, Debug)]
#[command(after_help = EXIT_CODES)]
pub struct TailArgs {
    #[command(flatten)]
    connect: ConnectArgs,

    /// The bot; may be left out where the gateway has only one
    #[arg(long, default_value = "")]
    bot: String,

    /// Join this group and share its updates with its other consumers [default: a new group of its own]
    #[arg(long)]
    group: Option<String>,

    /// Where a new group begins; without effect on one that exists
    #[arg(long, value_enum, default_value_t = StartAt::Latest)]
    start: StartAt,

    /// Print one JSON object a line, with the update as Telegram sent it
    #[arg(long, conflicts_with = "forward_to")]
    json: bool,

    /// End after this many updates (with --forward-to: that were answered with 2xx)
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,

    #[command(flatten)]
    forward: ForwardArgs,
}

/// How updates are posted to a web server.
#[derive(Args, Clone, Debug)]
struct ForwardArgs {
    /// Post each update to this web server as Telegram posts to a webhook: http://localhost:3000/hook
    #[arg(long, value_name = "URL")]
    forward_to: Option<String>,

    /// A file with the secret to send as X-Telegram-Bot-Api-Secret-Token
    #[arg(long, value_name = "FILE", requires = "forward_to")]
    forward_secret_file: Option<PathBuf>,

    /// How long the web server may take to answer; 1s to 9m, Telegram gives it 1m
    #[arg(long, value_name = "DURATION", default_value = "1m", value_parser = timeout, requires = "forward_to")]
    forward_timeout: std::time::Duration,

    /// How many updates may be at the web server at once, each of another chat; Telegram's default is 40 as well
    #[arg(long, value_name = "N", default_value_t = 40, requires = "forward_to",
        value_parser = clap::value_parser!(i32).range(1..=i64::from(MAX_CONNECTIONS)))]
    forward_connections: i32,
}

/// Those of [`Exit`] that this command can end with.
const EXIT_CODES: &str = "\
Exit codes:
  0    stopped as asked, or after --count
  1    a failure at run time
  2    the command line is wrong, or the gateway refuses a value
  5    there is no such bot
  6    refused as things stand (the group is gone, or somebody has taken the place over)
  8    the access token is missing or wrong
  141  nobody reads the output any more

A gateway that cannot be reached is waited for.";

fn timeout(text: &str) -> Result<std::time::Duration, String> {
    let timeout = units::duration(text)?;
    if forward::TIMEOUTS.contains(&timeout) { Ok(timeout) } else { Err("from 1s to 9m".into()) }
}

/// Where a new group begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum StartAt {
    /// At the earliest update that is still retained
    Earliest,
    /// After the newest update
    Latest,
}

/// Runs the command until `--count` is reached, a signal comes, or the gateway refuses.
pub async fn run(args: TailArgs) -> ExitCode {
    let exit = match tail(args).await {
        Ok(()) => Exit::Done,
        Err(error) => {
            let exit = error.exit();
            if exit != Exit::Unread {
                complain("tail", &error);
            }
            exit
        }
    };
    exit.into()
}

/// Why the command ended by itself.
#[derive(Debug, Error)]
enum TailError {
    #[error(transparent)]
    Connect(#[from] ConnectError),
    #[error(transparent)]
    Target(#[from] TargetError),
    #[error("{}", client::describe(.0))]
    Refused(Status),
    #[error("no random bytes from the operating system: {0}")]
    Random(getrandom::Error),
    #[error("cannot listen for signals: {0}")]
    Signal(std::io::Error),
    #[error("cannot print: {0}")]
    Print(#[from] std::io::Error),
}

impl TailError {
    fn exit(&self) -> Exit {
        match self {
            Self::Connect(_) | Self::Target(_) => Exit::Config,
            Self::Refused(status) => Exit::answered(status.code()),
            Self::Random(_) | Self::Signal(_) => Exit::Failed,
            Self::Print(error) => Exit::after_output(error),
        }
    }
}

async fn tail(args: TailArgs) -> Result<(), TailError> {
    let mut request = SubscribeRequest {
        bot: args.bot.clone(),
        group: match &args.group {
            Some(group) => group.clone(),
            None => format!("tail-{:08x}", getrandom::u32().map_err(TailError::Random)?),
        },
        // A group of its own is only for looking on: it keeps nothing from being removed and leaves nothing behind.
        ephemeral: args.group.is_none(),
        start: Some(match args.start {
            StartAt::Earliest => Start::StartEarliest(true),
            StartAt::Latest => Start::StartLatest(true),
        }),
        ..SubscribeRequest::default()
    };
    let hands = match &args.forward.forward_to {
        None => Hands::Print(Printer::new(args.json, args.count)),
        Some(url) => {
            let ForwardArgs { forward_secret_file, forward_timeout, forward_connections, .. } = &args.forward;
            let target = Target::new(url, forward_secret_file.as_deref(), *forward_timeout)?;
            request.max_outstanding = Some(*forward_connections);
            request.lease_duration = Some(forward::lease(*forward_timeout));
            Hands::Forward(Forward::new(target, args.count, *forward_connections, request.ephemeral))
        }
    };
    let client = args.connect.client()?;
    args.connect.find_host().await?;
    Tail { client, address: args.connect.address.clone(), request, hands }.follow().await
}
