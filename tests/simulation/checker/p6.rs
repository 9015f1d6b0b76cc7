//! P6: what is out is bounded by each consumer's credit, what is in memory by the window, and what can be delivered is:
//! a slow consumer delays only its own.

use std::collections::BTreeMap;

use switchboard::model::{Delivery, GroupId, SHARDS, Sequence, Shard};

use super::live::{State, Stream};
use super::shards::Shards;
use super::{Checker, books};
use crate::violation::{Kept, demand};

/// Keys of one shard in the window, less some for those that are just going.
const SHARD_KEYS: usize = 48;

impl Checker {
    pub(super) fn p6_credit_bounds(&self, gateway: u32, stream: &Stream, delivery: &Delivery) -> Kept {
        let live = self.live(gateway);
        let Some(out) = live.groups.get(&stream.group) else { return Ok(()) };
        let of_it = out.newest.values().filter(|newest| newest.charged && newest.consumer == stream.consumer);
        let (count, bytes) = of_it.fold((0, 0), |(count, bytes), newest| (count + 1, bytes + newest.size));
        let size = self.facts(delivery.sequence()).map_or(0, |(_, head)| u64::from(head.size));
        let limit = stream.settings.max_outstanding;
        demand!("P6", count < limit, "{} has {count} of {limit} and gets one more", stream.consumer);
        let limit = stream.settings.max_outstanding_bytes;
        demand!(
            "P6",
            count == 0 || bytes + size <= limit,
            "{} has {bytes} of {limit} bytes and gets {size} more",
            stream.consumer
        );
        Ok(())
    }

    /// A gateway has come to rest: whatever could be delivered now is.
    pub fn p6_nobody_waits_for_nothing(&self, gateway: u32) -> Kept {
        let live = self.live(gateway);
        if live.deposed || live.stopping || live.batch.is_some() {
            return Ok(());
        }
        for (id, group) in &self.books.groups {
            if group.record.paused.is_none() {
                self.group_is_busy(gateway, *id, group)?;
            }
        }
        Ok(())
    }

    fn group_is_busy(&self, gateway: u32, id: GroupId, group: &books::Group) -> Kept {
        let live = self.live(gateway);
        let streams: Vec<_> =
            live.streams.values().filter(|stream| stream.group == id && stream.open).collect();
        let out = live.groups.get(&id);
        let owned = streams.iter().fold(Shards::default(), |all, stream| all.or(stream.shards));
        let waits = out.is_some_and(|out| out.lost.values().any(|until| *until > live.clock.mono.0));
        // Shards of somebody who is waited for are nobody's else.
        let whole =
            owned.len() == u32::from(SHARDS) || waits || streams.iter().any(|stream| !stream.takes_new);
        demand!("P6", streams.is_empty() || whole, "{id:?}: only {} shards have an owner", owned.len());
        let mut keys: BTreeMap<_, Sequence> = BTreeMap::new();
        for (at, stored) in &self.books.stored {
            if self.concerns(group, *at) || group.replays.contains_key(at) {
                let first = keys.entry(stored.key(group.record.ordering)).or_insert(*at);
                // Replays go first.
                if group.replays.contains_key(at) && !group.replays.contains_key(first) {
                    *first = *at;
                }
            }
        }
        let mut of_shard: BTreeMap<Shard, usize> = BTreeMap::new();
        let busy = |at: &Sequence| out.is_some_and(|out| out.newest.contains_key(at));
        for at in keys.values() {
            let Some(hash) = self.key_hash(group, *at) else { continue };
            *of_shard.entry(hash.shard()).or_default() += 1;
        }
        // Who has no room for the first of its updates does not look for a smaller one.
        let size_of = |at: &Sequence| self.facts(*at).map_or(0, |(_, head)| u64::from(head.size));
        let largest = keys.values().map(size_of).max().unwrap_or(0);
        for (key, at) in &keys {
            let Some(hash) = self.key_hash(group, *at) else { continue };
            let shard = hash.shard();
            // Some other update of the key may have it, or its last attempt may be waited out.
            let of_key = self.books.stored.get(at).into_iter();
            let held = of_key
                .flat_map(|stored| self.books.of_key(group.record.ordering, stored))
                .any(|other| busy(&other) || group.attempts.contains_key(&other));
            if held || of_shard[&shard] > SHARD_KEYS || self.may_expire(gateway, group, *at) {
                continue;
            }
            let owner = streams.iter().find(|stream| stream.shards.contains(shard) && stream.takes_new);
            let Some(owner) = owner else { continue };
            demand!(
                "P6",
                !self.has_credit(gateway, owner, largest),
                "{id:?}: {at:?} of key {key:?} could be delivered to {} and is not",
                owner.consumer
            );
        }
        Ok(())
    }

    fn may_expire(&self, gateway: u32, group: &books::Group, at: Sequence) -> bool {
        self.facts(at).is_none_or(|(sent, head)| {
            let kind = if sent.kind == "x_event" { "unknown" } else { sent.kind };
            self.live(gateway).clock.unix.since(head.received) >= group.shortest_age(kind)
        })
    }

    /// Whether a consumer surely could take one more.
    fn has_credit(&self, gateway: u32, stream: &Stream, size: u64) -> bool {
        let live = self.live(gateway);
        let newest = live.groups.get(&stream.group).into_iter().flat_map(|out| out.newest.values());
        let mut of_it =
            newest.filter(|newest| newest.consumer == stream.consumer || newest.consumer.is_empty());
        let (mut count, mut bytes) = (0, 0);
        for newest in of_it.by_ref() {
            // One that was lost often is delivered alone.
            if newest.token.attempt > 3 && matches!(newest.state, State::Out { .. } | State::Unsure) {
                return false;
            }
            // What waits for its next try counts no more.
            if newest.state != State::Ended || !newest.end_recorded {
                count += 1;
                bytes += newest.size;
            }
        }
        let limit = if stream.expiries >= 3 { 0 } else { stream.settings.max_outstanding };
        count < limit && (count == 0 || bytes + size <= stream.settings.max_outstanding_bytes)
    }
}
