//! A dispatcher with everything around it that a driver would bring: a journal in memory, commits, and the time.

use std::collections::{BTreeMap, BTreeSet};

use super::invariants;
use super::steering::Steer;
use crate::dispatch::{
    Change, Command, Dispatcher, GroupStart, HeadsWanted, Identity, Jitter, Record, StreamId,
};
use crate::model::{
    AttemptRecord, ConsumerSettings, Event, Filter, GroupId, GroupName, GroupRecord, GroupSettings, Head,
    KeyHash, Label, Monotonic, Now, Sequence, SettledAs, SettledResult, Settlement, Token, UnixMillis,
};
use crate::update::KindCode;

pub(super) const JOURNAL: u64 = 7;
pub(super) const GROUP: GroupId = GroupId(1);
/// The wall clock's reading at the start.
pub(super) const EPOCH: u64 = 1_000_000;

/// What is durable of one group.
#[derive(Clone, Debug)]
pub(super) struct Progress {
    pub(super) record: GroupRecord,
    pub(super) cursor: Sequence,
    pub(super) settled: BTreeMap<Sequence, SettledAs>,
    pub(super) attempts: BTreeMap<Sequence, AttemptRecord>,
    /// Pending replays with their generations.
    pub(super) replays: BTreeMap<Sequence, u32>,
    /// The newest update at the last seek under this boot.
    pub(super) sought_to: Sequence,
    /// What is told for the updates' timelines.
    pub(super) trail: BTreeMap<Sequence, Vec<Event>>,
}

/// What one commit carries beside updates.
#[derive(Debug, Default)]
pub(super) struct Commit {
    pub(super) records: Vec<Record>,
    pub(super) steers: Vec<Steer>,
    cursors: Vec<(GroupId, Sequence)>,
}

#[derive(Debug)]
pub(super) struct World {
    pub(super) dispatcher: Dispatcher,
    pub(super) now: Now,
    pub(super) boot: u32,
    pub(super) heads: Vec<Head>,
    pub(super) groups: BTreeMap<GroupId, Progress>,
    /// Records that wait for the next commit.
    pub(super) gathered: Vec<Record>,
    pub(super) steers: Vec<Steer>,
    pub(super) in_flight: Option<Commit>,
    /// Updates that are gone from the journal.
    pub(super) purged: BTreeSet<Sequence>,
    /// Whether each record is made durable as soon as the turn that made it is over.
    pub(super) commits_at_once: bool,
    /// Whether the dispatcher's inside is checked after each turn; its price grows with the backlog.
    pub(super) checks: bool,
    /// Chunks of heads read in one turn at most: the driver, too, leaves a long scan for the next turn.
    pub(super) reads_per_turn: usize,
    /// What makes new updates differ in more than their key.
    pub(super) vary: fn(&mut Head),
    last_stream: u64,
}

impl World {
    /// One group with these settings, from the first update on.
    pub(super) fn new(settings: GroupSettings) -> Self {
        Self::of(record(GROUP, Sequence(1), settings))
    }

    /// One group.
    pub(super) fn of(record: GroupRecord) -> Self {
        let mut world = Self {
            dispatcher: dispatcher(1),
            now: Now { mono: Monotonic(0), unix: UnixMillis(EPOCH) },
            boot: 1,
            heads: Vec::new(),
            groups: BTreeMap::new(),
            gathered: Vec::new(),
            steers: Vec::new(),
            in_flight: None,
            purged: BTreeSet::new(),
            commits_at_once: true,
            checks: true,
            reads_per_turn: 10_000,
            vary: |_| (),
            last_stream: 0,
        };
        world.add(record);
        world
    }

    pub(super) fn add_group(&mut self, id: GroupId, start: Sequence, settings: GroupSettings) {
        self.add(record(id, start, settings));
    }

    fn add(&mut self, record: GroupRecord) {
        let (id, cursor) = (record.id, Sequence(record.start.0 - 1));
        let progress = Progress {
            record,
            cursor,
            settled: BTreeMap::new(),
            attempts: BTreeMap::new(),
            replays: BTreeMap::new(),
            sought_to: Sequence(0),
            trail: BTreeMap::new(),
        };
        self.groups.insert(id, progress);
        self.start_group(id);
    }

    fn start_group(&mut self, id: GroupId) {
        let progress = &self.groups[&id];
        let mut blocks: BTreeMap<u64, Box<[u64; 64]>> = BTreeMap::new();
        for sequence in progress.settled.keys().filter(|sequence| **sequence > progress.cursor) {
            let words = blocks.entry(sequence.0 / 4096).or_insert_with(|| Box::new([0; 64]));
            words[(sequence.0 % 4096 / 64) as usize] |= 1 << (sequence.0 % 64);
        }
        self.dispatcher.add_group(GroupStart {
            record: progress.record.clone(),
            cursor: progress.cursor,
            settled: blocks.into_iter().collect(),
            attempts: progress.attempts.iter().map(|(at, state)| (*at, state.clone())).collect(),
            replays: progress
                .replays
                .iter()
                .map(|(at, generation)| (self.heads[at.0 as usize - 1], *generation))
                .collect(),
            tail: self.tail(),
        });
    }

