//! One group: its backlog, its consumers, and what is out to them.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::Arc;

use super::assignment::{Claim, Owners, assign};
use super::command::{Command, StreamId};
use super::failures::Jitter;
use super::hash::NumberMap;
use super::keys::{Key, Keys, Queued};
use super::lag::Lag;
use super::members::{Member, MemberId, Presence};
use super::outstanding::{Held, Outstanding, Phase, Timer};
use super::progress::{Open, Settled};
use super::replay::Replays;
use super::window::Backlog;
use crate::model::{AttemptRecord, GroupRecord, Head, KeyHash, Now, SHARDS, Sequence, Shard, Token};

/// What tokens are made of and checked against.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The journal's id.
    pub journal: u64,
    /// The boot epoch; at least 1.
    pub boot: u32,
}

/// A group as it starts: new, or with the progress that the journal has kept.
#[derive(Clone, Debug)]
pub struct GroupStart {
    /// The group.
    pub record: GroupRecord,
    /// Everything at or below is settled.
    pub cursor: Sequence,
    /// Settled sequences above the cursor, as bit sets by `sequence / 4096`.
    pub settled: Vec<(u64, Box<[u64; 64]>)>,
    /// What is remembered of earlier deliveries.
    pub attempts: Vec<(Sequence, AttemptRecord)>,
    /// Updates that it gets again though it is done with them, with the generations of their replays, ascending.
    pub replays: Vec<(Head, u32)>,
    /// The newest durable sequence.
    pub tail: Sequence,
}

/// How a group is doing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GroupStats {
    /// Open streams.
    pub consumers: usize,
    /// Consumers, those included whose stream is gone and who may come back.
    pub members: usize,
    /// Deliveries out.
    pub outstanding: usize,
    /// Updates that wait after a failure.
    pub backing_off: usize,
    /// Everything at or below is settled.
    pub cursor: Sequence,
    /// Replayed updates that are not settled.
    pub replaying: usize,
    /// Matching updates that are not settled, replays included.
    pub lag: u64,
    /// Whether they have all been counted.
    pub lag_exact: bool,
    /// The oldest unsettled update, replays apart, as exactly as the window knows.
    pub oldest: Option<Sequence>,
}

/// One group. Its methods are spread over `window`, `pump`, `settle`, `streams`, `expiry`,
/// `recording`, `status`, `seek`, `replay`, `purge` and `standing`, each with one part of its life.
#[derive(Debug)]
pub(super) struct Group {
    pub(super) identity: Identity,
    pub(super) record: GroupRecord,
    pub(super) settled: Settled,
    pub(super) lag: Lag,
    /// The sequences in the window that are not settled.
    pub(super) open: Open,
    pub(super) keys: Keys,
    pub(super) backlog: Backlog,
    pub(super) outstanding: Outstanding,
    /// Attempt records from the journal whose updates are not in the window yet.
    pub(super) recovered: NumberMap<Sequence, AttemptRecord>,
    /// Updates that were never delivered and expire by age, with their keys; their records are not durable yet.
    pub(super) expiring: NumberMap<Sequence, KeyHash>,
    pub(super) replays: Replays,
    /// The newest sequence there was at the last seek under this boot: what is delivered up to there may have been before.
    pub(super) sought_to: Sequence,
    pub(super) members: BTreeMap<MemberId, Member>,
    pub(super) by_consumer: HashMap<Arc<str>, MemberId>,
    pub(super) owners: Box<Owners>,
    pub(super) next_member: u64,
    pub(super) assignments: u64,
    /// Members that may be taken for dead; some may have come back to life.
    pub(super) suspects: BTreeSet<MemberId>,
    /// Members that may have both credit and something ready.
    pub(super) to_pump: BTreeSet<MemberId>,
    /// Keys that were passed over because too many others back off.
    pub(super) parked: VecDeque<KeyHash>,
    pub(super) jitter: Jitter,
    pub(super) commands: VecDeque<Command>,
}

