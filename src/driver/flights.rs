//! Updates on their way from their first delivery to their settlement: how long each part of it takes, and its spans.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use prometheus_client::metrics::histogram::Histogram;

use super::groups::Groups;
use super::payload_cache::Cached;
use super::spans::{End, Spans, Traced};
use crate::dispatch::{Change, Handout, Record};
use crate::model::{GroupId, GroupName, Head, Now, Sequence, SettledAs, Token, TraceContext, UnixMillis};
use crate::observe::metrics::{BotLabels, GroupLabels, Metrics};
use crate::observe::spans::Recorder;
use crate::wire::read_envelope;

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
    flights: HashMap<Sequence, Flight>,
}

#[derive(Debug)]
struct Flight {
    /// When it was received and first delivered; `None` if it is not for the first time.
    since: Option<(UnixMillis, UnixMillis)>,
    /// For its spans, if its trace is sampled.
    traced: Option<Box<Traced>>,
}

impl Flights {
    pub(super) fn new(metrics: Metrics, bot: &str, start: &Start, recorder: Option<Recorder>) -> Self {
        let bot: Arc<str> = bot.into();
        let durable_latency =
            metrics.durable_latency.get_or_create_owned(&BotLabels { bot: Arc::clone(&bot) });
        let spans = recorder.map(|recorder| Spans::new(recorder, Arc::clone(&bot), start.journal));
        Self { metrics, bot, durable_latency, groups: BTreeMap::new(), newest_at_start: start.newest, spans }
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
        let Some(first) = handouts.first() else { return };
        let Some(record) = groups.record(first.token.group) else { return };
        let group = self.groups.entry(record.id).or_insert_with(|| {
            let sought = if record.base_generation > 1 { self.newest_at_start } else { Sequence(0) };
            Group::new(&self.metrics, &self.bot, &record.name, sought)
        });
        for handout in handouts {
            let token = &handout.token;
            let Some(Cached { payload, durable }) = find(token.sequence) else { continue };
            let Some(envelope) = read_envelope(&payload.update) else { continue };
            let is_first_time = !handout.replayed && token.sequence > group.sought;
            let since = is_first_time.then_some((envelope.received, handout.first_delivered));
            if let (Some((received, _)), 1) = (since, token.attempt) {
                group.delivery_latency.observe(seconds(durable.max(received), now.unix));
            }
            let traced = self.spans.as_ref().and_then(|spans| {
                let context = spans.context(token);
                let consumer = || consumer.map(Arc::clone).unwrap_or_default();
                let traced = || Box::new(Traced::new(now, token.attempt, context, &envelope, consumer()));
                context.sampled.then(traced)
            });
            if group.flights.len() < MAX_FOLLOWED || group.flights.contains_key(&token.sequence) {
                group.flights.insert(token.sequence, Flight { since, traced });
            }
        }
    }

    /// Deliveries have ended and updates are settled, durably.
    pub(super) fn recorded(&mut self, now: Now, records: &[Record]) {
        for record in records {
            let Some(group) = self.groups.get_mut(&record.group) else { continue };
            let mut flight = match record.change {
                Change::Ended { .. } => None,
                Change::Settled { how, .. } => {
                    let flight = group.flights.remove(&record.sequence);
                    group.settled(now, how, flight.as_ref());
                    flight
                }
            };
            let flight = flight.as_mut().or_else(|| group.flights.get_mut(&record.sequence));
            if let (Some(traced), Some(spans)) =
                (flight.and_then(|flight| flight.traced.as_mut()), &mut self.spans)
            {
                spans.ended(now, &group.labels.group, record.sequence, traced, End::of(&record.change));
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
        group.flights.clear();
    }

    /// Updates were removed for good.
    pub(super) fn purged(&mut self, now: Now, sequences: &HashSet<Sequence>) {
        for group in self.groups.values_mut() {
            for sequence in sequences {
                let flight = group.flights.remove(sequence);
                if let (Some(mut traced), Some(spans)) =
                    (flight.and_then(|flight| flight.traced), &mut self.spans)
                {
                    spans.ended(now, &group.labels.group, *sequence, &mut traced, End::PURGED);
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
            flights: HashMap::new(),
        }
    }

    /// The group is done with an update.
    fn settled(&self, now: Now, how: SettledAs, flight: Option<&Flight>) {
        let Some((received, first_delivered)) = flight.and_then(|flight| flight.since) else { return };
        if matches!(how, SettledAs::Acked | SettledAs::Rejected | SettledAs::DeadLettered) {
            self.handling_latency.observe(seconds(first_delivered, now.unix));
            self.settled_latency.observe(seconds(received, now.unix));
        }
    }

    fn end_all(&mut self, now: Now, spans: &mut Spans, end: End) {
        for (sequence, flight) in &mut self.flights {
            if let Some(traced) = &mut flight.traced {
                spans.ended(now, &self.labels.group, *sequence, traced, end);
            }
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "milliseconds of 285,000 years")]
fn seconds(from: UnixMillis, to: UnixMillis) -> f64 {
    to.since(from) as f64 / 1_000.0
}
