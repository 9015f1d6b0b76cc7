//! Spans of distributed traces, on their way to a collector by OTLP.
//!
//! Whoever records a span hands it over and goes on: the queue is bounded, what does not fit is dropped and counted,
//! and a task of its own sends. A collector that is slow or gone holds nothing up.

mod data;
mod exporter;
mod queue;

use std::sync::Arc;

pub use exporter::{Exporter, StartError, start};

use queue::Queue;

/// Where spans go, and which.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// The collector's OTLP endpoint for gRPC: `http://127.0.0.1:4317`.
    pub endpoint: Box<str>,
    /// The part of the traces that is sent, 0 to 1.
    pub sample_ratio: f64,
    /// What the collector knows the gateway by: `service.name`.
    pub service_name: Box<str>,
}

/// One finished span. Ids are not 0; times are milliseconds since 1970.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Span {
    /// What was done.
    pub operation: Operation,
    /// The trace.
    pub trace_id: u128,
    /// The span.
    pub span_id: u64,
    /// The span that it is a part of; `None` for the root.
    pub parent_id: Option<u64>,
    /// When it began.
    pub start_ms: u64,
    /// When it ended.
    pub end_ms: u64,
    /// The bot's name.
    pub bot: Arc<str>,
    /// The update's position in the bot's journal.
    pub sequence: u64,
    /// Telegram's id of the update.
    pub update_id: i64,
    /// The update's kind.
    pub kind: Box<str>,
}

/// What a span tells of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Operation {
    /// An update came, until it was durable.
    Receive {
        /// Bytes of its JSON.
        size: u32,
    },
    /// An update was out at a consumer.
    Deliver(Delivery),
    /// A group was done with an update of which nothing was out.
    Settle(Delivery),
}

/// A delivery, or the last one, and what became of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// The group's name.
    pub group: Arc<str>,
    /// The consumer's name.
    pub consumer: Arc<str>,
    /// Its number.
    pub attempt: u32,
    /// How it ended: `acked`, `nacked`, `released`, `expired`, `lost`, `rejected`, `revoked`, or `unsettled` where it goes
    /// on after the gateway's end.
    pub outcome: &'static str,
    /// How the group was done with the update by that, if it was.
    pub settled: Option<&'static str>,
}

/// Takes spans in. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Recorder {
    queue: Arc<Queue>,
    /// A trace is sampled if the lower 63 bits of its id are below this.
    bound: u64,
}

impl PartialEq for Recorder {
    /// Whether both hand over to the same exporter.
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.queue, &other.queue)
    }
}

impl Eq for Recorder {}

impl Recorder {
    fn new(queue: Arc<Queue>, sample_ratio: f64) -> Self {
        Self { queue, bound: bound(sample_ratio) }
    }

    /// One whose spans stay where they are until they are taken.
    #[cfg(test)]
    pub(crate) fn without_exporter() -> Self {
        Self::new(Arc::new(Queue::new(super::metrics::Metrics::new())), 1.0)
    }

    /// What has been recorded.
    #[cfg(test)]
    pub(crate) fn taken(&self) -> Vec<Span> {
        self.queue.take()
    }

    /// Whether the spans of this trace are sent. As the SDKs of OpenTelemetry decide by a trace's id, so that a part of a
    /// system that samples by the same ratio has the same traces.
    #[must_use]
    pub fn samples(&self, trace_id: u128) -> bool {
        (trace_id as u64) >> 1 < self.bound
    }

    /// Takes the spans, as far as there is room, and leaves none behind. Never waits.
    pub fn record(&self, spans: &mut Vec<Span>) {
        if !spans.is_empty() {
            self.queue.put(spans);
        }
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "0 to 2^63, and saturating"
)]
fn bound(ratio: f64) -> u64 {
    (ratio.clamp(0.0, 1.0) * (1u64 << 63) as f64) as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observe::metrics::Metrics;

    #[test]
    fn sampling_takes_about_the_ratio_and_always_the_same_traces() {
        let ids = || (1..=10_000u64).map(|n| xxhash_rust::xxh3::xxh3_128(&n.to_be_bytes()));
        let recorder = |ratio| Recorder::new(Arc::new(Queue::new(Metrics::new())), ratio);
        let sampled = |ratio| ids().filter(|id| recorder(ratio).samples(*id)).count();
        assert_eq!((sampled(0.0), sampled(1.0)), (0, 10_000));
        assert!((2_300..2_700).contains(&sampled(0.25)), "{}", sampled(0.25));
        let (few, many) = (recorder(0.25), recorder(0.5));
        assert!(ids().filter(|id| few.samples(*id)).all(|id| many.samples(id)), "a higher ratio takes more");
        assert!(recorder(1.0).samples(u128::MAX));
    }
}
