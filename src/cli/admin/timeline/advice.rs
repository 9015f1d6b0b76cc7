//! What became of an update in a group, in a few words, and what to do next.

use super::super::session::Session;
use super::super::times::{Times, elapsed, millis_between};
use super::super::words;
use crate::cli::text;
use crate::grpc::proto::client::{GroupTimeline, StoredUpdate, UpdateState};

/// How much of an operator's attention a state needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Standing {
    /// The group gave it up.
    Lost,
    /// It is not done.
    Open,
    /// It is done.
    Done,
    /// It is none of the group's business.
    Elsewhere,
}

impl Standing {
    pub(super) fn of(state: UpdateState) -> Self {
        match state {
            UpdateState::Rejected
            | UpdateState::DeadLettered
            | UpdateState::Expired
            | UpdateState::Purged => Self::Lost,
            UpdateState::Unspecified
            | UpdateState::Pending
            | UpdateState::Blocked
            | UpdateState::Outstanding
            | UpdateState::BackingOff => Self::Open,
            UpdateState::Acked | UpdateState::Settled => Self::Done,
            UpdateState::NotMatched | UpdateState::BeforeStart => Self::Elsewhere,
        }
    }

    pub(super) fn mark(self) -> &'static str {
        match self {
            Self::Lost => "✗",
            Self::Open => "…",
            Self::Done => "✓",
            Self::Elsewhere => "–",
        }
    }
}

/// The state with what matters about it: `backing off, next attempt in 12s`.
pub(super) fn state(times: &Times, stored: &StoredUpdate, timeline: &GroupTimeline) -> String {
    let state = words::state(timeline.state());
    let settled = || times.show(timeline.settle_time.as_ref());
    let more = match timeline.state() {
        UpdateState::Pending if timeline.owner_consumer_id.is_empty() => {
            "no consumer has its shard".to_owned()
        }
        UpdateState::Pending => format!("{} gets it", timeline.owner_consumer_id),
        UpdateState::Blocked => format!("by sequence {}", timeline.blocked_by_sequence),
        UpdateState::Outstanding => {
            let last = timeline.attempts.last();
            let until = times.show(last.and_then(|attempt| attempt.lease_deadline.as_ref()));
            let whose = last.map_or("", |attempt| attempt.consumer_id.as_str());
            if until.is_empty() {
                format!("with {whose}")
            } else {
                format!("with {whose}, its lease ends {until}")
            }
        }
        UpdateState::BackingOff => match times.show(timeline.next_attempt_time.as_ref()) {
            next if next.is_empty() => "next attempt soon".to_owned(),
            next => format!("next attempt {next}"),
        },
        UpdateState::Acked => match (received(stored), &timeline.settle_time) {
            (Some(received), Some(end)) => {
                format!("{} after it was received", elapsed(millis_between(received, end)))
            }
            _ => settled(),
        },
        _ => settled(),
    };
    if more.is_empty() { state.to_owned() } else { format!("{state}, {more}") }
}

/// Why it is at that, in lines that fit the terminal.
pub(super) fn explained(session: &Session, timeline: &GroupTimeline) -> Vec<String> {
    let room = session.console.columns().map_or(usize::MAX, |columns| columns.saturating_sub(MARGIN.len()));
    let lines = text::wrapped(explanation(timeline), room);
    lines.into_iter().map(|line| format!("{MARGIN}{line}")).collect()
}

/// The gateway's own words. The line above names the group.
fn explanation(timeline: &GroupTimeline) -> &str {
    let group = format!("group {}: ", timeline.group);
    timeline.explanation.strip_prefix(&group).unwrap_or(&timeline.explanation)
}

/// A command to go on with; `None` where there is nothing to do.
pub(super) fn next_command(sequence: i64, timeline: &GroupTimeline) -> Option<String> {
    let group = &timeline.group;
    Some(match timeline.state() {
        UpdateState::Rejected | UpdateState::DeadLettered => {
            format!("dead-letters replay {group} --sequence {sequence}")
        }
        UpdateState::Expired | UpdateState::Settled | UpdateState::BeforeStart => {
            format!("replay {group} --sequence {sequence}")
        }
        UpdateState::Blocked if timeline.blocked_by_sequence > 0 => {
            format!("timeline {}", timeline.blocked_by_sequence)
        }
        UpdateState::Pending | UpdateState::Blocked | UpdateState::NotMatched => {
            format!("groups show {group}")
        }
        _ => return None,
    })
}

