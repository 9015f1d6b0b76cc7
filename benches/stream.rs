//! How near a Subscribe stream comes to what tonic can carry: `cargo bench --bench stream`.
//!
//! The limit is a bare tonic server that sends ready-made bytes of the same size in messages of the same size. Our side
//! is the whole way from the driver's mailbox to the socket: events, tokens, encoding, splitting. The driver is a fake
//! that always has deliveries of 1 KB ready. The client is the same for both, in the same process, and only counts
//! bytes.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a benchmark that cannot run should stop")]

#[path = "../tests/grpc_support/mod.rs"]
#[allow(dead_code, reason = "shared with the contract's tests")]
mod support;

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::thread::Thread;
use std::time::{Duration, Instant};

use bytes::{Buf, BufMut, Bytes};
use http::uri::PathAndQuery;
use prost::Message;
use switchboard::driver::ConsumerStream;
use switchboard::grpc::Settings;
use switchboard::grpc::proto::client::SubscribeRequest;
use switchboard::model::{Sequence, StreamEnd, StreamEvent};
use tokio::net::TcpListener;
use tokio_stream::StreamExt;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::body::Body;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::codegen::Service;
use tonic::server::{NamedService, ServerStreamingService};
use tonic::transport::{Endpoint, Server};
use tonic::{Request, Response, Status};

const DELIVERIES: u64 = 2_000_000;
const RUNS: usize = 3;
const JSON_BYTES: usize = 1_000;
/// As far as the fake driver goes ahead of the client.
const AHEAD: u64 = 20_000;
/// As much as Subscribe puts into a message.
const MESSAGE_BYTES: u64 = 1 << 20;

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        println!("{DELIVERIES} deliveries of {JSON_BYTES} B, best of {RUNS}");
        // Ours first: what it sends is the size of the bare messages.
        let mut ours = Vec::new();
        for at_a_time in [1, 16, 128, 1_000] {
            ours.push((at_a_time, best(|| subscribe(at_a_time)).await));
        }
        let bytes = ours.iter().map(|(_, run)| run.bytes).max().unwrap_or_default().div_ceil(DELIVERIES);
        let mut limit = 0.0_f64;
        for batch in [1, 16, 128, MESSAGE_BYTES / bytes] {
            let run = best(|| bare(batch, bytes)).await;
            limit = limit.max(run.rate());
            let (rate, cpu_us) = (run.rate(), run.cpu_us());
            println!(
                "bare tonic, {batch:>4} of {bytes} B in a message  {rate:>9.0}/s  {cpu_us:.2} µs of CPU"
            );
        }
        for (at_a_time, run) in ours {
            let (rate, cpu_us) = (run.rate(), run.cpu_us());
            let in_message = DELIVERIES as f64 / run.messages as f64;
            println!(
                "Subscribe, {at_a_time:>4} ready at a time         {rate:>9.0}/s  {cpu_us:.2} µs of CPU  \
                 {:.2} of the best bare rate, {in_message:.0} in a message",
                rate / limit
            );
        }
    });
}

/// What a client saw.
#[derive(Clone, Copy)]
struct Run {
    took: Duration,
    /// Of the whole process: client, server and fake driver.
    cpu: Duration,
    bytes: u64,
    messages: u64,
}

impl Run {
    fn rate(&self) -> f64 {
        DELIVERIES as f64 / self.took.as_secs_f64()
    }

    fn cpu_us(&self) -> f64 {
        self.cpu.as_secs_f64() * 1e6 / DELIVERIES as f64
    }
}

async fn best<F: Future<Output = Run>>(run: impl Fn() -> F) -> Run {
    let mut best = run().await;
    for _ in 1..RUNS {
        let another = run().await;
        if another.took < best.took {
            best = another;
        }
    }
    best
}

/// Reads a Subscribe stream to its end; tells `read` how many bytes came.
async fn drain(endpoint: Endpoint, read: impl Fn(u64)) -> Run {
    let channel = endpoint.http2_adaptive_window(true).connect().await.expect("the server listens");
    let mut client = tonic::client::Grpc::new(channel).max_decoding_message_size(8 << 20);
    client.ready().await.expect("the connection is open");
    let asked = SubscribeRequest { group: "bench".into(), ..SubscribeRequest::default() };
    let path = PathAndQuery::from_static("/switchboard.v1.DeliveryService/Subscribe");
    let request = Request::new(Bytes::from(asked.encode_to_vec()));
    let (started, cpu) = (now(), cpu());
    let mut stream =
        client.server_streaming(request, path, Raw).await.expect("the stream is open").into_inner();
    let (mut bytes, mut messages) = (0, 0);
    while let Some(message) = stream.message().await.expect("the stream ends well") {
        bytes += message;
        messages += 1;
        read(bytes);
    }
    assert!(bytes / JSON_BYTES as u64 >= DELIVERIES, "{bytes} bytes are too few");
    Run { took: started.elapsed(), cpu: self::cpu().saturating_sub(cpu), bytes, messages }
}

