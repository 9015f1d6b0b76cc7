//! The Bot API client: a few methods, typed outcomes, bounded answers, and never the token in a text.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use reqwest::{Proxy, Url};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::call_error::{CallError, Conflict};
use super::page::{self, RawPage};
use super::settings::{BotToken, Settings};
use crate::observe::metrics::{CallLabels, Metrics};

/// Telegram stops a getUpdates answer near 4 MiB; non-ASCII text may be escaped, so it is allowed several times that.
const MAX_ANSWER_BYTES: usize = 16 << 20;
/// How long a connection may take to be made.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a call may take in all; setWebhook resolves names before it answers.
const CALL_TIMEOUT: Duration = Duration::from_secs(30);
/// What a long poll may take beyond its `timeout`: the way there and back, and a throttled answer.
const POLL_MARGIN: Duration = Duration::from_secs(15);

/// One bot's way to the Bot API.
#[derive(Debug)]
pub(super) struct Api {
    client: reqwest::Client,
    url: Box<str>,
    token: BotToken,
    bot: Arc<str>,
    metrics: Metrics,
}

/// What getMe tells.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Me {
    /// The bot's numeric id.
    pub id: i64,
    /// Its name, without `@`.
    pub username: Option<Box<str>>,
}

/// What getWebhookInfo tells.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct WebhookInfo {
    /// Where updates are sent; empty if nowhere.
    pub url: Box<str>,
    /// How many updates wait.
    pub pending_update_count: u64,
    /// When delivering failed last, in seconds since 1970.
    pub last_error_date: Option<u64>,
    /// How.
    pub last_error_message: Option<Box<str>>,
    /// How many connections Telegram opens at once.
    pub max_connections: Option<u32>,
}

/// What setWebhook asks for.
#[derive(Debug, Serialize)]
pub(super) struct SetWebhook<'a> {
    pub url: &'a str,
    pub secret_token: &'a str,
    pub max_connections: u8,
    pub allowed_updates: &'a [Box<str>],
    pub drop_pending_updates: bool,
}

#[derive(Serialize)]
struct DeleteWebhook {
    drop_pending_updates: bool,
}

/// What getUpdates asks for.
#[derive(Debug, Serialize)]
pub(super) struct GetUpdates<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub offset: Option<i64>,
    pub limit: u8,
    /// Seconds.
    pub timeout: u64,
    pub allowed_updates: &'a [Box<str>],
}

#[derive(Serialize)]
struct Nothing {}

/// An HTTP answer, read as far as is allowed.
struct Answer {
    status: u16,
    retry_after: Option<u64>,
    location: bool,
    body: Bytes,
}

#[derive(Deserialize)]
struct Envelope<'a> {
    ok: bool,
    #[serde(borrow)]
    result: Option<&'a RawValue>,
    error_code: Option<u16>,
    #[serde(borrow)]
    description: Option<Cow<'a, str>>,
    parameters: Option<Parameters>,
}

#[derive(Deserialize)]
struct Parameters {
    retry_after: Option<u64>,
}

impl Api {
    /// A client for the bot. Proxies come from the settings alone: the environment is not read here.
    ///
    /// # Errors
    /// A text that says what is wrong with the proxy or with this machine's certificates.
    pub(super) fn new(settings: &Settings, metrics: Metrics) -> Result<Self, String> {
        let mut builder = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(CONNECT_TIMEOUT)
            .tcp_keepalive(Duration::from_secs(30))
            .user_agent(concat!("switchboard/", env!("CARGO_PKG_VERSION")));
        let https_proxy = settings.proxy.as_deref().is_some_and(|url| url.starts_with("https:"));
        if settings.api_url.starts_with("http:") && !https_proxy {
            // Nothing here speaks TLS: a machine without CA certificates will do.
            builder = builder.tls_certs_only([]);
        }
        if let Some(url) = &settings.proxy {
            // The proxy's URL may hold a password: it is not repeated.
            let proxy = Proxy::all(&**url)
                .map_err(|_| "the proxy is no URL like http://host:port or socks5h://host:port")?;
            let exceptions = settings.no_proxy.as_deref().and_then(reqwest::NoProxy::from_string);
            builder = builder.proxy(proxy.no_proxy(exceptions));
        }
        let client = builder.build().map_err(|error| {
            let why = chain(&error.without_url());
            format!("cannot prepare TLS ({why}): are CA certificates installed?")
        })?;
        let bot = settings.bot.as_ref().into();
        Ok(Self { client, url: settings.api_url.clone(), token: settings.token.clone(), bot, metrics })
    }

    /// Who the token is for.
    pub(super) async fn get_me(&self) -> Result<Me, CallError> {
        self.call("getMe", &Nothing {}).await
    }

    /// Where updates are sent.
    pub(super) async fn webhook_info(&self) -> Result<WebhookInfo, CallError> {
        self.call("getWebhookInfo", &Nothing {}).await
    }

    /// Has updates sent to a URL.
    pub(super) async fn set_webhook(&self, request: &SetWebhook<'_>) -> Result<bool, CallError> {
        self.call("setWebhook", request).await
    }

    /// Ends the sending of updates.
    pub(super) async fn delete_webhook(&self, drop_pending_updates: bool) -> Result<bool, CallError> {
        self.call("deleteWebhook", &DeleteWebhook { drop_pending_updates }).await
    }