    pub(super) fn tail(&self) -> Sequence {
        self.heads.last().map_or(Sequence(0), |head| head.sequence)
    }

    /// Appends one update for each key and size; they are durable at once.
    pub(super) fn append(&mut self, updates: impl IntoIterator<Item = (KeyHash, u32)>) {
        let now = self.now.unix;
        self.append_heads(updates.into_iter().map(|(key, size)| head(now, key, size)));
    }

    /// Appends updates, which get their sequences; they are durable at once.
    pub(super) fn append_heads(&mut self, heads: impl IntoIterator<Item = Head>) {
        let from = self.heads.len();
        for head in heads {
            let mut head = Head { sequence: self.tail().next(), ..head };
            (self.vary)(&mut head);
            self.heads.push(head);
        }
        self.dispatcher.handle_appended(&self.heads[from..]);
    }

    /// An operator changes the group; that is durable at once.
    pub(super) fn change_group(&mut self, change: impl FnOnce(&mut GroupRecord)) {
        let group = self.groups.get_mut(&GROUP).unwrap();
        change(&mut group.record);
        self.dispatcher.update_group(group.record.clone());
    }

    /// The group gets other updates from the next one on.
    pub(super) fn filter(&mut self, filter: Option<Filter>) {
        let from = self.tail().next();
        self.change_group(|record| record.filters.push((from, filter)));
    }

    pub(super) fn next_stream(&mut self) -> StreamId {
        self.last_stream += 1;
        StreamId(self.last_stream)
    }

    pub(super) fn subscribe(
        &mut self,
        consumer_id: &str,
        settings: ConsumerSettings,
        held: &[Token],
    ) -> (StreamId, Vec<Token>) {
        let stream = self.next_stream();
        let kept = self.dispatcher.handle_subscribe(self.now, GROUP, stream, consumer_id, settings, held);
        (stream, kept)
    }

    pub(super) fn settle(&mut self, token: &Token, settlement: &Settlement) -> SettledResult {
        self.dispatcher.handle_settle(self.now, token.group, token, settlement)
    }

    /// Polls until nothing is left to do now, as the driver does in its turn, and returns what came out.
    pub(super) fn turn(&mut self) -> Vec<Command> {
        let mut all = Vec::new();
        loop {
            self.poll(&mut all);
            if !self.commits_at_once || self.gathered.is_empty() && self.steers.is_empty() {
                break;
            }
            self.begin_commit();
            self.finish_commit();
        }
        if self.checks {
            invariants::check(self);
        }
        all
    }

    fn poll(&mut self, all: &mut Vec<Command>) {
        let mut commands = Vec::new();
        self.dispatcher.poll(self.now, &mut commands);
        let mut reads = 0;
        while reads < self.reads_per_turn
            && let Some(wanted) = self.dispatcher.heads_wanted()
        {
            reads += 1;
            assert!(reads < 10_000, "reads heads for ever: {wanted:?}");
            let heads = self.read(wanted);
            self.dispatcher.handle_heads(wanted.group, &heads);
            self.dispatcher.poll(self.now, &mut commands);
        }
        while reads < self.reads_per_turn
            && let Some(wanted) = self.dispatcher.count_wanted()
        {
            reads += 1;
            let heads = self.read(wanted);
            self.dispatcher.handle_counted(wanted.group, &heads);
        }
        self.dispatcher.poll(self.now, &mut commands);
        for command in &commands {
            if let Command::Record(record) = command {
                self.gathered.push(record.clone());
            }
        }
        all.extend(commands);
    }

    /// The heads that are wanted.
    fn read(&self, wanted: HeadsWanted) -> Vec<Head> {
        let from = self.heads.partition_point(|head| head.sequence < wanted.from);
        let there = self.heads[from..].iter().filter(|head| !self.purged.contains(&head.sequence));
        there.take(wanted.limit).copied().collect()
    }

    /// Sends off what has been gathered; only one commit is in flight at a time.
    pub(super) fn begin_commit(&mut self) {
        assert!(self.in_flight.is_none());
        let cursors = self.groups.keys().filter_map(|id| Some((*id, self.dispatcher.cursor(*id)?))).collect();
        let (records, steers) = (std::mem::take(&mut self.gathered), std::mem::take(&mut self.steers));
        self.in_flight = Some(Commit { records, steers, cursors });
    }

