//! The listener for operators: `/metrics`, `/healthz`, `/readyz`, the live view at `/`, and under `/api/` the JSON
//! that the live view is made from.

mod api;
mod health;
mod page;
#[cfg(test)]
mod tests;

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ALLOW, AUTHORIZATION, CONTENT_TYPE, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Body;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use subtle::ConstantTimeEq;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};

use crate::connections::{Place, Room};
use crate::observe::metrics::Metrics;

pub use api::{Answering, Api};
pub use health::{BotReadiness, Health, Paused, Readiness};

/// Probes and scrapers hold a connection each; more than these wait to be accepted.
const MAX_CONNECTIONS: u32 = 128;
/// How long a request's head may take, and how long a connection may be idle.
const HEAD_TIMEOUT: Duration = Duration::from_secs(60);
/// After what the system refuses to accept a connection (too many open files), so as not to spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// What the listener serves.
pub struct Ops {
    health: Arc<dyn Health>,
    metrics: Metrics,
    api: Arc<dyn Api>,
    access_token: Option<Box<str>>,
    api_calls: Semaphore,
}

/// A request came without the right token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
enum Denied {
    #[error("this gateway asks for an access token; send it: Authorization: Bearer …")]
    Missing,
    #[error("the access token is not the gateway's; send the configured one: Authorization: Bearer …")]
    Wrong,
}

impl std::fmt::Debug for Ops {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Not the token.
        f.debug_struct("Ops").finish_non_exhaustive()
    }
}

/// Serves until `shutdown` is true or its sender is gone; open connections end then.
pub async fn serve(listener: TcpListener, ops: Ops, mut shutdown: watch::Receiver<bool>) {
    let ops = Arc::new(ops);
    let room = Room::new(MAX_CONNECTIONS);
    loop {
        let accept = async {
            let (stream, _) = listener.accept().await?;
            Ok::<_, std::io::Error>((stream, room.place().await))
        };
        let accepted = tokio::select! {
            biased;
            // A sender that is gone means the same as `true`.
            _ = shutdown.wait_for(|stop| *stop) => return,
            accepted = accept => accepted,
        };
        match accepted {
            Ok((stream, place)) => {
                let (ops, mut shutdown) = (ops.clone(), shutdown.clone());
                tokio::spawn(async move {
                    let sent_away = place.sent_away();
                    tokio::select! {
                        () = connection(stream, place, ops) => {}
                        () = sent_away => {}
                        _ = shutdown.wait_for(|stop| *stop) => {}
                    }
                });
            }
            Err(error) => {
                tracing::warn!("the ops listener cannot accept a connection: {error}");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn connection(stream: TcpStream, place: Place, ops: Arc<Ops>) {
    let service = service_fn(|request: Request<_>| {
        let ops = ops.clone();
        if ops.check_token(request.headers()).is_ok() {
            place.guest().is_known();
        }
        async move { Ok::<_, Infallible>(ops.answer(request).await) }
    });
    // A broken connection is the other side's affair.
    let _ = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .serve_connection(TokioIo::new(stream), service)
        .await;
}

impl Ops {
    /// All of it; with a token, metrics and the API ask for it.
    #[must_use]
    pub fn new(
        health: Arc<dyn Health>,
        metrics: Metrics,
        api: Arc<dyn Api>,
        access_token: Option<Box<str>>,
    ) -> Self {
        Self { health, metrics, api, access_token, api_calls: Semaphore::new(api::MAX_CALLS) }
    }

    async fn answer<B>(&self, request: Request<B>) -> Response<Full<Bytes>>
    where
        B: Body + Send,
        B::Data: Send,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        if request.uri().path().starts_with(api::PREFIX) {
            return self.call(request).await;
        }
        let path = request.uri().path();
        let asset = page::find(path);
        if asset.is_none() && !matches!(path, "/healthz" | "/readyz" | "/metrics") {
            let there_are =
                "there are /, /healthz, /readyz, /metrics and /api/switchboard.v1.AdminService/…\n";
            return text(StatusCode::NOT_FOUND, there_are.into());
        }
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            let mut answer = text(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD\n".into());
            answer.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
            return answer;
        }
        match (asset, path) {
            (Some(asset), _) => asset.answer(request.headers()),
            (None, "/healthz") => match self.health.failure() {
                None => text(StatusCode::OK, "ok\n".into()),
                Some(why) => text(StatusCode::SERVICE_UNAVAILABLE, format!("{why}\n")),
            },
            (None, "/readyz") => self.readyz(),
            (None, _) => self.scrape(request.headers()),
        }
    }

    fn readyz(&self) -> Response<Full<Bytes>> {
        let readiness = self.health.readiness();
        let status = if readiness.ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
        match serde_json::to_vec(&readiness) {
            Ok(body) => answer(status, "application/json", body.into()),
            Err(why) => text(StatusCode::INTERNAL_SERVER_ERROR, format!("{why}\n")),
        }
    }

    fn scrape(&self, headers: &HeaderMap) -> Response<Full<Bytes>> {
        if let Err(denied) = self.check_token(headers) {
            let mut answer = text(StatusCode::UNAUTHORIZED, format!("{denied}\n"));
            answer.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            return answer;
        }
        match self.metrics.encode() {
            Ok(body) => answer(StatusCode::OK, OPEN_METRICS, body.into()),
            Err(why) => text(StatusCode::INTERNAL_SERVER_ERROR, format!("{why}\n")),
        }
    }

    /// Compares in constant time: how much of a guess is right must not show.
    fn check_token(&self, headers: &HeaderMap) -> Result<(), Denied> {
        let Some(token) = &self.access_token else { return Ok(()) };
        let given = headers.get(AUTHORIZATION).and_then(|value| value.as_bytes().split_at_checked(7));
        let given = given.filter(|(scheme, _)| scheme.eq_ignore_ascii_case(b"Bearer "));
        let (_, given) = given.ok_or(Denied::Missing)?;
        if given.ct_eq(token.as_bytes()).into() { Ok(()) } else { Err(Denied::Wrong) }
    }
}

fn text(status: StatusCode, body: String) -> Response<Full<Bytes>> {
    answer(status, "text/plain; charset=utf-8", body.into())
}

fn answer(status: StatusCode, content_type: &'static str, body: Bytes) -> Response<Full<Bytes>> {
    let mut answer = Response::new(Full::new(body));
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    answer
}
