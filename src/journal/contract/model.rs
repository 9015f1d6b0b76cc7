//! What a journal should hold, kept the simplest way.

use std::collections::{BTreeMap, BTreeSet};

use crate::journal::{Counts, DeadLetterCount, Recovered, RecoveredGroup, Room, SettledBlock, Usage};
use crate::model::{
    AttemptRecord, Batch, Event, GroupId, GroupName, GroupRecord, Head, IdRange, Payload, Quarantined,
    Sequence, StoredDeadLetter, UnixMillis,
};

/// One group.
#[derive(Clone, Debug)]
pub(super) struct ModelGroup {
    pub(super) record: GroupRecord,
    pub(super) cursor: Sequence,
    pub(super) settled: BTreeSet<Sequence>,
    pub(super) attempts: BTreeMap<Sequence, AttemptRecord>,
    pub(super) dead: BTreeMap<Sequence, StoredDeadLetter>,
    pub(super) replays: BTreeMap<Sequence, u32>,
}

/// A whole journal.
#[derive(Clone, Debug)]
pub(super) struct Model {
    /// What does not follow from the rest.
    pub(super) recovered: Recovered,
    pub(super) heads: BTreeMap<Sequence, Head>,
    pub(super) payloads: BTreeMap<Sequence, Payload>,
    pub(super) groups: BTreeMap<GroupId, ModelGroup>,
    pub(super) ids: BTreeMap<(u32, i64), i64>,
    pub(super) deleted: BTreeSet<GroupName>,
    pub(super) quarantined: BTreeMap<u64, Quarantined>,
    /// By update, group, time, generation, attempt, and how it was settled.
    pub(super) events: BTreeMap<(Sequence, GroupId, UnixMillis, u32, u32, u8), Event>,
}

impl Model {
    pub(super) fn new(journal_id: u64) -> Self {
        let recovered = Recovered {
            journal_id,
            boot: 1,
            last_sequence: Sequence(0),
            first_stored: None,
            last_time: UnixMillis(0),
            last_group: GroupId(0),
            groups: Vec::new(),
            deleted: Vec::new(),
            ids: Vec::new(),
            own_webhook: None,
            usage: Usage { used_bytes: 0, max_bytes: 0, room: Room::Open },
        };
        Self {
            recovered,
            heads: BTreeMap::new(),
            payloads: BTreeMap::new(),
            groups: BTreeMap::new(),
            ids: BTreeMap::new(),
            deleted: BTreeSet::new(),
            quarantined: BTreeMap::new(),
            events: BTreeMap::new(),
        }
    }

    pub(super) fn apply(&mut self, batch: &Batch) {
        for record in &batch.groups {
            self.seen(record.created);
            self.recovered.last_group = self.recovered.last_group.max(record.id);
            let new = || ModelGroup {
                record: record.clone(),
                cursor: Sequence(0),
                settled: BTreeSet::new(),
                attempts: BTreeMap::new(),
                dead: BTreeMap::new(),
                replays: BTreeMap::new(),
            };
            self.groups.entry(record.id).or_insert_with(new).record = record.clone();
        }
        for group in &batch.deleted_groups {
            let removed = self.groups.remove(group);
            self.deleted.extend(removed.map(|group| group.record.name));
        }
        for record in batch.groups.iter().filter(|record| self.groups.contains_key(&record.id)) {
            self.deleted.remove(&record.name);
        }
        for (group, to) in &batch.sought {
            let Some(state) = self.groups.get_mut(group) else { continue };
            state.cursor = *to;
            state.settled.clear();
            state.attempts.clear();
            state.replays.clear();
        }
        for update in &batch.updates {
            self.seen(update.head.received);
            self.recovered.last_sequence = update.head.sequence;
            self.heads.insert(update.head.sequence, update.head);
            self.payloads.insert(update.head.sequence, update.payload.clone());
        }
        for range in &batch.ids {
            self.ids.insert((range.hour, range.first), range.last);
        }
        self.ids.retain(|(hour, _), _| *hour >= batch.forget_ids_before_hour);
        for element in &batch.quarantined {
            self.seen(element.received);
            let last = self.quarantined.keys().next_back().copied().unwrap_or_default();
            self.quarantined.insert(last + 1, element.clone());
        }
        for (group, at, record) in &batch.attempts {
            let Some(state) = self.groups.get_mut(group) else { continue };
            if !state.is_settled(*at) || state.replays.contains_key(at) {
                state.attempts.insert(*at, record.clone());
                self.seen(record.first_delivered);
                record.history.iter().for_each(|failure| self.seen(failure.time));
            }
        }
        for (group, at, _) in &batch.settled {
            let Some(state) = self.groups.get_mut(group) else { continue };
            state.attempts.remove(at);
            state.replays.remove(at);
            if *at > state.cursor {
                state.settled.insert(*at);
            }
        }
        for (group, at, letter) in &batch.dead_letters {
            let (Some(head), Some(payload)) = (self.heads.get(at), self.payloads.get(at)) else { continue };
            let stored = StoredDeadLetter { head: *head, letter: letter.clone(), payload: payload.clone() };
            let Some(state) = self.groups.get_mut(group) else { continue };
            state.dead.insert(*at, stored);
            self.seen(letter.time);
        }
        for (group, at, event) in &batch.events {
            self.seen(event.time);
            self.events.insert(event_key(*group, *at, event), event.clone());
        }
        for (group, at, generation) in &batch.replays {
            let Some(state) = self.groups.get_mut(group) else { continue };
            if !self.heads.contains_key(at) {
                let Some(letter) = state.dead.get(at) else { continue };
                self.heads.insert(*at, letter.head);
                self.payloads.insert(*at, letter.payload.clone());
            }
            state.attempts.remove(at);
            state.replays.insert(*at, *generation);
        }
        for (group, at) in &batch.removed_dead_letters {
            self.groups.get_mut(group).map(|state| state.dead.remove(at));
        }
        for (group, cursor) in &batch.cursors {
            let Some(state) = self.groups.get_mut(group) else { continue };
            state.cursor = state.cursor.max(*cursor);
            state.settled = state.settled.split_off(&state.cursor.next());
        }
        self.trim_and_purge(batch);
        self.quarantined.retain(|number, _| *number > batch.forget_quarantined_to);
        if let Some(url) = &batch.own_webhook {
            self.recovered.own_webhook = (!url.is_empty()).then(|| url.clone());
        }
    }

