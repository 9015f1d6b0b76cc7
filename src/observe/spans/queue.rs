//! Finished spans that wait to be sent.

use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use super::Span;
use crate::observe::metrics::Metrics;

/// Spans that wait at most; about 4 MiB.
pub(super) const MAX_WAITING: usize = 16_384;
/// Spans that go into one call. As many as wait wake the exporter; fewer wait for its next look.
pub(super) const BATCH: usize = 1_024;

/// A bounded queue.
#[derive(Debug)]
pub(super) struct Queue {
    waiting: Mutex<Vec<Span>>,
    pub(super) filled: Notify,
    pub(super) metrics: Metrics,
}

impl Queue {
    pub(super) fn new(metrics: Metrics) -> Self {
        Self { waiting: Mutex::default(), filled: Notify::new(), metrics }
    }

    /// Takes the spans in, as far as there is room.
    pub(super) fn put(&self, spans: &mut Vec<Span>) {
        let mut waiting = self.lock();
        let room = MAX_WAITING - waiting.len().min(MAX_WAITING);
        let dropped = spans.len().saturating_sub(room);
        waiting.extend(spans.drain(..).take(room));
        let enough = waiting.len() >= BATCH;
        drop(waiting);
        if dropped > 0 {
            self.dropped(dropped);
        }
        if enough {
            self.filled.notify_one();
        }
    }

    /// The next ones to send; all of them are older than those that stay.
    pub(super) fn take(&self) -> Vec<Span> {
        let mut waiting = self.lock();
        let count = waiting.len().min(BATCH);
        waiting.drain(..count).collect()
    }

    pub(super) fn dropped(&self, count: usize) {
        self.metrics.spans_dropped.inc_by(count as u64);
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Span>> {
        // Nothing in here can panic half-way.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observe::spans::Operation;

    pub(super) fn span(sequence: u64) -> Span {
        Span {
            operation: Operation::Receive { size: 1 },
            trace_id: 1,
            span_id: 1,
            parent_id: None,
            start_ms: 0,
            end_ms: 0,
            bot: "bot".into(),
            sequence,
            update_id: 1,
            kind: "message".into(),
        }
    }

    #[test]
    fn what_does_not_fit_is_dropped_and_counted_and_the_older_ones_stay() {
        let queue = Queue::new(Metrics::new());
        let mut spans: Vec<_> = (0..MAX_WAITING as u64 + 5).map(span).collect();
        queue.put(&mut spans);
        assert!(spans.is_empty());
        assert_eq!(queue.metrics.spans_dropped.get(), 5);
        let first = queue.take();
        assert_eq!((first.len(), first[0].sequence), (BATCH, 0));
        queue.put(&mut vec![span(7); BATCH + 1]);
        assert_eq!(queue.metrics.spans_dropped.get(), 6);
    }
}
