//! `switchboard tail`: joins a group, prints what comes, acks it.

mod line;

use std::io::{ErrorKind, Write};
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, ValueEnum};
use thiserror::Error;
use tonic::{Code, Status, Streaming};

use super::client::{self, Backoff, Client, ConnectArgs, ConnectError};
use super::signals;
use crate::grpc::proto::client::subscribe_request::Start;
use crate::grpc::proto::client::subscribe_response::Event;
use crate::grpc::proto::client::{
    Deliveries, LeaveRequest, NackOutcome, NackRequest, SubscribeRequest, SubscribeResponse,
};

/// Print updates as they come in
///
/// Joins a group as a consumer, prints every update it gets and acks it. Without --group it makes up a group of its
/// own that ends with the command, so that nothing is taken from the handlers and nothing is left behind.
#[derive(Args, Clone, Debug)]
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
    #[arg(long)]
    json: bool,

    /// End after this many updates
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,
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
    match tail(args).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("switchboard tail: {error}");
            ExitCode::FAILURE
        }
    }
}

#[derive(Debug, Error)]
enum TailError {
    #[error(transparent)]
    Connect(#[from] ConnectError),
    #[error("{}", client::describe(.0))]
    Refused(Status),
    #[error("no random bytes from the operating system: {0}")]
    Random(getrandom::Error),
    #[error("cannot listen for signals: {0}")]
    Signal(std::io::Error),
    #[error("cannot print: {0}")]
    Print(std::io::Error),
}

async fn tail(args: TailArgs) -> Result<(), TailError> {
    let group = match &args.group {
        Some(group) => group.clone(),
        None => format!("tail-{:08x}", getrandom::u32().map_err(TailError::Random)?),
    };
    let mut tail = Tail {
        client: args.connect.client()?,
        address: args.connect.address.clone(),
        request: SubscribeRequest {
            bot: args.bot.clone(),
            group,
            // A group of its own is only for looking on: it keeps nothing from being removed and leaves nothing behind.
            ephemeral: args.group.is_none(),
            start: Some(match args.start {
                StartAt::Earliest => Start::StartEarliest(true),
                StartAt::Latest => Start::StartLatest(true),
            }),
            ..SubscribeRequest::default()
        },
        json: args.json,
        left: args.count,
    };
    let ended = tokio::select! {
        ended = tail.follow() => ended,
        signal = signals::stop_requested() => signal.map_err(TailError::Signal),
    };
    tail.leave().await;
    ended
}

struct Tail {
    client: Client,
    address: String,
    /// Asks for the same consumer at every reconnect, once the gateway has named it.
    request: SubscribeRequest,
    json: bool,
    /// How many updates are still to be printed, where that is limited.
    left: Option<u64>,
}

/// Why one stream ended.
enum Ended {
    /// Enough was printed, or nobody reads what is printed.
    Done,
    /// A new stream may work.
    Lost(Status),
}

impl Tail {
    async fn follow(&mut self) -> Result<(), TailError> {
        let mut backoff = Backoff::default();
        loop {
            let lost = match self.client.subscribe(self.request.clone()).await {
                Ok(stream) => match self.print_stream(stream.into_inner(), &mut backoff).await? {
                    Ended::Done => return Ok(()),
                    Ended::Lost(status) => status,
                },
                Err(status) => status,
            };
            if !client::is_transient(&lost) {
                return Err(TailError::Refused(lost));
            }
            let wait = backoff.after_failure();
            eprintln!("{}: {}; trying again in {wait:?}", self.address, client::describe(&lost));
            tokio::time::sleep(wait).await;
        }
    }

    async fn print_stream(
        &mut self,
        mut stream: Streaming<SubscribeResponse>,
        backoff: &mut Backoff,
    ) -> Result<Ended, TailError> {
        loop {
            let response = match stream.message().await {
                Ok(Some(response)) => response,
                Ok(None) => return Ok(Ended::Lost(Status::unavailable("the gateway ended the stream"))),
                Err(status) => return Ok(Ended::Lost(status)),
            };
            match response.event {
                Some(Event::Opened(opened)) => {
                    backoff.succeeded();
                    eprintln!("{}: group {} of bot {}", self.address, opened.group, opened.bot);
                    self.request.consumer_id = opened.consumer_id;
                    self.request.bot = opened.bot;
                }
                Some(Event::Deliveries(deliveries)) => match self.print(deliveries).await {
                    Ok(()) if self.left == Some(0) => return Ok(Ended::Done),
                    Ok(()) => {}
                    Err(PrintError::Io(error)) if error.kind() == ErrorKind::BrokenPipe => {
                        return Ok(Ended::Done);
                    }
                    Err(PrintError::Io(error)) => return Err(TailError::Print(error)),
                    Err(PrintError::Settle(status)) => return Ok(Ended::Lost(status)),
                },
                Some(Event::Draining(_)) => {
                    return Ok(Ended::Lost(Status::unavailable("the gateway asks to reconnect")));
                }
                _ => {}
            }
        }
    }

    /// Prints what was delivered, then acks it; what is beyond `--count` goes back unprinted.
    async fn print(&mut self, mut deliveries: Deliveries) -> Result<(), PrintError> {
        let wanted = self.left.map_or(usize::MAX, |left| usize::try_from(left).unwrap_or(usize::MAX));
        let keep = wanted.min(deliveries.deliveries.len());
        let surplus = deliveries.deliveries.split_off(keep);
        {
            let mut out = std::io::stdout().lock();
            for delivery in &deliveries.deliveries {
                let line = if self.json { line::json(delivery) } else { line::pretty(delivery) };
                writeln!(out, "{line}")?;
            }
            out.flush()?;
        }
        self.left = self.left.map(|left| left.saturating_sub(keep as u64));
        let printed = deliveries.deliveries.into_iter().map(|delivery| delivery.token).collect();
        client::ack(&mut self.client, &self.request.bot, &self.request.group, printed).await?;
        let surplus: Vec<String> = surplus.into_iter().map(|delivery| delivery.token).collect();
        for tokens in surplus.chunks(client::MAX_TOKENS_PER_CALL) {
            let request = NackRequest {
                bot: self.request.bot.clone(),
                group: self.request.group.clone(),
                tokens: tokens.to_vec(),
                outcome: NackOutcome::Released.into(),
                ..NackRequest::default()
            };
            self.client.nack(request).await?;
        }
        Ok(())
    }

    /// Gives the shards to the group's other consumers at once. Best effort: without it the gateway finds out itself.
    async fn leave(&mut self) {
        if self.request.consumer_id.is_empty() {
            return;
        }
        let request = LeaveRequest {
            bot: self.request.bot.clone(),
            group: self.request.group.clone(),
            consumer_id: self.request.consumer_id.clone(),
        };
        match tokio::time::timeout(LEAVE_TIMEOUT, self.client.leave(request)).await {
            Ok(Err(status)) if status.code() != Code::NotFound => {
                eprintln!("{}: left without saying so: {}", self.address, client::describe(&status));
            }
            _ => {}
        }
    }
}

enum PrintError {
    Io(std::io::Error),
    Settle(Status),
}

impl From<std::io::Error> for PrintError {
    fn from(error: std::io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<Status> for PrintError {
    fn from(status: Status) -> Self {
        Self::Settle(status)
    }
}

const LEAVE_TIMEOUT: Duration = Duration::from_secs(2);
