//! `switchboard dead-letters show`.

use clap::Args;

use super::super::failure::Failure;
use super::super::pages::Limit;
use super::super::selection::SelectionArgs;
use super::super::session::Session;
use super::super::table::Column;
use super::super::times::Times;
use super::super::updates::show::{facts, indented};
use super::super::{values, words};
use crate::grpc::proto::client::{DeadLetter, FailedAttempt, ListDeadLettersRequest, View};

#[derive(Args, Clone, Debug)]
pub(super) struct ShowArgs {
    /// The update's sequence
    #[arg(value_name = "SEQUENCE", allow_negative_numbers = true, value_parser = values::sequence)]
    sequence: i64,

    /// Of this group only; an update can be a dead letter of several
    #[arg(long, value_name = "NAME")]
    group: Option<String>,
}

impl ShowArgs {
    pub(super) async fn run(self, session: &mut Session) -> Result<(), Failure> {
        let request = ListDeadLettersRequest {
            bot: session.bot.clone(),
            group: self.group.clone().unwrap_or_default(),
            selection: Some(SelectionArgs::of_sequence(self.sequence)),
            view: View::Full.into(),
            ..ListDeadLettersRequest::default()
        };
        let letters = super::list(session, request, Limit { limit: MOST_GROUPS }).await?.items;
        if letters.is_empty() {
            let of = self.group.map_or_else(String::new, |group| format!(" of group {group}"));
            let timeline = session.command(&format!("timeline {}", self.sequence));
            let sequence = self.sequence;
            return Err(Failure::NotFound(format!(
                "sequence {sequence} is no dead letter{of}; what became of it says: {timeline}"
            )));
        }
        for letter in &letters {
            session.show(letter, |session| lines(session, letter))?;
        }
        Ok(())
    }
}

fn lines(session: &Session, letter: &DeadLetter) -> Vec<String> {
    let times = session.times();
    let stored = letter.update.clone().unwrap_or_default();
    let mut facts = facts(&times, &stored);
    facts.add("group", &letter.group);
    let (attempts, failures) = (letter.attempts, letter.failures);
    let cause = words::cause(letter.cause());
    facts.add("dead", format!("{}: {cause}", times.show_both(letter.dead_time.as_ref())));
    facts.add("deliveries", format!("{attempts}, of which {failures} failed"));
    facts.add_some("first delivered", times.show_both(letter.first_delivered_time.as_ref()));
    let mut lines = facts.lines();
    if !letter.history.is_empty() {
        let mut table = session.table(vec![
            Column::right("ATTEMPT"),
            Column::left("FAILED"),
            Column::elastic("CONSUMER"),
            Column::left("HOW"),
            Column::elastic("REASON"),
        ]);
        let rows: Vec<_> = letter.history.iter().map(|failed| row(&times, failed)).collect();
        lines.push(String::new());
        lines.extend(table.lines(&rows));
    }
    lines.push(String::new());
    lines.extend(indented(&stored.update.unwrap_or_default().json));
    let replay =
        session.command(&format!("dead-letters replay {} --sequence {}", letter.group, stored.sequence));
    lines.extend([String::new(), format!("Once the handler is mended: {replay}")]);
    lines
}

fn row(times: &Times, failed: &FailedAttempt) -> Vec<String> {
    let failure = failed.failure.clone().unwrap_or_default();
    vec![
        failed.attempt.to_string(),
        times.show(failure.time.as_ref()),
        failed.consumer_id.clone(),
        words::failure(failure.kind()).to_owned(),
        failure.reason,
    ]
}

/// More groups than a bot has.
const MOST_GROUPS: u32 = 10_000;
