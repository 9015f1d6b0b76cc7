//! The public listener: takes Telegram's webhook requests and nothing else.
//!
//! Whoever does not know the secret gets no further than the request's head. An update is answered 200, with an empty
//! body, only once it is durable: Telegram would execute a `method` found in a reply, and does not send again what
//! was answered with 2xx.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::header::{ALLOW, CONTENT_ENCODING, CONTENT_LENGTH, RETRY_AFTER};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Empty};
use hyper::body::{Body, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use subtle::ConstantTimeEq;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, SemaphorePermit, watch};

use crate::connections::{Guest, Place, Room};
use crate::intake::{AppendError, Intake, IntakeState, PauseReason, WebhookError};
use crate::observe::metrics::{Metrics, WebhookLabels};

/// Twice Telegram's limit for one update.
pub const MAX_BODY_BYTES: usize = 1 << 20;
/// All bodies that are being read or waiting for their commit. Beyond it Telegram is asked to come again.
const MAX_BODIES_BYTES: usize = 64 << 20;
/// Telegram opens at most 100 per bot; a proxy in front pools its own. More wait to be accepted.
const MAX_CONNECTIONS: u32 = 2048;
/// How long a request's head may take, and how long a connection may be idle: longer than the usual 60 s of proxies,
/// so that they close idle connections and not we, just when they send a request.
const HEAD_TIMEOUT: Duration = Duration::from_secs(75);
/// How long a body may take.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);
/// How long requests in flight may take at the end. Telegram sends again what was not answered.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(5);
/// After what the system refuses to accept a connection (too many open files), so as not to spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// What the journal has no room for is not worth sending again at once. Seconds.
const RETRY_WHEN_FULL: u64 = 10;
/// Anything shorter. Seconds.
const RETRY_SOON: u64 = 1;

/// Where Telegram puts the secret.
const SECRET_HEADER: &str = "x-telegram-bot-api-secret-token";

/// Which path is whose.
#[derive(Clone, Debug, Default)]
pub struct Routes {
    by_path: HashMap<Box<str>, Route>,
}

#[derive(Clone)]
struct Route {
    intake: Intake,
    secret: Box<str>,
}

impl std::fmt::Debug for Route {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Not the secret.
        f.debug_struct("Route").field("bot", self.intake.bot()).finish_non_exhaustive()
    }
}

impl Routes {
    /// No routes.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes a bot's updates at `path`, from whoever knows the secret. A path that is taken already goes to the new
    /// one.
    pub fn add(&mut self, path: &str, intake: Intake, secret: &str) {
        self.by_path.insert(path.into(), Route { intake, secret: secret.into() });
    }
}

/// The limits of one listener, shared by its connections.
struct Shared {
    routes: Routes,
    metrics: Metrics,
    body_timeout: Duration,
    bodies: Semaphore,
}

/// An answer's status, and when to come again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Answer {
    status: StatusCode,
    retry_after: Option<u64>,
}

/// Serves webhook requests, at most `max_connections` at once, until `shutdown` is true or its sender is gone; then finishes those in flight.
///
/// # Errors
/// None at the moment: a connection's trouble ends that connection, and accepting goes on.
pub async fn serve(
    listener: TcpListener,
    routes: Routes,
    metrics: Metrics,
    max_connections: usize,
    shutdown: watch::Receiver<bool>,
) -> std::io::Result<()> {
    let bodies = Semaphore::new(MAX_BODIES_BYTES);
    let shared = Shared { routes, metrics, body_timeout: BODY_TIMEOUT, bodies };
    serve_with(listener, shared, max_connections, shutdown).await;
    Ok(())
}

