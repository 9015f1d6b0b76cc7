//! The wall clock, for what requests call the future and the night's operator calls now.

use std::time::SystemTime;

use crate::model::UnixMillis;

#[expect(clippy::disallowed_methods, reason = "requests come in at this edge, with times of their own")]
pub(super) fn now() -> UnixMillis {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    UnixMillis(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}
