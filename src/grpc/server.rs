//! The server: its services, its limits, and how it stops.

use std::path::PathBuf;
use std::pin::pin;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::{oneshot, watch};
use tonic::server::NamedService;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::Server;
use tonic_health::ServingStatus;
use tonic_health::server::HealthReporter;

use super::access::{AccessToken, Gate};
use super::admin::Admin;
use super::bots::{Bot, Bots};
use super::delivery::Delivery;
use super::incoming;
use super::json::JsonDoor;
use super::proto::DESCRIPTORS;
use super::proto::server::admin_service_server::AdminServiceServer;
use super::proto::server::delivery_service_server::DeliveryServiceServer;
use super::streams::{Lifetime, Streams};

/// What the gRPC side is told by the configuration.
#[derive(Clone, Debug)]
pub struct Settings {
    /// What clients must show; without one, everybody is served.
    pub access_token: Option<AccessToken>,
    /// A Subscribe stream older than this, give or take 10 %, is told to drain.
    pub max_stream_age: Duration,
    /// How long a draining stream may go on until it is ended, and how long a stopping server takes settlements.
    pub drain_grace: Duration,
    /// A heartbeat is sent on a stream after this much silence.
    pub heartbeat: Duration,
    /// A connection is pinged after this much silence.
    pub keepalive_interval: Duration,
    /// A connection that does not answer the ping for this long is dead.
    pub keepalive_timeout: Duration,
    /// Where backups are put together; needs as much room as the journal takes, and must exist.
    pub backup_directory: PathBuf,
    /// As many connections as are served at once; further ones wait. Each takes a file descriptor.
    pub max_connections: usize,
    /// Where the same AdminService is opened for JSON.
    pub json_door: JsonDoor,
    /// Seeds the spreading of stream ages; any number that differs between gateways.
    pub jitter_seed: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            access_token: None,
            max_stream_age: Duration::from_secs(3_600),
            drain_grace: Duration::from_secs(20),
            heartbeat: Duration::from_secs(30),
            keepalive_interval: Duration::from_secs(30),
            keepalive_timeout: Duration::from_secs(10),
            backup_directory: std::env::temp_dir(),
            max_connections: incoming::MAX_CONNECTIONS as usize,
            json_door: JsonDoor::default(),
            jitter_seed: 0,
        }
    }
}

