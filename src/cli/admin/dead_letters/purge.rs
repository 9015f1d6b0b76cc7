//! `switchboard dead-letters purge`.

use clap::Args;

use super::super::failure::Failure;
use super::super::selection::ChangeArgs;
use super::super::session::Session;
use super::super::words::count;
use crate::grpc::proto::client::PurgeDeadLettersRequest;

#[derive(Args, Clone, Debug)]
pub(super) struct PurgeArgs {
    /// The group
    #[arg(value_name = "GROUP")]
    group: String,

    #[command(flatten)]
    which: ChangeArgs,

    /// Only count them
    #[arg(long)]
    dry_run: bool,

    /// Do not ask
    #[arg(long)]
    yes: bool,
}

impl PurgeArgs {
    pub(super) async fn run(self, session: &mut Session) -> Result<(), Failure> {
        let request = PurgeDeadLettersRequest {
            bot: session.bot.clone(),
            group: self.group.clone(),
            selection: Some(self.which.selection(session.now())?),
            dry_run: true,
        };
        let letters = |purged| format!("{} of group {}", count(purged, "dead letter"), self.group);
        let would = session.client.purge_dead_letters(request.clone()).await?.into_inner();
        let lacks = format!("no dead letter of group {}", self.group);
        if would.purged == 0
            && let Some(failure) = self.which.not_found(session, &lacks)
        {
            session.show(&would, |_| Vec::new())?;
            return Err(failure);
        }
        if self.dry_run {
            return session.show(&would, |_| vec![format!("Would remove {}.", letters(would.purged))]);
        }
        session.console.confirm(&format!("Remove {} for good?", letters(would.purged)), self.yes)?;
        let request = PurgeDeadLettersRequest { dry_run: false, ..request };
        let did = session.client.purge_dead_letters(request).await?.into_inner();
        session.show(&did, |_| vec![format!("Removed {}.", letters(did.purged))])
    }
}
