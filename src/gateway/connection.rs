//! A bot's connection to Telegram, as inspectors show it.

use crate::inspect::{Connection, ConnectionMode, Webhook};
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
        webhook: status.webhook.map(|webhook| Webhook {
            url: webhook.url,
            last_error_time: webhook.last_error_time,
            last_error_message: webhook.last_error_message,
            max_connections: webhook.max_connections,
            checked: webhook.checked,
        }),
        allowed_updates: status.allowed_updates,
    }
}
