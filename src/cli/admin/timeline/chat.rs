//! Why a chat got no answer: its newest updates with their state in each group.

use tonic::Code;

use super::super::bots::{comes_in, problems};
use super::super::failure::Failure;
use super::super::pages::Limit;
use super::super::session::Session;
use super::super::table::Column;
use super::super::times::Times;
use super::super::updates;
use super::super::{json, words};
use super::advice::{Standing, explained, next_command, received, state};
use super::get;
use crate::cli::text;
use crate::grpc::proto::client::get_update_request::Id;
use crate::grpc::proto::client::{
    Bot, GetBotRequest, GetUpdateResponse, GroupTimeline, ListUpdatesRequest, Selection, StoredUpdate,
};

pub(super) async fn run(session: &mut Session, chat: i64, limit: u32) -> Result<(), Failure> {
    let selection = Selection { chat_id: Some(chat), ..Selection::default() };
    let request = ListUpdatesRequest {
        bot: session.bot.clone(),
        selection: Some(selection),
        ..ListUpdatesRequest::default()
    };
    let listed = updates::list(session, request, Limit { limit }).await?;
    let mut found = Vec::with_capacity(listed.items.len());
    for stored in &listed.items {
        match get(session, Some(Id::Sequence(stored.sequence))).await {
            Ok(update) => found.push(update),
            // Trimmed since it was listed.
            Err(Failure::Gateway(status)) if status.code() == Code::NotFound => {}
            Err(failure) => return Err(failure),
        }
    }
    if found.is_empty() {
        return Err(nothing_came(session, chat).await);
    }
    if session.json {
        for update in &found {
            session.console.print([json::line(update)?])?;
        }
        return Ok(());
    }
    let lines = lines(session, &found);
    session.print(&lines)
}

/// Nothing of the chat is there: what keeps updates out, or whether they come in at all.
async fn nothing_came(session: &mut Session, chat: i64) -> Failure {
    let bot = match session.client.get_bot(GetBotRequest { bot: session.bot.clone() }).await {
        Ok(response) => response.into_inner().bot.unwrap_or_default(),
        Err(status) => return status.into(),
    };
    let times = session.times();
    let journal = bot.journal.unwrap_or_default();
    let mut lines = vec![format!("no update of chat {chat} is kept")];
    lines.extend(whether_updates_come_in(&bot, &times));
    let oldest = times.show_both(journal.oldest_time.as_ref());
    if journal.first_sequence > 1 && !oldest.is_empty() {
        lines.push(format!("  what came before {oldest} is not kept any more"));
    }
    if journal.quarantined_count > 0 {
        let quarantine = session.command("quarantine");
        let count = words::count(journal.quarantined_count, "element");
        lines.push(format!("  {count} could not be read as updates: {quarantine}"));
    }
    Failure::NotFound(lines.join("\n"))
}

fn whether_updates_come_in(bot: &Bot, times: &Times) -> Vec<String> {
    let mut problems = problems(bot);
    let mut lines = Vec::new();
    let problem_is = if comes_in(bot) {
        let last = times.show(bot.last_update_time.as_ref());
        let last = if last.is_empty() { "none since the gateway started".to_owned() } else { last };
        lines.push(format!(
            "  updates do come in (the last one: {last}); of this chat none came, or they were purged, or they are older \
             than what is kept"
        ));
        lines.push(format!(
            "  Telegram sends them to @{} only; in a group it sends a bot in privacy mode little but commands",
            text::printable(&bot.username)
        ));
        "something does not work"
    } else {
        if problems.is_empty() {
            problems.push("the bot is not connected to Telegram".to_owned());
        }
        "updates do not come in"
    };
    lines.extend(problems.iter().map(|problem| format!("  {problem_is}: {}", text::printable(problem))));
    lines
}

fn lines(session: &Session, updates: &[GetUpdateResponse]) -> Vec<String> {
    let (concerned, others) = groups(updates);
    let times = session.times();
    let mut columns = vec![
        Column::right("SEQUENCE"),
        Column::left("RECEIVED"),
        Column::left("KIND"),
        Column::elastic("TEXT"),
    ];
    columns.extend(concerned.iter().map(|group| Column::elastic(group)));
    let rows: Vec<Vec<String>> = updates
        .iter()
        .map(|response| {
            let stored = response.update.clone().unwrap_or_default();
            let update = stored.update.clone().unwrap_or_default();
            let mut row = vec![
                stored.sequence.to_string(),
                times.show(received(&stored)),
                update.kind.clone(),
                text::of_update(&update).map(|text| text::clipped(&text, TEXT_CHARS)).unwrap_or_default(),
            ];
            row.extend(concerned.iter().map(|group| cell(response, group)));
            row
        })
        .collect();
    let mut lines = session.table(columns).lines(&rows);
    if !others.is_empty() {
        lines.extend([String::new(), format!("None of these is for: {}", others.join(", "))]);
    }
    for group in &concerned {
        if let Some((stored, timeline)) = oldest_trouble(updates, group) {
            lines.push(String::new());
            lines.extend(trouble(session, stored, timeline));
        }
    }
    let newest =
        updates.first().and_then(|response| response.update.as_ref()).map_or(0, |stored| stored.sequence);
    let more = session.command(&format!("timeline {newest}"));
    lines.extend([String::new(), format!("One in full: {more}")]);
    lines
}

