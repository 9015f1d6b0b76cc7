//! What many updates are at in one group, asked of the driver a few at a time.

use tonic::Status;

use super::refused::stopped;
use crate::grpc::bots::Bot;
use crate::model::{GroupId, Head, UpdateStanding};

/// What one question may have: the driver answers it between two deliveries.
const HEADS_AT_ONCE: usize = 200;

/// Those of the updates that a group is done with, or never had to do with: what is neither held nor waits.
pub(super) async fn settled(bot: &Bot, group: GroupId, heads: &[Head]) -> Result<Vec<Head>, Status> {
    let mut settled = Vec::new();
    for heads in heads.chunks(HEADS_AT_ONCE) {
        let standings = bot.handle.standing(heads.to_vec(), Some(group)).await.ok_or_else(stopped)?;
        for (head, in_groups) in heads.iter().zip(standings) {
            let mut here = in_groups.iter().map(|here| &here.standing);
            if !here.any(|at| matches!(at, UpdateStanding::Held(_) | UpdateStanding::Pending { .. })) {
                settled.push(*head);
            }
        }
    }
    Ok(settled)
}
