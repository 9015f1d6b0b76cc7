//! What the machine can do at most, with nothing of the gateway in the way: the yardstick for its numbers.

use std::io::Write;
use std::net::SocketAddr;
use std::path::Path;
use std::pin::Pin;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use prost::Message;
use serde::Serialize;
use tokio_stream::wrappers::TcpListenerStream;
use tokio_stream::{Stream, StreamExt};
use tonic::{Request, Response, Status};

use super::histogram::{Histogram, Quantiles};
use super::report::Limits;
use super::{BenchArgs, BenchError, Mode, bare_intake, load};
use crate::cli::client;
use crate::cli::clock;
use crate::cli::processes::{free_addresses, own_command};
use crate::grpc::proto::client::subscribe_response::Event;
use crate::grpc::proto::client::{SubscribeRequest, Update};
use crate::grpc::proto::server;
use crate::grpc::proto::server::delivery_service_server::{DeliveryService, DeliveryServiceServer};

/// Measures them all, one after the other.
pub(super) async fn measure(args: &BenchArgs, directory: &Path) -> Result<Limits, BenchError> {
    let size = args.size as usize;
    // Of each chat, Telegram has one request to a webhook under way; a page takes what comes.
    let in_flight = match args.mode {
        Mode::Polling => load::MOST_IN_FLIGHT,
        Mode::Webhook => load::MOST_IN_FLIGHT.min(args.chats as usize),
    };
    let posted = args.total.clamp(MIN_BARE_INTAKE, MAX_BARE_INTAKE);
    Ok(Limits {
        raw_log: raw_log(directory, size, in_flight)?,
        bare_webhook_per_second: bare_intake::webhook(args, posted).await?,
        bare_polling_per_second: bare_intake::polling(args, posted * PAGES_ARE_FASTER).await?,
        bare_stream_per_second: bare_stream(size, args.total.max(MIN_BARE_STREAM)).await?,
    })
}

/// A file to which whole batches are appended and synced, one after the other.
#[derive(Debug, Serialize)]
pub(super) struct RawLog {
    pub(super) batch: usize,
    pub(super) records_per_second: f64,
    pub(super) sync: Quantiles,
}

/// Appends batches of records for [`RUN_FOR`], each followed by an fdatasync.
fn raw_log(directory: &Path, record_bytes: usize, batch: usize) -> Result<RawLog, BenchError> {
    let path = directory.join("raw.log");
    let failed = |source| BenchError::RawLog { path: path.clone(), source };
    let mut file = std::fs::File::create(&path).map_err(failed)?;
    let bytes = vec![0x5A_u8; record_bytes * batch];
    let mut syncs = Histogram::default();
    let mut records = 0_u64;
    let began = clock::now();
    while began.elapsed() < RUN_FOR {
        let batch_began = clock::now();
        file.write_all(&bytes).map_err(failed)?;
        file.sync_data().map_err(failed)?;
        syncs.record(u64::try_from(batch_began.elapsed().as_micros()).unwrap_or(u64::MAX));
        records += batch as u64;
    }
    let records_per_second = records as f64 / began.elapsed().as_secs_f64();
    std::fs::remove_file(&path).map_err(failed)?;
    Ok(RawLog { batch, records_per_second, sync: syncs.quantiles() })
}

/// Streams `total` updates from a server in another process that does nothing else; answers with updates a second.
async fn bare_stream(update_bytes: usize, total: u64) -> Result<f64, BenchError> {
    let [address] = free_addresses()?;
    let mut server = own_command("the bare server")?;
    server.args(["bench", "bare-server", "--listen", &address.to_string()]);
    server.args(["--size", &update_bytes.to_string(), "--total", &total.to_string()]);
    let _server = server.spawn().map_err(|source| BenchError::Child { name: "the bare server", source })?;

    let mut client = client::client(&address.to_string(), None)?;
    let deadline = clock::now() + START_PATIENCE;
    let mut stream = loop {
        match client.subscribe(SubscribeRequest::default()).await {
            Ok(stream) => break stream.into_inner(),
            Err(status) if clock::now() > deadline => return Err(BenchError::BareStream(status)),
            Err(_) => tokio::time::sleep(START_INTERVAL).await,
        }
    };
    let began = clock::now();
    let mut received = 0;
    while let Some(response) = stream.message().await.map_err(BenchError::BareStream)? {
        if let Some(Event::Deliveries(deliveries)) = response.event {
            received += deliveries.deliveries.len();
        }
    }
    Ok(received as f64 / began.elapsed().as_secs_f64())
}

