//! `switchboard updates`: what is kept.

mod follow;
mod purge;
pub(super) mod show;

use clap::{Args, Subcommand};

use super::console::search_spinner;
use super::failure::Failure;
use super::pages::{self, Limit};
use super::selection::SelectionArgs;
use super::session::{Session, Target};
use super::table::{Column, Table};
use super::times::Times;
use super::words;
use crate::cli::text;
use crate::grpc::proto::client::{ListUpdatesRequest, StoredUpdate, Update, View};

/// List the updates that are kept, newest first
#[derive(Args, Clone, Debug)]
#[command(args_conflicts_with_subcommands = true)]
pub struct UpdatesArgs {
    #[command(subcommand)]
    command: Option<UpdatesCommand>,

    #[command(flatten)]
    list: ListArgs,

    #[command(flatten)]
    pub(super) target: Target,
}

#[derive(Clone, Debug, Subcommand)]
enum UpdatesCommand {
    /// Show one update with its JSON
    Show(show::ShowArgs),
    /// Remove updates for good, settled or not: for someone who asks to be forgotten
    Purge(purge::PurgeArgs),
}

#[derive(Args, Clone, Debug)]
struct ListArgs {
    #[command(flatten)]
    which: SelectionArgs,

    /// With this text in their JSON
    #[arg(long, value_name = "TEXT", help_heading = "Which")]
    contains: Option<String>,

    #[command(flatten)]
    limit: Limit,

    /// With their text; with --json their JSON as Telegram sent it
    #[arg(long)]
    full: bool,

    /// Go on with those that come, oldest first, until Ctrl-C
    #[arg(long, short)]
    follow: bool,
}

impl UpdatesArgs {
    pub(super) async fn run(self, session: &mut Session) -> Result<(), Failure> {
        match self.command {
            Some(UpdatesCommand::Show(args)) => args.run(session).await,
            Some(UpdatesCommand::Purge(args)) => args.run(session).await,
            None if self.list.follow => follow::run(&self.list, session).await,
            None => self.list.run(session).await,
        }
    }
}

impl ListArgs {
    async fn run(&self, session: &mut Session) -> Result<(), Failure> {
        let listed = list(session, self.request(session)?, self.limit).await?;
        let mut table = self.table(session);
        session.show_list(&listed.items, &mut table, |times, update| self.row(times, update))?;
        session.remark_on(&listed, "updates");
        Ok(())
    }

    fn request(&self, session: &Session) -> Result<ListUpdatesRequest, Failure> {
        Ok(ListUpdatesRequest {
            bot: session.bot.clone(),
            selection: Some(self.which.selection(session.now())?),
            contains: self.contains.clone().unwrap_or_default(),
            view: if self.full { View::Full } else { View::Basic }.into(),
            ..ListUpdatesRequest::default()
        })
    }

    fn table(&self, session: &Session) -> Table {
        let mut columns = vec![
            Column::right("SEQUENCE"),
            Column::right("UPDATE ID"),
            Column::left("RECEIVED"),
            Column::left("KIND"),
            Column::right("CHAT"),
            Column::right("USER"),
            Column::right("SIZE"),
        ];
        if self.full {
            columns.push(Column::elastic("TEXT"));
        }
        session.table(columns)
    }

    fn row(&self, times: &Times, stored: &StoredUpdate) -> Vec<String> {
        let nothing = Update::default();
        let update = stored.update.as_ref().unwrap_or(&nothing);
        let mut cells = vec![
            stored.sequence.to_string(),
            update.update_id.to_string(),
            times.show(update.received_time.as_ref()),
            update.kind.clone(),
            words::id(update.chat_id),
            words::id(update.user_id),
            words::bytes(stored.size_bytes),
        ];
        if self.full {
            cells.push(text::of_update(update).unwrap_or_default());
        }
        cells
    }
}

/// The updates that a request asks for, page by page.
pub(super) async fn list(
    session: &mut Session,
    request: ListUpdatesRequest,
    limit: Limit,
) -> Result<pages::Listed<StoredUpdate>, Failure> {
    let client = &mut session.client;
    // The gateway looks through so many updates a page, whether or not it finds one.
    let spinner = (!request.contains.is_empty()).then(search_spinner);
    let listed = pages::collect(limit, async |page_size, page_token| {
        let request = ListUpdatesRequest { page_size, page_token, ..request.clone() };
        let page = client.list_updates(request).await?.into_inner();
        if let Some(spinner) = &spinner {
            spinner.inc(page.updates.len() as u64);
            spinner.tick();
        }
        Ok((page.updates, page.next_page_token))
    })
    .await;
    if let Some(spinner) = spinner {
        spinner.finish_and_clear();
    }
    listed
}
