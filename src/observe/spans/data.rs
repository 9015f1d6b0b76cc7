//! A span in the terms of OpenTelemetry: its semantic conventions for messaging, and our own attributes beside them.
//!
//! There is nothing about chats, users and contents in it: those are personal data, and a collector is no place for
//! them. Who has the bot's name and the sequence finds the rest with `switchboard updates`.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use opentelemetry::trace::{SpanContext, SpanId, SpanKind, Status, TraceFlags, TraceId, TraceState};
use opentelemetry::{InstrumentationScope, KeyValue, StringValue};
use opentelemetry_sdk::trace::{SpanData, SpanEvents, SpanLinks};

use super::{Delivery, Operation, Span};

/// The ends of deliveries that are errors.
const FAILED: [&str; 4] = ["nacked", "expired", "lost", "rejected"];

/// The span as the exporter wants it.
pub(super) fn span_data(span: Span, scope: &InstrumentationScope) -> SpanData {
    let (name, kind_of_operation, kind, delivery) = match &span.operation {
        Operation::Receive { .. } => ("receive", "receive", SpanKind::Consumer, None),
        Operation::Deliver(delivery) => ("deliver", "send", SpanKind::Producer, Some(delivery)),
        Operation::Settle(delivery) => ("settle", "settle", SpanKind::Internal, Some(delivery)),
    };
    let mut attributes = vec![
        KeyValue::new("messaging.system", "switchboard"),
        KeyValue::new("messaging.operation.name", name),
        KeyValue::new("messaging.operation.type", kind_of_operation),
        KeyValue::new("messaging.destination.name", StringValue::from(span.bot)),
        KeyValue::new("messaging.message.id", span.update_id.to_string()),
        KeyValue::new("switchboard.update_id", span.update_id),
        KeyValue::new("switchboard.kind", String::from(span.kind)),
        KeyValue::new("switchboard.sequence", saturating(span.sequence)),
    ];
    if let Operation::Receive { size } = &span.operation {
        attributes.push(KeyValue::new("messaging.message.body.size", i64::from(*size)));
    }
    let mut status = Status::Unset;
    if let Some(Delivery { group, consumer, attempt, outcome, settled }) = delivery {
        attributes.extend([
            KeyValue::new("messaging.consumer.group.name", StringValue::from(group.clone())),
            KeyValue::new("messaging.client.id", StringValue::from(consumer.clone())),
            KeyValue::new("switchboard.attempt", i64::from(*attempt)),
            KeyValue::new("switchboard.outcome", *outcome),
        ]);
        attributes.extend(settled.map(|how| KeyValue::new("switchboard.settled", how)));
        if FAILED.contains(outcome) {
            attributes.push(KeyValue::new("error.type", *outcome));
            status = Status::error(*outcome);
        }
    }
    SpanData {
        span_context: SpanContext::new(
            TraceId::from(span.trace_id),
            SpanId::from(span.span_id),
            TraceFlags::SAMPLED,
            false,
            TraceState::default(),
        ),
        parent_span_id: span.parent_id.map_or(SpanId::INVALID, SpanId::from),
        parent_span_is_remote: false,
        span_kind: kind,
        name: name.into(),
        start_time: time(span.start_ms),
        end_time: time(span.end_ms.max(span.start_ms)),
        attributes,
        dropped_attributes_count: 0,
        events: SpanEvents::default(),
        links: SpanLinks::default(),
        status,
        instrumentation_scope: scope.clone(),
    }
}

fn time(ms: u64) -> SystemTime {
    UNIX_EPOCH.checked_add(Duration::from_millis(ms)).unwrap_or(UNIX_EPOCH)
}

fn saturating(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
