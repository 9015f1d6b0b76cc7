//! A gRPC status as an HTTP response with a body of JSON.

use bytes::Bytes;
use http::header::{RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderValue, Response, StatusCode};
use serde_json::{Value, json};
use tonic::{Code, Status};
use tonic_types::StatusExt;

/// `{code, message, details}`; the details by the names that Google's APIs give them in JSON.
pub(super) fn response(status: &Status) -> Response<Bytes> {
    let (name, http_status) = named(status.code());
    let given = status.get_error_details();
    let mut details = Vec::new();
    if let Some(info) = given.error_info() {
        details.push(detail(
            "ErrorInfo",
            json!({"reason": info.reason, "domain": info.domain, "metadata": info.metadata}),
        ));
    }
    if let Some(bad) = given.bad_request() {
        let violations: Vec<_> = bad
            .field_violations
            .iter()
            .map(|violation| json!({"field": violation.field, "description": violation.description}))
            .collect();
        details.push(detail("BadRequest", json!({"fieldViolations": violations})));
    }
    let retry = given.retry_info().and_then(|info| info.retry_delay);
    if let Some(delay) = retry {
        details.push(detail("RetryInfo", json!({"retryDelay": format!("{}s", delay.as_secs_f64())})));
    }
    let body = json!({"code": name, "message": status.message(), "details": details});
    let mut response = Response::new(Bytes::from(body.to_string()));
    *response.status_mut() = http_status;
    if let Some(delay) = retry {
        // In whole seconds, and not too early.
        let seconds = delay.as_secs() + u64::from(delay.subsec_nanos() > 0);
        response.headers_mut().insert(RETRY_AFTER, seconds.into());
    }
    if http_status == StatusCode::UNAUTHORIZED {
        response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    response
}

fn detail(name: &str, mut fields: Value) -> Value {
    fields["@type"] = format!("type.googleapis.com/google.rpc.{name}").into();
    fields
}

/// A code's name on the wire, and what it is in HTTP.
fn named(code: Code) -> (&'static str, StatusCode) {
    match code {
        Code::Ok => ("OK", StatusCode::OK),
        Code::Cancelled => ("CANCELLED", StatusCode::SERVICE_UNAVAILABLE),
        Code::Unknown => ("UNKNOWN", StatusCode::INTERNAL_SERVER_ERROR),
        Code::InvalidArgument => ("INVALID_ARGUMENT", StatusCode::BAD_REQUEST),
        Code::DeadlineExceeded => ("DEADLINE_EXCEEDED", StatusCode::GATEWAY_TIMEOUT),
        Code::NotFound => ("NOT_FOUND", StatusCode::NOT_FOUND),
        Code::AlreadyExists => ("ALREADY_EXISTS", StatusCode::CONFLICT),
        Code::PermissionDenied => ("PERMISSION_DENIED", StatusCode::FORBIDDEN),
        Code::ResourceExhausted => ("RESOURCE_EXHAUSTED", StatusCode::TOO_MANY_REQUESTS),
        Code::FailedPrecondition => ("FAILED_PRECONDITION", StatusCode::PRECONDITION_FAILED),
        Code::Aborted => ("ABORTED", StatusCode::CONFLICT),
        Code::OutOfRange => ("OUT_OF_RANGE", StatusCode::BAD_REQUEST),
        Code::Unimplemented => ("UNIMPLEMENTED", StatusCode::NOT_IMPLEMENTED),
        Code::Internal => ("INTERNAL", StatusCode::INTERNAL_SERVER_ERROR),
        Code::Unavailable => ("UNAVAILABLE", StatusCode::SERVICE_UNAVAILABLE),
        Code::DataLoss => ("DATA_LOSS", StatusCode::INTERNAL_SERVER_ERROR),
        Code::Unauthenticated => ("UNAUTHENTICATED", StatusCode::UNAUTHORIZED),
    }
}