async fn subscribe(at_a_time: u64) -> Run {
    let (gateway, mut driver) = support::Gateway::with_one_bot(Settings::default()).await;
    let (read, feeder) = (Arc::new(AtomicU64::new(0)), Arc::new(std::sync::OnceLock::<Thread>::new()));
    let feeding = {
        let (read, feeder) = (Arc::clone(&read), Arc::clone(&feeder));
        async move {
            let switchboard::driver::Input::Subscribe { subscription, reply } = driver.next().await else {
                panic!("not a Subscribe")
            };
            let opened = switchboard::model::Opened {
                group: subscription.group,
                consumer_id: "bench".into(),
                settings: subscription.settings,
                group_settings: switchboard::model::GroupSettings::default(),
                filter: None,
                ordering: switchboard::model::Ordering::Chat,
                paused: false,
                held: Vec::new(),
            };
            let (inputs, _) = std::sync::mpsc::channel();
            let (consumer, events) = ConsumerStream::new(1, opened, inputs);
            reply.send(Ok(consumer)).expect("the caller waits");
            let fed = std::thread::spawn(move || {
                feeder.set(std::thread::current()).expect("one feeder");
                let template = support::delivery(1 << 20, &"x".repeat(JSON_BYTES));
                let mut sent = 0;
                while sent < DELIVERIES {
                    while sent > read.load(Ordering::Relaxed) + AHEAD {
                        std::thread::park_timeout(Duration::from_millis(1));
                    }
                    let end = DELIVERIES.min(sent + at_a_time);
                    let deliveries = (sent..end).map(|sequence| {
                        let mut delivery = template.clone();
                        delivery.token.sequence = Sequence((1 << 20) + sequence);
                        delivery
                    });
                    events.send(StreamEvent::Deliveries(deliveries.collect())).expect("the stream is open");
                    sent = end;
                }
                events.send(StreamEvent::End(StreamEnd::Left)).expect("the stream is open");
            });
            (driver, fed)
        }
    };
    let reading = drain(gateway.endpoint.clone(), |bytes| {
        read.store(bytes / JSON_BYTES as u64, Ordering::Relaxed);
        if let Some(feeder) = feeder.get() {
            feeder.unpark();
        }
    });
    let (run, (driver, fed)) = tokio::join!(reading, feeding);
    fed.join().expect("the feeder ends well");
    drop(driver);
    gateway.shutdown.send(()).expect("the server runs");
    gateway.served.await.expect("the server ends").expect("well");
    run
}

async fn bare(batch: u64, bytes: u64) -> Run {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("bound");
    let incoming = TcpListenerStream::new(listener)
        .map(|connection| connection.inspect(|connection| connection.set_nodelay(true).expect("a socket")));
    let message = Bytes::from(vec![b'x'; usize::try_from(batch * bytes).expect("small")]);
    let service = Bare { message, count: DELIVERIES.div_ceil(batch) };
    let server = tokio::spawn(Server::builder().add_service(service).serve_with_incoming(incoming));
    let run = drain(Endpoint::from_shared(format!("http://{address}")).expect("a URL"), |_| {}).await;
    server.abort();
    run
}

#[expect(clippy::disallowed_methods, reason = "a benchmark reads the clock")]
fn now() -> Instant {
    Instant::now()
}

/// The CPU time that this process has used; to 10 ms, the kernel's tick. Zero where there is no `/proc`.
fn cpu() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // The fields after the command's name, which may hold spaces; user and system time are the 14th and 15th of all.
    let ticks = stat.rsplit(')').next().into_iter().flat_map(|rest| rest.split_whitespace().skip(11).take(2));
    Duration::from_millis(ticks.filter_map(|ticks| ticks.parse::<u64>().ok()).sum::<u64>() * 10)
}

/// Sends the same message again and again.
#[derive(Clone)]
struct Bare {
    message: Bytes,
    count: u64,
}

impl NamedService for Bare {
    const NAME: &'static str = "switchboard.v1.DeliveryService";
}

impl Service<http::Request<Body>> for Bare {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = std::pin::Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let service = self.clone();
        Box::pin(async move { Ok(tonic::server::Grpc::new(Raw).server_streaming(service, request).await) })
    }
}

impl ServerStreamingService<u64> for Bare {
    type Response = Bytes;
    type ResponseStream = std::pin::Pin<Box<dyn tokio_stream::Stream<Item = Result<Bytes, Status>> + Send>>;
    type Future = std::future::Ready<Result<Response<Self::ResponseStream>, Status>>;

    fn call(&mut self, _: Request<u64>) -> Self::Future {
        let (message, count) = (self.message.clone(), self.count);
        let messages = tokio_stream::iter((0..count).map(move |_| Ok(message.clone())));
        std::future::ready(Ok(Response::new(Box::pin(messages))))
    }
}

/// Sends bytes as they are, and counts what comes.
#[derive(Clone, Copy)]
struct Raw;

impl Codec for Raw {
    type Encode = Bytes;
    type Decode = u64;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, message: Bytes, into: &mut EncodeBuf<'_>) -> Result<(), Status> {
        into.reserve(message.len());
        into.put(message);
        Ok(())
    }
}

impl Decoder for Raw {
    type Item = u64;
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<u64>, Status> {
        let bytes = from.remaining();
        from.advance(bytes);
        Ok(Some(bytes as u64))
    }
}