/// What the parent says on the command line.
#[derive(Args, Clone, Debug)]
pub struct BareServerArgs {
    #[arg(long)]
    listen: SocketAddr,
    #[arg(long)]
    size: usize,
    #[arg(long)]
    total: u64,
}

/// The process of the bare server.
pub(super) async fn serve_bare(args: BareServerArgs) -> ExitCode {
    let listener = match tokio::net::TcpListener::bind(args.listen).await {
        Ok(listener) => listener,
        Err(error) => {
            eprintln!("switchboard bench bare-server: {}: {error}", args.listen);
            return ExitCode::FAILURE;
        }
    };
    let incoming = TcpListenerStream::new(listener).map(|connection| {
        connection.and_then(|connection| connection.set_nodelay(true).map(|()| connection))
    });
    let service = DeliveryServiceServer::new(Bare { size: args.size, total: args.total });
    match tonic::transport::Server::builder().add_service(service).serve_with_incoming(incoming).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("switchboard bench bare-server: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Streams the same update again and again, as the gateway would: with a token, an ordering key, and encoded once.
struct Bare {
    size: usize,
    total: u64,
}

#[tonic::async_trait]
impl DeliveryService for Bare {
    type SubscribeStream = Pin<Box<dyn Stream<Item = Result<server::SubscribeResponse, Status>> + Send>>;

    async fn subscribe(
        &self,
        _: Request<server::SubscribeRequest>,
    ) -> Result<Response<Self::SubscribeStream>, Status> {
        let update = Update {
            bot: "default".into(),
            update_id: 500_000_000,
            kind: "message".into(),
            chat_id: Some(-1_001_500_000_000),
            user_id: Some(200_000_000),
            json: "x".repeat(self.size),
            ..Update::default()
        };
        let delivery = server::Delivery {
            token: "x".repeat(TOKEN_CHARS),
            sequence: 500_000_000,
            attempt: 1,
            ordering_key: "chat:-1001500000000".into(),
            update: update.encode_to_vec().into(),
            ..server::Delivery::default()
        };
        let deliveries = vec![delivery; BARE_BATCH];
        let batches = usize::try_from(self.total / BARE_BATCH as u64).unwrap_or(usize::MAX).max(1);
        let responses = tokio_stream::iter(0..batches).map(move |_| {
            let deliveries = server::Deliveries { deliveries: deliveries.clone() };
            let event = server::subscribe_response::Event::Deliveries(deliveries);
            Ok(server::SubscribeResponse { event: Some(event) })
        });
        Ok(Response::new(Box::pin(responses)))
    }

    async fn ack(&self, _: Request<server::AckRequest>) -> Result<Response<server::AckResponse>, Status> {
        Err(only_streams())
    }

    async fn nack(&self, _: Request<server::NackRequest>) -> Result<Response<server::NackResponse>, Status> {
        Err(only_streams())
    }

    async fn extend(
        &self,
        _: Request<server::ExtendRequest>,
    ) -> Result<Response<server::ExtendResponse>, Status> {
        Err(only_streams())
    }

    async fn reject(
        &self,
        _: Request<server::RejectRequest>,
    ) -> Result<Response<server::RejectResponse>, Status> {
        Err(only_streams())
    }

    async fn leave(
        &self,
        _: Request<server::LeaveRequest>,
    ) -> Result<Response<server::LeaveResponse>, Status> {
        Err(only_streams())
    }
}

fn only_streams() -> Status {
    Status::unimplemented("the bare server only streams")
}

/// Long enough to see past the first syncs of a cold disk.
const RUN_FOR: Duration = Duration::from_secs(2);
const START_PATIENCE: Duration = Duration::from_secs(10);
const START_INTERVAL: Duration = Duration::from_millis(20);
/// Pages carry many updates: so that both take about as long.
const PAGES_ARE_FASTER: u64 = 5;
/// With fewer, starting dominates; more show nothing new.
const MIN_BARE_INTAKE: u64 = 50_000;
const MAX_BARE_INTAKE: u64 = 200_000;
const MIN_BARE_STREAM: u64 = 500_000;
const BARE_BATCH: usize = 128;
/// About as long as a real one.
const TOKEN_CHARS: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_raw_log_is_measured_and_removed() {
        let directory = tempfile::tempdir().unwrap();
        let raw = raw_log(directory.path(), 100, 8).unwrap();
        assert!(raw.records_per_second > 0.0 && raw.sync.samples > 0);
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0);
    }
}
