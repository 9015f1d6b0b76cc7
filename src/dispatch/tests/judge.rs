//! Judges every command and answer of a dispatcher by what can be seen from outside, sharing nothing with it.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use super::steering::Steer;
use super::world::{GROUP, World};
use crate::dispatch::{Change, Command, Handout, Record, StreamId};
use crate::model::{
    ConsumerSettings, KeyHash, MIN_LEASE_MS, Monotonic, Sequence, SettledAs, SettledResult, Settlement, Token,
};

/// What has become of the newest delivery of an update, in this boot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Out { deadline: Monotonic },
    Ended,
    Settling,
}

#[derive(Clone, Debug)]
struct Newest {
    token: Token,
    consumer: usize,
    state: State,
    size: u64,
    nacked: bool,
    /// What it was before its handler settled it, while that is not durable.
    before: Option<State>,
    /// The newest record about it.
    record: Option<Record>,
}

/// A stream as its client sees it.
#[derive(Clone, Copy, Debug)]
struct Stream {
    consumer: usize,
    takes_new: bool,
    settings: ConsumerSettings,
}

#[derive(Default)]
pub(super) struct Judge {
    /// All deliveries ever made.
    pub(super) tokens: Vec<Token>,
    newest: BTreeMap<Sequence, Newest>,
    streams: HashMap<StreamId, Stream>,
    /// Given up without having been delivered in this boot.
    expiring: BTreeSet<Sequence>,
    by_key: HashMap<KeyHash, BTreeSet<Sequence>>,
    seen: usize,
    /// Leases that a seek or a purge has taken back, and whose streams must be told so.
    revoked: HashSet<Token>,
    /// What was given up for its age.
    pub(super) given_up: HashSet<Sequence>,
}