impl Group {
    pub(super) fn new(identity: Identity, start: GroupStart, jitter: Jitter) -> Self {
        let behind = (start.cursor < start.tail).then(|| start.cursor.next());
        let mut group = Self {
            identity,
            record: start.record,
            settled: Settled::new(start.cursor, start.settled),
            lag: Lag::new(start.cursor, start.tail),
            open: Open::default(),
            keys: Keys::new(behind),
            backlog: Backlog::new(start.tail, if behind.is_some() { usize::from(SHARDS) } else { 0 }),
            outstanding: Outstanding::default(),
            recovered: start.attempts.into_iter().collect(),
            expiring: NumberMap::default(),
            replays: Replays::default(),
            sought_to: Sequence(0),
            members: BTreeMap::new(),
            by_consumer: HashMap::new(),
            owners: Box::new([None; SHARDS as usize]),
            next_member: 1,
            assignments: 0,
            suspects: BTreeSet::new(),
            to_pump: BTreeSet::new(),
            parked: VecDeque::new(),
            jitter,
            commands: VecDeque::new(),
        };
        group.recover_replays(start.replays);
        group
    }

    /// Whether an update is this group's business and not settled.
    pub(super) fn concerns(&self, head: &Head) -> bool {
        !self.settled.contains(head.sequence) && self.record.matches(head)
    }

    /// The group is done with an update that is its business, durably.
    pub(super) fn mark_settled(&mut self, sequence: Sequence) {
        if self.settled.insert(sequence) {
            self.lag.settled(sequence);
        }
    }

    /// Takes an update into the window.
    pub(super) fn load(&mut self, head: &Head) {
        let sequence = head.sequence;
        if let Some(held) = self.outstanding.held.get_mut(&sequence) {
            // Taken over from an earlier boot before it was read.
            held.born = Some((head.kind, head.received));
            if !held.charged {
                held.size = head.size;
            }
            return;
        }
        let hash = self.record.ordering.key_of(head);
        self.open.insert(sequence);
        match self.recovered.remove(&sequence) {
            None => self.keys.open(hash).queue.push_back(Queued::new(head)),
            Some(state) => self.load_recovered(hash, head, state),
        }
        self.keys.count(hash);
        self.list(hash);
    }

    /// An update that was delivered and came back under an earlier boot: it holds its key.
    fn load_recovered(&mut self, hash: KeyHash, head: &Head, state: AttemptRecord) {
        let attempt = state.attempt;
        let key = self.keys.open(hash);
        if key.held.is_some() || !key.queue.is_empty() {
            // Cannot be unless the record outlived a change of the group's order; then it is just one of the queue.
            key.queue.push_back(Queued::new(head));
            return;
        }
        key.held = Some(head.sequence);
        let held = Held {
            born: Some((head.kind, head.received)),
            first_delivered: state.first_delivered,
            state: Some(Box::new(state)),
            ..Held::new(hash, head.size, 0, attempt, Now::default())
        };
        self.outstanding.insert(head.sequence, held);
    }

    /// Whether the key has something that a consumer with credit could get now.
    pub(super) fn is_deliverable(&self, key: &Key) -> bool {
        let waiting = |sequence| {
            self.outstanding.held.get(&sequence).is_some_and(|held| matches!(held.phase, Phase::Waiting))
        };
        let lives = |queued: &Queued| !self.expiring.contains_key(&queued.sequence);
        key.held.map_or(key.replays > 0 || key.queue.front().is_some_and(lives), waiting)
    }

    /// Puts a key into the ready lists if it has something to deliver.
    pub(super) fn list(&mut self, hash: KeyHash) {
        if !self.keys.get(hash).is_some_and(|key| !key.listed && self.is_deliverable(key)) {
            return;
        }
        self.keys.open(hash).listed = true;
        let shard = hash.shard();
        self.keys.shard_mut(shard).ready.push_back(hash);
        self.list_shard(shard);
    }

    /// Puts a shard into its owner's ready list if it has something ready.
    pub(super) fn list_shard(&mut self, shard: Shard) {
        let state = self.keys.shard_mut(shard);
        if state.listed || state.ready.is_empty() {
            return;
        }
        let Some(id) = self.owners[usize::from(shard.number())] else { return };
        let Some(member) = self.members.get_mut(&id) else { return };
        state.listed = true;
        member.ready.push_back(shard);
        self.to_pump.insert(id);
    }

