//! The web server that updates are posted to, as Telegram posts to a webhook.

use std::path::{Path, PathBuf};
use std::time::Duration;

use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderValue, LOCATION, RETRY_AFTER};
use reqwest::redirect::Policy;
use reqwest::{Response, StatusCode, Url};
use thiserror::Error;

use super::reply;
use crate::cli::client;
use crate::config;

/// Why updates cannot be posted at all.
#[derive(Debug, Error)]
pub(in crate::cli::tail) enum TargetError {
    #[error("--forward-to {given}: {why}; give it as http://HOST:PORT/PATH or https://HOST/PATH")]
    Url { given: String, why: String },
    #[error("the secret's file {file}: {source}")]
    SecretFile { file: PathBuf, source: std::io::Error },
    #[error("the secret in {file} is not one: Telegram allows 1 to 256 of A-Z, a-z, 0-9, `_` and `-`")]
    Secret { file: PathBuf },
    #[error("no HTTP client can be made: {0}")]
    Client(reqwest::Error),
}

/// Where to, and how.
#[derive(Clone, Debug)]
pub(in crate::cli::tail) struct Target {
    http: reqwest::Client,
    url: Url,
    secret: Option<HeaderValue>,
    timeout: Duration,
}

/// The web server has taken the update.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Accepted {
    pub(super) status: u16,
    /// The Bot API method that Telegram would now carry out.
    pub(super) method: Option<String>,
}

/// The web server has not taken the update.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Failure {
    /// If it answered at all.
    pub(super) status: Option<u16>,
    pub(super) reason: String,
    /// What it asked for with Retry-After.
    pub(super) delay: Option<Duration>,
}

impl Target {
    pub(in crate::cli::tail) fn new(
        given: &str,
        secret_file: Option<&Path>,
        timeout: Duration,
    ) -> Result<Self, TargetError> {
        let http = reqwest::Client::builder()
            .no_proxy()
            .http1_only()
            .redirect(Policy::none())
            .connect_timeout(timeout.min(CONNECT_TIMEOUT))
            .timeout(timeout)
            .build()
            .map_err(TargetError::Client)?;
        Ok(Self { http, url: url(given)?, secret: secret_file.map(secret).transpose()?, timeout })
    }

    /// The URL, without what is secret in it.
    pub(super) fn shown(&self) -> String {
        config::without_credentials(self.url.as_str())
    }

    /// Posts one update.
    pub(super) async fn post(&self, json: String) -> Result<Accepted, Failure> {
        let mut request =
            self.http.post(self.url.clone()).header(CONTENT_TYPE, "application/json").body(json);
        if let Some(secret) = &self.secret {
            request = request.header(SECRET_HEADER, secret.clone());
        }
        let mut response = request.send().await.map_err(|error| self.unanswered(None, error))?;
        let status = response.status();
        let body =
            body(&mut response).await.map_err(|error| self.unanswered(Some(status.as_u16()), error))?;
        if status.is_success() {
            let content_type = text(response.headers(), CONTENT_TYPE.as_str());
            return Ok(Accepted { status: status.as_u16(), method: reply::method(content_type, &body) });
        }
        Err(failure(status, response.headers(), &body))
    }

    fn unanswered(&self, status: Option<u16>, error: reqwest::Error) -> Failure {
        let reason = if error.is_timeout() && !error.is_connect() {
            format!("no answer within {:?}", self.timeout)
        } else {
            client::deepest(&error.without_url())
        };
        Failure { status, reason, delay: None }
    }
}

/// What an answer that is no 2xx says.
fn failure(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Failure {
    let said: String = if status.is_redirection() {
        let to = text(headers, LOCATION.as_str());
        format!("a redirect to {to}; as at Telegram, none is followed")
    } else {
        String::from_utf8_lossy(body).trim().chars().take(REASON_CHARS).collect()
    };
    let separator = if said.is_empty() { "" } else { ": " };
    let delay = text(headers, RETRY_AFTER.as_str()).trim().parse().ok().map(Duration::from_secs);
    Failure {
        status: Some(status.as_u16()),
        reason: format!("HTTP {}{separator}{said}", status.as_u16()),
        delay: delay.filter(|delay| *delay <= MAX_RETRY_AFTER),
    }
}

/// The body's beginning; more than a Bot API call needs is not looked at.
async fn body(response: &mut Response) -> Result<Vec<u8>, reqwest::Error> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        body.extend_from_slice(&chunk);
        if body.len() > MAX_BODY_BYTES {
            break;
        }
    }
    Ok(body)
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> &'a str {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

