//! The only place where a domain error becomes a gRPC status.
//!
//! Every one carries `google.rpc.ErrorInfo`; a wrong field also `BadRequest`, and what may work later `RetryInfo`.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt::Display;
use std::time::Duration;

use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};

use super::access::Denied;
use super::admin::{BackupError, NotFound, Refused};
use super::bots::UnresolvedBot;
use super::fields::InvalidField;
use super::json::JsonError;
use super::settle::ResultsMissing;
use crate::driver::{LeaveError, SettleError, SteerError, SubscribeError};
use crate::inspect::InspectError;
use crate::model::StreamEnd;

const DOMAIN: &str = "switchboard";

/// When to open a stream again that was ended for its age or a shutdown: soon, since its leases are waiting, but not
/// all of a gateway's clients in the same millisecond.
const RECONNECT_DELAY: Duration = Duration::from_millis(250);
/// When to try again what found no room or a gateway on its way down.
const RETRY_DELAY: Duration = Duration::from_secs(1);
/// When to try again what only an operator can change, or what takes long.
const SLOW_RETRY_DELAY: Duration = Duration::from_secs(30);

/// A status in the making.
struct Refusal {
    code: Code,
    message: String,
    reason: &'static str,
    metadata: HashMap<String, String>,
    field: Option<Cow<'static, str>>,
    retry: Option<Duration>,
}

fn refuse(code: Code, reason: &'static str, message: impl Display) -> Refusal {
    let message = message.to_string();
    Refusal { code, message, reason, metadata: HashMap::new(), field: None, retry: None }
}

impl Refusal {
    fn with(mut self, key: &str, value: impl Display) -> Self {
        self.metadata.insert(key.into(), value.to_string());
        self
    }

    fn with_some(self, key: &str, value: Option<impl Display>) -> Self {
        match value {
            Some(value) => self.with(key, value),
            None => self,
        }
    }

    fn at_field(mut self, field: impl Into<Cow<'static, str>>) -> Self {
        self.field = Some(field.into());
        self
    }

    fn retry_after(mut self, delay: Duration) -> Self {
        self.retry = Some(delay);
        self
    }

    fn into_status(self) -> Status {
        let mut details = ErrorDetails::with_error_info(self.reason, DOMAIN, self.metadata);
        if let Some(field) = self.field {
            details.add_bad_request_violation(field, self.message.as_str());
        }
        if self.retry.is_some() {
            details.set_retry_info(self.retry);
        }
        Status::with_error_details(self.code, self.message, details)
    }
}

impl From<InvalidField> for Status {
    fn from(error: InvalidField) -> Self {
        refuse(Code::InvalidArgument, "INVALID_FIELD", &error)
            .at_field(error.field.clone())
            .with("field", error.field)
            .into_status()
    }
}

impl From<UnresolvedBot> for Status {
    fn from(error: UnresolvedBot) -> Self {
        match &error {
            UnresolvedBot::Unnamed { known } => refuse(Code::InvalidArgument, "BOT_NOT_NAMED", &error)
                .at_field("bot")
                .with("field", "bot")
                .with("bots", known),
            UnresolvedBot::Unknown { name, nearest, known } => {
                refuse(Code::NotFound, "BOT_NOT_FOUND", &error)
                    .with("bot", name)
                    .with("bots", known)
                    .with_some("nearest", nearest.as_ref())
            }
        }
        .into_status()
    }
}

impl From<Denied> for Status {
    fn from(error: Denied) -> Self {
        let reason = match error {
            Denied::Missing => "ACCESS_TOKEN_MISSING",
            Denied::Wrong => "ACCESS_TOKEN_WRONG",
        };
        refuse(Code::Unauthenticated, reason, error).into_status()
    }
}

fn stopping(message: impl Display) -> Refusal {
    refuse(Code::Unavailable, "GATEWAY_STOPPING", message).retry_after(RETRY_DELAY)
}

