//! AdminService over a real connection: a client generated from the protos, the server, a real journal, and a driver
//! that the tests play.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests")]

mod bots;
mod dead_letters;
mod group_changes;
mod groups;
mod one_update;
mod outstanding;
mod purging;
mod replaying;
mod rig;
mod seeking;
mod updates;

use tonic::{Code, Status};
use tonic_types::StatusExt;

/// The year 2099.
const FUTURE: prost_types::Timestamp = prost_types::Timestamp { seconds: 4_070_908_800, nanos: 0 };

/// Asserts what every error must carry, and returns the ErrorInfo's reason.
fn reason(status: &Status, code: Code) -> String {
    assert_eq!(status.code(), code, "{status:?}");
    let details = status.get_error_details();
    let info = details.error_info().unwrap_or_else(|| panic!("no ErrorInfo: {status:?}"));
    assert_eq!(info.domain, "switchboard");
    info.reason.clone()
}

/// A value of the ErrorInfo's metadata.
fn metadata(status: &Status, key: &str) -> Option<String> {
    status.get_error_details().error_info()?.metadata.get(key).cloned()
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

fn seconds(seconds: i64) -> Option<prost_types::Duration> {
    Some(prost_types::Duration { seconds, nanos: 0 })
}
