//! What holds inside a dispatcher after each turn: every unsettled update is in exactly one place, every count is
//! right, and nothing that could be delivered is forgotten.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::world::World;
use crate::dispatch::group::Group;
use crate::dispatch::members::Presence;
use crate::dispatch::outstanding::Phase;
use crate::dispatch::pump::MAX_BACKING_OFF;
use crate::dispatch::window::{KEY_ROOM, SHARD_KEYS};
use crate::model::{Head, KeyHash, Sequence, Shard};

pub(super) fn check(world: &World) {
    for (id, group) in &world.dispatcher.groups {
        check_backlog(group, world);
        check_keys(group);
        check_members(group);
        check_outstanding(group);
        let progress = &world.groups[id];
        let pending = progress.replays.keys().copied();
        let pending = pending.filter(|at| progress.replay_of(world.head(*at)).is_some());
        assert!(group.replays.sequences().eq(pending), "{:?}", progress.replays);
        let unsettled = world.retained().filter(|head| progress.concerns(head)).map(|head| head.sequence);
        let unsettled: Vec<_> = unsettled.collect();
        let (exact, counted) = (group.lag.is_exact(), group.lag.count());
        let lag = unsettled.len() as u64;
        assert!(if exact { counted == lag } else { counted <= lag }, "{:?} of {lag}", group.lag);
        let unsettled = unsettled.first().copied();
        let cursor = world.dispatcher.cursor(*id).unwrap();
        assert!(unsettled.is_none_or(|at| cursor < at), "the cursor {cursor:?} passes {unsettled:?}");
        assert!(cursor >= progress.cursor);
    }
}

/// Every unsettled update is in the window exactly once, or lies at a reading position or beyond.
fn check_backlog(group: &Group, world: &World) {
    let key_of = |head| group.record.ordering.key_of(head);
    for head in world.heads.iter().filter(|head| !group.concerns(head) || is_purged(world, head)) {
        let waits = group
            .keys
            .get(key_of(head))
            .is_some_and(|key| key.queue.iter().any(|queued| queued.sequence == head.sequence));
        assert!(!waits, "{head:?} is none of its business");
    }
    for head in world.retained() {
        let at = head.sequence;
        let hash = key_of(head);
        let key = group.keys.get(hash);
        let queued = key.map_or(0, |key| key.queue.iter().filter(|queued| queued.sequence == at).count());
        let held = usize::from(group.outstanding.held.contains_key(&at));
        let replayed = group.replays.places_of(hash, at);
        if group.replays.contains(at) {
            assert_eq!((queued, replayed + held), (0, 1), "{at:?} is replayed, and not in one place");
            continue;
        }
        assert_eq!(replayed, 0);
        if !group.concerns(head) {
            assert_eq!(queued + held, 0, "{at:?} is none of its business and still in the window");
            continue;
        }
        let behind = group.keys.shard(hash.shard()).behind.is_some_and(|behind| behind <= at);
        let more = key.and_then(|key| key.more_from).is_some_and(|more| more <= at);
        assert!(queued + held <= 1, "{at:?} is in the window twice");
        assert!(queued + held == 1 || behind || more, "{at:?} is lost");
        if held == 1 {
            assert_eq!(group.outstanding.held[&at].key, hash);
        }
    }
    let open: Vec<_> = group
        .keys
        .iter()
        .flat_map(|(_, key)| {
            key.queue.iter().map(|queued| queued.sequence).chain(key.held.filter(|_| !key.replaying))
        })
        .collect();
    assert_eq!(group.open.first(), open.iter().min().copied());
    let unsettled = world.retained().filter(|head| group.concerns(head)).count() as u64;
    assert!(if group.lag.is_exact() {
        group.lag.count() == unsettled
    } else {
        group.lag.count() <= unsettled
    });
}