async fn serve_with(
    listener: TcpListener,
    shared: Shared,
    max_connections: usize,
    shutdown: watch::Receiver<bool>,
) {
    let shared = Arc::new(shared);
    // At most MAX_CONNECTIONS, which fits.
    let room = Room::new(u32::try_from(max_connections).unwrap_or(u32::MAX).min(MAX_CONNECTIONS));
    let mut stop = shutdown.clone();
    loop {
        let accept = async {
            let (stream, _) = listener.accept().await?;
            Ok::<_, std::io::Error>((stream, room.place().await))
        };
        let accepted = tokio::select! {
            biased;
            () = stopped(&mut stop) => break,
            accepted = accept => accepted,
        };
        match accepted {
            Ok((stream, place)) => {
                tokio::spawn(connection(stream, place, shared.clone(), shutdown.clone()));
            }
            Err(error) => {
                tracing::warn!("the webhook listener cannot accept a connection: {error}");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    drop(listener);
    if tokio::time::timeout(SHUTDOWN_TIMEOUT, room.emptied()).await.is_err() {
        tracing::warn!("webhook requests were still open at the end; Telegram sends their updates again");
    }
}

/// Waits until it is time to stop; a sender that is gone cannot say so any more, and means the same.
async fn stopped(shutdown: &mut watch::Receiver<bool>) {
    let _ = shutdown.wait_for(|stop| *stop).await;
}

async fn connection(stream: TcpStream, place: Place, shared: Arc<Shared>, shutdown: watch::Receiver<bool>) {
    // Without it small answers wait for the peer's acknowledgement.
    let _ = stream.set_nodelay(true);
    let sent_away = place.sent_away();
    tokio::select! {
        () = serve_stream(stream, place, shared, shutdown) => {}
        () = sent_away => {}
    }
}

/// Serves one connection; at the end, until its request in flight is answered.
async fn serve_stream<S>(stream: S, place: Place, shared: Arc<Shared>, mut shutdown: watch::Receiver<bool>)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let service = service_fn(|request| {
        let (shared, guest) = (shared.clone(), place.guest().clone());
        async move { Ok::<_, Infallible>(shared.answer(request, &guest).await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = std::pin::pin!(connection);
    // A broken connection is the other side's affair: what was not answered comes again.
    tokio::select! {
        _ = connection.as_mut() => {}
        () = stopped(&mut shutdown) => {
            connection.as_mut().graceful_shutdown();
            let _ = connection.await;
        }
    }
}

impl Shared {
    async fn answer(&self, request: Request<Incoming>, guest: &Guest) -> Response<Empty<Bytes>> {
        let route = self.routes.by_path.get(request.uri().path());
        let answer = match route {
            Some(route) => self.take(route, request, guest).await.unwrap_or_else(|answer| answer),
            None => Answer::of(StatusCode::NOT_FOUND),
        };
        let bot = route.map_or_else(|| "".into(), |route| route.intake.bot().clone());
        let labels = WebhookLabels { bot, status: answer.status.as_u16() };
        self.metrics.webhook_requests.get_or_create(&labels).inc();
        answer.response()
    }

    async fn take(&self, route: &Route, request: Request<Incoming>, guest: &Guest) -> Result<Answer, Answer> {
        if request.method() != Method::POST {
            return Err(Answer::of(StatusCode::METHOD_NOT_ALLOWED));
        }
        if !knows_secret(request.headers(), &route.secret) {
            return Err(Answer::of(StatusCode::UNAUTHORIZED));
        }
        guest.is_known();
        if request.headers().get(CONTENT_ENCODING).is_some_and(|coding| coding != "identity") {
            return Err(Answer::of(StatusCode::UNSUPPORTED_MEDIA_TYPE));
        }
        let announced = announced_length(request.headers())?;
        if let IntakeState::Paused { reason, .. } = *route.intake.state().borrow() {
            return Err(Answer::later(reason));
        }
        let room = self.room(announced.unwrap_or(MAX_BODY_BYTES))?;
        let body = self.read(request.into_body(), announced).await?;
        // The room is held until the commit: the update's bytes are in memory for so long.
        let answer = match route.intake.webhook(body).await {
            Ok(_) => Answer::of(StatusCode::OK),
            Err(WebhookError::NoUpdate(error)) => {
                tracing::warn!(bot = &**route.intake.bot(), "refused a webhook request: the body {error}");
                Answer::of(StatusCode::BAD_REQUEST)
            }
            Err(WebhookError::NotDurable(AppendError::Paused(reason))) => Answer::later(reason),
            Err(WebhookError::NotDurable(AppendError::Stopped)) => Answer::later(PauseReason::Stopping),
        };
        drop(room);
        Ok(answer)
    }

    fn room(&self, bytes: usize) -> Result<SemaphorePermit<'_>, Answer> {
        // At most MAX_BODY_BYTES, which fits.
        let permits = u32::try_from(bytes).unwrap_or(u32::MAX);
        self.bodies.try_acquire_many(permits).map_err(|_| Answer::later(PauseReason::Overloaded))
    }

    async fn read(&self, body: Incoming, announced: Option<usize>) -> Result<Bytes, Answer> {
        let read = tokio::time::timeout(self.body_timeout, collect(body, announced.unwrap_or(0)));
        read.await.unwrap_or(Err(Answer::of(StatusCode::REQUEST_TIMEOUT)))
    }
}

/// The body, if it keeps the limit.
async fn collect<B>(mut body: B, expected: usize) -> Result<Bytes, Answer>
where
    B: Body<Data = Bytes> + Unpin,
{
    let mut bytes = BytesMut::with_capacity(expected.min(MAX_BODY_BYTES));
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| Answer::of(StatusCode::BAD_REQUEST))?;
        let Ok(data) = frame.into_data() else { continue };
        if bytes.len() + data.len() > MAX_BODY_BYTES {
            return Err(Answer::of(StatusCode::PAYLOAD_TOO_LARGE));
        }
        bytes.extend_from_slice(&data);
    }
    Ok(bytes.freeze())
}

/// Compares in constant time: how much of a guess is right must not show.
fn knows_secret(headers: &HeaderMap, secret: &str) -> bool {
    headers.get(SECRET_HEADER).is_some_and(|given| given.as_bytes().ct_eq(secret.as_bytes()).into())
}

/// What Content-Length says, if it is there and within the limit.
fn announced_length(headers: &HeaderMap) -> Result<Option<usize>, Answer> {
    let Some(value) = headers.get(CONTENT_LENGTH) else { return Ok(None) };
    let length = value.to_str().ok().and_then(|text| text.parse::<u64>().ok());
    let length = length.ok_or_else(|| Answer::of(StatusCode::BAD_REQUEST))?;
    match usize::try_from(length) {
        Ok(length) if length <= MAX_BODY_BYTES => Ok(Some(length)),
        _ => Err(Answer::of(StatusCode::PAYLOAD_TOO_LARGE)),
    }
}

impl Answer {
    fn of(status: StatusCode) -> Self {
        Self { status, retry_after: None }
    }

    /// Telegram keeps the update and sends it again.
    fn later(reason: PauseReason) -> Self {
        let seconds = match reason {
            PauseReason::JournalFull | PauseReason::DiskFull => RETRY_WHEN_FULL,
            PauseReason::Overloaded | PauseReason::Stopping => RETRY_SOON,
        };
        Self { status: StatusCode::SERVICE_UNAVAILABLE, retry_after: Some(seconds) }
    }

    fn response(self) -> Response<Empty<Bytes>> {
        let mut response = Response::new(Empty::new());
        *response.status_mut() = self.status;
        if let Some(seconds) = self.retry_after {
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        if self.status == StatusCode::METHOD_NOT_ALLOWED {
            response.headers_mut().insert(ALLOW, HeaderValue::from_static("POST"));
        }
        response
    }
}

#[cfg(feature = "fuzzing")]
mod fuzz;
#[cfg(test)]
mod tests;

#[cfg(feature = "fuzzing")]
pub use fuzz::fuzz;
