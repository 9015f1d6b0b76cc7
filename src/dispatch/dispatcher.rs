//! All groups of one bot: the door to the state machine.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Bound;

use super::command::{Command, Record, StreamId};
use super::failures::Jitter;
use super::group::{Group, GroupStart, GroupStats, Identity};
use super::window::CHUNK;
use crate::model::{
    ConsumerSettings, GroupId, GroupRecord, Head, Monotonic, Now, Sequence, SettledResult, Settlement,
    StreamEnd, Token,
};

/// Heads that a group wants to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeadsWanted {
    /// Who wants them.
    pub group: GroupId,
    /// From where on.
    pub from: Sequence,
    /// At most, and exactly so many if there are.
    pub limit: usize,
}

/// The state machine of one bot.
///
/// Every call may leave commands behind: take them with [`poll`](Self::poll) after each turn, and call
/// [`handle_time`](Self::handle_time) when [`next_wake`](Self::next_wake) has come.
#[derive(Debug)]
pub struct Dispatcher {
    identity: Identity,
    pub(super) groups: BTreeMap<GroupId, Group>,
    streams: HashMap<StreamId, GroupId>,
    /// Groups in which something happened since the last poll.
    pub(super) touched: BTreeSet<GroupId>,
    /// The group that has read heads last.
    last_read: GroupId,
    jitter: Jitter,
}

impl Dispatcher {
    /// Without groups. `jitter` is for all of them.
    #[must_use]
    pub fn new(identity: Identity, jitter: Jitter) -> Self {
        Self {
            identity,
            groups: BTreeMap::new(),
            streams: HashMap::new(),
            touched: BTreeSet::new(),
            last_read: GroupId::default(),
            jitter,
        }
    }

    /// Adds a group, new or recovered.
    pub fn add_group(&mut self, start: GroupStart) {
        let id = start.record.id;
        // Each group spreads its retries by numbers of its own.
        let jitter = Jitter::new(self.jitter.spread(u64::MAX / 2));
        self.groups.insert(id, Group::new(self.identity, start, jitter));
    }

    /// A group was changed: its filter for new updates, its settings, whether it is paused. Its updates that are
    /// loaded or out stay. A new filter holds from a sequence on that is above all that were appended.
    pub fn update_group(&mut self, record: GroupRecord) {
        let Some(group) = self.groups.get_mut(&record.id) else { return };
        assert!(
            (group.record.ordering, group.record.fallback) == (record.ordering, record.fallback),
            "the order of a group, and whether it is a fallback, never change"
        );
        self.touched.insert(record.id);
        group.record = record;
    }

    /// Removes a group; its streams end.
    pub fn remove_group(&mut self, id: GroupId, end: StreamEnd) -> Vec<Command> {
        self.touched.remove(&id);
        let Some(group) = self.groups.remove(&id) else { return Vec::new() };
        let streams: Vec<_> = group.members.values().filter_map(super::members::Member::stream).collect();
        for stream in &streams {
            self.streams.remove(stream);
        }
        streams.into_iter().map(|stream| Command::Close { stream, end }).collect()
    }

    /// Updates have become durable.
    pub fn handle_appended(&mut self, heads: &[Head]) {
        for (&id, group) in &mut self.groups {
            group.append(heads);
            self.touched.insert(id);
        }
    }

    /// What of the backlog is to be read now, if anything.
    pub fn heads_wanted(&mut self) -> Option<HeadsWanted> {
        let wanted = |(&group, state): (&GroupId, &mut Group)| {
            state.wanted_heads().map(|from| HeadsWanted { group, from, limit: CHUNK })
        };
        // In turn, so that a group with a long backlog does not keep the others from theirs.
        let others = (Bound::Excluded(self.last_read), Bound::Unbounded);
        let found = self.groups.range_mut(others).find_map(wanted);
        found.or_else(|| self.groups.range_mut(..=self.last_read).find_map(wanted))
    }

    /// The heads that [`heads_wanted`](Self::heads_wanted) asked for; fewer than asked for mean that there are no
    /// more.
    pub fn handle_heads(&mut self, group: GroupId, heads: &[Head]) {
        self.last_read = group;
        if let Some(state) = self.groups.get_mut(&group) {
            state.scan(heads);
            self.touched.insert(group);
        }
    }

    /// A consumer opens a stream; see [`ConsumerSettings`]. Returns those of `held_tokens` that are leased to it.
    pub fn handle_subscribe(
        &mut self,
        now: Now,
        group: GroupId,
        stream: StreamId,
        consumer_id: &str,
        settings: ConsumerSettings,
        held_tokens: &[Token],
    ) -> Vec<Token> {
        let Some(state) = self.groups.get_mut(&group) else { return Vec::new() };
        self.streams.insert(stream, group);
        self.touched.insert(group);
        let ours: Vec<_> = held_tokens
            .iter()
            .filter(|token| token.journal == self.identity.journal && token.group == group)
            .copied()
            .collect();
        state.subscribe(now, stream, consumer_id, settings, &ours)
    }