fn url(given: &str) -> Result<Url, TargetError> {
    let wrong = |why: &str| {
        let given = config::without_credentials(given);
        Err(TargetError::Url { given, why: why.to_owned() })
    };
    match Url::parse(given) {
        Ok(url) if !matches!(url.scheme(), "http" | "https") => {
            wrong("only http:// and https:// can be posted to")
        }
        Ok(url) if url.port() == Some(0) => wrong("nobody listens on port 0"),
        Ok(url) => Ok(url),
        Err(error) => wrong(&error.to_string()),
    }
}

fn secret(file: &Path) -> Result<HeaderValue, TargetError> {
    let read = std::fs::read_to_string(file);
    let text = read.map_err(|source| TargetError::SecretFile { file: file.to_owned(), source })?;
    let text = text.trim();
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    let value = HeaderValue::from_str(text).ok();
    match value.filter(|_| SECRET_LENGTHS.contains(&text.len()) && text.bytes().all(allowed)) {
        Some(mut value) => {
            value.set_sensitive(true);
            Ok(value)
        }
        None => Err(TargetError::Secret { file: file.to_owned() }),
    }
}

const SECRET_HEADER: &str = "x-telegram-bot-api-secret-token";
const SECRET_LENGTHS: std::ops::RangeInclusive<usize> = 1..=256;
/// It is on this machine, usually.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Telegram honours no more, and the gateway takes no longer delay.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(3600);
const MAX_BODY_BYTES: usize = 64 * 1024;
/// Enough to recognise an error by; a stack trace is in the web server's own log.
const REASON_CHARS: usize = 300;

#[cfg(test)]
mod tests {
    use super::*;

    fn target(url: &str) -> Result<Target, String> {
        Target::new(url, None, Duration::from_secs(1)).map_err(|error| error.to_string())
    }

    #[test]
    fn a_url_is_http_or_https() {
        for right in
            ["http://localhost:3000/hook", "https://bot.test", "http://[::1]:8080/a?b=c", "http://u:p@h/x"]
        {
            assert!(target(right).is_ok(), "{right}");
        }
        for wrong in [
            "localhost:3000/hook",
            "ftp://h/x",
            "/hook",
            "3000",
            "http://",
            "http://h:99999",
            "http://h:0",
            "",
        ] {
            let refused = target(wrong).unwrap_err();
            assert!(refused.contains("give it as http://HOST:PORT/PATH"), "{wrong}: {refused}");
        }
        assert!(!target("ftp://me:geheim@h/x").unwrap_err().contains("geheim"));
        assert_eq!(target("http://me:geheim@h/x").unwrap().shown(), "http://[redacted]@h/x");
    }

    #[test]
    fn a_failure_has_the_status_the_first_of_the_body_and_the_delay_that_is_asked_for() {
        let mut headers = HeaderMap::new();
        let failed = failure(StatusCode::BAD_GATEWAY, &headers, b" boom\n");
        assert_eq!((failed.reason.as_str(), failed.delay), ("HTTP 502: boom", None));
        assert_eq!(failure(StatusCode::BAD_GATEWAY, &headers, b"").reason, "HTTP 502");
        let long = failure(StatusCode::BAD_GATEWAY, &headers, "я".repeat(9_000).as_bytes());
        assert_eq!(long.reason.chars().count(), "HTTP 502: ".len() + REASON_CHARS);
        for (given, delay) in
            [("7", Some(7)), ("3600", Some(3600)), ("3601", None), ("soon", None), ("-1", None)]
        {
            headers.insert(RETRY_AFTER, HeaderValue::from_static(given));
            let failed = failure(StatusCode::TOO_MANY_REQUESTS, &headers, b"");
            assert_eq!(failed.delay, delay.map(Duration::from_secs), "{given}");
        }
        headers.insert(LOCATION, HeaderValue::from_static("/login"));
        assert!(failure(StatusCode::FOUND, &headers, b"moved").reason.contains("redirect to /login"));
    }

    #[test]
    fn a_secret_has_telegrams_alphabet_and_is_not_shown() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("secret");
        let with = |text: &str| {
            std::fs::write(&file, text).unwrap();
            secret(&file).map_err(|error| error.to_string())
        };
        assert_eq!(with("a-B_9\n").unwrap(), "a-B_9");
        for wrong in ["", "two words", "ümlaut", "new\nline", &"x".repeat(257)] {
            let refused = with(wrong).unwrap_err();
            assert!(refused.contains("1 to 256"), "{refused}");
            assert!(wrong.is_empty() || !refused.contains(wrong), "{refused}");
        }
        assert!(secret(Path::new("/nowhere")).unwrap_err().to_string().contains("/nowhere"));
    }
}
