//! A bot's connection to Telegram, as inspectors show it.

use crate::inspect::{Connection, ConnectionMode};
use crate::telegram::{ActiveMode, Status, StatusReader};

/// Where the connection is looked at.
pub(super) fn reader(status: StatusReader) -> impl Fn() -> Connection + Send + Sync + 'static {
    move || connection(status.current())
}

fn connection(status: Status) -> Connection {
    Connection {
        username: status.username,
        mode: status.mode.map(|mode| match mode {
            ActiveMode::Polling => ConnectionMode::Polling,
            ActiveMode::Webhook => ConnectionMode::Webhook,
        }),
        connected_since: status.connected_since,
        last_update: status.last_update,
        conflict: status.conflict,
        last_error: status.last_error,
        pending: status.pending,
        ..Connection::default()
    }
}
