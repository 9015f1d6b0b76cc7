//! Replays: updates that a group is done with, and gets again because an operator asked for them.
//!
//! They live outside of the group's progress: its cursor does not move back for them. Each waits for its key, and goes
//! before the key's pending updates. Its tokens carry the generation of its replay, so that no delivery of its first
//! life can settle it.

use std::collections::BTreeMap;

use super::dispatcher::Dispatcher;
use super::group::Group;
use super::outstanding::Held;
use crate::model::{AttemptRecord, GroupId, Head, KeyHash, Now, Sequence, Shard, Token};

/// The replays of a group.
#[derive(Debug, Default)]
pub(super) struct Replays {
    /// All that are not settled, with the generations of their replays.
    pending: BTreeMap<Sequence, u32>,
    /// Those of them that wait for their key, by it, with their sizes. `Key::replays` counts them.
    waiting: BTreeMap<(KeyHash, Sequence), u32>,
    /// Those of them that were recovered and do not wait for their key yet, by their shard: it may be held by an update
    /// that was delivered under an earlier boot and has not been read.
    recovered: BTreeMap<Shard, Vec<Waiting>>,
    /// Above it no attempts are remembered whose update has not been read.
    recovered_to: Sequence,
}

#[derive(Clone, Copy, Debug)]
struct Waiting {
    key: KeyHash,
    sequence: Sequence,
    size: u32,
}

impl Replays {
    pub(super) fn len(&self) -> usize {
        self.pending.len()
    }

    pub(super) fn contains(&self, sequence: Sequence) -> bool {
        self.pending.contains_key(&sequence)
    }

    /// The generation that the tokens of a pending replay carry.
    pub(super) fn generation(&self, sequence: Sequence) -> Option<u32> {
        self.pending.get(&sequence).copied()
    }

    /// The next one of a key.
    pub(super) fn first_of(&self, key: KeyHash) -> Option<(Sequence, u32)> {
        let mut of_key = self.waiting.range((key, Sequence(0))..=(key, Sequence(u64::MAX)));
        of_key.next().map(|((_, sequence), size)| (*sequence, *size))
    }

    /// Forgets one, wherever it is. Whether it waited for its key.
    fn remove(&mut self, key: KeyHash, sequence: Sequence) -> bool {
        self.pending.remove(&sequence);
        self.take_recovered(key, sequence);
        self.waiting.remove(&(key, sequence)).is_some()
    }

    fn take_recovered(&mut self, key: KeyHash, sequence: Sequence) -> Option<Waiting> {
        let of_shard = self.recovered.get_mut(&key.shard())?;
        let at = of_shard.iter().position(|waiting| (waiting.key, waiting.sequence) == (key, sequence))?;
        let taken = of_shard.swap_remove(at);
        if of_shard.is_empty() {
            self.recovered.remove(&key.shard());
        }
        Some(taken)
    }

    #[cfg(test)]
    pub(super) fn waiting_of(&self, key: KeyHash) -> usize {
        self.waiting.keys().filter(|(of, _)| *of == key).count()
    }

    #[cfg(test)]
    pub(super) fn places_of(&self, key: KeyHash, sequence: Sequence) -> usize {
        let recovered = self.recovered.values().flatten();
        usize::from(self.waiting.contains_key(&(key, sequence)))
            + recovered.filter(|waiting| (waiting.key, waiting.sequence) == (key, sequence)).count()
    }

    #[cfg(test)]
    pub(super) fn sequences(&self) -> impl Iterator<Item = Sequence> {
        self.pending.keys().copied()
    }
}

impl Dispatcher {
    /// A replay has become durable: the group gets these updates again, if it is done with them; the others are left
    /// alone. Whether its filter matches them does not matter.
    pub fn handle_replay(&mut self, group: GroupId, heads: &[Head], generation: u32) {
        self.touched.insert(group);
        let Some(state) = self.groups.get_mut(&group) else { return };
        state.record.generation = state.record.generation.max(generation);
        for head in heads {
            state.replay(head, generation);
        }
    }

    /// How many updates of a group are replayed and not settled.
    #[must_use]
    pub fn replays_pending(&self, group: GroupId) -> usize {
        self.groups.get(&group).map_or(0, |state| state.replays.len())
    }
}

impl Group {
    fn replay(&mut self, head: &Head, generation: u32) {
        if self.concerns(head) || self.replays.contains(head.sequence) {
            return;
        }
        self.replays.pending.insert(head.sequence, generation);
        self.await_key(self.waiting(head));
    }

