//! The listener: connections, routing, and faults around each call.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use http::header::CONTENT_TYPE;
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::Shared;
use super::answer::{self, Answer};
use super::args::Args;
use super::bot::Bot;
use super::faults::Fault;
use super::{control, methods};

/// Largest request body. Telegram's own limit for local servers is higher, but no file is stored here.
const MAX_BODY_BYTES: usize = 256 << 20;

/// Serves until the other end of `stopped` is dropped.
pub(super) async fn serve(listener: TcpListener, shared: Arc<Shared>, mut stopped: watch::Receiver<()>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => { connections.spawn(serve_connection(stream, Arc::clone(&shared))); }
                Err(error) => {
                    // Out of file descriptors, most likely: connections that end will free some.
                    tracing::warn!(%error, "the simulator cannot accept a connection");
                    tokio::time::sleep(std::time::Duration::from_millis(50)).await;
                }
            },
            Some(_) = connections.join_next(), if !connections.is_empty() => {}
            _ = stopped.changed() => break,
        }
    }
    for bot in shared.bots().values() {
        let mut state = bot.lock();
        state.webhook = None;
        state.feed = super::bot::Feed::Over;
    }
}

async fn serve_connection(stream: TcpStream, shared: Arc<Shared>) {
    // Without it small answers wait for the other side's delayed acknowledgements.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "a connection has ended before it began");
        return;
    }
    let reset = AtomicBool::new(false);
    let service = service_fn(|request| {
        let (shared, reset) = (Arc::clone(&shared), &reset);
        async move {
            let answered = handle(&shared, request).await;
            if matches!(answered, Err(HangUp::Reset)) {
                reset.store(true, Ordering::Relaxed);
            }
            answered
        }
    });
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).half_close(false);
    let mut connection = builder.serve_connection(TokioIo::new(stream), service);
    // An error is a client that has gone, or a fault that was asked for.
    let _ = std::pin::Pin::new(&mut connection).await;
    if reset.load(Ordering::Relaxed) {
        // Closing without lingering sends a reset instead of an orderly end.
        let _ = connection.into_parts().io.into_inner().set_zero_linger();
    }
}

/// The connection ends without an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum HangUp {
    Close,
    Reset,
}

impl fmt::Display for HangUp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the connection ends without an answer, as a fault rule asks")
    }
}

impl std::error::Error for HangUp {}

async fn handle(shared: &Arc<Shared>, request: Request<Incoming>) -> Result<Answer, HangUp> {
    let (parts, body) = request.into_parts();
    let path = parts.uri.path();
    let query = parts.uri.query().unwrap_or_default();
    let body = match Limited::new(body, MAX_BODY_BYTES).collect().await {
        Ok(body) => body.to_bytes(),
        Err(_) => return Ok(answer::error(StatusCode::PAYLOAD_TOO_LARGE, "Request Entity Too Large")),
    };
    if let Some(path) = path.strip_prefix("/simulator")
        && (path.is_empty() || path.starts_with('/'))
    {
        return Ok(control::handle(shared, &parts.method, path, query, body).await);
    }
    let Some((bot_id, method)) = bot_and_method(path) else {
        return Ok(answer::error(StatusCode::NOT_FOUND, "Not Found"));
    };
    let mut args = Args::from_query(query);
    if !body.is_empty() {
        let content_type = parts.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
        args.add_body(content_type.unwrap_or_default(), &body);
    }
    let method = method.to_ascii_lowercase();
    let bot = shared.calling_bot(bot_id);
    call(shared, &bot, &method, &args).await
}

async fn call(shared: &Arc<Shared>, bot: &Arc<Bot>, method: &str, args: &Args) -> Result<Answer, HangUp> {
    let strike = shared.faults().strike(method);
    strike.wait().await;
    match strike.fault {
        Some(Fault::Reset) => return Err(HangUp::Reset),
        Some(Fault::TooManyRequests { retry_after }) => return Ok(answer::too_many_requests(retry_after)),
        Some(Fault::ServerError) => {
            return Ok(answer::error(StatusCode::INTERNAL_SERVER_ERROR, "Internal Server Error: restart"));
        }
        Some(Fault::BadGateway) => return Ok(answer::bad_gateway()),
        Some(Fault::ReplyLost | Fault::Latency { .. }) | None => {}
    }
    bot.lock().ledger.called(method);
    let answer = methods::call(shared, bot, method, args).await;
    if strike.fault == Some(Fault::ReplyLost) { Err(HangUp::Close) } else { Ok(answer) }
}

/// The parts of `/bot<digits>:<secret>/<method>`.
fn bot_and_method(path: &str) -> Option<(i64, &str)> {
    let (token, method) = path.strip_prefix("/bot")?.split_once('/')?;
    // Clients may escape the colon.
    let (id, secret) =
        token.split_once(':').or_else(|| token.split_once("%3A")).or_else(|| token.split_once("%3a"))?;
    let plain = |text: &str| {
        !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
    };
    let is_id = !id.is_empty() && id.bytes().all(|b| b.is_ascii_digit());
    if !is_id || !plain(secret) || !plain(method) {
        return None;
    }
    Some((id.parse().ok()?, method))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_digits_colon_secret_and_anything_else_is_not_found() {
        assert_eq!(bot_and_method("/bot42:AAE-x_9/getMe"), Some((42, "getMe")));
        assert_eq!(bot_and_method("/bot42%3AAAE/getMe"), Some((42, "getMe")));
        for bad in [
            "/",
            "/bot42/getMe",
            "/bot:x/getMe",
            "/botx:y/getMe",
            "/bot42:/getMe",
            "/bot42:x",
            "/bot42:x/",
            "/bot42:x/a/b",
        ] {
            assert_eq!(bot_and_method(bad), None, "{bad}");
        }
    }
}
