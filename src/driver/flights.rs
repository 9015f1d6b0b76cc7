//! Updates on their way from their first delivery to their settlement: how long each part of it takes, and its spans.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use prometheus_client::metrics::histogram::Histogram;

use super::groups::Groups;
use super::payload_cache::Cached;
use super::spans::{End, Spans, Traced};
use crate::dispatch::{Change, Handout, Record};
use crate::model::{GroupId, Head, Now, Sequence, SettledAs, Token, TraceContext, UnixMillis};
use crate::observe::metrics::{BotLabels, GroupLabels, Metrics};
use crate::observe::spans::Recorder;
use crate::wire::{Envelope, read_envelope};

/// Updates of one group that are followed at once. As many are out only with hundreds of consumers; more than these are
/// neither measured nor traced.
const MAX_FOLLOWED: usize = 1 << 16;

/// All that have been delivered in this boot and are not settled.
#[derive(Debug)]
pub(super) struct Flights {
    metrics: Metrics,
    bot: Arc<str>,
    durable_latency: Histogram,
    groups: BTreeMap<GroupId, Group>,
    spans: Option<Spans>,
}

#[derive(Debug)]
struct Group {
    labels: GroupLabels,
    delivery_latency: Histogram,
    handling_latency: Histogram,
    settled_latency: Histogram,
    flights: HashMap<Sequence, Flight>,
}

#[derive(Debug)]
struct Flight {
    received: UnixMillis,
    first_delivered: UnixMillis,
    /// For its spans, if its trace is sampled.
    traced: Option<Box<Traced>>,
}

impl Flights {
    pub(super) fn new(metrics: Metrics, bot: &str, journal: u64, recorder: Option<Recorder>) -> Self {
        let bot: Arc<str> = bot.into();
        let durable_latency =
            metrics.durable_latency.get_or_create_owned(&BotLabels { bot: Arc::clone(&bot) });
        let spans = recorder.map(|recorder| Spans::new(recorder, Arc::clone(&bot), journal));
        Self { metrics, bot, durable_latency, groups: BTreeMap::new(), spans }
    }

    /// A delivery's place in its update's trace, if there is tracing.
    pub(super) fn trace(&self, token: &Token) -> Option<TraceContext> {
        self.spans.as_ref().map(|spans| spans.context(token))
    }

    /// Updates have become durable.
    pub(super) fn durable(&mut self, now: Now, heads: &[Head]) {
        for head in heads {
            self.durable_latency.observe(seconds(head.received, now.unix));
        }
        if let Some(spans) = &mut self.spans {
            for head in heads {
                spans.received(now, head);
            }
            spans.flush();
        }
    }

    /// Updates are handed out to a consumer.
    pub(super) fn delivered(
        &mut self,
        now: Now,
        groups: &Groups,
        consumer: Option<&Arc<str>>,
        handouts: &[Handout],
        find: impl Fn(Sequence) -> Option<Cached>,
    ) {
        let Some(group) = handouts.first().and_then(|first| self.group(groups, first.token.group)) else {
            return;
        };
        let (group, spans) = group;
        for handout in handouts {
            let token = &handout.token;
            let Some(Cached { payload, durable }) = find(token.sequence) else { continue };
            let Some(envelope) = read_envelope(&payload.update) else { continue };
            let Envelope { received, .. } = envelope;
            if token.attempt == 1 {
                group.delivery_latency.observe(seconds(durable.max(received), now.unix));
            }
            let traced = || {
                let context = spans?.context(token);
                let consumer = consumer.map(Arc::clone).unwrap_or_default();
                let traced = || Box::new(Traced::new(now, token.attempt, context, &envelope, consumer));
                context.sampled.then(traced)
            };
            if group.flights.len() < MAX_FOLLOWED || group.flights.contains_key(&token.sequence) {
                let first_delivered = handout.first_delivered;
                group.flights.insert(token.sequence, Flight { received, first_delivered, traced: traced() });
            }
        }
    }

    /// Deliveries have ended and updates are settled, durably.
    pub(super) fn recorded(&mut self, now: Now, records: &[Record]) {
        for record in records {
            let Some(group) = self.groups.get_mut(&record.group) else { continue };
            match &record.change {
                Change::Ended { how, .. } => {
                    let Some(flight) = group.flights.get_mut(&record.sequence) else { continue };
                    if let (Some(traced), Some(spans)) = (&mut flight.traced, &mut self.spans) {
                        spans.ended(now, &group.labels.group, record.sequence, traced, End::Ended(*how));
                    }
                }
                Change::Settled { how, .. } => {
                    let Some(flight) = group.flights.remove(&record.sequence) else { continue };
                    if matches!(how, SettledAs::Acked | SettledAs::Rejected | SettledAs::DeadLettered) {
                        group.handling_latency.observe(seconds(flight.first_delivered, now.unix));
                        group.settled_latency.observe(seconds(flight.received, now.unix));
                    }
                    if let (Some(mut traced), Some(spans)) = (flight.traced, &mut self.spans) {
                        let name = &group.labels.group;
                        spans.ended(now, name, record.sequence, &mut traced, End::Settled(*how));
                    }
                }
            }
        }
        if let Some(spans) = &mut self.spans {
            spans.flush();
        }
    }

    /// A group is gone, and its series with it.
    pub(super) fn forget(&mut self, id: GroupId) {
        let Some(Group { labels, .. }) = self.groups.remove(&id) else { return };
        self.metrics.delivery_latency.remove(&labels);
        self.metrics.handling_latency.remove(&labels);
        self.metrics.settled_latency.remove(&labels);
    }

    /// The driver ends: what is out is no longer followed.
    pub(super) fn finish(&mut self, now: Now) {
        let Some(spans) = &mut self.spans else { return };
        for group in self.groups.values_mut() {
            for (sequence, flight) in &mut group.flights {
                if let Some(traced) = &mut flight.traced {
                    spans.ended(now, &group.labels.group, *sequence, traced, End::Stopped);
                }
            }
        }
        spans.flush();
    }

    fn group(&mut self, groups: &Groups, id: GroupId) -> Option<(&mut Group, Option<&Spans>)> {
        let name = groups.name(id)?;
        let (metrics, bot) = (&self.metrics, &self.bot);
        let group = self.groups.entry(id).or_insert_with(|| {
            let labels = GroupLabels { bot: Arc::clone(bot), group: name.as_str().into() };
            Group {
                delivery_latency: metrics.delivery_latency.get_or_create_owned(&labels),
                handling_latency: metrics.handling_latency.get_or_create_owned(&labels),
                settled_latency: metrics.settled_latency.get_or_create_owned(&labels),
                labels,
                flights: HashMap::new(),
            }
        });
        Some((group, self.spans.as_ref()))
    }
}

#[expect(clippy::cast_precision_loss, reason = "milliseconds of 285,000 years")]
fn seconds(from: UnixMillis, to: UnixMillis) -> f64 {
    to.since(from) as f64 / 1_000.0
}
