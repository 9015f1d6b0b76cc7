//! Updates and dead letters as messages.

use prost::Message;

use super::group_message::key;
use super::selections::View;
use crate::grpc::messages::{failure, saturating_i32, saturating_i64, timestamp};
use crate::grpc::proto::server as pb;
use crate::model::{Head, Ordering, Payload, SettledAs, StoredDeadLetter};

pub(super) fn update(head: &Head, payload: &Payload, ordering: Ordering, view: View) -> pb::StoredUpdate {
    // The journal's checksums vouch for these bytes.
    let mut update = pb::Update::decode(&*payload.update).ok();
    if let (Some(update), View::Basic) = (&mut update, view) {
        update.json = String::new();
    }
    pb::StoredUpdate {
        sequence: saturating_i64(head.sequence.0),
        ordering_key: key(ordering, Some(payload)),
        size_bytes: i64::from(head.size),
        commit_time: Some(timestamp(head.committed)),
        update,
    }
}

pub(super) fn dead_letter(
    group: &str,
    ordering: Ordering,
    stored: &StoredDeadLetter,
    view: View,
) -> pb::DeadLetter {
    let StoredDeadLetter { head, letter, payload } = stored;
    let attempts = &letter.attempts;
    let cause = match letter.settled {
        SettledAs::Rejected => pb::DeadLetterCause::Rejected,
        _ => pb::DeadLetterCause::Failed,
    };
    let history = attempts.history.iter().map(|failed| pb::FailedAttempt {
        attempt: saturating_i32(failed.attempt),
        consumer_id: failed.consumer.to_string(),
        failure: Some(failure(failed)),
    });
    let oldest_shown = attempts.history.len().saturating_sub(MAX_HISTORY);
    pb::DeadLetter {
        group: group.into(),
        update: Some(update(head, payload, ordering, view)),
        dead_time: Some(timestamp(letter.time)),
        cause: cause.into(),
        attempts: saturating_i32(attempts.attempt),
        failures: saturating_i32(attempts.failures),
        first_delivered_time: Some(timestamp(attempts.first_delivered)),
        history: history.skip(oldest_shown).collect(),
    }
}

/// As the proto promises.
const MAX_HISTORY: usize = 10;
