//! The door to `AdminService` as JSON: who may go through, and how much.
//!
//! Without an access token whoever reaches this loopback port is an operator, and an operator's browser reaches it for
//! every web page that he has open. So a call must look like one that another site's page cannot make: of JSON (which
//! a page may not send elsewhere unasked), to a name that nobody but this machine has (or a page could point its own
//! name here), and from no other origin where the browser says from which.

use std::net::IpAddr;
use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;
use http::header::{
    ALLOW, CACHE_CONTROL, CONTENT_TYPE, HOST, ORIGIN, WWW_AUTHENTICATE, X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Body;

use super::{Denied, Ops, answer};

/// What answers calls: `AdminService`, spoken to in JSON.
pub trait Api: Send + Sync + 'static {
    /// Answers a call. Its path is `/<service>/<Method>`; its headers are the caller's.
    fn answer(&self, request: Request<Bytes>) -> Answering<'_>;
}

/// An answer to come.
pub type Answering<'a> = Pin<Box<dyn Future<Output = Response<Bytes>> + Send + 'a>>;

/// Where the calls are.
pub(super) const PREFIX: &str = "/api/";
/// As many calls are worked on at once; more wait. Each may hold its request and its answer in memory.
pub(super) const MAX_CALLS: usize = 16;
/// 10,000 sequences to be selected, and room.
const MAX_BODY_BYTES: usize = 1 << 20;
/// How long a body may take.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Why a call gets no further than the listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
enum Refused {
    #[error("only POST")]
    Method,
    #[error(transparent)]
    Token(#[from] Denied),
    #[error(
        "the host of the request is not this machine's own: call 127.0.0.1 or localhost, or configure an access token"
    )]
    Host,
    #[error("calls from other web pages are not answered")]
    CrossSite,
    #[error("the body must be JSON: Content-Type: application/json")]
    ContentType,
    #[error("the body has more than {MAX_BODY_BYTES} bytes")]
    TooLarge,
    #[error("the body took longer than {} s", BODY_TIMEOUT.as_secs())]
    TooSlow,
    #[error("the body broke off")]
    Broken,
}

impl Ops {
    pub(super) async fn call<B>(&self, request: Request<B>) -> Response<Full<Bytes>>
    where
        B: Body + Send,
        B::Data: Send,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let mut answer = match self.let_through(request).await {
            Ok(call) => {
                // Held while the answer is made; it is never closed.
                let _permit = self.api_calls.acquire().await;
                self.api.answer(call).await.map(Full::new)
            }
            Err(refused) => refused.answer(),
        };
        let headers = answer.headers_mut();
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        answer
    }

    async fn let_through<B>(&self, request: Request<B>) -> Result<Request<Bytes>, Refused>
    where
        B: Body + Send,
        B::Data: Send,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        self.check(request.method(), request.headers())?;
        let (mut head, body) = request.into_parts();
        let body = Limited::new(body, MAX_BODY_BYTES);
        let read = tokio::time::timeout(BODY_TIMEOUT, body.collect()).await.map_err(|_| Refused::TooSlow)?;
        let body = read.map_err(|error| {
            if error.is::<http_body_util::LengthLimitError>() { Refused::TooLarge } else { Refused::Broken }
        })?;
        // What follows the prefix is a path of its own.
        let path = head.uri.path().get(PREFIX.len() - 1..).unwrap_or_default();
        head.uri = path.parse().map_err(|_| Refused::Broken)?;
        Ok(Request::from_parts(head, body.to_bytes()))
    }

    fn check(&self, method: &Method, headers: &HeaderMap) -> Result<(), Refused> {
        if *method != Method::POST {
            return Err(Refused::Method);
        }
        self.check_token(headers)?;
        if self.access_token.is_none() && !is_own_host(headers) {
            return Err(Refused::Host);
        }
        if is_cross_site(headers) {
            return Err(Refused::CrossSite);
        }
        if is_json(headers) { Ok(()) } else { Err(Refused::ContentType) }
    }
}

impl Refused {
    fn answer(self) -> Response<Full<Bytes>> {
        let (status, code) = match self {
            Self::Method => (StatusCode::METHOD_NOT_ALLOWED, "UNIMPLEMENTED"),
            Self::Token(_) => (StatusCode::UNAUTHORIZED, "UNAUTHENTICATED"),
            Self::Host | Self::CrossSite => (StatusCode::FORBIDDEN, "PERMISSION_DENIED"),
            Self::ContentType => (StatusCode::UNSUPPORTED_MEDIA_TYPE, "INVALID_ARGUMENT"),
            Self::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "INVALID_ARGUMENT"),
            Self::TooSlow => (StatusCode::REQUEST_TIMEOUT, "DEADLINE_EXCEEDED"),
            Self::Broken => (StatusCode::BAD_REQUEST, "INVALID_ARGUMENT"),
        };
        let body = serde_json::json!({"code": code, "message": self.to_string(), "details": []});
        let mut answer = answer(status, "application/json", body.to_string().into());
        match self {
            Self::Method => {
                answer.headers_mut().insert(ALLOW, HeaderValue::from_static("POST"));
            }
            Self::Token(_) => {
                answer.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            }
            _ => {}
        }
        answer
    }
}

fn is_json(headers: &HeaderMap) -> bool {
    let given = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let essence = given.and_then(|value| value.split(';').next());
    essence.is_some_and(|essence| essence.trim().eq_ignore_ascii_case("application/json"))
}

/// `localhost`, or an address: a name of somebody else's, pointed at this machine, is neither.
fn is_own_host(headers: &HeaderMap) -> bool {
    let Some(host) = headers.get(HOST).and_then(|value| value.to_str().ok()) else { return false };
    let Ok(authority) = host.parse::<http::uri::Authority>() else { return false };
    let name = authority.host().trim_start_matches('[').trim_end_matches(']');
    let name = name.trim_end_matches('.').to_ascii_lowercase();
    name == "localhost" || name.ends_with(".localhost") || name.parse::<IpAddr>().is_ok()
}

fn is_cross_site(headers: &HeaderMap) -> bool {
    if let Some(site) = headers.get(SEC_FETCH_SITE) {
        return site != "same-origin" && site != "none";
    }
    // An older browser, or a plain-text address: it names the origin with every POST.
    let Some(origin) = headers.get(ORIGIN) else { return false };
    let host = headers.get(HOST).and_then(|value| value.to_str().ok());
    let of_origin = origin.to_str().ok().and_then(|origin| origin.split_once("://")).map(|(_, host)| host);
    of_origin.is_none() || of_origin != host
}
