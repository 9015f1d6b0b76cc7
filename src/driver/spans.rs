//! From what happens to updates to spans of their traces.

use std::sync::Arc;

use super::tally::{settled_label, unhandled_label};
use crate::dispatch::Change;
use crate::model::{
    FailureKind, Head, Now, Sequence, SettledAs, Token, TraceContext, UnixMillis, delivery_span_id,
    receive_span_id, trace_id,
};
use crate::observe::spans::{Delivery, Operation, Recorder, Span};
use crate::wire::Envelope;

/// Makes the spans of one bot.
#[derive(Debug)]
pub(super) struct Spans {
    recorder: Recorder,
    bot: Arc<str>,
    journal: u64,
    /// Made, and handed over all at once.
    made: Vec<Span>,
}

/// What is remembered of an update's newest delivery, for its spans.
#[derive(Debug)]
pub(super) struct Traced {
    context: TraceContext,
    update_id: i64,
    kind: Box<str>,
    consumer: Arc<str>,
    attempt: u32,
    /// When it was made; `None` once its span has ended.
    out_since: Option<UnixMillis>,
}

/// What happened to an update that was delivered: how its delivery ended, and the group was done with it, if it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct End {
    pub(super) outcome: &'static str,
    pub(super) settled: Option<&'static str>,
}

impl Traced {
    pub(super) fn new(
        now: Now,
        attempt: u32,
        context: TraceContext,
        envelope: &Envelope<'_>,
        consumer: Arc<str>,
    ) -> Self {
        let Envelope { update_id, kind, .. } = *envelope;
        Self { context, update_id, kind: kind.into(), consumer, attempt, out_since: Some(now.unix) }
    }
}

impl Spans {
    pub(super) fn new(recorder: Recorder, bot: Arc<str>, journal: u64) -> Self {
        Self { recorder, bot, journal, made: Vec::new() }
    }

    pub(super) fn context(&self, token: &Token) -> TraceContext {
        let trace_id = trace_id(token.journal, token.sequence);
        let sampled = self.recorder.samples(trace_id);
        TraceContext { trace_id, span_id: delivery_span_id(token), sampled }
    }

    /// An update is durable.
    pub(super) fn received(&mut self, now: Now, head: &Head) {
        let trace_id = trace_id(self.journal, head.sequence);
        if self.recorder.samples(trace_id) {
            self.made.push(Span {
                operation: Operation::Receive { size: head.size },
                trace_id,
                span_id: receive_span_id(self.journal, head.sequence),
                parent_id: None,
                start_ms: head.received.0,
                end_ms: now.unix.0,
                bot: Arc::clone(&self.bot),
                sequence: head.sequence.0,
                update_id: head.update_id,
                kind: head.kind.name().into(),
            });
        }
    }

    /// A delivery has ended, or the group is done with the update, or both.
    pub(super) fn ended(
        &mut self,
        now: Now,
        group: &Arc<str>,
        sequence: Sequence,
        traced: &mut Traced,
        end: End,
    ) {
        let delivery = Delivery {
            group: Arc::clone(group),
            consumer: Arc::clone(&traced.consumer),
            attempt: traced.attempt,
            outcome: end.outcome,
            settled: end.settled,
        };
        let TraceContext { trace_id, span_id, .. } = traced.context;
        let (operation, span_id, parent_id, since) = match traced.out_since.take() {
            Some(since) => {
                (Operation::Deliver(delivery), span_id, receive_span_id(self.journal, sequence), since)
            }
            // Late, or by nobody's word: a moment under the last delivery, with an id that hangs on that one's.
            None if end.settled.is_some() => {
                (Operation::Settle(delivery), settle_span_id(span_id), span_id, now.unix)
            }
            None => return,
        };
        self.made.push(Span {
            operation,
            trace_id,
            span_id,
            parent_id: Some(parent_id),
            start_ms: since.0,
            end_ms: now.unix.0,
            bot: Arc::clone(&self.bot),
            sequence: sequence.0,
            update_id: traced.update_id,
            kind: traced.kind.clone(),
        });
    }

    /// Hands over what was made.
    pub(super) fn flush(&mut self) {
        self.recorder.record(&mut self.made);
    }
}

impl End {
    /// The gateway stops; whoever has the delivery may go on.
    pub(super) const STOPPED: Self = Self { outcome: "unsettled", settled: None };
    /// The group was sought: the delivery counts no longer.
    pub(super) const SOUGHT: Self = Self { outcome: "revoked", settled: None };

    /// The update was removed for good.
    pub(super) const PURGED: Self = Self { outcome: "revoked", settled: Some("purged") };

    pub(super) fn of(change: &Change) -> Self {
        match change {
            Change::Ended { how, .. } => {
                Self { outcome: unhandled_label((*how).into()).unwrap_or_default(), settled: None }
            }
            Change::Settled { how, dead } => {
                let failure = dead.as_ref().and_then(|dead| dead.attempts.history.last());
                let outcome = match (how, failure.map(|failure| failure.kind)) {
                    (SettledAs::Acked, _) => "acked",
                    (_, Some(FailureKind::Nacked)) => "nacked",
                    (_, Some(FailureKind::Expired)) => "expired",
                    (_, Some(FailureKind::Lost)) => "lost",
                    (SettledAs::Rejected, _) | (_, Some(FailureKind::Rejected)) => "rejected",
                    (SettledAs::DeadLettered | SettledAs::Expired | SettledAs::Purged, None) => "revoked",
                };
                Self { outcome, settled: Some(settled_label(*how)) }
            }
        }
    }
}

fn settle_span_id(delivery: u64) -> u64 {
    delivery.wrapping_add(1).max(1)
}
