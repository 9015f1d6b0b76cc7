//! The listener for operators: `/metrics`, `/healthz`, `/readyz`.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ALLOW, AUTHORIZATION, CONTENT_TYPE, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use serde::Serialize;
use subtle::ConstantTimeEq;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};

use crate::observe::metrics::Metrics;

/// What the listener asks the gateway. Answers must be at hand: health must not wait for what it is about.
pub trait Health: Send + Sync + 'static {
    /// What is broken beyond repair, if anything is: the process should be restarted.
    fn failure(&self) -> Option<String>;

    /// Whether the gateway can do its work, and what each bot is at.
    fn readiness(&self) -> Readiness;
}

/// The body of `/readyz`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Readiness {
    /// Whether handlers can subscribe. Telegram has no say in it.
    pub ready: bool,
    /// Why not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// Each bot.
    pub bots: Vec<BotReadiness>,
}

/// What one bot is at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct BotReadiness {
    /// Its name in the configuration.
    pub bot: String,
    /// `polling` or `webhook`; `null` until Telegram has accepted the token.
    pub mode: Option<&'static str>,
    /// Whether updates can come in.
    pub connected: bool,
    /// Since when, in milliseconds since 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connected_since_ms: Option<u64>,
    /// When the last update came, in milliseconds since 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_update_ms: Option<u64>,
    /// Who else holds the bot, and what to do.
    pub conflict: Option<String>,
    /// What does not work towards Telegram at the moment.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trouble: Option<String>,
    /// Set while no updates are taken; Telegram keeps them.
    pub intake_paused: Option<Paused>,
}

/// Why no updates are taken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Paused {
    /// In words, with what to do.
    pub reason: String,
    /// Since when, in milliseconds since 1970.
    pub since_ms: u64,
}

