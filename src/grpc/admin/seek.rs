//! SeekGroup.

use tonic::Status;

use super::bounds;
use super::group_message::one;
use super::groups::change;
use super::refused::{self, look};
use super::selections::sequence;
use super::standings;
use crate::driver::GroupChange;
use crate::grpc::bots::{Bot, Bots};
use crate::grpc::fields::{self, invalid};
use crate::grpc::messages::saturating_i64;
use crate::grpc::proto::server as pb;
use crate::model::{GroupRecord, GroupView, Head, Sequence, UnixMillis};

/// Heads that are counted at once.
const HEADS_AT_ONCE: usize = 4_096;

pub(super) async fn seek(
    bots: &Bots,
    request: &pb::SeekGroupRequest,
) -> Result<pb::SeekGroupResponse, Status> {
    let name = fields::group(&request.group)?;
    let bot = bots.find(&request.bot)?;
    let group = refused::durable_group(bot, name.clone()).await?;
    let sequence = target(bot, request.target.as_ref()).await?;
    let brings = brings(bot, &group, sequence).await?;
    let group = if request.dry_run {
        one(bot, &group).await?
    } else {
        change(bot, name, GroupChange::Seek(sequence)).await?
    };
    Ok(pb::SeekGroupResponse {
        sequence: saturating_i64(sequence.0),
        updates: saturating_i64(brings.updates),
        redelivered: saturating_i64(brings.redelivered),
        skipped: saturating_i64(brings.skipped),
        group: Some(group),
    })
}

/// The position that a request means: that of an update, or the one after the newest.
async fn target(bot: &Bot, target: Option<&pb::seek_group_request::Target>) -> Result<Sequence, Status> {
    use pb::seek_group_request::Target;
    let newest = look(bot, |inspector| Ok(inspector.holdings()?.newest)).await?;
    let (from, time) = match target {
        None => {
            let problem = "is missing; set one of `time`, `sequence`, `earliest` and `latest`";
            return Err(invalid("target", problem).into());
        }
        Some(Target::Earliest(false)) => {
            return Err(invalid("earliest", "is false; leave it out, or set it").into());
        }
        Some(Target::Latest(false)) => {
            return Err(invalid("latest", "is false; leave it out, or set it").into());
        }
        Some(Target::Earliest(true)) => (Sequence(0), UnixMillis(0)),
        Some(Target::Latest(true)) => return Ok(newest.next()),
        Some(Target::Sequence(number)) => {
            (bounds::reached("sequence", sequence("sequence", *number)?, newest)?, UnixMillis(0))
        }
        Some(Target::Time(time)) => (Sequence(0), bounds::begun("time", *time)?),
    };
    look(bot, move |inspector| inspector.position_from(from, time)).await
}

/// What a seek brings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Brings {
    /// Matching updates from the target on.
    updates: u64,
    /// Those of them that were settled before.
    redelivered: u64,
    /// Unsettled updates before the target.
    skipped: u64,
}

/// Counts what a seek would bring. All at or below the cursor is settled, replays apart; of the others the driver is
/// asked one by one, unless its own count says it. What comes and is settled during the counting may be missed.
async fn brings(bot: &Bot, group: &GroupView, target: Sequence) -> Result<Brings, Status> {
    let status = &group.status;
    let old = &group.record;
    // With the current filter for all, from the target on.
    let new = GroupRecord {
        start: target,
        filters: vec![(Sequence(0), old.filter().cloned())],
        ..GroupRecord::clone(old)
    };
    let same_filter =
        old.filters.len() <= 1 && old.filters.iter().all(|(from, _)| *from <= target.min(old.start));
    let newest = look(bot, |inspector| Ok(inspector.holdings()?.newest)).await?;
    let mut brings = Brings::default();
    if target > newest && status.lag_exact {
        brings.skipped = status.lag;
        return Ok(brings);
    }
    // No replay is pending and all that is unsettled stays so: then the lag is what was not settled before.
    let by_lag = same_filter && status.lag_exact && status.replaying == 0 && target <= status.cursor.next();
    let first_open = if status.replaying == 0 { status.cursor.next() } else { Sequence(0) };
    let mut next = Some(if by_lag { target } else { target.min(first_open) });
    while let Some(from) = next {
        let heads = look(bot, move |inspector| inspector.heads(from, HEADS_AT_ONCE)).await?;
        next = heads.last().map(|last| last.sequence.next());
        let wanted = heads.iter().filter(|head| new.matches(head));
        brings.updates += wanted.clone().count() as u64;
        if by_lag {
            brings.redelivered += wanted.filter(|head| old.matches(head)).count() as u64;
            continue;
        }
        let (closed, open): (Vec<Head>, Vec<Head>) =
            heads.iter().partition(|head| head.sequence < first_open);
        let settled = standings::settled(bot, old.id, &open).await?;
        brings.skipped += open.iter().filter(|head| head.sequence < target).count() as u64
            - settled.iter().filter(|head| head.sequence < target).count() as u64;
        let again = |head: &&Head| new.matches(head) && old.matches(head);
        brings.redelivered += closed.iter().chain(&settled).filter(again).count() as u64;
    }
    if by_lag {
        brings.redelivered = brings.redelivered.saturating_sub(status.lag);
    }
    Ok(brings)
}
