//! A handler of the demo, in a process of its own so that it can really be killed. It says on standard output what it
//! does, as JSON lines, and ends when its standard input does.

use std::io::Write;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use serde::{Deserialize, Serialize};
use tokio::io::AsyncReadExt;
use tokio::sync::mpsc;
use tonic::Status;

use crate::cli::client::{self, Backoff, Client};
use crate::cli::clock;
use crate::grpc::proto::client::subscribe_request::Start;
use crate::grpc::proto::client::subscribe_response::Event;
use crate::grpc::proto::client::{Delivery, LeaveRequest, SubscribeRequest};

/// What the parent says on the command line.
#[derive(Args, Clone, Debug)]
pub struct HandlerArgs {
    #[arg(long)]
    address: String,
    #[arg(long)]
    group: String,
    #[arg(long)]
    consumer_id: String,
}

/// Something that a handler did.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(super) struct Did {
    /// In microseconds since 1970: lines of several handlers are put in order by it.
    pub(super) at_us: u64,
    #[serde(flatten)]
    pub(super) what: What,
}

/// What it did.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum What {
    /// Its stream is open.
    Joined,
    /// It begins to work on an update.
    Took { update_id: i64, sequence: i64, key: String, attempt: i32 },
    /// It is done with an update; the ack follows.
    Handled { update_id: i64, sequence: i64, key: String },
}

/// Runs until standard input ends.
pub(super) async fn run(args: HandlerArgs) -> ExitCode {
    let client = match client::client(&args.address, None) {
        Ok(client) => client,
        Err(error) => {
            eprintln!("switchboard demo handler: {error}");
            return ExitCode::FAILURE;
        }
    };
    let mut backoff = Backoff::default();
    let mut stopped = tokio::spawn(input_ends());
    loop {
        tokio::select! {
            ended = handle_stream(client.clone(), &args, &mut backoff) => {
                let Err(status) = ended else { continue };
                eprintln!("{}: {}", args.consumer_id, client::describe(&status));
                tokio::time::sleep(backoff.after_failure()).await;
            }
            _ = &mut stopped => break,
        }
    }
    let leave = LeaveRequest { group: args.group, consumer_id: args.consumer_id, ..LeaveRequest::default() };
    // Best effort: the gateway also notices that the stream is gone.
    let _ = client.clone().leave(leave).await;
    ExitCode::SUCCESS
}

async fn input_ends() {
    let mut ignored = [0; 16];
    while tokio::io::stdin().read(&mut ignored).await.is_ok_and(|read| read > 0) {}
}

async fn handle_stream(mut client: Client, args: &HandlerArgs, backoff: &mut Backoff) -> Result<(), Status> {
    let request = SubscribeRequest {
        group: args.group.clone(),
        consumer_id: args.consumer_id.clone(),
        max_outstanding: Some(MAX_OUTSTANDING),
        start: Some(Start::StartEarliest(true)),
        ..SubscribeRequest::default()
    };
    let mut stream = client.subscribe(request).await?.into_inner();
    let (tokens, to_ack) = mpsc::unbounded_channel();
    tokio::spawn(ack_all(client, args.group.clone(), to_ack));
    while let Some(response) = stream.message().await? {
        match response.event {
            Some(Event::Opened(_)) => {
                backoff.succeeded();
                say(What::Joined);
            }
            Some(Event::Deliveries(deliveries)) => {
                for delivery in deliveries.deliveries {
                    tokio::spawn(handle(delivery, tokens.clone()));
                }
            }
            Some(Event::Draining(_)) => return Ok(()),
            _ => {}
        }
    }
    Ok(())
}

/// At most one update of a chat is out, so all that is here can be worked on at once.
async fn handle(delivery: Delivery, tokens: mpsc::UnboundedSender<String>) {
    let Delivery { token, sequence, attempt, ordering_key: key, update, .. } = delivery;
    let update_id = update.map_or(0, |update| update.update_id);
    say(What::Took { update_id, sequence, key: key.clone(), attempt });
    // Stands for a database, a language model, an HTTP call.
    let work_ms = MIN_WORK_MS + update_id.unsigned_abs().wrapping_mul(7919) % WORK_SPREAD_MS;
    tokio::time::sleep(Duration::from_millis(work_ms)).await;
    say(What::Handled { update_id, sequence, key });
    // After the end of the stream nobody listens; the gateway will deliver again.
    let _ = tokens.send(token);
}

async fn ack_all(mut client: Client, group: String, mut tokens: mpsc::UnboundedReceiver<String>) {
    loop {
        let mut batch = Vec::new();
        if tokens.recv_many(&mut batch, client::MAX_TOKENS_PER_CALL).await == 0 {
            return;
        }
        if let Err(status) = client::ack(&mut client, "", &group, batch).await {
            eprintln!("{group}: not acked: {}", client::describe(&status));
        }
    }
}

fn say(what: What) {
    let did = Did { at_us: clock::unix_micros(), what };
    let mut out = std::io::stdout().lock();
    let said =
        serde_json::to_writer(&mut out, &did).is_ok() && out.write_all(b"\n").is_ok() && out.flush().is_ok();
    if !said {
        // The parent is gone, and with it the demo.
        std::process::exit(1);
    }
}

const MAX_OUTSTANDING: i32 = 16;
/// Long enough to be seen, and to be in the middle of something when killed.
const MIN_WORK_MS: u64 = 40;
const WORK_SPREAD_MS: u64 = 160;