/// Why the server ended without being told to.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The API's description for reflection cannot be read: a fault of the build.
    #[error("the API's description is not readable: {0}")]
    Descriptors(#[from] tonic_reflection::server::Error),
    /// The API's description for JSON cannot be read: a fault of the build.
    #[error("the API's description is not readable: {0}")]
    JsonDescriptors(#[from] prost_reflect::DescriptorError),
    /// The transport failed.
    #[error("the gRPC server failed: {0}")]
    Transport(#[from] tonic::transport::Error),
}

/// The largest request: 100,000 held tokens of 62 bytes, and the rest of a SubscribeRequest.
const MAX_REQUEST_BYTES: usize = 8 << 20;
/// Calls in flight on one connection: one Subscribe and many settlements that wait for the disk. More of them wait at
/// the client, so that one connection cannot hold any amount of memory in half-sent requests.
const MAX_CALLS_PER_CONNECTION: u32 = 512;
/// The largest frame a client may send: a full batch of tokens in one.
const MAX_FRAME_BYTES: u32 = 64 * 1024;
/// After the grace, how long streams may take to get their last status out. A client that does not read never does.
const LAST_STATUS_TIME: Duration = Duration::from_secs(1);
/// How long calls in flight may take to end once nothing new is accepted.
const CLOSE_TIME: Duration = Duration::from_secs(2);

/// Serves until `shutdown`, and then until all is settled.
///
/// After `shutdown` the health turns to NOT_SERVING and nothing else changes at first: settlements are still taken, on
/// old and new connections, until all Subscribe streams and all drivers have ended or [`Settings::drain_grace`] is
/// over; streams that are still open then end with UNAVAILABLE. So tell the drivers to shut down at the same time.
/// Then the listener is closed, calls in flight get two seconds, and what is left is cut.
///
/// # Errors
/// [`ServeError`] if it cannot begin or go on.
pub async fn serve(
    listener: TcpListener,
    bots: Vec<Bot>,
    settings: Settings,
    shutdown: impl Future<Output = ()>,
) -> Result<(), ServeError> {
    let bots = Bots::new(bots);
    let streams = Streams::new(Lifetime {
        max_age: settings.max_stream_age,
        drain_grace: settings.drain_grace,
        heartbeat: settings.heartbeat,
        jitter_seed: settings.jitter_seed,
    });
    let gate = Gate(settings.access_token);
    let delivery = DeliveryServiceServer::new(Delivery { bots: bots.clone(), streams: streams.clone() })
        .max_decoding_message_size(MAX_REQUEST_BYTES);
    let admin = AdminServiceServer::new(Admin::new(bots.clone(), settings.backup_directory));
    let (reporter, health) = tonic_health::server::health_reporter();
    let services = [service_name(&delivery), service_name(&admin)];
    report(&reporter, services, ServingStatus::Serving).await;
    let admin = InterceptedService::new(admin, gate);
    settings.json_door.open(admin.clone())?;

    let (close, closing) = oneshot::channel::<()>();
    let (cut, cutting) = watch::channel(false);
    let server = Server::builder()
        .http2_keepalive_interval(Some(settings.keepalive_interval))
        .http2_keepalive_timeout(Some(settings.keepalive_timeout))
        .http2_adaptive_window(Some(true))
        .max_concurrent_streams(MAX_CALLS_PER_CONNECTION)
        .max_frame_size(MAX_FRAME_BYTES)
        .add_service(health)
        .add_service(InterceptedService::new(reflection().build_v1()?, gate))
        .add_service(InterceptedService::new(reflection().build_v1alpha()?, gate))
        .add_service(InterceptedService::new(delivery, gate))
        .add_service(admin)
        .serve_with_incoming_shutdown(
            incoming::accept(listener, settings.max_connections, cutting),
            async move {
                // Dropped unsent only together with the server.
                let _ = closing.await;
            },
        );
    let mut server = pin!(server);
    tokio::select! {
        ended = &mut server => return Ok(ended?),
        () = shutdown => {}
    }

    report(&reporter, services, ServingStatus::NotServing).await;
    streams.stop();
    let all_settled = async {
        streams.ended().await;
        bots.ended().await;
    };
    tokio::select! {
        ended = &mut server => return Ok(ended?),
        _ = tokio::time::timeout(settings.drain_grace + LAST_STATUS_TIME, all_settled) => {}
    }

    // Ends the Watch streams, which would keep their connections open.
    clear(reporter, services).await;
    // The server holds the other end until it ends.
    let _ = close.send(());
    if let Ok(ended) = tokio::time::timeout(CLOSE_TIME, &mut server).await {
        return Ok(ended?);
    }
    cut.send_replace(true);
    Ok(server.await?)
}

fn reflection() -> tonic_reflection::server::Builder<'static> {
    tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(DESCRIPTORS)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
        // So that grpcurl shows the details of errors readably, not as bytes.
        .register_encoded_file_descriptor_set(tonic_types::pb::FILE_DESCRIPTOR_SET)
}

fn service_name<S: NamedService>(_: &S) -> &'static str {
    S::NAME
}

async fn report(reporter: &HealthReporter, services: [&str; 2], status: ServingStatus) {
    for service in ["", services[0], services[1]] {
        reporter.set_service_status(service, status).await;
    }
}

async fn clear(mut reporter: HealthReporter, services: [&str; 2]) {
    for service in ["", services[0], services[1]] {
        reporter.clear_service_status(service).await;
    }
}
