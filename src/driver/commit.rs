//! From what has been gathered to a batch, and from the batch's end to the answers.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use super::consumer_stream::ConsumerStream;
use super::core::Core;
use super::fulfilment::Granted;
use super::gathering::{Append, Gathering, answer};
use super::groups::{Created, check_filter};
use super::handle::{AppendError, Appended, PauseReason, Reply, SettleError, SubscribeError};
use super::ids::IdChanges;
use crate::dispatch::{Change, GroupStart, Record, StreamId};
use crate::journal::{CommitError, JournalReader, ReadError, Room, Usage};
use crate::model::{Batch, GroupRecord, Head, Now, Opened, Sequence, StoredUpdate};

/// After a refused settlement the next commit waits this long.
const REFUSED_PAUSE_MS: u64 = 250;

/// The commit that is on its way.
#[derive(Debug)]
pub(super) struct InFlight {
    batch: Arc<Batch>,
    ids: IdChanges,
    appends: Vec<(Appended, Reply<Result<Appended, AppendError>>)>,
    /// Everybody else who waits for it; its own appends are empty.
    waiting: Gathering,
    /// Operators' changes that are in it.
    granted: Vec<Granted>,
}

impl<R: JournalReader> Core<R> {
    /// Makes up the next batch and notes who waits for it.
    pub(super) fn begin_commit(&mut self, now: Now) -> Result<Arc<Batch>, ReadError> {
        let mut batch = Batch::default();
        let (appends, ids) = self.number_updates(now, &mut batch);
        let mut waiting = self.gathering.take_rest();
        batch.own_webhook.clone_from(&waiting.webhook);
        let end = batch.updates.last().map_or(self.last_sequence, |update| update.head.sequence);
        let granted = self.grant_wishes(now, end, &mut waiting, &mut batch)?;
        self.create_groups(now, end, &mut waiting, &mut batch)?;
        self.write_records(&waiting.records, &mut batch);
        // What trimming expires is recorded with the next commit.
        batch.trimmed = self.trim_step(now, &batch)?;
        self.sweep_step(now, &mut batch)?;
        batch.cursors = self.groups.moved_cursors(&self.dispatcher);
        let sought: Vec<_> = batch.sought.iter().map(|(group, _)| *group).collect();
        batch.cursors.retain(|(group, _)| !sought.contains(group));
        let batch = Arc::new(batch);
        self.in_flight = Some(InFlight { batch: Arc::clone(&batch), ids, appends, waiting, granted });
        Ok(batch)
    }

    /// Drops repeats, sorts what came together by id, and gives out sequences.
    #[expect(clippy::type_complexity, reason = "used once, right above")]
    fn number_updates(
        &mut self,
        now: Now,
        batch: &mut Batch,
    ) -> (Vec<(Appended, Reply<Result<Appended, AppendError>>)>, IdChanges) {
        let mut seen = HashSet::new();
        let mut updates = Vec::new();
        let mut replies = Vec::new();
        for Append { updates: new, quarantined, reply } in self.gathering.take_appends() {
            let mut appended = Appended::default();
            for update in new {
                if self.ids.contains(now.unix, update.update_id) || !seen.insert(update.update_id) {
                    appended.duplicates += 1;
                } else {
                    appended.stored += 1;
                    updates.push(update);
                }
            }
            batch.quarantined.extend(quarantined);
            replies.push((appended, reply));
        }
        updates.sort_by_key(|update| update.update_id);
        let ids: Vec<_> = updates.iter().map(|update| update.update_id).collect();
        let mut sequence = self.last_sequence;
        for update in updates {
            sequence = sequence.next();
            self.last_time = self.last_time.max(update.received);
            let mut head = Head {
                sequence,
                update_id: update.update_id,
                key: update.key,
                user: update.user,
                topic: update.topic,
                kind: update.kind,
                chat_type: update.chat_type,
                label: update.label,
                claimed: false,
                size: update.size,
                received: self.last_time,
                committed: now.unix.max(self.last_time),
            };
            head.claimed = self.groups.claims(&head);
            batch.updates.push(StoredUpdate { head, payload: update.payload });
        }
        let plan = if ids.is_empty() { IdChanges::default() } else { self.ids.plan(now.unix, &ids) };
        batch.ids.clone_from(&plan.rows);
        batch.forget_ids_before_hour = plan.forget_before;
        (replies, plan)
    }

