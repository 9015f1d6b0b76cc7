//! Why a command did not do what it was asked, in words for people and as an exit code for scripts.

use std::io::ErrorKind;

use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};

use super::json::JsonError;
use crate::cli::client::{self, ConnectError, Fault};
use crate::cli::exit::Exit;
use crate::cli::text;

/// Why an admin command ended early.
#[derive(Debug, thiserror::Error)]
pub(in crate::cli) enum Failure {
    #[error(transparent)]
    Connect(#[from] ConnectError),
    #[error("{}", client::describe(.0))]
    Gateway(#[from] Status),
    /// The connection broke in the middle of an answer.
    #[error("{}", client::describe(.0))]
    Lost(Status),
    /// The command line names nothing that can be done.
    #[error("{0}")]
    Usage(String),
    /// What was asked for is not there.
    #[error("{0}")]
    NotFound(String),
    #[error("{question} Nobody is here to answer; give --yes to do it without asking")]
    NobodyToAsk { question: String },
    #[error("not confirmed; nothing was changed")]
    NotConfirmed,
    /// Ctrl-C, with what was done until then.
    #[error("stopped: {0}")]
    Interrupted(String),
    #[error("cannot print: {0}")]
    Print(#[from] std::io::Error),
    #[error("cannot listen for signals: {0}")]
    Signal(std::io::Error),
    #[error(transparent)]
    Json(#[from] JsonError),
}

impl Failure {
    pub(in crate::cli) fn exit(&self) -> Exit {
        match self {
            Self::Connect(_) | Self::Usage(_) | Self::NobodyToAsk { .. } => Exit::Config,
            Self::Gateway(status) | Self::Lost(status) if client::fault(status).is_some() => {
                Exit::Unavailable
            }
            Self::Gateway(status) | Self::Lost(status) => Exit::answered(status.code()),
            Self::NotFound(_) => Exit::NotFound,
            Self::NotConfirmed => Exit::Precondition,
            Self::Interrupted(_) => Exit::Interrupted,
            Self::Print(error) if error.kind() == ErrorKind::BrokenPipe => Exit::Unread,
            Self::Print(_) | Self::Signal(_) | Self::Json(_) => Exit::Failed,
        }
    }

    /// What people read, who asked the gateway at this address.
    pub(in crate::cli) fn words(&self, address: &str) -> String {
        match self {
            Self::Gateway(status) => explain(address, status),
            Self::Lost(status) => match client::fault(status) {
                Some(Fault::Unreachable(why) | Fault::Broken(why)) => {
                    format!("the connection to {address} broke off: {why}; the same may work later")
                }
                None => explain(address, status),
            },
            other => other.to_string(),
        }
    }

    /// The same if no update has this sequence: it may be Telegram's id, which is what handlers log.
    pub(super) fn or_an_update_id(self, number: i64) -> Self {
        match self {
            Self::Gateway(status) if reason(&status).as_deref() == Some("UPDATE_NOT_FOUND") => {
                Self::NotFound(format!(
                    "{}\n  if {number} is Telegram's update_id: --update-id {number}",
                    text::printable(status.message())
                ))
            }
            other => other,
        }
    }

    /// Whether somebody should read it: that nobody reads what is printed is no news.
    pub(super) fn is_worth_a_word(&self) -> bool {
        self.exit() != Exit::Unread
    }
}

/// The gateway's message, the fields it names by the flags that set them, and what to do.
fn explain(address: &str, status: &Status) -> String {
    let details = status.get_error_details();
    let mut lines = vec![match (status.code(), client::unanswered(address, status)) {
        (_, Some(why)) => why,
        (Code::Unimplemented, None) => {
            "the gateway does not know this call: it is of another release than this command".to_owned()
        }
        _ if status.message().is_empty() => client::describe(status),
        _ => text::printable(status.message()),
    }];
    lines.extend(violations(&details, status.message()));
    if let Some(nearest) = nearest(&details).filter(|nearest| !status.message().contains(*nearest)) {
        lines.push(format!("  did you mean `{}`?", text::printable(nearest)));
    }
    if let Some(delay) = details.retry_info().and_then(|info| info.retry_delay) {
        lines.push(format!("  it may work in {} s", delay.as_secs_f64().ceil()));
    }
    if status.code() == Code::Unauthenticated {
        lines.push(
            "  set SWITCHBOARD_ACCESS_TOKEN, or name the token's file with --access-token-file".to_owned(),
        );
    }
    if reason(status).as_deref() == Some("GROUP_NOT_EMPTY") {
        lines.push("  see --force".to_owned());
    }
    lines.join("\n")
}

/// The gateway's own name for what is wrong.
fn reason(status: &Status) -> Option<String> {
    status.get_error_details().error_info().map(|info| info.reason.clone())
}

/// What is wrong with which field; nothing that the message says already.
fn violations(details: &ErrorDetails, message: &str) -> Vec<String> {
    let violations = details.bad_request().map_or(&[][..], |bad| &bad.field_violations);
    let line = |field: &str, description: &str| {
        let repeated = message.contains(description);
        match (flag(field), repeated) {
            (Some(flag), true) => Some(format!("  see {flag}")),
            (Some(flag), false) => Some(format!("  {flag}: {}", text::printable(description))),
            (None, true) => None,
            (None, false) => Some(format!("  {field}: {}", text::printable(description))),
        }
    };
    violations.iter().filter_map(|violation| line(&violation.field, &violation.description)).collect()
}

fn nearest(details: &ErrorDetails) -> Option<&str> {
    details.error_info()?.metadata.get("nearest").map(String::as_str).filter(|name| !name.is_empty())
}

/// The flag that sets a field of the API, where they are not named alike.
fn flag(field: &str) -> Option<&'static str> {
    let name = field.rsplit('.').next().unwrap_or(field);
    Some(match name {
        "bot" => "--bot",
        "start_time" if field.contains("selection") => "--since",
        "start_time" | "start_sequence" => "--start",
        "end_time" => "--until",
        "chat_id" => "--chat",
        "user_id" => "--user",
        "update_id" => "--update-id",
        "ordering_key" => "--key",
        "sequences" => "--sequence",
        "all" => "--all",
        "max_rate" => "--rate",
        "time" | "sequence" | "target" => "--to",
        "kinds" if field.contains("filter") => "--kinds",
        "kinds" => "--kind",
        "chat_ids" => "--chats",
        "chat_types" => "--chat-types",
        "commands" => "--commands",
        "callback_data_prefixes" => "--callback-prefixes",
        "max_failures" => "--max-failures",
        "min_failure_span" => "--min-failure-span",
        "backoff_initial" => "--backoff-initial",
        "backoff_max" => "--backoff-max",
        "member_grace" => "--member-grace",
        "max_lease" => "--max-lease",
        "max_unsettled_age" => "--max-unsettled-age",
        "max_age" => "--max-age",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    #[test]
    fn a_wrong_field_is_named_by_the_flag_that_sets_it() {
        let details = ErrorDetails::with_bad_request_violation("selection.end_time", "is before the start");
        let status =
            Status::with_error_details(Code::InvalidArgument, "what is asked makes no sense", details);
        let failure = Failure::from(status);
        assert_eq!(failure.words("here"), "what is asked makes no sense\n  --until: is before the start");
        assert_eq!(failure.exit(), Exit::Config);
    }

    #[test]
    fn the_nearest_name_is_said_once() {
        let info = HashMap::from([("nearest".to_owned(), "orders".to_owned())]);
        let details = ErrorDetails::with_error_info("GROUP_NOT_FOUND", "switchboard", info);
        let said = |message: &str| {
            explain("here", &Status::with_error_details(Code::NotFound, message, details.clone()))
        };
        assert_eq!(said("no group `oders`"), "no group `oders`\n  did you mean `orders`?");
        assert_eq!(said("no group `oders`; there is `orders`"), "no group `oders`; there is `orders`");
    }

    #[test]
    fn a_groups_beginning_and_a_selections_have_flags_of_their_own() {
        assert_eq!(flag("start_time"), Some("--start"));
        assert_eq!(flag("start_sequence"), Some("--start"));
        assert_eq!(flag("selection.start_time"), Some("--since"));
    }

    #[test]
    fn a_closed_pipe_ends_the_command_without_a_word() {
        let closed = Failure::Print(ErrorKind::BrokenPipe.into());
        assert_eq!(closed.exit(), Exit::Unread);
        assert!(!closed.is_worth_a_word());
        assert!(Failure::Print(ErrorKind::StorageFull.into()).is_worth_a_word());
    }
}
