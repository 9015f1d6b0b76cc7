//! `switchboard seek`: moves a group to another position.

use clap::Args;

use super::failure::Failure;
use super::moment::Position;
use super::session::{Session, Target};
use super::words::count;
use crate::grpc::proto::client::seek_group_request::Target as To;
use crate::grpc::proto::client::{SeekGroupRequest, SeekGroupResponse};

/// Move a group to another position: from there on everything is delivered (again)
#[derive(Args, Clone, Debug)]
pub struct SeekArgs {
    /// The group
    #[arg(value_name = "GROUP")]
    group: String,

    /// Where to: earliest, latest, a sequence, a time like 2026-05-01T12:00:00Z (without a zone UTC), or so long ago like
    /// -1h or 1h
    #[arg(long, value_name = "POSITION", allow_hyphen_values = true)]
    to: Position,

    /// Only say what it would do
    #[arg(long)]
    dry_run: bool,

    /// Do not ask
    #[arg(long)]
    yes: bool,

    #[command(flatten)]
    pub(super) target: Target,
}

impl SeekArgs {
    pub(super) async fn run(self, session: &mut Session) -> Result<(), Failure> {
        let target = match self.to {
            Position::Earliest => To::Earliest(true),
            Position::Latest => To::Latest(true),
            Position::Sequence(sequence) => To::Sequence(sequence),
            Position::Time(moment) => To::Time(moment.begin(session.now(), "--to")?),
        };
        let request = SeekGroupRequest {
            bot: session.bot.clone(),
            group: self.group.clone(),
            target: Some(target),
            dry_run: true,
        };
        if self.dry_run {
            let would = session.client.seek_group(request).await?.into_inner();
            return session
                .show(&would, |_| vec![format!("Would move group {} to {}.", self.group, effect(&would))]);
        }
        if !self.yes {
            let would = session.client.seek_group(request.clone()).await?.into_inner();
            session.console.confirm(&format!("Move group {} to {}?", self.group, effect(&would)), false)?;
        }
        let request = SeekGroupRequest { dry_run: false, ..request };
        let did = session.client.seek_group(request).await?.into_inner();
        session.show(&did, |_| vec![format!("Moved group {} to {}.", self.group, effect(&did))])
    }
}

fn effect(seek: &SeekGroupResponse) -> String {
    let again =
        if seek.redelivered > 0 { format!(" ({} of them again)", seek.redelivered) } else { String::new() };
    let skipped = match seek.skipped {
        0 => String::new(),
        skipped => format!(", skips {}", count(skipped, "unsettled update")),
    };
    format!("sequence {}: brings {}{again}{skipped}", seek.sequence, count(seek.updates, "update"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_effect_says_what_comes_what_comes_again_and_what_is_skipped() {
        let seek =
            SeekGroupResponse { sequence: 40, updates: 12, redelivered: 10, ..SeekGroupResponse::default() };
        assert_eq!(effect(&seek), "sequence 40: brings 12 updates (10 of them again)");
        let seek = SeekGroupResponse { sequence: 52, skipped: 3, ..SeekGroupResponse::default() };
        assert_eq!(effect(&seek), "sequence 52: brings 0 updates, skips 3 unsettled updates");
    }
}