    /// Waits for updates and takes them; confirms those before the offset.
    pub(super) async fn get_updates(&self, request: &GetUpdates<'_>) -> Result<RawPage, CallError> {
        let timeout = Duration::from_secs(request.timeout) + POLL_MARGIN;
        let page = self.send("getUpdates", request, timeout).await.and_then(|answer| {
            let read = self.result(&answer).map(|result| page::split(&answer.body, result));
            match read {
                Ok(Some(page)) => Ok(page),
                Ok(None) => Err(CallError::Unreadable { why: "its getUpdates result is no array".into() }),
                Err(CallError::Unreadable { why }) => {
                    page::salvage(&answer.body).ok_or(CallError::Unreadable { why })
                }
                Err(error) => Err(error),
            }
        });
        self.count("getUpdates", page.as_ref().err());
        page
    }

    async fn call<T: DeserializeOwned>(
        &self,
        method: &'static str,
        request: &impl Serialize,
    ) -> Result<T, CallError> {
        let result = self.send(method, request, CALL_TIMEOUT).await.and_then(|answer| {
            serde_json::from_str(self.result(&answer)?.get()).map_err(|error| CallError::Unreadable {
                why: format!("its {method} result is not what the Bot API documents: {error}"),
            })
        });
        self.count(method, result.as_ref().err());
        result
    }

    /// Posts the request and reads the answer, at most [`MAX_ANSWER_BYTES`] of it.
    async fn send(
        &self,
        method: &str,
        request: &impl Serialize,
        timeout: Duration,
    ) -> Result<Answer, CallError> {
        let unreachable = |error: reqwest::Error| CallError::Unreachable { why: self.describe(error) };
        let body = serde_json::to_vec(request).map_err(|error| CallError::Unreadable {
            why: format!("the request cannot be written: {error}"),
        })?;
        let url = format!("{}/bot{}/{method}", self.url, self.token.expose());
        let request = self.client.post(url).header("content-type", "application/json").timeout(timeout);
        let mut response = request.body(body).send().await.map_err(unreachable)?;
        let header = |name: &str| response.headers().get(name).and_then(|value| value.to_str().ok());
        let (status, location) = (response.status(), header("location").is_some());
        let retry_after = header("retry-after").and_then(|seconds| seconds.trim().parse().ok());
        let mut body = BytesMut::new();
        while let Some(chunk) = response.chunk().await.map_err(unreachable)? {
            let room = MAX_ANSWER_BYTES.saturating_sub(body.len());
            body.extend_from_slice(chunk.get(..room).unwrap_or(&chunk));
            if chunk.len() > room {
                break;
            }
        }
        Ok(Answer { status: status.as_u16(), retry_after, location, body: body.freeze() })
    }

    /// The `result` of an answer that says `ok`; otherwise what it says instead.
    fn result<'a>(&self, answer: &'a Answer) -> Result<&'a RawValue, CallError> {
        let status = answer.status;
        let Ok(envelope) = serde_json::from_slice::<Envelope<'_>>(&answer.body) else {
            return Err(match status {
                429 => CallError::TooManyRequests { retry_after: wait(answer.retry_after) },
                500.. => CallError::ServerError { status, description: "no JSON".into() },
                300..=399 if answer.location => CallError::Unreadable {
                    why: format!("it redirects elsewhere (HTTP {status}); is the API URL right?"),
                },
                _ => CallError::Unreadable {
                    why: format!(
                        "HTTP {status} with {} bytes that are no Bot API answer; is the API URL right, is there a \
                         proxy in between?",
                        answer.body.len()
                    ),
                },
            });
        };
        if let (true, Some(result)) = (envelope.ok, envelope.result) {
            return Ok(result);
        }
        let description = self.redacted(envelope.description.as_deref().unwrap_or("no description"));
        let retry_after = envelope.parameters.and_then(|parameters| parameters.retry_after);
        Err(match envelope.error_code.unwrap_or(status) {
            401 => CallError::Unauthorized,
            404 => CallError::NotFound,
            409 => CallError::Conflict(Conflict::from_description(&description)),
            429 => CallError::TooManyRequests { retry_after: wait(retry_after.or(answer.retry_after)) },
            status @ 500.. => CallError::ServerError { status, description },
            200 => CallError::Unreadable { why: "its answer has no result".into() },
            code => CallError::Refused { code, description },
        })
    }

    fn describe(&self, error: reqwest::Error) -> Box<str> {
        let host = Url::parse(&self.url).ok().and_then(|url| url.host_str().map(str::to_owned));
        let host = host.as_deref().unwrap_or("the Bot API");
        let timeout = if error.is_timeout() { "no answer in time: " } else { "" };
        self.redacted(&format!("{host}: {timeout}{}", chain(&error.without_url())))
    }

    /// The text without the token, should a server or proxy have repeated it.
    fn redacted(&self, text: &str) -> Box<str> {
        text.replace(self.token.expose(), "[token]").into()
    }

    fn count(&self, method: &'static str, error: Option<&CallError>) {
        let outcome = error.map_or("ok", CallError::label);
        let labels = CallLabels { bot: self.bot.clone(), method, outcome };
        self.metrics.telegram_calls.get_or_create(&labels).inc();
    }
}

/// How long to wait where Telegram says how long, or should have.
fn wait(seconds: Option<u64>) -> Duration {
    // More than an hour would be a mistake, and deafness for long.
    Duration::from_secs(seconds.unwrap_or(5).clamp(1, 3600))
}

/// An error with its causes: reqwest's own text alone says little.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.ends_with(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        source = cause.source();
    }
    text
}