    /// Adds the groups that subscriptions ask for and that do not exist. Without room there are no new durable ones but
    /// the first: a batch with one in it would be refused as a whole, and the settlements in it with it.
    fn create_groups(
        &mut self,
        now: Now,
        end: Sequence,
        waiting: &mut Gathering,
        batch: &mut Batch,
    ) -> Result<(), ReadError> {
        let is_first = !self.groups.any_durable();
        for (subscription, reply) in std::mem::take(&mut waiting.subscriptions) {
            let start = self.first_of(subscription.start, subscription.ephemeral, end)?;
            match self.groups.create(now, &subscription, start) {
                Ok(Created::New(record)) if self.usage.room != Room::Open && !is_first => {
                    self.groups.remove(record.id);
                    answer(reply, Err(SubscribeError::NoRoom { group: record.name }));
                    continue;
                }
                Ok(Created::New(record)) => {
                    batch.groups.push(record);
                    batch.first_groups = is_first;
                }
                Ok(Created::Ephemeral(record)) => self.add_group(record),
                Ok(Created::Exists) => {}
                Err(error) => {
                    answer(reply, Err(error));
                    continue;
                }
            }
            waiting.subscriptions.push((subscription, reply));
        }
        Ok(())
    }

    fn write_records(&self, records: &[Record], batch: &mut Batch) {
        batch.settled.reserve(records.len());
        batch.events.reserve(records.len());
        for Record { group, base_generation, sequence, change, event, .. } in records {
            // What was decided before a seek means nothing after it.
            let current = self.groups.record(*group).map(|record| record.base_generation);
            let sought = batch.sought.iter().any(|(sought, _)| sought == group);
            if self.groups.is_ephemeral(*group) || current.is_none() {
                continue;
            }
            if current != Some(*base_generation) || sought {
                // But its dead letters stay, and a handler may have been told that this is one.
                if let Change::Settled { dead: Some(dead), .. } = change {
                    batch.dead_letters.push((*group, *sequence, (**dead).clone()));
                }
                continue;
            }
            if let Some(event) = event {
                batch.events.push((*group, *sequence, (**event).clone()));
            }
            match change {
                Change::Ended { state, .. } => batch.attempts.push((*group, *sequence, (**state).clone())),
                Change::Settled { how, dead } => {
                    batch.settled.push((*group, *sequence, *how));
                    if let Some(dead) = dead {
                        batch.dead_letters.push((*group, *sequence, (**dead).clone()));
                    }
                }
            }
        }
    }

