//! Groups as messages.

use std::collections::HashMap;

use tonic::Status;

use super::refused::look;
use super::treatment;
use crate::grpc::bots::Bot;
use crate::grpc::filters;
use crate::grpc::messages::{duration, saturating_i32, saturating_i64, timestamp};
use crate::grpc::proto::server as pb;
use crate::model::{
    BlockedKey, ConsumerState, ConsumerView, GroupStatus, GroupView, HeldState, Ordering, Payload, Sequence,
};
use crate::wire::ordering_key;

/// The contents of updates that messages name by their keys.
pub(super) type Payloads = HashMap<Sequence, Payload>;

/// The messages of these groups of one bot, without samples.
pub(super) async fn messages(bot: &Bot, views: &[GroupView]) -> Result<Vec<pb::Group>, Status> {
    let blocked: Vec<Sequence> =
        views.iter().flat_map(|view| &view.status.blocked).map(|key| key.held.sequence).collect();
    let payloads = payloads(bot, blocked).await?;
    Ok(views.iter().map(|view| group(bot.handle.bot(), view, &payloads)).collect())
}

/// The message of one group, with samples.
pub(super) async fn whole(bot: &Bot, view: &GroupView) -> Result<pb::Group, Status> {
    let mut group = one(bot, view).await?;
    if let Some(status) = &mut group.status {
        status.samples = view
            .samples
            .iter()
            .map(|sample| pb::GroupSample {
                time: Some(timestamp(sample.time)),
                lag: saturating_i64(sample.lag),
                outstanding: count(sample.outstanding),
                settled_total: saturating_i64(sample.settled),
            })
            .collect();
    }
    Ok(group)
}

/// The message of one group, without samples.
pub(super) async fn one(bot: &Bot, view: &GroupView) -> Result<pb::Group, Status> {
    Ok(messages(bot, std::slice::from_ref(view)).await?.pop().unwrap_or_default())
}

/// The contents of these updates, as far as they are stored.
pub(super) async fn payloads(bot: &Bot, sequences: Vec<Sequence>) -> Result<Payloads, Status> {
    if sequences.is_empty() {
        return Ok(Payloads::new());
    }
    look(bot, move |inspector| {
        let payloads = inspector.payloads(&sequences)?;
        let found = sequences.iter().zip(payloads);
        Ok(found.filter_map(|(sequence, payload)| Some((*sequence, payload?))).collect())
    })
    .await
}

/// The text of an update's ordering key; empty if the update is gone meanwhile.
pub(super) fn key(ordering: Ordering, payload: Option<&Payload>) -> String {
    payload.map(|payload| ordering_key(ordering, payload).into_owned()).unwrap_or_default()
}

pub(super) fn count(count: usize) -> i32 {
    i32::try_from(count).unwrap_or(i32::MAX)
}

pub(super) fn ordering(ordering: Ordering) -> pb::Ordering {
    match ordering {
        Ordering::Chat => pb::Ordering::Chat,
        Ordering::User => pb::Ordering::User,
        Ordering::Topic => pb::Ordering::Topic,
        Ordering::None => pb::Ordering::None,
    }
}

fn group(bot: &str, view: &GroupView, payloads: &Payloads) -> pb::Group {
    let record = &view.record;
    pb::Group {
        bot: bot.into(),
        name: record.name.to_string(),
        filter: record.filter().map(filters::message),
        fallback: record.fallback,
        ordering: ordering(record.ordering).into(),
        settings: Some(treatment::message(record)),
        ephemeral: view.ephemeral,
        pause_time: record.paused.map(timestamp),
        create_time: Some(timestamp(record.created)),
        start_sequence: saturating_i64(record.start.0),
        generation: i64::from(record.generation),
        status: Some(status(view, payloads)),
    }
}

fn status(view: &GroupView, payloads: &Payloads) -> pb::GroupStatus {
    let GroupStatus {
        lag,
        lag_exact,
        oldest,
        oldest_time,
        cursor,
        outstanding,
        backing_off,
        replaying,
        blocked,
        consumers,
    } = &view.status;
    let rates = &view.rates;
    pb::GroupStatus {
        lag: saturating_i64(*lag),
        lag_exact: *lag_exact,
        oldest_unsettled_sequence: oldest.map_or(0, |oldest| saturating_i64(oldest.0)),
        oldest_unsettled_time: oldest_time.map(timestamp),
        cursor_sequence: saturating_i64(cursor.0),
        outstanding: count(*outstanding),
        backing_off: count(*backing_off),
        replaying: count(*replaying),
        dead_letter_count: saturating_i64(view.dead_letters),
        blocked_keys: blocked.iter().map(|key| blocked_key(view.record.ordering, key, payloads)).collect(),
        consumers: consumers.iter().map(consumer).collect(),
        rates: Some(pb::GroupRates {
            deliveries: rates.deliveries,
            settled: rates.settled,
            failures: rates.failures,
            arrivals: rates.arrivals,
        }),
        samples: Vec::new(),
    }
}

fn blocked_key(ordering: Ordering, blocked: &BlockedKey, payloads: &Payloads) -> pb::BlockedKey {
    let held = &blocked.held;
    pb::BlockedKey {
        ordering_key: key(ordering, payloads.get(&held.sequence)),
        sequence: saturating_i64(held.sequence.0),
        failures: saturating_i32(held.failures),
        next_attempt_time: match held.state {
            HeldState::BackingOff { until } => Some(timestamp(until)),
            HeldState::Outstanding { .. } | HeldState::Settling | HeldState::Waiting => None,
        },
        last_reason: held.last_failure.as_ref().map(|failure| failure.reason.to_string()).unwrap_or_default(),
        waiting: count(blocked.waiting),
    }
}

fn consumer(view: &ConsumerView) -> pb::Consumer {
    let state = match view.state {
        ConsumerState::Open => pb::ConsumerState::Open,
        ConsumerState::Draining => pb::ConsumerState::Draining,
        ConsumerState::Leaving => pb::ConsumerState::Leaving,
        ConsumerState::Lost => pb::ConsumerState::Lost,
        ConsumerState::Suspect => pb::ConsumerState::Suspect,
    };
    let range = |(first, last): &(u16, u16)| pb::ShardRange { first: (*first).into(), last: (*last).into() };
    let in_range = |(first, last): &(u16, u16)| i32::from(last.saturating_sub(*first)) + 1;
    pb::Consumer {
        consumer_id: view.consumer_id.to_string(),
        state: state.into(),
        connect_time: view.connected.map(timestamp),
        shards: view.shards.iter().map(range).collect(),
        shard_count: view.shards.iter().map(in_range).sum(),
        outstanding: saturating_i32(view.outstanding),
        max_outstanding: saturating_i32(view.settings.max_outstanding),
        outstanding_bytes: saturating_i64(view.outstanding_bytes),
        max_outstanding_bytes: saturating_i64(view.settings.max_outstanding_bytes),
        lease_duration: Some(duration(view.settings.lease_ms)),
    }
}