    pub(super) fn token(&self, sequence: Sequence, held: &Held) -> Token {
        Token {
            journal: self.identity.journal,
            group: self.record.id,
            generation: self.generation_of(sequence),
            boot: held.boot,
            sequence,
            key: held.key,
            attempt: held.attempt,
        }
    }

    /// Takes the update off its member's credit.
    pub(super) fn discharge(&mut self, now: Now, sequence: Sequence) {
        let Some(held) = self.outstanding.held.get_mut(&sequence) else { return };
        if !std::mem::take(&mut held.charged) {
            return;
        }
        let id = held.member;
        let Some(member) = self.members.get_mut(&id) else { return };
        member.discharge(sequence, held.size);
        self.to_pump.insert(id);
        self.close_if_finished(now, id);
    }

    /// Makes a held update outstanding with a member, from now on.
    pub(super) fn lease(&mut self, now: Now, sequence: Sequence, id: MemberId, lease_ms: u64) {
        if self.outstanding.held.get(&sequence).is_some_and(|held| held.member != id) {
            self.discharge(now, sequence);
        }
        let Some(held) = self.outstanding.held.get_mut(&sequence) else { return };
        held.delivered = now.mono;
        held.lease_ms = lease_ms;
        held.member = id;
        if let Some(member) = self.members.get_mut(&id) {
            held.consumer = Arc::clone(&member.consumer_id);
            if !std::mem::replace(&mut held.charged, true) {
                member.charge(held.size);
            }
        }
        self.outstanding.enter(sequence, Phase::Outstanding { deadline: now.mono.plus(lease_ms) });
    }

    /// Lets the owner of a key's shard get what it has credit for.
    pub(super) fn pump_owner(&mut self, hash: KeyHash) {
        self.to_pump.extend(self.owners[usize::from(hash.shard().number())]);
    }

    /// Shares the shards out again among those who take part.
    pub(super) fn rebalance(&mut self) {
        let claims: Vec<_> = self
            .members
            .iter()
            .filter(|(_, member)| !matches!(member.presence, Presence::Leaving(_)))
            .map(|(&id, member)| Claim { member: id, suspended: member.is_suspended(), probe: member.probe })
            .collect();
        let moved = assign(&mut self.owners, &claims);
        if moved.is_empty() {
            return;
        }
        self.assignments += 1;
        let mut changes: BTreeMap<MemberId, (Vec<Shard>, Vec<Shard>)> = BTreeMap::new();
        for (shard, before) in moved {
            if let Some(before) = before {
                changes.entry(before).or_default().1.push(shard);
            }
            if let Some(after) = self.owners[usize::from(shard.number())] {
                changes.entry(after).or_default().0.push(shard);
            }
            self.keys.shard_mut(shard).listed = false;
            self.list_shard(shard);
        }
        for (id, (gained, lost)) in changes {
            let Some(member) = self.members.get_mut(&id) else { continue };
            // Otherwise shards that go to and fro would pile up with a consumer that has no credit.
            member.ready.retain(|shard| self.owners[usize::from(shard.number())] == Some(id));
            // What it had no credit for may have been in one of them.
            self.to_pump.insert(id);
            if let Some(stream) = member.stream() {
                let generation = self.assignments;
                self.commands.push_back(Command::Assign { stream, gained, lost, generation });
            }
        }
    }

    /// Lets everything happen that is due.
    pub(super) fn tick(&mut self, now: Now) {
        let mut expired: BTreeMap<StreamId, Vec<Token>> = BTreeMap::new();
        while let Some(timer) = self.outstanding.pop_due(now.mono) {
            match timer {
                Timer::Member(id) => self.end_of_grace(now, id),
                Timer::Update(sequence) => match self.outstanding.held.get(&sequence).map(|held| &held.phase)
                {
                    Some(Phase::Backoff { .. }) => self.end_of_backoff(sequence),
                    _ => {
                        if let Some((stream, token)) = self.end_of_lease(now, sequence) {
                            expired.entry(stream).or_default().push(token);
                        }
                    }
                },
            }
        }
        for (stream, tokens) in expired {
            self.commands.push_back(Command::LeaseLost { stream, tokens });
        }
    }
}
