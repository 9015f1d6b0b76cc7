//! A consumer in a process of its own: takes what comes, checks order as it goes, acks in batches, and reports to its
//! parent in JSON lines on standard output until its standard input ends.

use std::collections::HashMap;
use std::io::Write;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use serde::{Deserialize, Serialize};
use tokio::io::AsyncReadExt;
use tokio::sync::mpsc;
use tonic::{Status, Streaming};

use super::histogram::Histogram;
use crate::cli::client::{self, Client};
use crate::cli::clock;
use crate::grpc::proto::client::subscribe_request::Start;
use crate::grpc::proto::client::subscribe_response::Event;
use crate::grpc::proto::client::{Delivery, SubscribeRequest, SubscribeResponse};

/// What the parent says on the command line.
#[derive(Args, Clone, Debug)]
pub struct ConsumerArgs {
    #[arg(long)]
    address: String,
    #[arg(long)]
    group: String,
    #[arg(long)]
    consumer_id: String,
    #[arg(long)]
    max_outstanding: i32,
    /// Measure the latency of every Nth update
    #[arg(long)]
    sample: u64,
    /// Create the group, say so, and leave without taking anything
    #[arg(long)]
    only_join: bool,
}

/// What the consumer says on standard output, one object a line.
#[derive(Debug, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Line {
    /// The stream is open.
    Joined,
    /// What was measured is forgotten, as the parent asked with a byte on standard input.
    Measuring,
    /// Now and then, while something happens.
    Progress(Progress),
    /// The last line.
    Report(Box<Report>),
}

/// How far the consumer is.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Serialize)]
pub(super) struct Progress {
    /// Deliveries of updates not seen before by this consumer.
    pub(super) delivered: u64,
    /// Updates whose ack was applied.
    pub(super) acked: u64,
    /// When the first delivery came, in microseconds since 1970; 0 before.
    pub(super) first_delivery_us: u64,
    /// When the last ack was answered.
    pub(super) last_ack_us: u64,
}

/// What the consumer found.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub(super) struct Report {
    pub(super) progress: Progress,
    /// Deliveries of updates it had seen.
    pub(super) repeated: u64,
    /// Updates delivered after a later one of their key, by sequence, or by update_id among those of one kind (which
    /// Telegram sends one after the other).
    pub(super) out_of_order: u64,
    /// Acks that were not applied.
    pub(super) not_applied: u64,
    pub(super) latency: Histogram,
    /// The `update_id`s seen, 64 to a word: (id / 64, bits).
    pub(super) ids: Vec<(i64, u64)>,
}

/// Runs until standard input ends.
pub(super) async fn run(args: ConsumerArgs) -> ExitCode {
    match consume(args).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("switchboard bench consumer {}: {error}", std::process::id());
            // Returning would wait for the thread that still reads standard input.
            std::process::exit(1)
        }
    }
}

async fn consume(args: ConsumerArgs) -> Result<(), Box<dyn std::error::Error>> {
    let mut client = client::client(&args.address, None)?;
    let request = SubscribeRequest {
        group: args.group.clone(),
        consumer_id: args.consumer_id.clone(),
        max_outstanding: Some(args.max_outstanding),
        start: Some(Start::StartEarliest(true)),
        ..SubscribeRequest::default()
    };
    let mut stream = subscribe(&mut client, request).await?;
    let Some(SubscribeResponse { event: Some(Event::Opened(_)) }) = stream.message().await? else {
        return Err("the stream did not begin with `opened`".into());
    };
    say(&Line::Joined)?;
    if args.only_join {
        return Ok(());
    }

    let (tokens, to_ack) = mpsc::unbounded_channel();
    let (settled, mut acks) = mpsc::unbounded_channel();
    tokio::spawn(ack_all(client, args.group, to_ack, settled));

    let mut books = Books { sample: args.sample.max(1), ..Books::default() };
    let mut told = Progress::default();
    let mut tick = tokio::time::interval(PROGRESS_INTERVAL);
    let mut input = tokio::io::stdin();
    let mut ignored = [0; 16];
    loop {
        tokio::select! {
            response = stream.message() => {
                let Some(response) = response? else { return Err("the gateway ended the stream".into()) };
                if let Some(Event::Deliveries(deliveries)) = response.event {
                    let now_us = clock::unix_micros();
                    for delivery in deliveries.deliveries {
                        books.delivered(&delivery, now_us);
                        tokens.send(delivery.token)?;
                    }
                }
            }
            Some(answer) = acks.recv() => {
                let (applied, refused) = answer?;
                let progress = &mut books.report.progress;
                progress.acked += applied;
                progress.last_ack_us = clock::unix_micros();
                books.report.not_applied += refused;
            }
            _ = tick.tick() => {
                if told != books.report.progress {
                    told = books.report.progress;
                    say(&Line::Progress(told))?;
                }
            }
            read = input.read(&mut ignored) => {
                if read? > 0 {
                    books.report.latency = Histogram::default();
                    say(&Line::Measuring)?;
                } else {
                    say(&Line::Report(Box::new(books.into_report())))?;
                    return Ok(());
                }
            }
        }
    }
}

/// Waits for a gateway that is not there yet: how soon it serves is what the parent measures.
async fn subscribe(
    client: &mut Client,
    request: SubscribeRequest,
) -> Result<Streaming<SubscribeResponse>, Status> {
    let deadline = clock::now() + CONNECT_PATIENCE;
    loop {
        match client.subscribe(request.clone()).await {
            Ok(stream) => return Ok(stream.into_inner()),
            Err(status) if client::is_transient(&status) && clock::now() < deadline => {
                tokio::time::sleep(RECONNECT_INTERVAL).await;
            }
            Err(status) => return Err(status),
        }
    }
}

