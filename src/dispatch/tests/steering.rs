//! Seeks, replays and purges in the world around a dispatcher: gathered, made durable with a commit, then told to it.

use std::collections::BTreeSet;

use super::world::{Progress, World};
use crate::model::{GroupId, Head, Sequence, SettledAs};

/// What an operator does.
#[derive(Clone, Debug)]
pub(super) enum Steer {
    /// A group begins anew after this.
    Seek(GroupId, Sequence),
    /// A group gets these again.
    Replay(GroupId, Vec<Sequence>),
    /// Of these nothing is left.
    Purge(Vec<Sequence>),
}

impl Progress {
    /// The replays that the group knows of. One that was made durable together with a seek back over its update is the
    /// update's first life again.
    pub(super) fn replay_of(&self, sequence: Sequence) -> Option<u32> {
        let is_done = sequence < self.record.start || self.settled.contains_key(&sequence);
        let concerns = !is_done && !self.unmatched.contains(&sequence);
        self.replays.get(&sequence).copied().filter(|_| !concerns)
    }

    /// The generation that tokens of an update carry now.
    pub(super) fn generation_of(&self, sequence: Sequence) -> u32 {
        self.replay_of(sequence).unwrap_or(self.record.base_generation)
    }
}

impl World {
    /// The updates with these numbers that are there.
    pub(super) fn heads_at(&self, sequences: &[Sequence]) -> Vec<Head> {
        let is_wanted = |head: &&Head| sequences.contains(&head.sequence);
        self.retained().filter(is_wanted).copied().collect()
    }

    /// All that is not purged.
    pub(super) fn retained(&self) -> impl Iterator<Item = &Head> {
        self.heads.iter().filter(|head| !self.purged.contains(&head.sequence))
    }

    /// Asks for something; as the driver does, it leaves out of a replay what is not settled.
    pub(super) fn steer(&mut self, mut steer: Steer) {
        if let Steer::Replay(group, sequences) = &mut steer {
            let heads = &self.heads;
            sequences.retain(|at| {
                self.dispatcher.is_settled(*group, &heads[at.0 as usize - 1]) && !self.purged.contains(at)
            });
        }
        self.steers.push(steer);
    }

    /// The journal applies seeks before anything else of a batch.
    pub(super) fn apply_seeks(&mut self, steers: &[Steer]) {
        for steer in steers {
            let Steer::Seek(id, cursor) = steer else { continue };
            let Some(group) = self.groups.get_mut(id) else { continue };
            group.record.generation += 1;
            group.record.base_generation = group.record.generation;
            group.record.start = cursor.next();
            group.cursor = *cursor;
            group.settled.clear();
            group.attempts.clear();
            group.replays.clear();
            group.sought_to = self.heads.last().map_or(Sequence(0), |head| head.sequence);
            self.dispatcher.handle_seek(self.now, group.record.clone(), *cursor);
        }
    }

    /// It applies replays and purges after the settlements.
    pub(super) fn apply_replays_and_purges(&mut self, steers: &[Steer]) {
        for steer in steers {
            if let Steer::Replay(id, sequences) = steer
                && !sequences.is_empty()
            {
                let heads = self.heads_at(sequences);
                let Some(group) = self.groups.get_mut(id) else { continue };
                group.record.generation += 1;
                let generation = group.record.generation;
                for head in &heads {
                    // One that is replayed already stays in the generation that it has.
                    group.replays.entry(head.sequence).or_insert(generation);
                }
                self.dispatcher.handle_replay(*id, &heads, generation);
            }
        }
        for steer in steers {
            if let Steer::Purge(sequences) = steer {
                let heads = self.heads_at(sequences);
                let purged: BTreeSet<_> = heads.iter().map(|head| head.sequence).collect();
                for group in self.groups.values_mut() {
                    group.attempts.retain(|at, _| !purged.contains(at));
                    group.replays.retain(|at, _| !purged.contains(at));
                    group.settled.extend(purged.iter().map(|at| (*at, SettledAs::Purged)));
                }
                self.purged.extend(purged);
                self.dispatcher.handle_purged(self.now, &heads);
            }
        }
    }
}