    /// The consumer of a stream that was just opened gave no name, and goes by one that was made up: once its stream is
    /// gone and nothing of it is out, it is not waited for.
    pub fn handle_unnamed(&mut self, stream: StreamId) {
        if let Some(group) = self.group_of(stream) {
            group.unnamed(stream);
        }
    }

    /// A stream will end: nothing new is delivered on it, and it is closed when nothing is out any more.
    pub fn handle_drain(&mut self, now: Now, stream: StreamId) {
        if let Some(group) = self.group_of(stream) {
            group.drain(now, stream);
        }
    }

    /// A stream is gone.
    pub fn handle_closed(&mut self, now: Now, stream: StreamId) {
        if let Some(group) = self.group_of(stream) {
            group.closed(now, stream);
        }
        self.streams.remove(&stream);
    }

    /// A consumer is finishing. Returns how many deliveries it has out, if it is there.
    pub fn handle_leave(&mut self, now: Now, group: GroupId, consumer_id: &str) -> Option<u32> {
        self.touched.insert(group);
        self.groups.get_mut(&group)?.leave(now, consumer_id)
    }

    /// A handler settles a delivery. The result holds once everything recorded up to now is durable.
    pub fn handle_settle(
        &mut self,
        now: Now,
        group: GroupId,
        token: &Token,
        settlement: &Settlement,
    ) -> SettledResult {
        if token.journal != self.identity.journal || token.group != group {
            return SettledResult::Unknown;
        }
        let Some(state) = self.groups.get_mut(&group) else { return SettledResult::Unknown };
        self.touched.insert(group);
        state.settle(now, token, settlement)
    }

    /// Records have become durable.
    pub fn handle_durable(&mut self, now: Now, records: &[Record]) {
        for record in records {
            if let Some(group) = self.groups.get_mut(&record.group) {
                group.durable(now, record);
                self.touched.insert(record.group);
            }
        }
    }

    /// Records could not be made durable: what handlers asked for is undone, what the dispatcher decided itself comes
    /// again.
    pub fn handle_refused(&mut self, now: Now, records: Vec<Record>) {
        for record in records {
            if let Some(group) = self.groups.get_mut(&record.group) {
                self.touched.insert(record.group);
                group.refused(now, record);
            }
        }
    }

    /// Time has passed.
    pub fn handle_time(&mut self, now: Now) {
        for (&id, group) in &mut self.groups {
            if group.outstanding.next_timer().is_some_and(|at| at <= now.mono) {
                group.tick(now);
                self.touched.insert(id);
            }
        }
    }

    /// The driver itself stood still for so long: nobody's lease shall suffer from that.
    pub fn handle_stall(&mut self, ms: u64) {
        for group in self.groups.values_mut() {
            group.stand_still(ms);
        }
    }

    /// The update has reached the age at which the group gives it up. Whether it did: not if it is settled, or out.
    pub fn handle_expire(&mut self, now: Now, group: GroupId, head: &Head) -> bool {
        self.touched.insert(group);
        self.groups.get_mut(&group).is_some_and(|state| state.expire(now, head))
    }

    /// When [`handle_time`](Self::handle_time) is next needed.
    #[must_use]
    pub fn next_wake(&self) -> Option<Monotonic> {
        self.groups.values().filter_map(|group| group.outstanding.next_timer()).min()
    }

    /// Hands out what can be handed out, and moves all commands to `out`.
    pub fn poll(&mut self, now: Now, out: &mut Vec<Command>) {
        while let Some(id) = self.touched.pop_first() {
            let Some(group) = self.groups.get_mut(&id) else { continue };
            group.admit_replays();
            group.unpark();
            group.probe();
            group.pump(now);
            let reached = group.reached();
            group.settled.advance(reached);
            for command in group.commands.drain(..) {
                if let Command::Close { stream, .. } = &command {
                    self.streams.remove(stream);
                }
                out.push(command);
            }
        }
    }

    /// Everything at or below is settled for the group.
    #[must_use]
    pub fn cursor(&self, group: GroupId) -> Option<Sequence> {
        Some(self.groups.get(&group)?.settled.cursor())
    }

    /// Whether the group is done with an update, or never had to do with it, and no replay of it is pending.
    #[must_use]
    pub fn is_settled(&self, group: GroupId, head: &Head) -> bool {
        let pending = |state: &Group| state.concerns(head) || state.replays.contains(head.sequence);
        !self.groups.get(&group).is_some_and(pending)
    }

    /// How a group is doing.
    #[must_use]
    pub fn stats(&self, group: GroupId) -> Option<GroupStats> {
        self.groups.get(&group).map(Group::stats)
    }

    fn group_of(&mut self, stream: StreamId) -> Option<&mut Group> {
        let id = *self.streams.get(&stream)?;
        self.touched.insert(id);
        self.groups.get_mut(&id)
    }
}
