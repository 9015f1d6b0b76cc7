//! The gRPC contract, over a real connection: a client generated from the protos, the server, and a driver that the
//! tests play.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests")]

#[path = "../grpc_support/mod.rs"]
#[allow(dead_code, reason = "shared with the benchmark")]
mod support;

mod access_and_backup;
mod json_door;
mod lifetime;
mod requests;
mod settling;
mod subscribing;

use tonic::{Code, Status};
use tonic_types::StatusExt;

/// Asserts what every error must carry, and returns the ErrorInfo's reason.
fn reason(status: &Status, code: Code) -> String {
    assert_eq!(status.code(), code, "{status:?}");
    let details = status.get_error_details();
    let info = details.error_info().unwrap_or_else(|| panic!("no ErrorInfo: {status:?}"));
    assert_eq!(info.domain, "switchboard");
    let retry = matches!(code, Code::Unavailable | Code::ResourceExhausted);
    assert_eq!(details.retry_info().is_some_and(|retry| retry.retry_delay.is_some()), retry, "{status:?}");
    info.reason.clone()
}

/// Asserts that a request was refused for this field.
fn refused_for<T: std::fmt::Debug>(field: &str, answer: Result<T, Status>) {
    let status = answer.expect_err(field);
    reason(&status, Code::InvalidArgument);
    let details = status.get_error_details();
    let violations = &details.bad_request().expect("no BadRequest").field_violations;
    assert_eq!(violations.len(), 1, "{status:?}");
    assert_eq!(violations[0].field, field, "{status:?}");
    assert!(status.message().contains(&format!("`{field}`")), "{status:?}");
}
