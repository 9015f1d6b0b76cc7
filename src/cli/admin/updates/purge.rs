//! `switchboard updates purge`.

use clap::Args;

use super::super::failure::Failure;
use super::super::session::Session;
use super::super::values;
use super::super::words::count;
use crate::grpc::proto::client::purge_updates_request::Whose;
use crate::grpc::proto::client::{PurgeUpdatesRequest, PurgeUpdatesResponse};

#[derive(Args, Clone, Debug)]
pub(super) struct PurgeArgs {
    #[command(flatten)]
    whose: WhoseArgs,

    /// Only count them
    #[arg(long)]
    dry_run: bool,

    /// Do not ask
    #[arg(long)]
    yes: bool,
}

#[derive(Args, Clone, Debug)]
#[group(required = true, multiple = false)]
struct WhoseArgs {
    /// All of this chat
    #[arg(long, value_name = "ID", allow_negative_numbers = true)]
    chat: Option<i64>,

    /// All that this user caused
    #[arg(long, value_name = "ID", allow_negative_numbers = true)]
    user: Option<i64>,

    /// One update
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = values::sequence)]
    sequence: Option<i64>,
}

impl PurgeArgs {
    pub(super) async fn run(self, session: &mut Session) -> Result<(), Failure> {
        let WhoseArgs { chat, user, sequence } = self.whose;
        let whose = chat.map(Whose::ChatId).or(user.map(Whose::UserId)).or(sequence.map(Whose::Sequence));
        let request = PurgeUpdatesRequest { bot: session.bot.clone(), whose, dry_run: true };
        if self.dry_run {
            let would = session.client.purge_updates(request).await?.into_inner();
            return session.show(&would, |_| vec![format!("Would remove {}.", effect(&would))]);
        }
        if !self.yes {
            let would = session.client.purge_updates(request.clone()).await?.into_inner();
            session.console.confirm(&format!("Remove {} for good?", effect(&would)), false)?;
        }
        let request = PurgeUpdatesRequest { dry_run: false, ..request };
        let did = session.client.purge_updates(request).await?.into_inner();
        session
            .show(&did, |_| vec![format!("Removed {}. Backups made before still have them.", effect(&did))])
    }
}

fn effect(purge: &PurgeUpdatesResponse) -> String {
    format!("{} and {}", count(purge.updates, "update"), count(purge.dead_letters, "dead letter"))
}