impl From<SubscribeError> for Status {
    fn from(error: SubscribeError) -> Self {
        match &error {
            SubscribeError::Stopped => stopping(&error),
            SubscribeError::NoRoom { group } => refuse(Code::ResourceExhausted, "JOURNAL_FULL", &error)
                .with("group", group)
                .retry_after(RETRY_DELAY),
            SubscribeError::OtherDurability { group, durable } => {
                refuse(Code::FailedPrecondition, "OTHER_DURABILITY", &error)
                    .with("group", group)
                    .with("durable", durable)
            }
            SubscribeError::OtherFilter { group, .. } => {
                refuse(Code::FailedPrecondition, "OTHER_FILTER", &error)
                    .with("group", group)
                    .at_field("filter")
            }
            SubscribeError::Deleted(group) => {
                refuse(Code::FailedPrecondition, "GROUP_DELETED", &error).with("group", group)
            }
            SubscribeError::TooManyGroups { limit } => {
                refuse(Code::ResourceExhausted, "TOO_MANY_GROUPS", &error)
                    .with("limit", limit)
                    .retry_after(SLOW_RETRY_DELAY)
            }
            SubscribeError::TooManyConsumers { group, limit } => {
                refuse(Code::ResourceExhausted, "TOO_MANY_CONSUMERS", &error)
                    .with("group", group)
                    .with("limit", limit)
                    .retry_after(SLOW_RETRY_DELAY)
            }
        }
        .into_status()
    }
}

fn group_not_found(group: impl Display, message: impl Display) -> Refusal {
    refuse(Code::NotFound, "GROUP_NOT_FOUND", message).with("group", group)
}

impl From<SettleError> for Status {
    fn from(error: SettleError) -> Self {
        match &error {
            SettleError::UnknownGroup(group) => group_not_found(group, &error),
            SettleError::NoRoom => {
                refuse(Code::ResourceExhausted, "JOURNAL_FULL", &error).retry_after(RETRY_DELAY)
            }
            SettleError::Stopped => stopping(&error),
        }
        .into_status()
    }
}

impl From<LeaveError> for Status {
    fn from(error: LeaveError) -> Self {
        match &error {
            LeaveError::UnknownGroup(group) => group_not_found(group, &error),
            LeaveError::UnknownConsumer(consumer) => {
                refuse(Code::NotFound, "CONSUMER_NOT_FOUND", &error).with("consumer_id", consumer)
            }
            LeaveError::Stopped => stopping(&error),
        }
        .into_status()
    }
}

impl From<Refused> for Status {
    fn from(error: Refused) -> Self {
        match &error.why {
            SteerError::UnknownGroup(group) => {
                group_not_found(group, &error).with_some("nearest", error.nearest.as_ref())
            }
            SteerError::Exists(group) => {
                refuse(Code::AlreadyExists, "GROUP_EXISTS", &error).with("group", group)
            }
            SteerError::Ephemeral(group) => {
                refuse(Code::FailedPrecondition, "GROUP_EPHEMERAL", &error).with("group", group)
            }
            SteerError::NotEmpty { group, unsettled, dead_letters } => {
                refuse(Code::FailedPrecondition, "GROUP_NOT_EMPTY", &error)
                    .with("group", group)
                    .with("unsettled", unsettled)
                    .with("dead_letters", dead_letters)
            }
            SteerError::TooManyGroups { limit } => refuse(Code::ResourceExhausted, "TOO_MANY_GROUPS", &error)
                .with("limit", limit)
                .retry_after(SLOW_RETRY_DELAY),
            SteerError::TooManyReplays { group, limit } => {
                refuse(Code::ResourceExhausted, "TOO_MANY_REPLAYS", &error)
                    .with("group", group)
                    .with("limit", limit)
                    .retry_after(RETRY_DELAY)
            }
            SteerError::NoRoom => {
                refuse(Code::ResourceExhausted, "JOURNAL_FULL", &error).retry_after(RETRY_DELAY)
            }
            SteerError::Unreadable(_) => refuse(Code::Internal, "JOURNAL_UNREADABLE", &error),
            SteerError::Stopped => stopping(&error),
        }
        .into_status()
    }
}

