//! GetUpdate: one update, and what became of it in every group.

use std::collections::HashMap;

use tonic::Status;

use super::clock::now;
use super::group_message::key;
use super::refused::{self, NotFound, look, stopped};
use super::selections::{View, sequence};
use super::stored;
use crate::grpc::bots::{Bot, Bots};
use crate::grpc::fields::invalid;
use crate::grpc::messages::{saturating_i32, saturating_i64, timestamp};
use crate::grpc::proto::server as pb;
use crate::inspect::{
    Attempt, InspectError, Inspector, Question, Selection, Timeline, UpdateState, settled, timeline,
};
use crate::model::{
    AttemptOutcome, DeadLetter, Event, GroupId, GroupView, Head, Ordering, Payload, Sequence, SettledAs,
    UpdateInGroup, UpdateStanding,
};

pub(super) async fn get(
    bots: &Bots,
    request: &pb::GetUpdateRequest,
) -> Result<pb::GetUpdateResponse, Status> {
    use pb::get_update_request::Id;
    let (wanted, key, value) = match request.id {
        None => {
            return Err(invalid("id", "is missing; set one of `sequence` and `update_id`").into());
        }
        Some(Id::Sequence(value)) => (Wanted::At(sequence("sequence", value)?), "sequence", value),
        Some(Id::UpdateId(value)) => (Wanted::WithId(value), "update_id", value),
    };
    let bot = bots.find(&request.bot)?;
    let groups = refused::groups(bot).await?;
    let ids: Vec<_> = groups.iter().map(|group| group.record.id).collect();
    let found = look(bot, move |inspector| Found::new(inspector, wanted, &ids)).await?;
    let found = found.ok_or(NotFound::Update { key, value })?;
    Ok(pb::GetUpdateResponse {
        update: Some(stored::update(&found.head, &found.payload, Ordering::Chat, View::Full)),
        timelines: timelines(bot, &groups, &found).await?,
    })
}

/// Which update is wanted.
#[derive(Clone, Copy, Debug)]
enum Wanted {
    At(Sequence),
    WithId(i64),
}

/// An update with all that the journal knows of it.
struct Found {
    head: Head,
    payload: Payload,
    events: Vec<(GroupId, Event)>,
    /// Of the groups where it is one.
    letters: HashMap<GroupId, DeadLetter>,
}

impl Found {
    fn new(inspector: &Inspector, wanted: Wanted, groups: &[GroupId]) -> Result<Option<Self>, InspectError> {
        let stored = match wanted {
            Wanted::At(sequence) => inspector.head(sequence)?,
            Wanted::WithId(id) => inspector.newest_with_id(id)?,
        };
        let payload = match &stored {
            Some(head) => inspector.payloads(&[head.sequence])?.pop().flatten(),
            None => None,
        };
        let found = match stored.zip(payload) {
            Some(found) => Some(found),
            None => among_dead_letters(inspector, wanted, groups)?,
        };
        let Some((head, payload)) = found else { return Ok(None) };
        let mut letters = HashMap::new();
        for group in groups {
            let letter = inspector.dead_letter(*group, head.sequence)?;
            letters.extend(letter.map(|letter| (*group, letter.letter)));
        }
        let events = inspector.events(head.sequence)?;
        Ok(Some(Self { head, payload, events, letters }))
    }
}

/// One that was trimmed, if it is a dead letter; the newest of several.
fn among_dead_letters(
    inspector: &Inspector,
    wanted: Wanted,
    groups: &[GroupId],
) -> Result<Option<(Head, Payload)>, InspectError> {
    let mut found: Option<(Head, Payload)> = None;
    for group in groups {
        let letter = match wanted {
            Wanted::At(sequence) => inspector.dead_letter(*group, sequence)?,
            Wanted::WithId(id) => newest_letter(inspector, *group, id)?,
        };
        if let Some(letter) = letter
            && found.as_ref().is_none_or(|(head, _)| head.sequence < letter.head.sequence)
        {
            found = Some((letter.head, letter.payload));
        }
    }
    Ok(found)
}

fn newest_letter(
    inspector: &Inspector,
    group: GroupId,
    id: i64,
) -> Result<Option<crate::model::StoredDeadLetter>, InspectError> {
    let selection = Selection { update_id: Some(id), ..Selection::default() };
    let mut from = Some(Sequence(u64::MAX));
    while let Some(at) = from {
        let page = inspector.dead_letters_down(group, &selection, at, 1)?;
        if let Some(letter) = page.letters.into_iter().next() {
            return Ok(Some(letter));
        }
        from = page.next;
    }
    Ok(None)
}

