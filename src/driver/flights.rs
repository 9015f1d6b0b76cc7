//! Updates on their way from their first delivery to their settlement: how long each part of it takes, and its spans.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use prometheus_client::metrics::histogram::Histogram;

use super::groups::Groups;
use super::payload_cache::Cached;
use super::spans::{End, Spans, Traced};
use crate::dispatch::{Change, Handout, Record};
use crate::model::{GroupId, GroupName, Head, Now, Sequence, SettledAs, TraceContext, UnixMillis};
use crate::observe::metrics::{BotLabels, GroupLabels, Metrics};
use crate::observe::spans::Recorder;
use crate::wire::read_envelope;

/// Updates of one group that are traced at once. As many are out only with hundreds of consumers; more than these are
/// not.
const MAX_TRACED: usize = 1 << 16;

/// Measures those that are delivered and settled, and traces those that have been delivered in this boot.
#[derive(Debug)]
pub(super) struct Flights {
    metrics: Metrics,
    bot: Arc<str>,
    durable_latency: Histogram,
    groups: BTreeMap<GroupId, Group>,
    /// The newest update at the start.
    newest_at_start: Sequence,
    spans: Option<Spans>,
}

/// What the journal holds at the start.
#[derive(Debug)]
pub(super) struct Start {
    /// The journal's id.
    pub(super) journal: u64,
    /// The newest update.
    pub(super) newest: Sequence,
}

#[derive(Debug)]
struct Group {
    labels: GroupLabels,
    delivery_latency: Histogram,
    handling_latency: Histogram,
    settled_latency: Histogram,
    /// What came up to here may have been delivered before a seek of an earlier boot: its times mean nothing.
    sought: Sequence,
    /// What is remembered of those whose traces are sampled.
    traced: HashMap<Sequence, Traced>,
}

/// Updates on their way out to one consumer.
pub(super) struct Boarding<'a> {
    now: Now,
    group: &'a mut Group,
    consumer: Option<&'a Arc<str>>,
    spans: Option<&'a Spans>,
}

impl Boarding<'_> {
    /// One of them; its place in its update's trace, if there is tracing.
    pub(super) fn delivered(&mut self, handout: &Handout, cached: &Cached) -> Option<TraceContext> {
        let (now, token) = (self.now, &handout.token);
        let received = handout.received.filter(|_| token.sequence > self.group.sought);
        if let (Some(received), 1) = (received, token.attempt) {
            self.group.delivery_latency.observe(seconds(cached.durable.max(received), now.unix));
        }
        let context = self.spans?.context(token);
        let traced = &mut self.group.traced;
        if context.sampled
            && (traced.len() < MAX_TRACED || traced.contains_key(&token.sequence))
            && let Some(envelope) = read_envelope(&cached.payload.update)
        {
            let consumer = self.consumer.map(Arc::clone).unwrap_or_default();
            traced.insert(token.sequence, Traced::new(now, token.attempt, context, &envelope, consumer));
        }
        Some(context)
    }
}

impl Flights {
    pub(super) fn new(metrics: Metrics, bot: &str, start: &Start, recorder: Option<Recorder>) -> Self {
        let bot: Arc<str> = bot.into();
        let durable_latency =
            metrics.durable_latency.get_or_create_owned(&BotLabels { bot: Arc::clone(&bot) });
        let spans = recorder.map(|recorder| Spans::new(recorder, Arc::clone(&bot), start.journal));
        Self { metrics, bot, durable_latency, groups: BTreeMap::new(), newest_at_start: start.newest, spans }
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

    /// Updates of a group are handed out to a consumer.
    pub(super) fn boarding<'a>(
        &'a mut self,
        now: Now,
        groups: &Groups,
        group: GroupId,
        consumer: Option<&'a Arc<str>>,
    ) -> Option<Boarding<'a>> {
        let record = groups.record(group)?;
        let group = self.groups.entry(record.id).or_insert_with(|| {
            let sought = if record.base_generation > 1 { self.newest_at_start } else { Sequence(0) };
            Group::new(&self.metrics, &self.bot, &record.name, sought)
        });
        Some(Boarding { now, group, consumer, spans: self.spans.as_ref() })
    }

    /// Deliveries have ended and updates are settled, durably.
    pub(super) fn recorded(&mut self, now: Now, records: &[Record]) {
        for record in records {
            let Some(group) = self.groups.get_mut(&record.group) else { continue };
            if let Change::Settled { how, .. } = record.change {
                group.settled(now, how, record);
            }
            let Some(spans) = &mut self.spans else { continue };
            if let Some(traced) = group.traced.get_mut(&record.sequence) {
                spans.ended(now, &group.labels.group, record.sequence, traced, End::of(&record.change));
            }
            if let Change::Settled { .. } = record.change {
                group.traced.remove(&record.sequence);
            }
        }
        if let Some(spans) = &mut self.spans {
            spans.flush();
        }
    }

    /// A group was sought: nothing that was out counts any longer.
    pub(super) fn sought(&mut self, now: Now, id: GroupId) {
        let Some(group) = self.groups.get_mut(&id) else { return };
        if let Some(spans) = &mut self.spans {
            group.end_all(now, spans, End::SOUGHT);
            spans.flush();
        }
        group.traced.clear();
    }

    /// Updates were removed for good.
    pub(super) fn purged(&mut self, now: Now, sequences: &HashSet<Sequence>) {
        let Some(spans) = &mut self.spans else { return };
        for group in self.groups.values_mut() {
            for sequence in sequences {
                if let Some(mut traced) = group.traced.remove(sequence) {
                    spans.ended(now, &group.labels.group, *sequence, &mut traced, End::PURGED);
                }
            }
        }
        spans.flush();
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
            group.end_all(now, spans, End::STOPPED);
        }
        spans.flush();
    }
}

impl Group {
    fn new(metrics: &Metrics, bot: &Arc<str>, name: &GroupName, sought: Sequence) -> Self {
        let labels = GroupLabels { bot: Arc::clone(bot), group: name.as_str().into() };
        Self {
            delivery_latency: metrics.delivery_latency.get_or_create_owned(&labels),
            handling_latency: metrics.handling_latency.get_or_create_owned(&labels),
            settled_latency: metrics.settled_latency.get_or_create_owned(&labels),
            labels,
            sought,
            traced: HashMap::new(),
        }
    }

    /// The group is done with an update.
    fn settled(&self, now: Now, how: SettledAs, record: &Record) {
        let Some(since) = record.since.filter(|_| record.sequence > self.sought) else { return };
        if matches!(how, SettledAs::Acked | SettledAs::Rejected | SettledAs::DeadLettered) {
            self.handling_latency.observe(seconds(since.first_delivered, now.unix));
            self.settled_latency.observe(seconds(since.received, now.unix));
        }
    }

    fn end_all(&mut self, now: Now, spans: &mut Spans, end: End) {
        for (sequence, traced) in &mut self.traced {
            spans.ended(now, &self.labels.group, *sequence, traced, end);
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "milliseconds of 285,000 years")]
fn seconds(from: UnixMillis, to: UnixMillis) -> f64 {
    to.since(from) as f64 / 1_000.0
}