/// Probes and scrapers hold a connection each; more than these wait to be accepted.
const MAX_CONNECTIONS: usize = 128;
/// How long a request's head may take, and how long a connection may be idle.
const HEAD_TIMEOUT: Duration = Duration::from_secs(60);
/// After what the system refuses to accept a connection (too many open files), so as not to spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Serves until `shutdown` is true or its sender is gone; open connections end then.
pub async fn serve(
    listener: TcpListener,
    health: Arc<dyn Health>,
    metrics: Metrics,
    access_token: Option<Box<str>>,
    mut shutdown: watch::Receiver<bool>,
) {
    let ops = Arc::new(Ops { health, metrics, access_token });
    let connections = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    loop {
        let accept = async {
            let permit = connections.clone().acquire_owned().await;
            (permit, listener.accept().await)
        };
        let (permit, accepted) = tokio::select! {
            biased;
            // A sender that is gone means the same as `true`.
            _ = shutdown.wait_for(|stop| *stop) => return,
            accepted = accept => accepted,
        };
        match accepted {
            Ok((stream, _)) => {
                let (ops, mut shutdown) = (ops.clone(), shutdown.clone());
                tokio::spawn(async move {
                    tokio::select! {
                        () = connection(stream, ops) => {}
                        _ = shutdown.wait_for(|stop| *stop) => {}
                    }
                    drop(permit);
                });
            }
            Err(error) => {
                tracing::warn!("the ops listener cannot accept a connection: {error}");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

struct Ops {
    health: Arc<dyn Health>,
    metrics: Metrics,
    access_token: Option<Box<str>>,
}

async fn connection(stream: TcpStream, ops: Arc<Ops>) {
    let service = service_fn(move |request: Request<_>| {
        let answer = ops.answer(request.method(), request.uri().path(), request.headers());
        async move { Ok::<_, Infallible>(answer) }
    });
    // A broken connection is the other side's affair.
    let _ = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .serve_connection(TokioIo::new(stream), service)
        .await;
}

impl Ops {
    fn answer(&self, method: &Method, path: &str, headers: &HeaderMap) -> Response<Full<Bytes>> {
        if !matches!(path, "/healthz" | "/readyz" | "/metrics") {
            return text(StatusCode::NOT_FOUND, "there are /healthz, /readyz and /metrics\n".into());
        }
        if !matches!(*method, Method::GET | Method::HEAD) {
            let mut answer = text(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD\n".into());
            answer.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
            return answer;
        }
        match path {
            "/healthz" => match self.health.failure() {
                None => text(StatusCode::OK, "ok\n".into()),
                Some(why) => text(StatusCode::SERVICE_UNAVAILABLE, format!("{why}\n")),
            },
            "/readyz" => self.readyz(),
            _ => self.scrape(headers),
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
        if !self.may_enter(headers) {
            let why = "send the access token: Authorization: Bearer …\n".to_owned();
            let mut answer = text(StatusCode::UNAUTHORIZED, why);
            answer.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            return answer;
        }
        match self.metrics.encode() {
            Ok(body) => answer(StatusCode::OK, OPEN_METRICS, body.into()),
            Err(why) => text(StatusCode::INTERNAL_SERVER_ERROR, format!("{why}\n")),
        }
    }

    /// Compares in constant time: how much of a guess is right must not show.
    fn may_enter(&self, headers: &HeaderMap) -> bool {
        let Some(token) = &self.access_token else { return true };
        let given = headers.get(AUTHORIZATION).and_then(|value| value.as_bytes().split_at_checked(7));
        given.is_some_and(|(scheme, given)| {
            scheme.eq_ignore_ascii_case(b"Bearer ") && bool::from(given.ct_eq(token.as_bytes()))
        })
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

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;

    use super::*;

    struct Fixed {
        failure: Option<String>,
        readiness: Readiness,
    }

    impl Health for Fixed {
        fn failure(&self) -> Option<String> {
            self.failure.clone()
        }

        fn readiness(&self) -> Readiness {
            self.readiness.clone()
        }
    }

    fn health() -> Fixed {
        let bot = BotReadiness {
            bot: "shop".into(),
            mode: Some("polling"),
            connected: false,
            connected_since_ms: None,
            last_update_ms: None,
            conflict: Some("another gateway polls".into()),
            trouble: None,
            intake_paused: Some(Paused { reason: "its disk is full".into(), since_ms: 5 }),
        };
        Fixed { failure: None, readiness: Readiness { ready: true, why: None, bots: vec![bot] } }
    }

    fn ops(health: Fixed, access_token: Option<&str>) -> Ops {
        Ops { health: Arc::new(health), metrics: Metrics::new(), access_token: access_token.map(Into::into) }
    }

    fn status(ops: &Ops, path: &str, authorization: Option<&'static str>) -> StatusCode {
        let mut headers = HeaderMap::new();
        headers.extend(authorization.map(|value| (AUTHORIZATION, HeaderValue::from_static(value))));
        ops.answer(&Method::GET, path, &headers).status()
    }

    async fn body(answer: Response<Full<Bytes>>) -> String {
        String::from_utf8(answer.into_body().collect().await.unwrap().to_bytes().to_vec()).unwrap()
    }

    #[tokio::test]
    async fn ready_says_what_each_bot_is_at_and_telegram_does_not_decide() {
        let answer = ops(health(), None).answer(&Method::GET, "/readyz", &HeaderMap::new());
        assert_eq!(answer.status(), StatusCode::OK);
        let body = body(answer).await;
        assert_eq!(
            body,
            r#"{"ready":true,"bots":[{"bot":"shop","mode":"polling","connected":false,"conflict":"another gateway polls","intake_paused":{"reason":"its disk is full","since_ms":5}}]}"#
        );
    }

    #[test]
    fn what_is_broken_or_stopping_is_503() {
        let mut broken = health();
        broken.failure = Some("the driver of bot `shop` has failed".into());
        broken.readiness.ready = false;
        let ops = ops(broken, None);
        assert_eq!(status(&ops, "/healthz", None), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(status(&ops, "/readyz", None), StatusCode::SERVICE_UNAVAILABLE);
    }

    #[test]
    fn only_metrics_ask_for_the_access_token() {
        let ops = ops(health(), Some("open-sesame"));
        assert_eq!(status(&ops, "/healthz", None), StatusCode::OK);
        assert_eq!(status(&ops, "/readyz", None), StatusCode::OK);
        for wrong in
            [None, Some("open-sesame"), Some("Bearer open"), Some("Bearer open-sesame2"), Some("Bear")]
        {
            assert_eq!(status(&ops, "/metrics", wrong), StatusCode::UNAUTHORIZED, "{wrong:?}");
        }
        assert_eq!(status(&ops, "/metrics", Some("Bearer open-sesame")), StatusCode::OK);
        assert_eq!(status(&ops, "/metrics", Some("bearer open-sesame")), StatusCode::OK);
    }

    #[test]
    fn what_is_not_there_is_404_and_what_is_not_get_405() {
        let ops = ops(health(), None);
        assert_eq!(status(&ops, "/", None), StatusCode::NOT_FOUND);
        assert_eq!(status(&ops, "/metrics/x", None), StatusCode::NOT_FOUND);
        let posted = ops.answer(&Method::POST, "/metrics", &HeaderMap::new());
        assert_eq!(posted.status(), StatusCode::METHOD_NOT_ALLOWED);
    }

    #[tokio::test]
    async fn the_listener_answers_over_tcp_and_ends_when_told() {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = watch::channel(false);
        let serving = tokio::spawn(serve(listener, Arc::new(health()), Metrics::new(), None, stopped));
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
        let mut head = [0; 15];
        stream.read_exact(&mut head).await.unwrap();
        assert_eq!(&head, b"HTTP/1.1 200 OK");
        stop.send(true).unwrap();
        serving.await.unwrap();
        let mut rest = Vec::new();
        stream.read_to_end(&mut rest).await.unwrap();
    }
}