async fn timelines(bot: &Bot, groups: &[GroupView], found: &Found) -> Result<Vec<pb::GroupTimeline>, Status> {
    let standing = bot.handle.standing(vec![found.head], None).await.ok_or_else(stopped)?;
    let in_groups: Vec<UpdateInGroup> = standing.into_iter().flatten().collect();
    let holders = holders(bot, &in_groups).await?;
    let mut timelines = Vec::new();
    for here in &in_groups {
        let id = here.group.id;
        // Made since the groups were looked at: it has had nothing to do with this update.
        let Some(group) = groups.iter().find(|group| group.record.id == id) else { continue };
        let events: Vec<_> =
            found.events.iter().filter(|(of, _)| *of == id).map(|(_, event)| event.clone()).collect();
        let key = key(here.group.ordering, Some(&found.payload));
        let timeline = timeline(here, &events, found.letters.get(&id));
        let explanation = match timeline.state {
            UpdateState::Settled(how) => settled(found.head.sequence, &timeline, how, now()),
            _ => {
                let holder = timeline.blocked_by.and_then(|sequence| holders.get(&(id, sequence)));
                let sequence = found.head.sequence;
                Question { sequence, key: &key, here, holder, group, now: now() }.answer()
            }
        };
        timelines.push(message(timeline, explanation));
    }
    Ok(timelines)
}

/// The updates that hold the keys that this one waits for, in their groups.
async fn holders(
    bot: &Bot,
    in_groups: &[UpdateInGroup],
) -> Result<HashMap<(GroupId, Sequence), UpdateInGroup>, Status> {
    let wanted: Vec<Sequence> = in_groups
        .iter()
        .filter_map(|here| match here.standing {
            UpdateStanding::Pending { behind } => behind,
            _ => None,
        })
        .collect();
    if wanted.is_empty() {
        return Ok(HashMap::new());
    }
    let heads: Vec<Head> = look(bot, move |inspector| {
        wanted.iter().filter_map(|sequence| inspector.head(*sequence).transpose()).collect()
    })
    .await?;
    let standings = bot.handle.standing(heads.clone(), None).await.ok_or_else(stopped)?;
    let each = heads.iter().zip(standings);
    Ok(each
        .flat_map(|(head, in_groups)| {
            in_groups.into_iter().map(move |here| ((here.group.id, head.sequence), here))
        })
        .collect())
}

fn message(timeline: Timeline, explanation: String) -> pb::GroupTimeline {
    let state = match timeline.state {
        UpdateState::NotMatched => pb::UpdateState::NotMatched,
        UpdateState::BeforeStart => pb::UpdateState::BeforeStart,
        UpdateState::Pending => pb::UpdateState::Pending,
        UpdateState::Blocked => pb::UpdateState::Blocked,
        UpdateState::Outstanding => pb::UpdateState::Outstanding,
        UpdateState::BackingOff => pb::UpdateState::BackingOff,
        UpdateState::Settled(None) => pb::UpdateState::Settled,
        UpdateState::Settled(Some(SettledAs::Acked)) => pb::UpdateState::Acked,
        UpdateState::Settled(Some(SettledAs::Rejected)) => pb::UpdateState::Rejected,
        UpdateState::Settled(Some(SettledAs::DeadLettered)) => pb::UpdateState::DeadLettered,
        UpdateState::Settled(Some(SettledAs::Expired)) => pb::UpdateState::Expired,
        UpdateState::Settled(Some(SettledAs::Purged)) => pb::UpdateState::Purged,
    };
    pb::GroupTimeline {
        group: timeline.group.to_string(),
        state: state.into(),
        attempts: timeline.attempts.iter().map(attempt).collect(),
        settle_time: timeline.settled.map(timestamp),
        next_attempt_time: timeline.next_attempt.map(timestamp),
        blocked_by_sequence: timeline.blocked_by.map_or(0, |sequence| saturating_i64(sequence.0)),
        owner_consumer_id: timeline.owner.map(|owner| owner.to_string()).unwrap_or_default(),
        explanation,
    }
}

fn attempt(attempt: &Attempt) -> pb::DeliveryAttempt {
    let outcome = match attempt.end.map(|(_, outcome)| outcome) {
        None => pb::AttemptOutcome::Outstanding,
        Some(AttemptOutcome::Acked) => pb::AttemptOutcome::Acked,
        Some(AttemptOutcome::Nacked) => pb::AttemptOutcome::Nacked,
        Some(AttemptOutcome::Released) => pb::AttemptOutcome::Released,
        Some(AttemptOutcome::Expired) => pb::AttemptOutcome::Expired,
        Some(AttemptOutcome::Lost) => pb::AttemptOutcome::Lost,
        Some(AttemptOutcome::Rejected) => pb::AttemptOutcome::Rejected,
        Some(AttemptOutcome::Revoked) => pb::AttemptOutcome::Revoked,
    };
    pb::DeliveryAttempt {
        attempt: saturating_i32(attempt.number),
        consumer_id: attempt.consumer.to_string(),
        deliver_time: attempt.delivered.map(timestamp),
        end_time: attempt.end.map(|(time, _)| timestamp(time)),
        outcome: outcome.into(),
        reason: attempt.reason.to_string(),
        replayed: attempt.replayed,
        lease_deadline: attempt.deadline.map(timestamp),
    }
}