fn cell(response: &GetUpdateResponse, group: &str) -> String {
    let timeline = response.timelines.iter().find(|timeline| timeline.group == group);
    timeline.map_or_else(String::new, |timeline| {
        let state = timeline.state();
        format!("{} {}", Standing::of(state).mark(), words::state(state))
    })
}

/// The groups that any of the updates is for, and those that none is for.
fn groups(updates: &[GetUpdateResponse]) -> (Vec<String>, Vec<String>) {
    let (mut concerned, mut others): (Vec<String>, Vec<String>) = (Vec::new(), Vec::new());
    for timeline in updates.iter().flat_map(|response| &response.timelines) {
        let into = match Standing::of(timeline.state()) {
            Standing::Elsewhere => &mut others,
            _ => &mut concerned,
        };
        if !into.contains(&timeline.group) {
            into.push(timeline.group.clone());
        }
    }
    others.retain(|group| !concerned.contains(group));
    (concerned, others)
}

/// The first that the group did not handle: what comes after it may only wait for it. They come newest first.
fn oldest_trouble<'a>(
    updates: &'a [GetUpdateResponse],
    group: &str,
) -> Option<(&'a StoredUpdate, &'a GroupTimeline)> {
    updates.iter().rev().find_map(|response| {
        let of_group = |timeline: &&GroupTimeline| timeline.group == group;
        let timeline = response.timelines.iter().find(of_group)?;
        let in_trouble = matches!(Standing::of(timeline.state()), Standing::Lost | Standing::Open);
        in_trouble.then_some((response.update.as_ref()?, timeline))
    })
}

fn trouble(session: &Session, stored: &StoredUpdate, timeline: &GroupTimeline) -> Vec<String> {
    let state = state(&session.times(), stored, timeline);
    let mark = Standing::of(timeline.state()).mark();
    let mut lines = vec![format!("{mark} {}: sequence {} is {state}", timeline.group, stored.sequence)];
    lines.extend(explained(session, timeline));
    if let Some(next) = next_command(stored.sequence, timeline) {
        lines.push(format!("    Next: {}", session.command(&next)));
    }
    lines
}

/// So that the states stay in sight.
const TEXT_CHARS: usize = 30;

#[cfg(test)]
mod tests {
    use prost_types::Timestamp;

    use super::super::super::times::TimeStyle;
    use super::*;
    use crate::grpc::proto::client::UpdateState;

    fn response(sequence: i64, states: &[(&str, UpdateState)]) -> GetUpdateResponse {
        let timeline = |(group, state): &(&str, UpdateState)| GroupTimeline {
            group: (*group).to_owned(),
            state: (*state).into(),
            ..GroupTimeline::default()
        };
        GetUpdateResponse {
            update: Some(StoredUpdate { sequence, ..StoredUpdate::default() }),
            timelines: states.iter().map(timeline).collect(),
        }
    }

    #[test]
    fn the_oldest_update_in_trouble_is_the_one_to_look_at() {
        let updates = [
            response(9, &[("orders", UpdateState::Blocked), ("mail", UpdateState::NotMatched)]),
            response(7, &[("orders", UpdateState::BackingOff), ("mail", UpdateState::NotMatched)]),
            response(5, &[("orders", UpdateState::Acked), ("audit", UpdateState::Acked)]),
        ];
        let found = oldest_trouble(&updates, "orders").map(|(stored, _)| stored.sequence);
        assert_eq!(found, Some(7));
        assert!(oldest_trouble(&updates, "audit").is_none());
        let (concerned, others) = groups(&updates);
        assert_eq!((concerned, others), (vec!["orders".into(), "audit".into()], vec!["mail".into()]));
        assert_eq!(cell(&updates[1], "orders"), "… backing off");
    }

    #[test]
    fn updates_come_in_unless_the_bot_is_not_connected_and_trouble_is_said_either_way() {
        let times = Times::new(TimeStyle::Relative, Timestamp { seconds: 160, nanos: 0 });
        let said = |bot: Bot| whether_updates_come_in(&bot, &times).join("\n");
        let well = Bot { connected_time: Some(Timestamp::default()), ..Bot::default() };
        assert!(said(well.clone()).contains("do come in (the last one: none since"));
        let troubled = said(Bot { last_error: "one cannot be read".into(), ..well });
        assert!(
            troubled.contains("do come in")
                && troubled.contains("something does not work: one cannot be read")
        );
        let refused = said(Bot { last_error: "the token is refused".into(), ..Bot::default() });
        assert_eq!(refused, "  updates do not come in: the token is refused");
        let starting = said(Bot::default());
        assert_eq!(starting, "  updates do not come in: the bot is not connected to Telegram");
    }
}
