//! One keep-alive connection to a webhook.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT_ENCODING, AUTHORIZATION, CONNECTION, CONTENT_TYPE, HOST, RETRY_AFTER};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

use super::settings::Settings;

/// Telegram waits this long for an answer.
const TIMEOUT: Duration = Duration::from_secs(60);
/// No answer is read beyond this.
const MAX_ANSWER_BYTES: usize = 8 << 20;
const SECRET_HEADER: HeaderName = HeaderName::from_static("x-telegram-bot-api-secret-token");

/// An open connection.
pub(super) struct Connection {
    link: Link,
    /// The headers of every request, but for its length.
    headers: HeaderMap,
    target: String,
}

enum Link {
    Plain { sender: http1::SendRequest<Full<Bytes>>, io: JoinHandle<()> },
    // A client of its own for each connection, so that the connections are as many as Telegram's would be.
    Tls(reqwest::Client),
}

/// What came of a request.
pub(super) enum Exchange {
    /// An answer came, whatever it says.
    Answered(Reply),
    /// The connection had closed before anything was sent.
    NotSent,
    /// Something may have been sent, and no answer came; the text says why.
    Lost(String),
}

/// A webhook's answer.
pub(super) struct Reply {
    pub status: StatusCode,
    pub retry_after_s: u64,
    pub content_type: String,
    pub body: Bytes,
}

impl Connection {
    /// Opens it; the error is what `last_error_message` says.
    pub(super) async fn open(settings: &Settings, address: SocketAddr) -> Result<Self, String> {
        let link = if settings.https {
            // One idle connection at most, always to the address that was resolved when the webhook was set.
            let client = reqwest::Client::builder()
                .no_proxy()
                .resolve(&settings.host, address)
                .pool_max_idle_per_host(1)
                .redirect(reqwest::redirect::Policy::none())
                .build();
            Link::Tls(client.map_err(|error| format!("Can't create an SSL connection: {error}"))?)
        } else {
            let stream = TcpStream::connect(address).await.map_err(|error| error_text(&error))?;
            stream.set_nodelay(true).map_err(|error| error_text(&error))?;
            let opened = http1::Builder::new().handshake(TokioIo::new(stream)).await;
            let (sender, connection) = opened.map_err(|error| error.to_string())?;
            let io = tokio::spawn(async move {
                // How a connection ends shows in the request that it fails.
                let _ = connection.await;
            });
            Link::Plain { sender, io }
        };
        let target = match settings.https {
            true => format!("https://{}:{}{}", bracketed(&settings.host), settings.port, settings.path),
            false => settings.path.clone(),
        };
        Ok(Self { link, headers: headers(settings), target })
    }

    /// Ends when the other side has closed the idle connection.
    pub(super) async fn closed(&mut self) {
        match &mut self.link {
            Link::Plain { io, .. } => {
                // The task ends with the connection; it is not polled again, since this connection is then dropped.
                let _ = io.await;
            }
            Link::Tls(_) => std::future::pending().await,
        }
    }

    /// Whether another request can go over it.
    pub(super) fn is_open(&self) -> bool {
        match &self.link {
            Link::Plain { sender, .. } => !sender.is_closed(),
            Link::Tls(_) => true,
        }
    }

    /// Sends one update and waits for the whole answer.
    pub(super) async fn send(&mut self, body: Bytes) -> Exchange {
        match tokio::time::timeout(TIMEOUT, self.send_patiently(body)).await {
            Ok(sent) => sent,
            Err(_) => Exchange::Lost("Read timeout expired".to_owned()),
        }
    }

    async fn send_patiently(&mut self, body: Bytes) -> Exchange {
        match &mut self.link {
            Link::Plain { sender, .. } => {
                if sender.ready().await.is_err() {
                    return Exchange::NotSent;
                }
                let mut request = Request::new(Full::new(body));
                *request.method_mut() = Method::POST;
                match self.target.parse() {
                    Ok(uri) => *request.uri_mut() = uri,
                    Err(_) => return Exchange::Lost("URL is too long".to_owned()),
                }
                request.headers_mut().clone_from(&self.headers);
                let response = match sender.try_send_request(request).await {
                    Ok(response) => response,
                    Err(mut error) => {
                        // The request comes back if it was never written.
                        let unsent = error.take_message().is_some();
                        return if unsent {
                            Exchange::NotSent
                        } else {
                            Exchange::Lost(error.into_error().to_string())
                        };
                    }
                };
                let (parts, body) = response.into_parts();
                match Limited::new(body, MAX_ANSWER_BYTES).collect().await {
                    Ok(body) => Exchange::Answered(Reply::new(parts.status, &parts.headers, body.to_bytes())),
                    Err(error) => Exchange::Lost(error.to_string()),
                }
            }
            Link::Tls(client) => {
                let answered = async {
                    let request = client.post(&self.target).headers(self.headers.clone()).body(body);
                    let response = request.send().await?;
                    let (status, headers) = (response.status(), response.headers().clone());
                    Ok::<_, reqwest::Error>(Reply::new(status, &headers, response.bytes().await?))
                };
                match answered.await {
                    Ok(reply) => Exchange::Answered(reply),
                    Err(error) if error.is_connect() => {
                        Exchange::Lost(format!("SSL error: {}", error.without_url()))
                    }
                    Err(error) => Exchange::Lost(error.without_url().to_string()),
                }
            }
        }
    }
}

impl Reply {
    fn new(status: StatusCode, headers: &HeaderMap, body: Bytes) -> Self {
        let text =
            |name| headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok()).unwrap_or_default();
        let retry_after_s = text(RETRY_AFTER).trim().parse().unwrap_or(0);
        Self { status, retry_after_s, content_type: text(CONTENT_TYPE).to_owned(), body }
    }
}

fn headers(settings: &Settings) -> HeaderMap {
    let mut headers = HeaderMap::new();
    let default_port = if settings.https { 443 } else { 80 };
    let host = match settings.port == default_port {
        true => bracketed(&settings.host),
        false => format!("{}:{}", bracketed(&settings.host), settings.port),
    };
    headers.extend(HeaderValue::from_str(&host).ok().map(|value| (HOST, value)));
    if let Some(user_info) = &settings.user_info {
        let credentials = format!("Basic {}", base64(user_info.as_bytes()));
        headers.extend(HeaderValue::from_str(&credentials).ok().map(|value| (AUTHORIZATION, value)));
    }
    if let Some(secret) = &settings.secret {
        headers.extend(HeaderValue::from_str(secret).ok().map(|value| (SECRET_HEADER, value)));
    }
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CONNECTION, HeaderValue::from_static("keep-alive"));
    headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("gzip, deflate"));
    headers
}

fn bracketed(host: &str) -> String {
    if host.contains(':') { format!("[{host}]") } else { host.to_owned() }
}

fn error_text(error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::ConnectionRefused => "Connection refused".to_owned(),
        _ => error.to_string(),
    }
}

fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let group =
            chunk.iter().fold(0_u32, |group, byte| group << 8 | u32::from(*byte)) << (8 * (3 - chunk.len()));
        for at in 0..4 {
            let digit = ALPHABET.get((group >> (18 - 6 * at)) as usize & 63).copied().unwrap_or(b'=');
            out.push(if at <= chunk.len() { char::from(digit) } else { '=' });
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn basic_authentication_is_encoded_as_rfc_4648_says() {
        for (plain, encoded) in
            [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foobar", "Zm9vYmFy")]
        {
            assert_eq!(base64(plain.as_bytes()), encoded);
        }
    }
}