/// Acks what has come in, one call at a time: a call carries everything that came in during the one before it.
async fn ack_all(
    mut client: Client,
    group: String,
    mut tokens: mpsc::UnboundedReceiver<String>,
    settled: mpsc::UnboundedSender<Result<(u64, u64), Status>>,
) {
    loop {
        let mut batch = Vec::new();
        if tokens.recv_many(&mut batch, client::MAX_TOKENS_PER_CALL).await == 0 {
            return;
        }
        let answer = client::ack(&mut client, "", &group, batch).await.map(|results| {
            let applied = results.iter().filter(|result| client::applied(result)).count() as u64;
            (applied, results.len() as u64 - applied)
        });
        let failed = answer.is_err();
        if settled.send(answer).is_err() || failed {
            return;
        }
    }
}

fn say(line: &Line) -> Result<(), Box<dyn std::error::Error>> {
    let mut out = std::io::stdout().lock();
    serde_json::to_writer(&mut out, line)?;
    out.write_all(b"\n")?;
    out.flush()?;
    Ok(())
}

/// What is remembered to check order and completeness.
#[derive(Default)]
struct Books {
    report: Report,
    sample: u64,
    keys: HashMap<String, Last>,
    ids: HashMap<i64, u64>,
}

/// The last delivery of one key.
#[derive(Default)]
struct Last {
    sequence: i64,
    /// By kind.
    update_ids: Vec<(String, i64)>,
}

impl Books {
    fn delivered(&mut self, delivery: &Delivery, now_us: u64) {
        let Some(update) = &delivery.update else { return };
        let word = self.ids.entry(update.update_id.div_euclid(64)).or_default();
        let bit = 1 << update.update_id.rem_euclid(64);
        if *word & bit != 0 {
            self.report.repeated += 1;
            return;
        }
        *word |= bit;
        if self.report.progress.first_delivery_us == 0 {
            self.report.progress.first_delivery_us = now_us;
        }
        if self.report.progress.delivered.is_multiple_of(self.sample)
            && let Some(sent_us) = sent_us(&update.json)
        {
            self.report.latency.record(now_us.saturating_sub(sent_us));
        }
        self.report.progress.delivered += 1;

        if !self.keys.contains_key(&delivery.ordering_key) {
            self.keys.insert(delivery.ordering_key.clone(), Last::default());
        }
        let Some(last) = self.keys.get_mut(&delivery.ordering_key) else { return };
        let mut in_order = delivery.sequence > last.sequence;
        last.sequence = delivery.sequence;
        match last.update_ids.iter_mut().find(|(kind, _)| *kind == update.kind) {
            Some((_, id)) => {
                in_order &= update.update_id > *id;
                *id = update.update_id;
            }
            None => last.update_ids.push((update.kind.clone(), update.update_id)),
        }
        self.report.out_of_order += u64::from(!in_order);
    }

    fn into_report(mut self) -> Report {
        self.report.ids = self.ids.into_iter().collect();
        self.report
    }
}

/// When the simulator sent it: it says so near the beginning of the updates it makes up.
fn sent_us(json: &str) -> Option<u64> {
    let (_, rest) = json.split_once("\"simulator_sent_us\":")?;
    let end = rest.find(|character: char| !character.is_ascii_digit())?;
    rest.get(..end)?.parse().ok()
}

const PROGRESS_INTERVAL: Duration = Duration::from_millis(50);
/// Short, since it is part of the time to the first delivery after a restart.
const RECONNECT_INTERVAL: Duration = Duration::from_millis(10);
const CONNECT_PATIENCE: Duration = Duration::from_secs(300);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::grpc::proto::client::Update;

    fn delivery(sequence: i64, update_id: i64, kind: &str) -> Delivery {
        let json =
            format!("{{\"update_id\":{update_id},\n\"{kind}\":{{\"simulator_sent_us\":400,\"x\":1}}}}");
        let update = Update { update_id, kind: kind.into(), json, ..Update::default() };
        Delivery { sequence, ordering_key: "chat:1".into(), update: Some(update), ..Delivery::default() }
    }

    fn books() -> Books {
        Books { sample: 1, ..Books::default() }
    }

    #[test]
    fn deliveries_in_order_are_counted_once_each_with_their_latency() {
        let mut books = books();
        books.delivered(&delivery(1, 70, "message"), 900);
        books.delivered(&delivery(2, 69, "callback_query"), 900);
        books.delivered(&delivery(3, 71, "message"), 900);
        books.delivered(&delivery(3, 71, "message"), 900);
        let report = books.into_report();
        assert_eq!((report.progress.delivered, report.repeated, report.out_of_order), (3, 1, 0));
        assert!((report.latency.quantiles().max_ms - 0.5).abs() < f64::EPSILON);
        assert_eq!(report.ids, [(1, 0b1110_0000)]);
    }

    #[test]
    fn an_earlier_sequence_or_an_earlier_id_of_the_same_kind_is_out_of_order() {
        let mut books = books();
        books.delivered(&delivery(5, 10, "message"), 0);
        books.delivered(&delivery(4, 11, "message"), 0);
        books.delivered(&delivery(6, 9, "message"), 0);
        assert_eq!(books.report.out_of_order, 2);
    }
}
