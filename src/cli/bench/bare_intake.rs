//! What Telegram's side alone can do: the simulator's updates taken over HTTP and thrown away, by a process that does
//! nothing else.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;

use bytes::Bytes;
use clap::Args;
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use serde::Deserialize;
use serde_json::json;
use serde_json::value::RawValue;
use tokio::net::{TcpListener, TcpStream};

use super::load;
use super::{BenchArgs, BenchError};
use crate::cli::clock;
use crate::cli::processes::{free_addresses, own_command};
use crate::cli::simulation::{Simulation, TOKEN};

/// Updates a second that are posted to a bare server and answered 200.
pub(super) async fn webhook(args: &BenchArgs, total: u64) -> Result<f64, BenchError> {
    let load = Simulation::start().await.map_err(BenchError::Simulator)?;
    let [address] = free_addresses()?;
    let mut server = own_command(SERVER)?;
    server.args(["bench", "bare-webhook", "--listen", &address.to_string()]);
    let _server = server.spawn().map_err(|source| BenchError::Child { name: SERVER, source })?;
    let deadline = clock::now() + START_PATIENCE;
    while let Err(source) = TcpStream::connect(address).await {
        if clock::now() > deadline {
            return Err(BenchError::Child { name: SERVER, source });
        }
        tokio::time::sleep(START_INTERVAL).await;
    }
    let request =
        json!({ "url": format!("http://{address}/bench"), "max_connections": load::MOST_IN_FLIGHT });
    let url = method(&load.url(), "setWebhook");
    post(&reqwest::Client::builder().no_proxy().build()?, &url, &request).await?;
    measure(args, &load, total).await
}

/// Updates a second that a bare client fetches with `getUpdates` and confirms.
pub(super) async fn polling(args: &BenchArgs, total: u64) -> Result<f64, BenchError> {
    let load = Simulation::start().await.map_err(BenchError::Simulator)?;
    let mut client = own_command(CLIENT)?;
    client.args(["bench", "bare-poller", "--telegram", &load.url()]);
    let _client = client.spawn().map_err(|source| BenchError::Child { name: CLIENT, source })?;
    measure(args, &load, total).await
}

async fn measure(args: &BenchArgs, load: &Simulation, total: u64) -> Result<f64, BenchError> {
    load::warm_up(args, load).await?;
    let (before, began) = (load.counts().confirmed, clock::now());
    load.send(load::at_full_speed(args, Some(total)));
    load.settled().await;
    let seconds = began.elapsed().as_secs_f64();
    Ok((load.counts().confirmed - before) as f64 / seconds)
}

async fn post(
    client: &reqwest::Client,
    url: &str,
    request: &serde_json::Value,
) -> Result<Bytes, reqwest::Error> {
    let request = client.post(url).header("content-type", "application/json").body(request.to_string());
    request.send().await?.error_for_status()?.bytes().await
}

fn method(telegram: &str, name: &str) -> String {
    format!("{telegram}/bot{TOKEN}/{name}")
}

/// What the parent says on the command line.
#[derive(Args, Clone, Debug)]
pub struct BareWebhookArgs {
    #[arg(long)]
    listen: SocketAddr,
}

/// The process of the bare server.
pub(super) async fn serve_webhook(args: BareWebhookArgs) -> ExitCode {
    let error = match TcpListener::bind(args.listen).await {
        Ok(listener) => loop {
            match listener.accept().await {
                Ok((connection, _)) => drop(tokio::spawn(serve_connection(connection))),
                Err(error) => break error,
            }
        },
        Err(error) => error,
    };
    eprintln!("switchboard bench bare-webhook: {}: {error}", args.listen);
    ExitCode::FAILURE
}

/// Set up as the gateway's own public listener.
async fn serve_connection(connection: TcpStream) {
    // Without it small answers wait for the peer's acknowledgement.
    let _ = connection.set_nodelay(true);
    // A broken connection shows in the update that was not answered.
    let _ = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .serve_connection(TokioIo::new(connection), service_fn(answer))
        .await;
}

async fn answer(request: Request<Incoming>) -> Result<Response<Empty<Bytes>>, Infallible> {
    let mut response = Response::new(Empty::new());
    if request.into_body().collect().await.is_err() {
        *response.status_mut() = StatusCode::BAD_REQUEST;
    }
    Ok(response)
}

/// What the parent says on the command line.
#[derive(Args, Clone, Debug)]
pub struct BarePollerArgs {
    #[arg(long)]
    telegram: String,
}

/// The process of the bare client.
pub(super) async fn poll(args: BarePollerArgs) -> ExitCode {
    let Err(error) = poll_on(&args.telegram).await;
    eprintln!("switchboard bench bare-poller: {error}");
    ExitCode::FAILURE
}

async fn poll_on(telegram: &str) -> Result<Infallible, Box<dyn std::error::Error>> {
    let client = reqwest::Client::builder().no_proxy().build()?;
    let url = method(telegram, "getUpdates");
    let mut offset = 0;
    loop {
        let request = json!({ "offset": offset, "limit": load::MOST_IN_FLIGHT, "timeout": POLL_TIMEOUT_S });
        let page = post(&client, &url, &request).await?;
        offset = next_offset(&page)?.unwrap_or(offset);
    }
}

/// What confirms the page; nothing if it is empty.
fn next_offset(page: &[u8]) -> Result<Option<i64>, serde_json::Error> {
    #[derive(Deserialize)]
    struct Page<'a> {
        #[serde(borrow)]
        result: Vec<&'a RawValue>,
    }
    #[derive(Deserialize)]
    struct Id {
        update_id: i64,
    }
    let page: Page<'_> = serde_json::from_slice(page)?;
    let Some(last) = page.result.last() else { return Ok(None) };
    let last: Id = serde_json::from_str(last.get())?;
    Ok(Some(last.update_id + 1))
}

const SERVER: &str = "the bare webhook server";
const CLIENT: &str = "the bare polling client";
const START_PATIENCE: Duration = Duration::from_secs(10);
const START_INTERVAL: Duration = Duration::from_millis(20);
const HEAD_TIMEOUT: Duration = Duration::from_secs(75);
const POLL_TIMEOUT_S: u64 = 30;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_confirmed_by_one_more_than_its_last_id() {
        let page = br#"{"ok":true,"result":[{"update_id":7,"message":{}},{"update_id":9,"poll":{}}]}"#;
        assert_eq!(next_offset(page).unwrap(), Some(10));
        assert_eq!(next_offset(br#"{"ok":true,"result":[]}"#).unwrap(), None);
        assert!(next_offset(br#"{"ok":false}"#).is_err());
    }
}