    fn trim_and_purge(&mut self, batch: &Batch) {
        let waits = |groups: &BTreeMap<_, ModelGroup>, at| {
            groups.values().any(|group| group.replays.contains_key(at))
        };
        let trimmed = batch.trimmed.iter().filter(|at| !waits(&self.groups, at)).copied();
        let gone: BTreeSet<Sequence> = trimmed.chain(batch.purged.iter().copied()).collect();
        for at in &gone {
            self.heads.remove(at);
            self.payloads.remove(at);
        }
        for state in self.groups.values_mut() {
            for at in &batch.purged {
                state.attempts.remove(at);
                state.replays.remove(at);
                state.dead.remove(at);
                if *at > state.cursor {
                    state.settled.insert(*at);
                }
            }
        }
        if !batch.trimmed.is_empty() || !batch.purged.is_empty() {
            let first = self.heads.keys().next().copied().unwrap_or(Sequence(u64::MAX));
            self.events.retain(|(at, ..), _| *at >= first && !gone.contains(at));
        }
    }

    fn seen(&mut self, time: UnixMillis) {
        self.recovered.last_time = self.recovered.last_time.max(time);
    }

    pub(super) fn recover(&self) -> Recovered {
        Recovered {
            first_stored: self.heads.keys().next().copied(),
            groups: self.groups.values().map(|group| group.recover(&self.heads)).collect(),
            deleted: self.deleted.iter().cloned().collect(),
            ids: self.ids.iter().map(|(&(hour, first), &last)| IdRange { hour, first, last }).collect(),
            ..self.recovered.clone()
        }
    }

    pub(super) fn counts(&self) -> Counts {
        let count = |state: &ModelGroup| DeadLetterCount {
            count: state.dead.len() as u64,
            bytes: state.dead.values().map(|letter| u64::from(letter.head.size)).sum(),
        };
        let some = self.groups.iter().filter(|(_, state)| !state.dead.is_empty());
        Counts {
            updates: self.heads.len() as u64,
            first: self.heads.values().next().map(|head| (head.sequence, head.received)),
            dead_letters: some.map(|(id, state)| (*id, count(state))).collect(),
            quarantined: self.quarantined.len() as u64,
        }
    }

    pub(super) fn first_at(&self, from: Sequence, time: UnixMillis) -> Option<Sequence> {
        let by_sequence = self.heads.keys().find(|sequence| **sequence >= from)?;
        let by_time = self.heads.values().find(|head| head.received >= time)?.sequence;
        Some(by_time.max(*by_sequence))
    }
}

impl ModelGroup {
    fn is_settled(&self, at: Sequence) -> bool {
        at <= self.cursor || self.settled.contains(&at)
    }

    fn recover(&self, heads: &BTreeMap<Sequence, Head>) -> RecoveredGroup {
        let mut blocks: BTreeMap<u64, Box<[u64; 64]>> = BTreeMap::new();
        for at in &self.settled {
            let words = blocks.entry(at.0 / 4096).or_insert_with(|| Box::new([0; 64]));
            words[(at.0 % 4096 / 64) as usize] |= 1 << (at.0 % 64);
        }
        RecoveredGroup {
            record: self.record.clone(),
            cursor: self.cursor,
            settled: blocks.into_iter().map(|(number, words)| SettledBlock { number, words }).collect(),
            attempts: self.attempts.iter().map(|(at, record)| (*at, record.clone())).collect(),
            replays: self.replays.iter().map(|(at, generation)| (heads[at], *generation)).collect(),
        }
    }
}

fn event_key(group: GroupId, at: Sequence, event: &Event) -> (Sequence, GroupId, UnixMillis, u32, u32, u8) {
    let attempt = event.attempt.as_ref();
    let (generation, attempt) = attempt.map_or((0, 0), |ended| (ended.generation, ended.attempt));
    (at, group, event.time, generation, attempt, event.settled.map_or(0, |how| 1 + how as u8))
}