impl Judge {
    /// What an honest dispatcher answers.
    fn expected(&self, world: &World, token: &Token, settlement: Option<&Settlement>) -> &'static str {
        let group = &world.groups[&GROUP];
        if token.journal != super::world::JOURNAL {
            return "unknown";
        }
        let generation = group.generation_of(token.sequence);
        if token.generation < generation {
            return "superseded";
        }
        if group.settled.contains_key(&token.sequence) && group.replay_of(token.sequence).is_none() {
            return "already settled";
        }
        if token.generation != generation {
            return "superseded";
        }
        if self.expiring.contains(&token.sequence) {
            return "gone";
        }
        let Some(newest) = self.newest.get(&token.sequence) else {
            let recorded = group.attempts.get(&token.sequence).map_or(0, |state| state.attempt);
            let good = token.boot + 1 == world.boot
                && token.attempt > recorded
                && !self.newest.values().any(|newest| newest.token.key == token.key);
            return if good { "late" } else { "superseded" };
        };
        if newest.token != *token {
            return "superseded";
        }
        match newest.state {
            State::Out { .. } => "applied",
            State::Settling => "already settled",
            State::Ended if newest.nacked && matches!(settlement, Some(Settlement::Nack { .. })) => {
                "already settled"
            }
            State::Ended => "late",
        }
    }

    pub(super) fn settled(
        &mut self,
        world: &World,
        token: &Token,
        settlement: &Settlement,
        expected: &str,
        result: SettledResult,
    ) {
        let (name, deadline) = match result {
            SettledResult::Applied { deadline } => ("applied", deadline),
            SettledResult::AppliedLate { deadline } => ("late", deadline),
            SettledResult::AlreadySettled => ("already settled", None),
            SettledResult::Superseded => ("superseded", None),
            SettledResult::Unknown => ("unknown", None),
        };
        if expected == "gone" {
            assert!(matches!(name, "already settled" | "superseded"), "{token:?} {settlement:?}");
        } else {
            assert_eq!(name, expected, "{token:?} {settlement:?}");
        }
        if !matches!(name, "applied" | "late") {
            return;
        }
        let newest = self.adopt(world, token);
        if let Some((deadline, _)) = deadline {
            newest.state = State::Out { deadline };
            newest.before = None;
            return;
        }
        assert!(!matches!(settlement, Settlement::Extend { .. }));
        newest.before = Some(newest.state);
        newest.nacked |= matches!(settlement, Settlement::Nack { .. });
    }

    /// What is known of the token's update; a delivery of the boot before is as good as an ended one.
    fn adopt(&mut self, world: &World, token: &Token) -> &mut Newest {
        assert!(
            token.boot == world.boot || !self.newest.contains_key(&token.sequence) || {
                self.newest[&token.sequence].token == *token
            }
        );
        self.newest.entry(token.sequence).or_insert(Newest {
            token: *token,
            consumer: usize::MAX,
            state: State::Ended,
            size: 0,
            nacked: false,
            before: None,
            record: None,
        })
    }

    pub(super) fn expect(&self, world: &World, token: &Token, settlement: &Settlement) -> &'static str {
        self.expected(world, token, Some(settlement))
    }

    pub(super) fn subscribe(
        &mut self,
        world: &mut World,
        consumer: usize,
        settings: ConsumerSettings,
        held: &[Token],
    ) -> StreamId {
        let (mut must, mut may) = (HashSet::new(), HashSet::new());
        for token in held {
            let of = self.newest.get(&token.sequence).map_or(usize::MAX, |newest| newest.consumer);
            match self.expected(world, token, None) {
                "applied" if of == consumer => drop(must.insert(*token)),
                // Whoever had it may be given up already.
                "applied" if self.stream_of(of).is_none() => drop(may.insert(*token)),
                "late" => drop(must.insert(*token)),
                _ => {}
            }
        }
        let (stream, kept) = world.subscribe(&format!("c{consumer}"), settings, held);
        let once: HashSet<_> = kept.iter().copied().collect();
        assert!(once.len() == kept.len() && must.is_subset(&once), "{must:?} {kept:?}");
        assert!(once.iter().all(|token| must.contains(token) || may.contains(token)), "{may:?} {kept:?}");
        // What it had out before and does not name is nobody's.
        for newest in self.newest.values_mut().filter(|newest| newest.consumer == consumer) {
            newest.consumer = usize::MAX;
        }
        for token in kept {
            let deadline = world.now.mono.plus(settings.lease_ms);
            let newest = self.adopt(world, &token);
            newest.consumer = consumer;
            newest.state = State::Out { deadline };
            newest.before = None;
        }
        self.streams.retain(|_, stream| stream.consumer != consumer);
        self.streams.insert(stream, Stream { consumer, takes_new: true, settings });
        stream
    }

    pub(super) fn stream_of(&self, consumer: usize) -> Option<StreamId> {
        self.streams.iter().find(|(_, stream)| stream.consumer == consumer).map(|(id, _)| *id)
    }

    /// The client closes its stream.
    pub(super) fn closed(&mut self, stream: StreamId) {
        self.streams.remove(&stream);
    }

    /// Nothing new may come on this stream any more.
    pub(super) fn takes_no_more(&mut self, stream: StreamId) {
        self.streams.get_mut(&stream).unwrap().takes_new = false;
    }

    /// The tokens that are out to a consumer.
    pub(super) fn out_to(&self, consumer: usize) -> Vec<Token> {
        let out = |newest: &&Newest| newest.consumer == consumer && matches!(newest.state, State::Out { .. });
        self.newest.values().filter(out).map(|newest| newest.token).collect()
    }

    pub(super) fn stalled(&mut self, ms: u64) {
        for newest in self.newest.values_mut() {
            for state in std::iter::once(&mut newest.state).chain(&mut newest.before) {
                if let State::Out { deadline } = state {
                    *deadline = deadline.plus(ms);
                }
            }
        }
    }

    pub(super) fn restarted(&mut self) {
        self.newest.clear();
        self.streams.clear();
        self.expiring.clear();
        self.revoked.clear();
        self.given_up.clear();
    }

    /// A commit has become durable, and the dispatcher knows.
    pub(super) fn durable(&mut self, world: &World, records: &[Record], steers: &[Steer]) {
        if steers.iter().any(|steer| matches!(steer, Steer::Seek(..))) {
            let all: Vec<_> = self.newest.keys().copied().collect();
            self.revoke(&all);
            self.expiring.clear();
        }
        let base_generation = world.groups[&GROUP].record.base_generation;
        for record in records.iter().filter(|record| record.base_generation == base_generation) {
            if matches!(record.change, Change::Settled { .. }) {
                self.newest.remove(&record.sequence);
                self.expiring.remove(&record.sequence);
            } else if let Some(newest) = self.newest.get_mut(&record.sequence)
                && newest.record.as_ref() == Some(record)
            {
                newest.before = None;
            }
        }
    }

    /// What is purged is nobody's.
    pub(super) fn purged(&mut self, steers: &[Steer]) {
        for steer in steers {
            if let Steer::Purge(sequences) = steer {
                self.revoke(sequences);
                self.expiring.retain(|at| !sequences.contains(at));
            }
        }
    }

    fn revoke(&mut self, sequences: &[Sequence]) {
        for at in sequences {
            let Some(newest) = self.newest.remove(at) else { continue };
            let is_out = matches!(newest.state, State::Out { .. });
            if is_out && self.stream_of(newest.consumer).is_some() {
                self.revoked.insert(newest.token);
            }
        }
    }

    /// The records have been refused.
    pub(super) fn refused(&mut self, world: &World, records: &[Record]) {
        for record in records {
            let Some(newest) = self.newest.get_mut(&record.sequence) else { continue };
            if newest.record.as_ref() != Some(record) || matches!(newest.state, State::Out { .. }) {
                continue;
            }
            match newest.before.take() {
                Some(State::Out { deadline }) => {
                    let deadline = deadline.max(world.now.mono.plus(MIN_LEASE_MS));
                    newest.state = State::Out { deadline };
                    newest.nacked = false;
                }
                Some(State::Ended) if newest.state == State::Settling => newest.state = State::Ended,
                _ => {}
            }
        }
    }

    /// Commands came out of the dispatcher.
    pub(super) fn commands(&mut self, world: &World, commands: &[Command]) {
        for head in &world.heads[self.seen..] {
            let key = world.groups[&GROUP].record.ordering.key_of(head);
            self.by_key.entry(key).or_default().insert(head.sequence);
        }
        self.seen = world.heads.len();
        for command in commands {
            match command {
                Command::Record(record) => self.recorded(world, record),
                Command::Deliver { stream, handouts } => {
                    assert!(!handouts.is_empty());
                    for handout in handouts {
                        self.delivered(world, *stream, handout);
                    }
                }
                Command::Close { stream, .. } => drop(self.streams.remove(stream)),
                Command::LeaseLost { tokens, .. } => {
                    for token in tokens {
                        self.revoked.remove(token);
                        let newest = self.newest.get(&token.sequence);
                        assert!(!newest.is_some_and(|newest| {
                            newest.token == *token && matches!(newest.state, State::Out { .. })
                        }));
                    }
                }
                Command::Assign { .. } => {}
            }
        }
        assert!(self.revoked.is_empty(), "nobody was told: {:?}", self.revoked);
        for newest in self.newest.values() {
            let late = matches!(newest.state, State::Out { deadline } if deadline < world.now.mono);
            assert!(!late, "has no end: {newest:?}");
        }
    }

    fn recorded(&mut self, world: &World, record: &Record) {
        if matches!(record.change, Change::Settled { how: SettledAs::Expired, .. }) {
            let expires = world.groups[&GROUP].record.expires(&world.heads[record.sequence.0 as usize - 1]);
            let worthless = expires.is_some_and(|expires| expires <= world.now.unix);
            // One that was refused comes again, whatever its age is worth by then.
            assert!(worthless | !self.given_up.insert(record.sequence), "{record:?}");
        }
        let Some(newest) = self.newest.get_mut(&record.sequence) else {
            if matches!(record.change, Change::Settled { .. }) {
                self.expiring.insert(record.sequence);
            }
            return;
        };
        newest.record = Some(record.clone());
        newest.state = match record.change {
            Change::Ended { .. } => State::Ended,
            Change::Settled { .. } => State::Settling,
        };
    }

    /// In order, one at a time: what holds the key, else what is replayed, else the first that is not durably settled.
    fn next_of(&self, world: &World, key: KeyHash) -> Option<Sequence> {
        let group = &world.groups[&GROUP];
        let of_key = || self.by_key[&key].iter().copied().filter(|at| !world.purged.contains(at));
        let holds = |at: &Sequence| self.newest.contains_key(at) || group.attempts.contains_key(at);
        let matches = |at: &Sequence| group.record.matches(&world.heads[at.0 as usize - 1]);
        let is_pending = |at: &Sequence| matches(at) && !group.settled.contains_key(at);
        of_key()
            .find(holds)
            .or_else(|| of_key().find(|at| group.replay_of(*at).is_some()))
            .or_else(|| of_key().find(is_pending))
    }

    fn delivered(&mut self, world: &World, id: StreamId, handout: &Handout) {
        let (token, group) = (handout.token, &world.groups[&GROUP]);
        let at = token.sequence;
        let stream = *self.streams.get(&id).unwrap_or_else(|| panic!("{id:?} is not open: {handout:?}"));
        assert!(stream.takes_new, "{id:?} gets something new: {handout:?}");
        assert_eq!((token.boot, token.key), (world.boot, handout.key));
        assert_eq!(Some(at), self.next_of(world, handout.key), "{handout:?}");
        assert_eq!(token.generation, group.generation_of(at));
        assert_eq!(handout.replayed, group.replay_of(at).is_some() || at <= group.sought_to, "{handout:?}");
        assert!(!self.expiring.contains(&at), "{handout:?} was given up");
        assert_eq!(group.record.paused, None, "{handout:?}");
        let expires = group.record.expires(&world.heads[at.0 as usize - 1]);
        let worthless = expires.is_some_and(|expires| expires <= world.now.unix);
        assert!(!worthless || group.replay_of(at).is_some(), "{handout:?} is too old");
        let recorded = group.attempts.get(&at).map_or(0, |state| state.attempt);
        match self.newest.get(&at) {
            None => assert_eq!(token.attempt, recorded + 1),
            Some(before) => {
                assert_eq!(before.state, State::Ended, "{handout:?} is handed out twice");
                assert_eq!(token.attempt, before.token.attempt + 1);
                if before.token.boot == world.boot {
                    assert_eq!(recorded, before.token.attempt, "its end is not durable: {handout:?}");
                }
            }
        }
        let out = self
            .newest
            .values()
            .filter(|newest| newest.consumer == stream.consumer && matches!(newest.state, State::Out { .. }));
        let (count, bytes) = out.fold((0, 0), |(count, bytes), newest| (count + 1, bytes + newest.size));
        let size = u64::from(world.heads[at.0 as usize - 1].size);
        assert!(count < stream.settings.max_outstanding, "beyond its credit: {handout:?}");
        assert!(count == 0 || bytes + size <= stream.settings.max_outstanding_bytes, "{handout:?}");
        assert_eq!(handout.failures, group.attempts.get(&at).map_or(0, |state| state.failures));
        let state = State::Out { deadline: handout.deadline };
        let consumer = stream.consumer;
        self.tokens.push(token);
        self.newest
            .insert(at, Newest { token, consumer, state, size, nacked: false, before: None, record: None });
    }
}
