//! `switchboard dead-letters`: what groups gave up.

mod purge;
mod show;

use clap::{Args, Subcommand};

use super::failure::Failure;
use super::pages::{self, Limit};
use super::replay;
use super::selection::SelectionArgs;
use super::session::{Session, Target};
use super::table::Column;
use super::times::Times;
use super::words;
use crate::grpc::proto::client::{DeadLetter, ListDeadLettersRequest, View};

/// List the updates that groups gave up, by group, newest first
#[derive(Args, Clone, Debug)]
#[command(args_conflicts_with_subcommands = true)]
pub struct DeadLettersArgs {
    #[command(subcommand)]
    command: Option<DeadLettersCommand>,

    #[command(flatten)]
    list: ListArgs,

    #[command(flatten)]
    pub(super) target: Target,
}

#[derive(Clone, Debug, Subcommand)]
enum DeadLettersCommand {
    /// Show a dead letter with its failures and its JSON
    Show(show::ShowArgs),
    /// Hand dead letters to their group again
    Replay(replay::What),
    /// Remove dead letters for good
    Purge(purge::PurgeArgs),
}

#[derive(Args, Clone, Debug)]
struct ListArgs {
    /// Of this group
    #[arg(long, value_name = "NAME", help_heading = "Which")]
    group: Option<String>,

    #[command(flatten)]
    which: SelectionArgs,

    #[command(flatten)]
    limit: Limit,

    /// With --json: with the updates' JSON as Telegram sent it
    #[arg(long)]
    full: bool,
}

impl DeadLettersArgs {
    pub(super) async fn run(self, session: &mut Session) -> Result<(), Failure> {
        match self.command {
            None => self.list.run(session).await,
            Some(DeadLettersCommand::Show(args)) => args.run(session).await,
            Some(DeadLettersCommand::Replay(what)) => replay::dead_letters(&what, session).await,
            Some(DeadLettersCommand::Purge(args)) => args.run(session).await,
        }
    }
}

impl ListArgs {
    async fn run(self, session: &mut Session) -> Result<(), Failure> {
        let request = ListDeadLettersRequest {
            bot: session.bot.clone(),
            group: self.group.unwrap_or_default(),
            selection: Some(self.which.selection(session.now())?),
            view: if self.full { View::Full } else { View::Basic }.into(),
            ..ListDeadLettersRequest::default()
        };
        let listed = list(session, request, self.limit).await?;
        let mut table = session.table(vec![
            Column::left("GROUP"),
            Column::right("SEQUENCE"),
            Column::left("KIND"),
            Column::right("CHAT"),
            Column::left("DEAD"),
            Column::left("CAUSE"),
            Column::right("TRIES"),
            Column::elastic("LAST REASON"),
        ]);
        session.show_list(&listed.items, &mut table, row)?;
        session.remark_on(&listed, "dead letters");
        if let Some(first) = listed.items.first() {
            let sequence = first.update.as_ref().map_or(0, |update| update.sequence);
            let show = session.command(&format!("dead-letters show {sequence}"));
            let replay =
                session.command(&format!("dead-letters replay {} --sequence {sequence}", first.group));
            session.remark(&format!("One in full: {show}\nOnce its handler is mended: {replay}"));
        }
        Ok(())
    }
}

/// The dead letters that a request asks for, page by page.
async fn list(
    session: &mut Session,
    request: ListDeadLettersRequest,
    limit: Limit,
) -> Result<pages::Listed<DeadLetter>, Failure> {
    let client = &mut session.client;
    pages::collect(limit, async |page_size, page_token| {
        let request = ListDeadLettersRequest { page_size, page_token, ..request.clone() };
        let page = client.list_dead_letters(request).await?.into_inner();
        Ok((page.dead_letters, page.next_page_token))
    })
    .await
}

fn row(times: &Times, letter: &DeadLetter) -> Vec<String> {
    let stored = letter.update.clone().unwrap_or_default();
    let update = stored.update.unwrap_or_default();
    vec![
        letter.group.clone(),
        stored.sequence.to_string(),
        update.kind,
        words::id(update.chat_id),
        times.show(letter.dead_time.as_ref()),
        words::cause(letter.cause()).to_owned(),
        letter.attempts.to_string(),
        last_reason(letter),
    ]
}

/// The newest failure in the handler's words; without any, what kind it was.
fn last_reason(letter: &DeadLetter) -> String {
    match letter.history.last().and_then(|last| last.failure.as_ref()) {
        None => String::new(),
        Some(failure) if failure.reason.is_empty() => words::failure(failure.kind()).to_owned(),
        Some(failure) => failure.reason.clone(),
    }
}