impl From<NotFound> for Status {
    fn from(error: NotFound) -> Self {
        let NotFound::Update { key, value } = &error;
        refuse(Code::NotFound, "UPDATE_NOT_FOUND", &error).with(key, value).into_status()
    }
}

impl From<InspectError> for Status {
    fn from(error: InspectError) -> Self {
        match &error {
            InspectError::Damaged(_) => refuse(Code::DataLoss, "JOURNAL_DAMAGED", &error),
            InspectError::Failed(_) => refuse(Code::Internal, "JOURNAL_UNREADABLE", &error),
        }
        .into_status()
    }
}

/// Looking into a journal ended without an answer.
pub(super) fn looking_failed() -> Status {
    refuse(
        Code::Internal,
        "LOOKING_FAILED",
        "looking into the journal failed inside the gateway; its log says why",
    )
    .into_status()
}

impl From<ResultsMissing> for Status {
    fn from(error: ResultsMissing) -> Self {
        refuse(Code::Internal, "RESULTS_MISSING", error).into_status()
    }
}

impl From<BackupError> for Status {
    fn from(error: BackupError) -> Self {
        match &error {
            BackupError::Running => {
                refuse(Code::ResourceExhausted, "BACKUP_RUNNING", &error).retry_after(SLOW_RETRY_DELAY)
            }
            BackupError::Copy(InspectError::Damaged(_)) => refuse(Code::DataLoss, "JOURNAL_DAMAGED", &error),
            BackupError::Copy(InspectError::Failed(_)) | BackupError::File { .. } | BackupError::Panicked => {
                refuse(Code::Internal, "BACKUP_FAILED", &error)
            }
        }
        .into_status()
    }
}

impl From<JsonError> for Status {
    fn from(error: JsonError) -> Self {
        match &error {
            JsonError::Closed => {
                refuse(Code::Unavailable, "GATEWAY_STARTING", &error).retry_after(RETRY_DELAY)
            }
            JsonError::NoMethod { path, nearest } => refuse(Code::Unimplemented, "NO_METHOD", &error)
                .with("method", path)
                .with_some("nearest", nearest.as_ref()),
            JsonError::NoJson => refuse(Code::Unimplemented, "NO_JSON", &error),
            JsonError::Body { place, .. } => {
                let refusal = refuse(Code::InvalidArgument, "INVALID_JSON", &error);
                match place {
                    Some(place) => refusal.with("field", &place.field).at_field(place.field.clone()),
                    None => refusal,
                }
            }
            JsonError::TooLong => refuse(Code::ResourceExhausted, "ANSWER_TOO_LONG", &error),
            JsonError::Overdue(_) => refuse(Code::DeadlineExceeded, "CALL_OVERDUE", &error),
            JsonError::Broken(_) => refuse(Code::Internal, "ANSWER_BROKEN", &error),
        }
        .into_status()
    }
}

/// How a stream ends for its client.
pub(super) fn stream_end(end: StreamEnd) -> Result<(), Status> {
    Err(match end {
        StreamEnd::Left => return Ok(()),
        StreamEnd::Replaced => refuse(
            Code::Aborted,
            "CONSUMER_REPLACED",
            "another stream with the same consumer_id took over; give every running consumer a consumer_id of its own",
        ),
        StreamEnd::GroupDeleted => {
            refuse(Code::FailedPrecondition, "GROUP_DELETED", "the group was deleted")
        }
        StreamEnd::Drained => refuse(
            Code::Unavailable,
            "STREAM_DRAINED",
            "the stream's time is over; subscribe again with the same consumer_id, and name what is still being \
             worked on in held_tokens",
        )
        .retry_after(RECONNECT_DELAY),
        StreamEnd::Failed => refuse(
            Code::Unavailable,
            "GATEWAY_FAILED",
            "the gateway failed and is going down; subscribe again once it is back",
        )
        .retry_after(RETRY_DELAY),
    }
    .into_status())
}
