//! `switchboard groups pause` and `resume`.

use clap::Args;

use super::super::failure::Failure;
use super::super::session::Session;
use crate::grpc::proto::client::{PauseGroupRequest, ResumeGroupRequest};

#[derive(Args, Clone, Debug)]
pub(super) struct PauseArgs {
    /// The group
    #[arg(value_name = "NAME")]
    name: String,
}

#[derive(Args, Clone, Debug)]
pub(super) struct ResumeArgs {
    /// The group
    #[arg(value_name = "NAME")]
    name: String,
}

impl PauseArgs {
    pub(super) async fn run(self, session: &mut Session) -> Result<(), Failure> {
        let request = PauseGroupRequest { bot: session.bot.clone(), group: self.name };
        let group = session.client.pause_group(request).await?.into_inner().group.unwrap_or_default();
        session.show(&group, |session| {
            let out = group.status.as_ref().map_or(0, |status| status.outstanding);
            let resume = session.command(&format!("groups resume {}", group.name));
            vec![format!("Paused group {}; {out} out can still be settled. Go on with: {resume}", group.name)]
        })
    }
}

impl ResumeArgs {
    pub(super) async fn run(self, session: &mut Session) -> Result<(), Failure> {
        let request = ResumeGroupRequest { bot: session.bot.clone(), group: self.name };
        let group = session.client.resume_group(request).await?.into_inner().group.unwrap_or_default();
        session.show(&group, |_| {
            vec![format!("Resumed group {}; {} unsettled.", group.name, super::lag(&group))]
        })
    }
}