    /// The commit in flight has become durable.
    pub(super) fn finish_commit(&mut self) {
        let Some(commit) = self.in_flight.take() else { return };
        let before: BTreeMap<_, _> =
            self.groups.iter().map(|(id, group)| (*id, group.record.base_generation)).collect();
        self.apply_seeks(&commit.steers);
        for record in &commit.records {
            let Some(group) = self.groups.get_mut(&record.group) else { continue };
            if record.base_generation != group.record.base_generation
                || self.purged.contains(&record.sequence)
            {
                continue;
            }
            let events = group.trail.entry(record.sequence).or_default();
            events.extend(record.event.as_deref().cloned());
            match &record.change {
                Change::Ended { state, .. } => {
                    group.attempts.insert(record.sequence, (**state).clone());
                }
                Change::Settled { how, .. } => {
                    group.attempts.remove(&record.sequence);
                    let before = group.settled.insert(record.sequence, *how);
                    let replayed = group.replays.remove(&record.sequence).is_some();
                    assert!(before.is_none() || replayed, "{:?} is settled twice", record.sequence);
                }
            }
        }
        for (id, cursor) in commit.cursors {
            let Some(group) = self.groups.get_mut(&id) else { continue };
            if before.get(&id) == Some(&group.record.base_generation) {
                group.cursor = group.cursor.max(cursor);
            }
        }
        self.dispatcher.handle_durable(self.now, &commit.records);
        self.apply_changes_replays_and_purges(&commit.steers);
    }

    /// The journal refuses the commit in flight and all that has been gathered since. Returns the records.
    pub(super) fn refuse_commit(&mut self) -> Vec<Record> {
        let mut records = self.in_flight.take().map(|commit| commit.records).unwrap_or_default();
        records.append(&mut self.gathered);
        self.steers.clear();
        self.dispatcher.handle_refused(self.now, records.clone());
        records
    }

    /// The commit in flight had updates for which there was no room: the rest is tried again with the next one.
    pub(super) fn put_commit_back(&mut self) {
        let Some(mut commit) = self.in_flight.take() else { return };
        commit.records.append(&mut self.gathered);
        self.gathered = commit.records;
        commit.steers.append(&mut self.steers);
        self.steers = commit.steers;
    }

    /// Lets time pass, stopping at every timer on the way.
    pub(super) fn advance(&mut self, ms: u64) -> Vec<(u64, Vec<Command>)> {
        let end = self.now.mono.plus(ms);
        let mut all = Vec::new();
        while let Some(at) = self.dispatcher.next_wake().filter(|at| *at <= end) {
            self.pass(at.since(self.now.mono));
            self.dispatcher.handle_time(self.now);
            all.push((self.now.mono.0, self.turn()));
        }
        self.pass(end.since(self.now.mono));
        all
    }

    /// Only the clocks go on.
    pub(super) fn pass(&mut self, ms: u64) {
        self.now.mono = self.now.mono.plus(ms);
        self.now.unix = self.now.unix.plus(ms);
    }

    /// The gateway is killed and starts again with what is durable.
    pub(super) fn restart(&mut self) {
        self.boot += 1;
        self.now.mono = Monotonic(0);
        self.gathered.clear();
        self.steers.clear();
        self.in_flight = None;
        self.dispatcher = dispatcher(self.boot);
        let ids: Vec<_> = self.groups.keys().copied().collect();
        for id in ids {
            if let Some(group) = self.groups.get_mut(&id) {
                group.sought_to = Sequence(0);
            }
            self.start_group(id);
        }
    }
}

/// An update of this key and size, the same for all orderings, which comes now.
pub(super) fn head(now: UnixMillis, key: KeyHash, size: u32) -> Head {
    Head {
        sequence: Sequence(0),
        update_id: 0,
        key,
        user: key,
        topic: key,
        kind: KindCode::UNKNOWN,
        chat_type: None,
        label: Label::EMPTY,
        claimed: false,
        size,
        received: now,
        committed: now,
    }
}

/// A group that gets everything, by chat.
pub(super) fn record(id: GroupId, start: Sequence, settings: GroupSettings) -> GroupRecord {
    let name = GroupName::parse(&format!("group-{}", id.0)).unwrap();
    GroupRecord::new(id, name, start, settings, UnixMillis(EPOCH))
}

fn dispatcher(boot: u32) -> Dispatcher {
    Dispatcher::new(Identity { journal: JOURNAL, boot }, Jitter::new(u64::from(boot)))
}

/// The key of this name: `7/x` is a key in shard 7, `a` to `z` are in shards 0 to 25, so that a consumer gets them in
/// that order; anything else is in the shard of its hash.
pub(super) fn key(name: &str) -> KeyHash {
    let in_shard = |shard: u64| KeyHash((KeyHash::of(name).0 >> 16) * 1024 + shard);
    match (name.as_bytes(), name.split_once('/')) {
        ([letter @ b'a'..=b'z'], _) => in_shard(u64::from(letter - b'a')),
        (_, Some((shard, _))) => in_shard(shard.parse().unwrap()),
        _ => KeyHash::of(name),
    }
}
