//! Connections that are only opened.

use std::net::SocketAddr;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use crate::Place;

/// More than any listener serves at once.
const MANY: usize = 5_000;

/// Each of them takes a file here, too.
fn allow_many_files() {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }).unwrap();
}

async fn open(address: SocketAddr, says: &[u8]) -> Vec<TcpStream> {
    let mut open = Vec::with_capacity(MANY);
    for _ in 0..MANY {
        let mut stream = TcpStream::connect(address).await.unwrap();
        // One that was sent away already cannot be written to.
        let _ = stream.write_all(says).await;
        open.push(stream);
    }
    open
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn p6_five_thousand_connections_that_say_nothing_keep_nobody_from_grpc() {
    allow_many_files();
    let place = Place::new().await;
    let silent = open(place.gateway.grpc, b"").await;
    place.holds("among silent connections to gRPC").await;
    drop(silent);
    place.holds("after silent connections to gRPC").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn p6_five_thousand_connections_that_begin_a_request_keep_telegram_from_nothing() {
    allow_many_files();
    let place = Place::new().await;
    let slow = open(place.setup.public, b"POST /telegram/webhook/default HTTP/1.1\r\nHost: x\r\nX-A").await;
    place.holds("among slow webhooks").await;
    drop(slow);
    place.holds("after slow webhooks").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn p6_five_thousand_connections_that_begin_a_request_keep_no_probe_from_the_ops_listener() {
    allow_many_files();
    let place = Place::new().await;
    let slow = open(place.gateway.ops, b"GET /healthz HTTP/1.1\r\n").await;
    place.holds("among slow probes").await;
    drop(slow);
}