    fn waiting(&self, head: &Head) -> Waiting {
        Waiting { key: self.record.ordering.key_of(head), sequence: head.sequence, size: head.size }
    }

    fn await_key(&mut self, waiting: Waiting) {
        self.replays.waiting.insert((waiting.key, waiting.sequence), waiting.size);
        self.keys.open(waiting.key).replays += 1;
        self.list(waiting.key);
        // Its owner may have had no credit for the key's next update, and has for this one.
        self.pump_owner(waiting.key);
    }

    /// Takes up the replays that the journal has kept.
    pub(super) fn recover_replays(&mut self, replays: Vec<(Head, u32)>) {
        for (head, generation) in replays {
            if self.concerns(&head) {
                continue;
            }
            self.replays.pending.insert(head.sequence, generation);
            let waiting = self.waiting(&head);
            match self.recovered.remove(&head.sequence) {
                Some(state) if self.keys.get(waiting.key).is_none_or(|key| key.held.is_none()) => {
                    self.hold_recovered(waiting, state);
                }
                // Two of a key cannot have been delivered: a record of the second means nothing.
                _ => self.replays.recovered.entry(waiting.key.shard()).or_default().push(waiting),
            }
        }
        self.replays.recovered_to = self.recovered.keys().max().copied().unwrap_or_default();
        self.admit_replays();
    }

    /// One that was delivered and came back under an earlier boot: it holds its key.
    fn hold_recovered(&mut self, waiting: Waiting, state: AttemptRecord) {
        let held = Held {
            first_delivered: state.first_delivered,
            ..Held::new(waiting.key, waiting.size, 0, state.attempt, Now::default())
        };
        self.hold_replay(waiting, Held { state: Some(Box::new(state)), ..held });
    }

    fn hold_replay(&mut self, waiting: Waiting, held: Held) {
        let key = self.keys.open(waiting.key);
        key.held = Some(waiting.sequence);
        key.replaying = true;
        self.outstanding.insert(waiting.sequence, held);
        self.list(waiting.key);
    }

    /// Lets recovered replays wait for their keys once it is known whether these are held.
    pub(super) fn admit_replays(&mut self) {
        if self.replays.recovered.is_empty() {
            return;
        }
        let to = if self.recovered.is_empty() { Sequence(0) } else { self.replays.recovered_to };
        let is_read = |shard: &Shard| self.reading_position(*shard).is_none_or(|at| at > to);
        let read: Vec<_> = self.replays.recovered.keys().copied().filter(is_read).collect();
        for shard in read {
            for waiting in self.replays.recovered.remove(&shard).unwrap_or_default() {
                self.await_key(waiting);
            }
        }
    }

    /// Takes over a replay's delivery of the boot before this one, of which nothing was recorded since.
    pub(super) fn adopt_replay(&mut self, now: Now, token: &Token) -> bool {
        let (hash, sequence) = (token.key, token.sequence);
        if self.keys.get(hash).is_some_and(|key| key.held.is_some()) {
            return false;
        }
        let size = match self.take_waiting(hash, sequence) {
            Some(size) => size,
            None => match self.replays.take_recovered(hash, sequence) {
                Some(waiting) => waiting.size,
                None => return false,
            },
        };
        let held = Held::new(hash, size, token.boot, token.attempt, now);
        self.hold_replay(Waiting { key: hash, sequence, size }, held);
        true
    }

    /// Takes an update that waits for its key from among the replays, if it is one; it is to hold the key then.
    pub(super) fn take_waiting(&mut self, hash: KeyHash, sequence: Sequence) -> Option<u32> {
        let size = self.replays.waiting.remove(&(hash, sequence))?;
        self.keys.open(hash).replays -= 1;
        Some(size)
    }

    /// A replay is settled or purged. Whether there was one.
    pub(super) fn end_replay(&mut self, hash: KeyHash, sequence: Sequence) -> bool {
        if !self.replays.contains(sequence) {
            return false;
        }
        if self.replays.remove(hash, sequence) {
            self.keys.open(hash).replays -= 1;
        }
        true
    }

    /// The generation that tokens of an update carry.
    pub(super) fn generation_of(&self, sequence: Sequence) -> u32 {
        self.replays.generation(sequence).unwrap_or(self.record.base_generation)
    }

    /// Whether an update is delivered because a replay or a seek asked for it again.
    pub(super) fn is_again(&self, sequence: Sequence) -> bool {
        sequence <= self.sought_to || self.replays.contains(sequence)
    }
}