fn check_keys(group: &Group) {
    let mut open = BTreeMap::<Shard, usize>::new();
    let mut overflowed = 0;
    let mut ready = HashMap::<KeyHash, usize>::new();
    for shard in Shard::all() {
        for hash in &group.keys.shard(shard).ready {
            assert_eq!(hash.shard(), shard);
            *ready.entry(*hash).or_default() += 1;
        }
    }
    for hash in &group.parked {
        *ready.entry(*hash).or_default() += 1;
    }
    for (hash, key) in group.keys.iter() {
        let held = key.held.filter(|_| !key.replaying);
        let queued = key.queue.iter().map(|queued| queued.sequence);
        let all: Vec<Sequence> = held.into_iter().chain(queued).chain(key.more_from).collect();
        assert_eq!(key.replays as usize, group.replays.waiting_of(hash));
        assert_eq!(key.replaying, key.held.is_some_and(|at| group.replays.contains(at)));
        assert!(
            all.is_sorted() && all.iter().collect::<HashSet<_>>().len() == all.len(),
            "{hash:?}: {key:?}"
        );
        assert!(key.loaded() <= KEY_ROOM);
        assert!(!key.is_gone(), "{hash:?} was not closed");
        assert_eq!(key.takes_room, key.loaded() > 0 || key.more_from.is_some());
        *open.entry(hash.shard()).or_default() += usize::from(key.takes_room);
        assert_eq!(ready.remove(&hash).unwrap_or(0), usize::from(key.listed), "{hash:?}: {key:?}");
        assert!(key.listed || !group.is_deliverable(key), "{hash:?} is forgotten: {key:?}");
        if let Some(at) = key.more_from {
            overflowed += 1;
            assert!(group.backlog.overflowed.contains(&(at, hash)));
        }
    }
    assert!(ready.is_empty(), "listed, but not there: {ready:?}");
    assert_eq!(overflowed, group.backlog.overflowed.len());
    let mut shards_behind = 0;
    for shard in Shard::all() {
        let state = group.keys.shard(shard);
        assert_eq!(state.open_keys, open.get(&shard).copied().unwrap_or(0), "{shard:?}");
        assert!(state.open_keys <= SHARD_KEYS, "{shard:?}");
        shards_behind += usize::from(state.behind.is_some());
    }
    assert_eq!(shards_behind, group.backlog.shards_behind);
}

fn is_purged(world: &World, head: &Head) -> bool {
    world.purged.contains(&head.sequence)
}

fn check_members(group: &Group) {
    let mut listed = HashMap::<Shard, usize>::new();
    for (id, member) in &group.members {
        let owned = group.owners.iter().filter(|owner| **owner == Some(*id)).count();
        let charged: Vec<_> =
            group.outstanding.held.values().filter(|held| held.charged && held.member == *id).collect();
        assert_eq!(member.charged as usize, charged.len(), "{member:?}");
        assert_eq!(member.charged_bytes, charged.iter().map(|held| u64::from(held.size)).sum::<u64>());
        assert_eq!(group.by_consumer[&member.consumer_id], *id);
        if matches!(member.presence, Presence::Leaving(_)) {
            assert_eq!(owned, 0);
        }
        for shard in &member.ready {
            assert_eq!(group.owners[usize::from(shard.number())], Some(*id), "{shard:?} has moved");
            *listed.entry(*shard).or_default() += 1;
        }
        if let (Presence::Open(_), Some(shard)) = (member.presence, member.ready.front())
            && group.outstanding.backing_off < MAX_BACKING_OFF
            && group.record.paused.is_none()
        {
            let first = group.keys.shard(*shard).ready.front().unwrap();
            let credit = match group.next_of(*first) {
                Some(next) => member.has_credit_for(next.size) && !(next.alone && member.charged > 0),
                None => member.charged == 0,
            };
            assert!(!credit, "{member:?} could have got {first:?}");
        }
    }
    for shard in Shard::all() {
        let state = group.keys.shard(shard);
        assert_eq!(listed.get(&shard).copied().unwrap_or(0), usize::from(state.listed), "{shard:?}");
        let owned = group.owners[usize::from(shard.number())].is_some();
        assert!(state.listed || state.ready.is_empty() || !owned, "{shard:?} is forgotten");
    }
}

fn check_outstanding(group: &Group) {
    let held = &group.outstanding.held;
    let count = |is: fn(&Phase) -> bool| held.values().filter(|held| is(&held.phase)).count();
    let leased = count(|phase| matches!(phase, Phase::Outstanding { .. } | Phase::Settling { .. }));
    let backing_off = count(|phase| matches!(phase, Phase::Ending { .. } | Phase::Backoff { .. }));
    assert_eq!((group.outstanding.leased, group.outstanding.backing_off), (leased, backing_off));
    for (sequence, held) in held {
        assert_eq!(group.keys.get(held.key).and_then(|key| key.held), Some(*sequence));
        match held.phase {
            Phase::Outstanding { .. } => assert!(held.boot > 0),
            Phase::Backoff { .. } | Phase::Waiting => assert!(!held.charged),
            Phase::Settling { .. } | Phase::Ending { .. } => {}
        }
    }
    let timers = count(|phase| matches!(phase, Phase::Outstanding { .. } | Phase::Backoff { .. }))
        + group.members.values().filter(|member| matches!(member.presence, Presence::Lost { .. })).count();
    assert_eq!(group.outstanding.timers.len(), timers);
}