pub(super) fn received(stored: &StoredUpdate) -> Option<&prost_types::Timestamp> {
    stored.update.as_ref()?.received_time.as_ref()
}

/// Of what is said about a group.
pub(super) const MARGIN: &str = "    ";

#[cfg(test)]
mod tests {
    use prost_types::Timestamp;

    use super::super::super::times::TimeStyle;
    use super::*;
    use crate::grpc::proto::client::{DeliveryAttempt, Update};

    fn timeline(state: UpdateState) -> GroupTimeline {
        GroupTimeline { group: "orders".into(), state: state.into(), ..GroupTimeline::default() }
    }

    fn said(timeline: &GroupTimeline) -> String {
        let times = Times::new(TimeStyle::Relative, Timestamp { seconds: 100, nanos: 0 });
        let received_time = Some(Timestamp { seconds: 90, nanos: 0 });
        let update = Some(Update { received_time, ..Update::default() });
        state(&times, &StoredUpdate { update, ..StoredUpdate::default() }, timeline)
    }

    #[test]
    fn a_state_is_said_with_what_matters_about_it() {
        let next_attempt_time = Some(Timestamp { seconds: 112, nanos: 0 });
        let backing_off = GroupTimeline { next_attempt_time, ..timeline(UpdateState::BackingOff) };
        assert_eq!(said(&backing_off), "backing off, next attempt in 12s");
        let blocked = GroupTimeline { blocked_by_sequence: 12, ..timeline(UpdateState::Blocked) };
        assert_eq!(said(&blocked), "blocked, by sequence 12");
        assert_eq!(said(&timeline(UpdateState::Pending)), "pending, no consumer has its shard");
        let settle_time = Some(Timestamp { seconds: 90, nanos: 850_000_000 });
        let acked = GroupTimeline { settle_time, ..timeline(UpdateState::Acked) };
        assert_eq!(said(&acked), "acked, 850 ms after it was received");
        let lease_deadline = Some(Timestamp { seconds: 120, nanos: 0 });
        let attempt =
            DeliveryAttempt { consumer_id: "w1".into(), lease_deadline, ..DeliveryAttempt::default() };
        let out = GroupTimeline { attempts: vec![attempt], ..timeline(UpdateState::Outstanding) };
        assert_eq!(said(&out), "outstanding, with w1, its lease ends in 20s");
        assert_eq!(said(&timeline(UpdateState::NotMatched)), "not matched");
    }

    #[test]
    fn what_the_group_gave_up_can_be_replayed_and_what_blocks_can_be_looked_at() {
        let next = |timeline: &GroupTimeline| next_command(17, timeline);
        let dead = next(&timeline(UpdateState::DeadLettered));
        assert_eq!(dead.as_deref(), Some("dead-letters replay orders --sequence 17"));
        let expired = next(&timeline(UpdateState::Expired));
        assert_eq!(expired.as_deref(), Some("replay orders --sequence 17"));
        let blocked = GroupTimeline { blocked_by_sequence: 12, ..timeline(UpdateState::Blocked) };
        assert_eq!(next(&blocked).as_deref(), Some("timeline 12"));
        assert_eq!(next(&timeline(UpdateState::Acked)), None);
    }

    #[test]
    fn the_gateways_words_are_shown_without_the_group_that_the_line_above_names() {
        let named =
            GroupTimeline { explanation: "group orders: because".into(), ..timeline(UpdateState::Pending) };
        assert_eq!(explanation(&named), "because");
        let unnamed = GroupTimeline { explanation: "Because.".into(), ..timeline(UpdateState::Settled) };
        assert_eq!(explanation(&unnamed), "Because.");
    }
}
