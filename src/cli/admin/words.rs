//! The API's enums and small messages in words.

use crate::grpc::proto::client::{
    AttemptOutcome, ConsumerState, DeadLetterCause, FailureKind, Filter, IntakeMode, Ordering, UpdateState,
};

pub(super) fn state(state: UpdateState) -> &'static str {
    match state {
        UpdateState::Unspecified => "unknown",
        UpdateState::NotMatched => "not matched",
        UpdateState::BeforeStart => "before start",
        UpdateState::Pending => "pending",
        UpdateState::Blocked => "blocked",
        UpdateState::Outstanding => "outstanding",
        UpdateState::BackingOff => "backing off",
        UpdateState::Acked => "acked",
        UpdateState::Rejected => "rejected",
        UpdateState::DeadLettered => "dead-lettered",
        UpdateState::Expired => "expired",
        UpdateState::Purged => "purged",
        UpdateState::Settled => "settled",
    }
}

pub(super) fn outcome(outcome: AttemptOutcome) -> &'static str {
    match outcome {
        AttemptOutcome::Unspecified => "unknown",
        AttemptOutcome::Outstanding => "outstanding",
        AttemptOutcome::Acked => "acked",
        AttemptOutcome::Nacked => "nacked",
        AttemptOutcome::Released => "released",
        AttemptOutcome::Expired => "lease expired",
        AttemptOutcome::Lost => "stream lost",
        AttemptOutcome::Rejected => "rejected",
        AttemptOutcome::Revoked => "revoked",
    }
}

pub(super) fn failure(kind: FailureKind) -> &'static str {
    match kind {
        FailureKind::Unspecified => "failed",
        FailureKind::Nacked => "nacked",
        FailureKind::Expired => "lease expired",
        FailureKind::Lost => "stream lost",
        FailureKind::Rejected => "rejected",
    }
}

pub(super) fn cause(cause: DeadLetterCause) -> &'static str {
    match cause {
        DeadLetterCause::Unspecified => "unknown",
        DeadLetterCause::Rejected => "rejected",
        DeadLetterCause::Failed => "failed",
    }
}

pub(super) fn consumer(state: ConsumerState) -> &'static str {
    match state {
        ConsumerState::Unspecified => "unknown",
        ConsumerState::Open => "open",
        ConsumerState::Draining => "draining",
        ConsumerState::Leaving => "leaving",
        ConsumerState::Lost => "lost",
        ConsumerState::Suspect => "suspect",
    }
}

pub(super) fn mode(mode: IntakeMode) -> &'static str {
    match mode {
        IntakeMode::Unspecified => "",
        IntakeMode::Polling => "polling",
        IntakeMode::Webhook => "webhook",
    }
}

pub(super) fn ordering(ordering: Ordering) -> &'static str {
    match ordering {
        Ordering::Unspecified | Ordering::Chat => "chat",
        Ordering::User => "user",
        Ordering::Topic => "topic",
        Ordering::None => "none",
    }
}

/// The filter as the flags that make it.
pub(super) fn filter(filter: Option<&Filter>) -> String {
    let Some(filter) = filter else { return "all".to_owned() };
    let chats: Vec<String> = filter.chat_ids.iter().map(ToString::to_string).collect();
    let parts = [
        ("kinds", &filter.kinds),
        ("chats", &chats),
        ("chat-types", &filter.chat_types),
        ("commands", &filter.commands),
        ("callback-prefixes", &filter.callback_data_prefixes),
    ];
    let set = parts.into_iter().filter(|(_, values)| !values.is_empty());
    let words: Vec<String> = set.map(|(name, values)| format!("{name}={}", values.join(","))).collect();
    if words.is_empty() { "all".to_owned() } else { words.join(" ") }
}

/// `1 dead letter`, `2 dead letters`.
pub(super) fn count(number: i64, one: &str) -> String {
    if number == 1 { format!("1 {one}") } else { format!("{number} {one}s") }
}

/// In the largest unit that leaves a digit before the point.
pub(super) fn bytes(bytes: i64) -> String {
    let units = [("GiB", 1_i64 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)];
    match units.into_iter().find(|(_, unit)| bytes >= *unit) {
        Some((name, unit)) => format!("{:.1} {name}", bytes as f64 / unit as f64),
        None => format!("{bytes} B"),
    }
}

/// An id that may be missing.
pub(super) fn id(id: Option<i64>) -> String {
    id.map(|id| id.to_string()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_reads_like_the_flags_that_make_it() {
        assert_eq!(filter(None), "all");
        assert_eq!(filter(Some(&Filter::default())), "all");
        let some = Filter {
            kinds: vec!["message".into(), "callback_query".into()],
            chat_ids: vec![-100],
            ..Filter::default()
        };
        assert_eq!(filter(Some(&some)), "kinds=message,callback_query chats=-100");
    }

    #[test]
    fn sizes_and_counts_are_for_people() {
        assert_eq!(bytes(1_023), "1023 B");
        assert_eq!(bytes(1_536), "1.5 KiB");
        assert_eq!(bytes(8 << 30), "8.0 GiB");
        assert_eq!(count(1, "dead letter"), "1 dead letter");
        assert_eq!(count(0, "update"), "0 updates");
    }
}
