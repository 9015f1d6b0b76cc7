//! The open Subscribe streams: where deliveries go.

use std::collections::BTreeMap;
use std::sync::{Arc, mpsc};

use tokio::sync::mpsc::UnboundedSender;

use super::consumer_stream::ConsumerStream;
use super::handle::Input;
use super::payload_cache::{Cached, PayloadCache};
use crate::dispatch::{Command, Handout, StreamId};
use crate::model::{Delivery, GroupId, Opened, Sequence, StreamEnd, StreamEvent, TraceContext};

#[derive(Debug)]
struct Stream {
    group: GroupId,
    consumer: Arc<str>,
    events: UnboundedSender<StreamEvent>,
}

/// All open streams of one bot. What a stream's consumer has not read yet is bounded by its credit.
#[derive(Debug)]
pub(super) struct Streams {
    open: BTreeMap<StreamId, Stream>,
    last: u64,
    inputs: mpsc::Sender<Input>,
}

impl Streams {
    pub(super) fn new(inputs: mpsc::Sender<Input>) -> Self {
        Self { open: BTreeMap::new(), last: 0, inputs }
    }

    /// The next stream's number, and its consumer's name: as asked for, or made up.
    pub(super) fn next(&mut self, consumer_id: &str) -> (StreamId, Box<str>) {
        self.last += 1;
        let id = StreamId(self.last);
        let name = if consumer_id.is_empty() {
            format!("consumer-{}", self.last).into()
        } else {
            consumer_id.into()
        };
        (id, name)
    }

    pub(super) fn open(&mut self, id: StreamId, group: GroupId, opened: Opened) -> ConsumerStream {
        let consumer = opened.consumer_id.as_ref().into();
        let (stream, events) = ConsumerStream::new(id.0, opened, self.inputs.clone());
        self.open.insert(id, Stream { group, consumer, events });
        stream
    }

    /// Forgets a stream; its group, if it was open.
    pub(super) fn remove(&mut self, id: StreamId) -> Option<GroupId> {
        self.open.remove(&id).map(|stream| stream.group)
    }

    pub(super) fn any_of(&self, group: GroupId) -> bool {
        self.open.values().any(|stream| stream.group == group)
    }

    /// The name of a stream's consumer.
    pub(super) fn consumer(&self, id: StreamId) -> Option<&Arc<str>> {
        self.open.get(&id).map(|stream| &stream.consumer)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    pub(super) fn ids(&self) -> Vec<StreamId> {
        self.open.keys().copied().collect()
    }

    pub(super) fn send(&self, id: StreamId, event: StreamEvent) {
        if let Some(Stream { events, .. }) = self.open.get(&id) {
            // One that has just gone says so itself.
            let _gone = events.send(event);
        }
    }

    pub(super) fn end_all(&mut self, end: StreamEnd) {
        for id in self.ids() {
            self.send(id, StreamEvent::End(end));
        }
        self.open.clear();
    }

    /// The sequences that these commands deliver and that are not in the cache.
    pub(super) fn missing(&self, commands: &[Command], cache: &PayloadCache) -> Vec<Sequence> {
        let mut missing: Vec<_> = commands
            .iter()
            .filter_map(|command| match command {
                Command::Deliver { handouts, .. } => Some(handouts),
                _ => None,
            })
            .flatten()
            .map(|handout| handout.token.sequence)
            .filter(|sequence| cache.get(*sequence).is_none())
            .collect();
        missing.sort_unstable();
        missing.dedup();
        missing
    }

    /// Completes handouts with their payloads and sends them. One without a payload is gone and is not sent: it has been
    /// trimmed, which happens to ephemeral groups only, where its leases run out, and the group gives it up like any
    /// failing one; or it has just been purged, of which the group hears next.
    /// `note` hears of each that is sent, and says what its place in a trace is.
    pub(super) fn deliver(
        &self,
        id: StreamId,
        handouts: Vec<Handout>,
        find: impl Fn(Sequence) -> Option<Cached>,
        mut note: impl FnMut(&Handout, &Cached) -> Option<TraceContext>,
    ) {
        let complete = |handout: Handout| {
            let Some(cached) = find(handout.token.sequence) else {
                tracing::warn!(
                    sequence = handout.token.sequence.0,
                    "an update was trimmed or purged before it was delivered"
                );
                return None;
            };
            let trace = note(&handout, &cached);
            Some(Delivery {
                payload: cached.payload,
                token: handout.token,
                failures: handout.failures,
                lease_ms: handout.lease_ms,
                deadline: handout.deadline_unix,
                shard: handout.key.shard(),
                first_delivered: handout.first_delivered,
                last_failure: handout.last_failure,
                replayed: handout.replayed,
                trace,
            })
        };
        let deliveries: Vec<_> = handouts.into_iter().filter_map(complete).collect();
        if !deliveries.is_empty() {
            self.send(id, StreamEvent::Deliveries(deliveries));
        }
    }
}
