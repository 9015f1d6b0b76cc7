//! The timeline of one update, to be read at a glance: what needs attention comes first.

use super::super::session::Session;
use super::super::table::{Column, Facts, Table};
use super::super::times::{Times, absolute, elapsed, millis_between, time_of_day};
use super::super::words;
use super::advice::{MARGIN, Standing, explained, next_command, received, state};
use crate::cli::text;
use crate::grpc::proto::client::{DeliveryAttempt, GetUpdateResponse, GroupTimeline, StoredUpdate};

pub(super) fn lines(session: &Session, response: &GetUpdateResponse) -> Vec<String> {
    let stored = response.update.clone().unwrap_or_default();
    let mut lines = heading(&session.times(), &stored);
    for timeline in by_standing(&response.timelines) {
        lines.push(String::new());
        lines.extend(group(session, &stored, timeline));
    }
    if response.timelines.is_empty() {
        let create = session.command("groups create NAME");
        lines.extend([
            String::new(),
            format!("The bot has no group: nobody gets its updates. Make one: {create}"),
        ]);
    }
    lines
}

fn by_standing(timelines: &[GroupTimeline]) -> Vec<&GroupTimeline> {
    let mut sorted: Vec<&GroupTimeline> = timelines.iter().collect();
    sorted.sort_by_key(|timeline| Standing::of(timeline.state()));
    sorted
}

fn heading(times: &Times, stored: &StoredUpdate) -> Vec<String> {
    let update = stored.update.clone().unwrap_or_default();
    let chat = update.chat_id.map_or_else(String::new, |chat| format!(" in chat {chat}"));
    let user = update.user_id.map_or_else(String::new, |user| format!(" by user {user}"));
    let mut facts = Facts::default();
    facts.add("update", format!("{} of bot {}: {}{chat}{user}", update.update_id, update.bot, update.kind));
    facts.add("sequence", format!("{}, key {}", stored.sequence, stored.ordering_key));
    facts.add_some(
        "text",
        text::of_update(&update).map(|text| text::clipped(&text, TEXT_CHARS)).unwrap_or_default(),
    );
    facts.add("received", times.show_both(update.received_time.as_ref()));
    if let (Some(received), Some(commit)) = (&update.received_time, &stored.commit_time) {
        let later = elapsed(millis_between(received, commit).max(0));
        facts.add("stored", format!("{}, {later} later", absolute(commit)));
    }
    facts.lines()
}

fn group(session: &Session, stored: &StoredUpdate, timeline: &GroupTimeline) -> Vec<String> {
    let times = session.times();
    let mark = Standing::of(timeline.state()).mark();
    let mut lines = vec![format!("{mark} {}: {}", timeline.group, state(&times, stored, timeline))];
    if !timeline.attempts.is_empty() {
        let room = session.console.columns().map(|columns| columns.saturating_sub(MARGIN.len()));
        let rows: Vec<_> = timeline.attempts.iter().map(|attempt| row(stored, attempt)).collect();
        lines.extend(attempts_table(room).lines(&rows).into_iter().map(|line| format!("{MARGIN}{line}")));
    }
    lines.extend(explained(session, timeline));
    if let Some(next) = next_command(stored.sequence, timeline) {
        lines.push(format!("{MARGIN}Next: {}", session.command(&next)));
    }
    lines
}

fn attempts_table(room: Option<usize>) -> Table {
    let columns = vec![
        Column::right("TRY"),
        Column::left("DELIVERED"),
        Column::right("AFTER"),
        Column::elastic("CONSUMER"),
        Column::left("OUTCOME"),
        Column::right("TOOK"),
        Column::elastic("REASON"),
    ];
    Table::new(columns, room)
}

fn row(stored: &StoredUpdate, attempt: &DeliveryAttempt) -> Vec<String> {
    let delivered = attempt.deliver_time.as_ref();
    let between = |from, to| match (from, to) {
        (Some(from), Some(to)) => elapsed(millis_between(from, to).max(0)),
        _ => String::new(),
    };
    let replayed = if attempt.replayed { " (replayed)" } else { "" };
    vec![
        attempt.attempt.to_string(),
        delivered.map(time_of_day).unwrap_or_default(),
        between(received(stored), delivered),
        attempt.consumer_id.clone(),
        format!("{}{replayed}", words::outcome(attempt.outcome())),
        between(delivered, attempt.end_time.as_ref()),
        attempt.reason.clone(),
    ]
}

/// Enough to know it again.
const TEXT_CHARS: usize = 80;

#[cfg(test)]
mod tests {
    use prost_types::Timestamp;

    use super::*;
    use crate::grpc::proto::client::{AttemptOutcome, Update, UpdateState};

    fn at(seconds: i64, millis: i32) -> Option<Timestamp> {
        Some(Timestamp { seconds, nanos: millis * 1_000_000 })
    }

    #[test]
    fn an_attempt_is_a_row_with_its_time_its_consumer_and_its_reason() {
        let update = Some(Update { received_time: at(50, 0), ..Update::default() });
        let stored = StoredUpdate { update, ..StoredUpdate::default() };
        let attempt = DeliveryAttempt {
            attempt: 2,
            consumer_id: "worker-1".into(),
            deliver_time: at(51, 200),
            end_time: at(51, 900),
            outcome: AttemptOutcome::Nacked.into(),
            reason: "no such order".into(),
            replayed: true,
            ..DeliveryAttempt::default()
        };
        assert_eq!(
            row(&stored, &attempt),
            ["2", "00:00:51.200", "1.2 s", "worker-1", "nacked (replayed)", "700 ms", "no such order"]
        );
    }

    #[test]
    fn what_needs_attention_comes_first() {
        let timeline = |group: &str, state: UpdateState| GroupTimeline {
            group: group.into(),
            state: state.into(),
            ..GroupTimeline::default()
        };
        let timelines = [
            timeline("a", UpdateState::Acked),
            timeline("b", UpdateState::NotMatched),
            timeline("c", UpdateState::Blocked),
            timeline("d", UpdateState::DeadLettered),
        ];
        let order: Vec<&str> =
            by_standing(&timelines).iter().map(|timeline| timeline.group.as_str()).collect();
        assert_eq!(order, ["d", "c", "a", "b"]);
    }
}
