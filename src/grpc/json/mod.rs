//! `AdminService` as JSON, for what cannot speak gRPC: a browser, or curl.
//!
//! A call is put into a gRPC frame and handed to the same service, behind the same gate, that the network reaches; so
//! every check, error and right is the same. Both directions follow proto3's JSON mapping, read from the API's own
//! descriptors: nothing in here knows any method.

mod error;
mod place;
#[cfg(test)]
mod tests;

use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderValue, Request, Response};
use http_body_util::{BodyExt, Full};
use prost::Message;
use prost_reflect::{DescriptorError, DescriptorPool, DynamicMessage, MessageDescriptor, MethodDescriptor};
use tonic::Status;
use tonic::codegen::{Body, Service};

use super::nearest::nearest;
use super::proto::DESCRIPTORS;
pub(super) use place::Place;

/// The service that is behind the door.
const SERVICE: &str = "switchboard.v1.AdminService";
/// Its one method whose answer is no JSON.
const BACKUP: &str = "Backup";
/// The longest answer in bytes of gRPC; in JSON it is up to some three times that. A full page of large updates is
/// more: it must be asked for in smaller pages.
const MAX_ANSWER_BYTES: usize = 16 << 20;
/// How long a call may take that answers once.
const CALL_TIMEOUT: Duration = Duration::from_secs(60);
/// How long one may take that goes on and reports its progress.
const STREAM_TIMEOUT: Duration = Duration::from_secs(600);
/// A gRPC frame begins with a flag for compression and the message's length.
const FRAME_HEAD_BYTES: usize = 5;

/// The way in. Closed, which is answered UNAVAILABLE, until the gRPC server opens it. Cheap to clone.
#[derive(Clone, Default)]
pub struct JsonDoor {
    behind: Arc<OnceLock<Behind>>,
}

impl fmt::Debug for JsonDoor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JsonDoor").field("open", &self.behind.get().is_some()).finish()
    }
}

struct Behind {
    methods: Vec<MethodDescriptor>,
    call: Box<Call>,
}

type Call = dyn Fn(Request<Full<Bytes>>) -> Answering + Send + Sync;
type Answering = Pin<Box<dyn Future<Output = Response<tonic::body::Body>> + Send>>;

/// What goes wrong at the door itself; all else comes from the service.
#[derive(Debug, thiserror::Error)]
pub(super) enum JsonError {
    #[error("the gateway is starting; try again in a moment")]
    Closed,
    #[error("there is no method `{path}`{}", nearest_method(nearest.as_deref()))]
    NoMethod { path: String, nearest: Option<String> },
    #[error("a backup is bytes and no JSON: use `switchboard backup`, or gRPC")]
    NoJson,
    #[error("the body must be a {message} as JSON: {}", wrong(place.as_ref(), error))]
    Body { message: String, place: Option<Place>, error: String },
    #[error("the answer has more than {MAX_ANSWER_BYTES} bytes; ask for a smaller page")]
    TooLong,
    #[error("the call took longer than {} s and was cancelled", .0.as_secs())]
    Overdue(Duration),
    #[error("the service's answer cannot be read: {0}")]
    Broken(String),
}

/// Callers see the door below this; who listens takes it off.
const PREFIX: &str = "/api";

fn nearest_method(nearest: Option<&str>) -> String {
    match nearest {
        Some(nearest) => format!("; did you mean {PREFIX}/{SERVICE}/{nearest}?"),
        None => format!(": POST to {PREFIX}/{SERVICE}/ListBots, for example"),
    }
}

fn wrong(place: Option<&Place>, error: &str) -> String {
    match place {
        Some(Place { field, right }) => format!("`{field}` must be {right} ({error})"),
        None => error.to_owned(),
    }
}

impl JsonDoor {
    /// Answers a call: its path is `/switchboard.v1.AdminService/<Method>`, its body the request as JSON. The answer's
    /// body is the response as JSON, of methods that stream an array of them; or `{code, message, details}` under the
    /// HTTP status that fits.
    pub async fn answer(&self, request: Request<Bytes>) -> Response<Bytes> {
        let answer = self.call(request).await.map(Bytes::from);
        let mut response = match answer {
            Ok(json) => Response::new(json),
            Err(status) => error::response(&status),
        };
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        response
    }

    /// Lets calls through to this service.
    ///
    /// # Errors
    /// [`DescriptorError`] if the API's descriptors are not readable: a fault of the build.
    pub(super) fn open<S, B>(&self, service: S) -> Result<(), DescriptorError>
    where
        S: Service<Request<Full<Bytes>>, Response = Response<B>> + Clone + Send + Sync + 'static,
        S::Error: Into<std::convert::Infallible>,
        S::Future: Send + 'static,
        B: Body<Data = Bytes, Error = Status> + Send + 'static,
    {
        let call = move |request| -> Answering {
            // Generated services are always ready.
            let answering = service.clone().call(request);
            Box::pin(async move {
                match answering.await {
                    Ok(response) => response.map(tonic::body::Body::new),
                    Err(never) => match never.into() {},
                }
            })
        };
        let pool = DescriptorPool::decode(DESCRIPTORS)?;
        let methods = pool.get_service_by_name(SERVICE).map(|service| service.methods().collect());
        // It is opened once; a second time would change nothing.
        let _ = self.behind.set(Behind { methods: methods.unwrap_or_default(), call: Box::new(call) });
        Ok(())
    }

