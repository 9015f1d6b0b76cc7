//! What the driver tells a stream, as messages.

use prost_types::{Duration, Timestamp};
use tonic::Status;

use super::filters;
use super::proto::server::subscribe_response::Event;
use super::proto::server::{self as pb, SubscribeResponse};
use crate::model::{self, FailureRecord, Opened, Ordering, Shard, Token, UnixMillis};
use crate::wire::ordering_key;

/// About this many bytes go into one message: enough to make the cost of a message vanish, and below the 4 MiB that
/// clients accept by default.
pub(super) const MESSAGE_BYTES: usize = 1 << 20;
/// What a delivery's own fields take beside its update and its key, roughly.
const DELIVERY_FIELDS_BYTES: usize = 128;
/// How many tokens make up a message's worth of bytes.
const TOKENS_IN_MESSAGE: usize = MESSAGE_BYTES / 62;

pub(super) fn message(event: Event) -> SubscribeResponse {
    SubscribeResponse { event: Some(event) }
}

pub(super) fn heartbeat() -> SubscribeResponse {
    message(Event::Heartbeat(pb::Heartbeat {}))
}

pub(super) fn opened(bot: &str, opened: &Opened) -> SubscribeResponse {
    message(Event::Opened(pb::Opened {
        consumer_id: opened.consumer_id.to_string(),
        bot: bot.into(),
        group: opened.group.to_string(),
        max_outstanding: saturating_i32(opened.settings.max_outstanding),
        max_outstanding_bytes: saturating_i64(opened.settings.max_outstanding_bytes),
        lease_duration: Some(duration(opened.settings.lease_ms)),
        max_lease: Some(duration(opened.group_settings.max_lease_ms)),
        max_failures: saturating_i32(opened.group_settings.max_failures),
        min_failure_span: Some(duration(opened.group_settings.min_failure_span_ms)),
        held_tokens: opened.held.iter().map(Token::encode).collect(),
        filter: opened.filter.as_ref().map(filters::message),
        paused: opened.paused,
    }))
}

pub(super) fn assignment(gained: &[Shard], lost: &[Shard], generation: u64) -> SubscribeResponse {
    let numbers = |shards: &[Shard]| shards.iter().map(|shard| i32::from(shard.number())).collect();
    message(Event::Assignment(pb::Assignment {
        gained: numbers(gained),
        lost: numbers(lost),
        generation: saturating_i64(generation),
    }))
}

/// The next message that says that leases are lost, and what is left to say.
pub(super) fn lease_lost(mut tokens: Vec<Token>) -> (SubscribeResponse, Vec<Token>) {
    let rest = tokens.split_off(tokens.len().min(TOKENS_IN_MESSAGE));
    let tokens = tokens.iter().map(Token::encode).collect();
    (message(Event::LeaseLost(pb::LeaseLost { tokens })), rest)
}

pub(super) fn draining(reason: model::DrainReason, deadline: UnixMillis) -> SubscribeResponse {
    let reason = match reason {
        model::DrainReason::Shutdown => pb::DrainReason::Shutdown,
        model::DrainReason::MaxAge => pb::DrainReason::MaxAge,
    };
    message(Event::Draining(pb::Draining { reason: reason.into(), deadline: Some(timestamp(deadline)) }))
}

/// Deliveries on their way into one message.
#[derive(Debug)]
pub(super) struct Batch {
    ordering: Ordering,
    deliveries: Vec<pb::Delivery>,
    bytes: usize,
}

impl Batch {
    /// An empty one of a group with this ordering.
    pub(super) fn new(ordering: Ordering) -> Self {
        Self { ordering, deliveries: Vec::new(), bytes: 0 }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.deliveries.is_empty()
    }

    /// Whether another delivery fits; the first one always does.
    pub(super) fn has_room_for(&self, delivery: &model::Delivery) -> bool {
        self.is_empty() || self.bytes + size(delivery) <= MESSAGE_BYTES
    }

    /// Makes room at once for the deliveries that are known to be waiting.
    pub(super) fn reserve(&mut self, deliveries: usize) {
        // More than this fit only if updates were smaller than any that Telegram sends.
        self.deliveries.reserve(deliveries.min(MESSAGE_BYTES / (2 * DELIVERY_FIELDS_BYTES)));
    }

    pub(super) fn push(&mut self, delivery: model::Delivery) {
        self.bytes += size(&delivery);
        self.deliveries.push(pb::Delivery {
            token: delivery.token.encode(),
            sequence: saturating_i64(delivery.token.sequence.0),
            attempt: saturating_i32(delivery.token.attempt),
            failures: saturating_i32(delivery.failures),
            lease_duration: Some(duration(delivery.lease_ms)),
            lease_deadline: Some(timestamp(delivery.deadline)),
            ordering_key: ordering_key(self.ordering, &delivery.payload).into_owned(),
            shard: i32::from(delivery.shard.number()),
            first_delivered_time: Some(timestamp(delivery.first_delivered)),
            last_failure: delivery.last_failure.as_ref().map(failure),
            replayed: delivery.replayed,
            trace_parent: delivery.trace.map_or_else(String::new, |trace| trace.to_string()),
            update: delivery.payload.update.clone(),
        });
    }

    pub(super) fn into_message(self) -> SubscribeResponse {
        message(Event::Deliveries(pb::Deliveries { deliveries: self.deliveries }))
    }
}

fn size(delivery: &model::Delivery) -> usize {
    let reason = delivery.last_failure.as_ref().map_or(0, |failure| failure.reason.len());
    delivery.payload.update.len() + delivery.payload.key.len() + reason + DELIVERY_FIELDS_BYTES
}

pub(super) fn failure(failure: &FailureRecord) -> pb::Failure {
    let kind = match failure.kind {
        model::FailureKind::Nacked => pb::FailureKind::Nacked,
        model::FailureKind::Expired => pb::FailureKind::Expired,
        model::FailureKind::Lost => pb::FailureKind::Lost,
        model::FailureKind::Rejected => pb::FailureKind::Rejected,
    };
    pb::Failure { kind: kind.into(), reason: failure.reason.to_string(), time: Some(timestamp(failure.time)) }
}

pub(super) fn timestamp(time: UnixMillis) -> Timestamp {
    Timestamp { seconds: saturating_i64(time.0 / 1_000), nanos: nanos(time.0) }
}

pub(super) fn duration(ms: u64) -> Duration {
    Duration { seconds: saturating_i64(ms / 1_000), nanos: nanos(ms) }
}

fn nanos(ms: u64) -> i32 {
    // Below 1,000,000,000, which fits.
    (ms % 1_000 * 1_000_000) as i32
}

/// Protos have signed integers only, for languages without unsigned ones; what is counted here never gets so high.
pub(super) fn saturating_i32(value: u32) -> i32 {
    i32::try_from(value).unwrap_or(i32::MAX)
}

pub(super) fn saturating_i64(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// How a stream ended, as what its client gets last.
pub(super) fn last(end: model::StreamEnd) -> Option<Result<SubscribeResponse, Status>> {
    super::status::stream_end(end).err().map(Err)
}
