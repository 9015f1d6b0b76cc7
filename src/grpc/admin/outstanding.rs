//! ListOutstanding.

use std::collections::HashMap;

use tonic::Status;

use super::group_message::{Payloads, key, payloads};
use super::paging::{Page, Pager, Position};
use super::refused::{self, look, refused};
use crate::grpc::bots::{Bot, Bots};
use crate::grpc::fields;
use crate::grpc::messages::{failure, saturating_i32, saturating_i64, timestamp};
use crate::grpc::proto::server as pb;
use crate::model::{GroupView, Head, HeldState, HeldView, KeyHash, Ordering, Sequence};

/// What is asked of the driver at once.
const HELD_AT_ONCE: usize = 200;

pub(super) async fn list(
    bots: &Bots,
    mut request: pb::ListOutstandingRequest,
) -> Result<pb::ListOutstandingResponse, Status> {
    let pager = Pager::take(&mut request)?;
    let bot = bots.find(&request.bot)?;
    let groups = match request.group.as_str() {
        "" => refused::groups(bot).await?,
        name => vec![refused::group(bot, fields::group(name)?).await?],
    };
    let mut page = Page::new(&pager);
    for group in &groups {
        let name = group.record.name.as_str();
        let mut after = match &pager.from {
            Some(from) if name < from.name.as_str() => continue,
            Some(from) if name == from.name => Sequence(from.number.saturating_sub(1)),
            _ => Sequence(0),
        };
        loop {
            let held = match next(bot, group, &request.ordering_key, after).await {
                Ok(held) => held,
                // Gone meanwhile, as ephemeral groups go.
                Err(status) if status.code() == tonic::Code::NotFound && request.group.is_empty() => break,
                Err(status) => return Err(status),
            };
            let Some(last) = held.last else { break };
            for delivery in held.deliveries {
                let sequence = delivery.sequence;
                if page.room() == 0 || !page.add(delivery) {
                    let number = u64::try_from(sequence).unwrap_or_default();
                    let next = Position { name: name.to_owned(), number };
                    let next_page_token = pager.token(Some(next));
                    return Ok(pb::ListOutstandingResponse { deliveries: page.results, next_page_token });
                }
            }
            after = last;
        }
    }
    Ok(pb::ListOutstandingResponse { deliveries: page.results, next_page_token: String::new() })
}

/// What is held after a position, as messages.
struct Held {
    deliveries: Vec<pb::OutstandingDelivery>,
    /// The last position looked at; `None` if there was nothing.
    last: Option<Sequence>,
}

async fn next(bot: &Bot, group: &GroupView, wanted: &str, after: Sequence) -> Result<Held, Status> {
    let record = &group.record;
    // Where nothing is ordered, the key is made of the position, and its text is `update:<id>`.
    let by_id = record.ordering == Ordering::None;
    let hash = (!wanted.is_empty() && !by_id).then(|| KeyHash::of(wanted));
    let held = match bot.handle.held(record.name.clone(), hash, after, HELD_AT_ONCE).await {
        Ok(held) => held,
        Err(why) => return Err(refused(bot, why).await),
    };
    let sequences: Vec<_> = held.iter().map(|held| held.sequence).collect();
    let payloads = payloads(bot, sequences.clone()).await?;
    let heads: HashMap<Sequence, Head> = look(bot, move |inspector| {
        let mut heads = HashMap::new();
        for sequence in sequences {
            heads.extend(inspector.head(sequence)?.map(|head| (sequence, head)));
        }
        Ok(heads)
    })
    .await?;
    let last = held.last().map(|held| held.sequence);
    let deliveries = held
        .iter()
        .map(|held| message(group, held, heads.get(&held.sequence), &payloads))
        .filter(|delivery| wanted.is_empty() || !by_id || delivery.ordering_key == wanted)
        .collect();
    Ok(Held { deliveries, last })
}

fn message(
    group: &GroupView,
    held: &HeldView,
    head: Option<&Head>,
    payloads: &Payloads,
) -> pb::OutstandingDelivery {
    let (state, lease_deadline, next_attempt_time) = match held.state {
        HeldState::Outstanding { deadline } => {
            (pb::UpdateState::Outstanding, Some(timestamp(deadline)), None)
        }
        HeldState::Settling => (pb::UpdateState::Outstanding, None, None),
        HeldState::BackingOff { until } => (pb::UpdateState::BackingOff, None, Some(timestamp(until))),
        HeldState::Waiting => (pb::UpdateState::Pending, None, None),
    };
    pb::OutstandingDelivery {
        group: group.record.name.to_string(),
        sequence: saturating_i64(held.sequence.0),
        ordering_key: key(group.record.ordering, payloads.get(&held.sequence)),
        kind: head.map_or("", |head| head.kind.name()).to_owned(),
        state: state.into(),
        attempt: saturating_i32(held.attempt),
        failures: saturating_i32(held.failures),
        consumer_id: held.consumer.to_string(),
        first_delivered_time: Some(timestamp(held.first_delivered)),
        lease_deadline,
        next_attempt_time,
        last_failure: held.last_failure.as_ref().map(failure),
    }
}