    async fn call(&self, request: Request<Bytes>) -> Result<Vec<u8>, Status> {
        let behind = self.behind.get().ok_or(JsonError::Closed)?;
        let method = behind.method(request.uri().path())?;
        let message = from_json(method.input(), request.body())?;
        let call = (behind.call)(framed(&request, &message));
        let limit = if method.is_server_streaming() { STREAM_TIMEOUT } else { CALL_TIMEOUT };
        let answered = tokio::time::timeout(limit, async { collect(call.await).await });
        let frames = answered.await.map_err(|_| JsonError::Overdue(limit))??;
        Ok(to_json(method, frames)?)
    }
}

impl Behind {
    fn method(&self, path: &str) -> Result<&MethodDescriptor, JsonError> {
        let name = path.strip_prefix('/').and_then(|path| path.strip_prefix(SERVICE)?.strip_prefix('/'));
        let method = self.methods.iter().find(|method| Some(method.name()) == name);
        let method = method.ok_or_else(|| {
            let asked = path.rsplit('/').next().unwrap_or(path);
            let nearest = nearest(asked, self.methods.iter().map(MethodDescriptor::name));
            JsonError::NoMethod { path: format!("{PREFIX}{path}").chars().take(100).collect(), nearest }
        })?;
        if method.name() == BACKUP { Err(JsonError::NoJson) } else { Ok(method) }
    }
}

fn from_json(descriptor: MessageDescriptor, json: &[u8]) -> Result<DynamicMessage, JsonError> {
    let name = descriptor.name().to_owned();
    let mut reader = serde_json::Deserializer::from_slice(json);
    DynamicMessage::deserialize(descriptor.clone(), &mut reader)
        .and_then(|message| reader.end().map(|()| message))
        .map_err(|error| JsonError::Body {
            message: name,
            place: place::find(&descriptor, json, &error),
            error: place::short(&error.to_string()),
        })
}

/// The call as it would come over the network, with the caller's token.
fn framed(request: &Request<Bytes>, message: &DynamicMessage) -> Request<Full<Bytes>> {
    let length = message.encoded_len();
    let mut frame = BytesMut::with_capacity(FRAME_HEAD_BYTES + length);
    frame.put_u8(0);
    // A body is at most as long as its JSON, which the listener limits.
    frame.put_u32(u32::try_from(length).unwrap_or(u32::MAX));
    frame.extend_from_slice(&message.encode_to_vec());
    let mut call = Request::new(Full::new(frame.freeze()));
    *call.method_mut() = http::Method::POST;
    *call.uri_mut() = request.uri().clone();
    call.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    if let Some(authorization) = request.headers().get(AUTHORIZATION) {
        call.headers_mut().insert(AUTHORIZATION, authorization.clone());
    }
    call
}

/// All frames of an answer, once its status says that it is whole.
async fn collect(response: Response<tonic::body::Body>) -> Result<Bytes, Status> {
    let (head, mut body) = response.into_parts();
    // An error before the first message comes without a body.
    let mut status = Status::from_header_map(&head.headers);
    let mut frames = BytesMut::new();
    while let Some(part) = body.frame().await {
        match part?.into_data() {
            Ok(data) if frames.len() + data.len() > MAX_ANSWER_BYTES => return Err(JsonError::TooLong.into()),
            Ok(data) => frames.extend_from_slice(&data),
            Err(trailers) => {
                status = trailers.trailers_ref().and_then(Status::from_header_map).or(status);
            }
        }
    }
    match status {
        Some(status) if status.code() == tonic::Code::Ok => Ok(frames.freeze()),
        Some(status) => Err(status),
        None => Err(JsonError::Broken("it has no status".to_owned()).into()),
    }
}

fn to_json(method: &MethodDescriptor, mut frames: Bytes) -> Result<Vec<u8>, JsonError> {
    let broken = |why: &dyn fmt::Display| JsonError::Broken(why.to_string());
    let mut messages = Vec::new();
    while !frames.is_empty() {
        if frames.remaining() < FRAME_HEAD_BYTES || frames.get_u8() != 0 {
            return Err(broken(&"a frame's head is not whole, or it is compressed"));
        }
        let length = frames.get_u32() as usize;
        if frames.remaining() < length {
            return Err(broken(&"a frame is not whole"));
        }
        let message = frames.split_to(length);
        messages.push(DynamicMessage::decode(method.output(), message).map_err(|error| broken(&error))?);
    }
    if method.is_server_streaming() {
        return serde_json::to_vec(&messages).map_err(|error| broken(&error));
    }
    match messages.as_slice() {
        [message] => serde_json::to_vec(message).map_err(|error| broken(&error)),
        other => Err(broken(&format!("it has {} messages instead of one", other.len()))),
    }
}