    /// The commit thread has answered.
    pub(super) fn committed(
        &mut self,
        now: Now,
        result: Result<Usage, CommitError>,
        took: Duration,
    ) -> Result<(), CommitError> {
        if std::mem::take(&mut self.probing) {
            self.note_usage(now, result?);
            return Ok(());
        }
        self.note_answer(now);
        match result {
            Ok(usage) => self.durable(now, Some((usage, took))),
            Err(CommitError::NoRoom { path, why }) => {
                tracing::warn!(
                    bot = self.tally.bot(),
                    path,
                    why,
                    "the journal refused a commit for want of room"
                );
                self.refused(now);
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }

    fn note_usage(&mut self, now: Now, usage: Usage) {
        self.usage = usage;
        self.tally.usage(&usage);
        let reason = match usage.room {
            Room::Open => None,
            Room::JournalFull => Some(PauseReason::JournalFull),
            Room::DiskFull => Some(PauseReason::DiskFull),
        };
        if let Some(reason) = reason {
            self.gathering.refuse_appends(reason);
        }
        self.pause(now, reason);
    }

    /// All that was in flight is durable; without a commit there was nothing to write.
    pub(super) fn durable(&mut self, now: Now, commit: Option<(Usage, Duration)>) {
        let Some(flight) = self.in_flight.take() else { return };
        if let Some((usage, took)) = commit {
            self.tally.committed(&flight.batch, took);
            self.note_usage(now, usage);
        }
        let batch = Arc::unwrap_or_clone(flight.batch);
        self.flowing = !batch.updates.is_empty();
        self.ids.apply(&flight.ids);
        self.groups.written(&batch.cursors);
        let mut heads = Vec::with_capacity(batch.updates.len());
        for StoredUpdate { head, payload } in batch.updates {
            self.last_sequence = head.sequence;
            self.cache.push(head.sequence, Arc::new(payload), now.unix);
            heads.push(head);
        }
        if !heads.is_empty() {
            self.flights.durable(now, &heads);
            self.dispatcher.handle_appended(&heads);
        }
        if !batch.groups.is_empty() {
            for record in batch.groups {
                self.add_group(record);
            }
            self.announce_wanted();
        }
        self.dispatcher.handle_durable(now, &flight.waiting.records);
        self.tally.recorded(&self.groups, &flight.waiting.records);
        self.note_in_history(&flight.waiting.records);
        self.flights.recorded(now, &flight.waiting.records);
        self.fulfil(now, flight.granted);
        if let Some(url) = batch.own_webhook {
            self.told.own_webhook.send_replace((!url.is_empty()).then_some(url));
        }
        for (appended, reply) in flight.appends {
            self.tally.appended(appended);
            answer(reply, Ok(appended));
        }
        for settling in flight.waiting.settles {
            answer(settling.reply, Ok(settling.results));
        }
        for reply in flight.waiting.webhook_replies {
            answer(reply, Ok(()));
        }
        for (subscription, reply) in flight.waiting.subscriptions {
            self.open_stream(now, subscription, reply);
        }
    }

    fn note_in_history(&mut self, records: &[Record]) {
        for record in records {
            if let Change::Settled { .. } = &record.change {
                self.history.settled(record.group);
            }
            if record.unhandled().is_some() {
                self.history.failed(record.group);
            }
        }
    }

    pub(super) fn add_group(&mut self, record: GroupRecord) {
        self.groups.added(&record);
        let cursor = Sequence(record.start.0.saturating_sub(1));
        let tail = self.last_sequence;
        self.dispatcher.add_group(GroupStart {
            record,
            cursor,
            settled: vec![],
            attempts: vec![],
            replays: vec![],
            tail,
        });
    }

    fn open_stream(
        &mut self,
        now: Now,
        subscription: super::handle::Subscription,
        reply: Reply<Result<ConsumerStream, SubscribeError>>,
    ) {
        if self.is_stopping() {
            answer(reply, Err(SubscribeError::Stopped));
            return;
        }
        let Some(record) = self.groups.find(&subscription.group) else {
            if self.groups.is_deleted(&subscription.group) {
                answer(reply, Err(SubscribeError::Deleted(subscription.group)));
                return;
            }
            // It was ephemeral, and its last stream has ended meanwhile: the next batch makes it anew.
            self.gathering.subscriptions.push((subscription, reply));
            return;
        };
        // Its filter may have come, or changed, with the very batch that this subscription has waited for.
        if let Err(error) = check_filter(record, subscription.filter.as_ref()) {
            answer(reply, Err(error));
            return;
        }
        let (group, settings, paused) = (record.id, record.settings, record.paused.is_some());
        let ordering = record.ordering;
        let filter = record.filter().cloned();
        let consumers = self.dispatcher.stats(group).map_or(0, |stats| stats.members);
        if consumers >= super::groups::MAX_CONSUMERS {
            let limit = super::groups::MAX_CONSUMERS;
            answer(reply, Err(SubscribeError::TooManyConsumers { group: subscription.group, limit }));
            return;
        }
        let (stream, consumer_id) = self.streams.next(&subscription.consumer_id);
        let held = self.dispatcher.handle_subscribe(
            now,
            group,
            stream,
            &consumer_id,
            subscription.settings,
            &subscription.held_tokens,
        );
        if subscription.consumer_id.is_empty() {
            self.dispatcher.handle_unnamed(stream);
        }
        let opened = Opened {
            group: subscription.group,
            consumer_id,
            settings: subscription.settings,
            group_settings: settings,
            filter,
            ordering,
            paused,
            held,
        };
        let stream = self.streams.open(StreamId(stream.0), group, opened);
        answer(reply, Ok(stream));
    }

    /// Nothing of what was in flight is durable, for want of room.
    fn refused(&mut self, now: Now) {
        let Some(mut flight) = self.in_flight.take() else { return };
        self.tally.refused();
        if self.usage.room == Room::Open {
            // The next probe finds out more.
            self.usage.room = Room::DiskFull;
        }
        self.note_usage(now, self.usage);
        let reason = match self.usage.room {
            Room::JournalFull => PauseReason::JournalFull,
            Room::Open | Room::DiskFull => PauseReason::DiskFull,
        };
        for (_, reply) in flight.appends.drain(..) {
            answer(reply, Err(AppendError::Paused(reason)));
        }
        for record in &flight.batch.groups {
            self.groups.remove(record.id);
        }
        self.deny(std::mem::take(&mut flight.granted));
        if flight.batch.appends() {
            // The rest may still fit: it is tried again at once, without what needs new room.
            self.gathering.put_back(flight.waiting);
            return;
        }
        let mut records = flight.waiting.records;
        records.append(&mut self.gathering.records);
        let settles = flight.waiting.settles.into_iter().chain(self.gathering.settles.drain(..));
        for settling in settles {
            answer(settling.reply, Err(SettleError::NoRoom));
        }
        for reply in flight.waiting.webhook_replies.drain(..) {
            answer(reply, Err(AppendError::Paused(reason)));
        }
        self.gathering.subscriptions.append(&mut flight.waiting.subscriptions);
        self.dispatcher.handle_refused(now, records);
        self.not_before = now.mono.plus(REFUSED_PAUSE_MS);
    }
}
