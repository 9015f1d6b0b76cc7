//! How a group is doing, for those who look at it.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::Arc;

use super::dispatcher::Dispatcher;
use super::group::{Group, GroupStats};
use super::members::{Member, MemberId, Presence};
use super::outstanding::{Held, Phase};
use crate::model::{
    BlockedKey, ConsumerState, ConsumerView, GroupId, GroupStatus, HeldState, HeldView, Monotonic, Now,
    Sequence, Shard, UnixMillis,
};

/// The most blocked keys that are shown.
const MAX_BLOCKED: usize = 20;

impl Dispatcher {
    /// How a group is doing, if there is such a group. When the oldest update was received is not known here.
    #[must_use]
    pub fn status(&self, group: GroupId, now: Now) -> Option<GroupStatus> {
        self.groups.get(&group).map(|state| state.status(now))
    }
}

impl Group {
    pub(super) fn stats(&self) -> GroupStats {
        GroupStats {
            consumers: self.members.values().filter(|member| member.stream().is_some()).count(),
            members: self.members.len(),
            outstanding: self.outstanding.leased,
            backing_off: self.outstanding.backing_off,
            cursor: self.reached(),
            replaying: self.replays.len(),
            lag: self.lag.count() + self.replays.len() as u64,
            lag_exact: self.lag.is_exact(),
            oldest: self.oldest().filter(|_| !self.lag.is_exact() || self.lag.count() > 0),
        }
    }

    fn status(&self, now: Now) -> GroupStatus {
        let stats = self.stats();
        GroupStatus {
            lag: stats.lag,
            lag_exact: stats.lag_exact,
            oldest: stats.oldest,
            oldest_time: None,
            cursor: stats.cursor,
            outstanding: stats.outstanding,
            backing_off: stats.backing_off,
            replaying: stats.replaying,
            blocked: self.blocked(now),
            consumers: self.consumers(),
        }
    }

    /// The keys that are held by an update which has failed, those with the most failures first.
    fn blocked(&self, now: Now) -> Vec<BlockedKey> {
        let held = self.outstanding.held.iter();
        let mut failed: Vec<_> = held
            .filter(|(_, held)| held.failures() > 0)
            .map(|(&sequence, held)| (Reverse(held.failures()), sequence, held.key))
            .collect();
        failed.sort_unstable();
        let blocked = |(_, sequence, hash)| {
            let waiting = self.keys.get(hash).map_or(0, |key| key.queue.len() + key.replays as usize);
            Some(BlockedKey { held: self.held_view(now, sequence)?, waiting })
        };
        failed.into_iter().take(MAX_BLOCKED).filter_map(blocked).collect()
    }

    /// An update that was delivered and is not settled; `None` for any other.
    pub(super) fn held_view(&self, now: Now, sequence: Sequence) -> Option<HeldView> {
        let held = self.outstanding.held.get(&sequence)?;
        Some(HeldView {
            sequence,
            key: held.key,
            state: held_state(now, held),
            attempt: held.attempt,
            failures: held.failures(),
            consumer: Arc::clone(&held.consumer),
            first_delivered: held.first_delivered,
            delivered: held.delivered_unix,
            replayed: self.is_again(sequence),
            last_failure: held.state.as_ref().and_then(|state| state.history.last().cloned()),
        })
    }

    /// All consumers, by name.
    fn consumers(&self) -> Vec<ConsumerView> {
        let mut shards: BTreeMap<MemberId, Vec<(u16, u16)>> = BTreeMap::new();
        for (shard, owner) in Shard::all().zip(self.owners.iter()) {
            let Some(owner) = owner else { continue };
            let ranges = shards.entry(*owner).or_default();
            match ranges.last_mut() {
                Some((_, last)) if *last + 1 == shard.number() => *last = shard.number(),
                _ => ranges.push((shard.number(), shard.number())),
            }
        }
        let view = |(id, member): (&MemberId, &Member)| ConsumerView {
            consumer_id: Arc::clone(&member.consumer_id),
            state: consumer_state(member),
            connected: member.stream().map(|_| member.connected),
            shards: shards.remove(id).unwrap_or_default(),
            outstanding: member.charged,
            outstanding_bytes: member.charged_bytes,
            settings: member.settings,
        };
        let mut consumers: Vec<_> = self.members.iter().map(view).collect();
        consumers.sort_unstable_by(|a, b| a.consumer_id.cmp(&b.consumer_id));
        consumers
    }
}

fn consumer_state(member: &Member) -> ConsumerState {
    match member.presence {
        Presence::Open(_) if member.is_suspended() => ConsumerState::Suspect,
        Presence::Open(_) => ConsumerState::Open,
        Presence::Draining(_) => ConsumerState::Draining,
        Presence::Leaving(_) => ConsumerState::Leaving,
        Presence::Lost { .. } => ConsumerState::Lost,
    }
}

fn held_state(now: Now, held: &Held) -> HeldState {
    match held.phase {
        Phase::Outstanding { deadline } => HeldState::Outstanding { deadline: unix(now, deadline) },
        Phase::Settling { .. } => HeldState::Settling,
        Phase::Ending { until, .. } | Phase::Backoff { until } => {
            HeldState::BackingOff { until: unix(now, until) }
        }
        Phase::Waiting => {
            // One that was recovered while it backed off goes on doing so when it comes to its turn.
            let not_before = held.state.as_ref().map_or(UnixMillis(0), |state| state.not_before);
            if held.boot == 0 && not_before > now.unix {
                HeldState::BackingOff { until: not_before }
            } else {
                HeldState::Waiting
            }
        }
    }
}

/// The reading of the wall clock at a time of the other one.
fn unix(now: Now, at: Monotonic) -> UnixMillis {
    UnixMillis(now.unix.0.saturating_sub(now.mono.since(at)).saturating_add(at.since(now.mono)))
}
