//! The part of a group's backlog that is in memory.
//!
//! At most [`SHARD_KEYS`] keys of a shard, and [`KEY_ROOM`] updates of each, are in the window, so that neither a stalled
//! consumer nor a chat with a long queue takes the room of the others. Each shard has a reading position; what a full
//! key could not take is left behind it, from the key's own position on. Both are read again, in sequence order, by
//! *scans*: one at a time, a chunk of heads at a time. A scan serves all shards and keys whose position it passes and
//! that have room; one that runs full on the way drops out until the next scan.

use std::collections::BTreeSet;

use super::group::Group;
use crate::model::{Head, KeyHash, Sequence, Shard};

/// Keys of a shard in the window, those with nothing loaded but something left behind included. So many chats of one
/// shard must hang before the others wait for them.
pub(super) const SHARD_KEYS: usize = 64;
/// A shard is read on when it has no more keys than this.
const SHARD_HUNGRY: usize = SHARD_KEYS * 3 / 4;
/// Updates of one key in the window. A key delivers one at a time.
pub(super) const KEY_ROOM: usize = 16;
/// A key is read on when it has no more than this: enough to outlast a scan, and little enough that a scan brings many.
const KEY_HUNGRY: usize = KEY_ROOM / 4;
/// Heads read at once: some tenths of a millisecond. Few in tests, so that scans go on over many chunks.
pub(super) const CHUNK: usize = if cfg!(test) { 64 } else { 4096 };

/// What of the window is still to be read.
#[derive(Debug, Default)]
pub(super) struct Backlog {
    /// The newest durable sequence that the group knows of.
    pub(super) tail: Sequence,
    /// Shards with a reading position.
    pub(super) shards_behind: usize,
    /// Keys with `more_from`, by it.
    pub(super) overflowed: BTreeSet<(Sequence, KeyHash)>,
    /// Those of them that have no more than [`KEY_HUNGRY`].
    hungry: BTreeSet<(Sequence, KeyHash)>,
    scan: Option<Scan>,
    scans: u64,
}

impl Backlog {
    pub(super) fn new(tail: Sequence, shards_behind: usize) -> Self {
        Self { tail, shards_behind, ..Self::default() }
    }
}

/// See [`Group::room_for`].
enum Room {
    Free,
    KeyFull,
    ShardFull,
}

#[derive(Clone, Copy, Debug)]
struct Scan {
    number: u64,
    start: Sequence,
    /// The next sequence to be read.
    at: Sequence,
}

impl Group {
    /// Takes in updates that have just become durable.
    pub(super) fn append(&mut self, heads: &[Head]) {
        for head in heads {
            self.backlog.tail = head.sequence;
            if !self.concerns(head) {
                continue;
            }
            self.lag.appended();
            let hash = self.record.ordering.key_of(head);
            let shard = hash.shard();
            if self.keys.shard(shard).behind.is_some() {
                continue;
            }
            if self.keys.get(hash).is_some_and(|key| key.more_from.is_some()) {
                continue;
            }
            match self.room_for(hash) {
                Room::Free => self.load(head),
                Room::KeyFull => self.set_more_from(hash, Some(head.sequence)),
                Room::ShardFull => {
                    self.keys.shard_mut(shard).behind = Some(head.sequence);
                    self.backlog.shards_behind += 1;
                }
            }
        }
    }

    /// Whether there is room in the window for the next update of a shard, which is one of this key.
    fn room_for(&self, hash: KeyHash) -> Room {
        match self.keys.get(hash) {
            Some(key) if key.loaded() >= KEY_ROOM => Room::KeyFull,
            Some(key) if key.takes_room => Room::Free,
            _ if self.keys.shard(hash.shard()).open_keys >= SHARD_KEYS => Room::ShardFull,
            _ => Room::Free,
        }
    }

    /// Where the next chunk of heads is to be read from, if anything that is not in the window has room now.
    pub(super) fn wanted_heads(&mut self) -> Option<Sequence> {
        if let Some(scan) = self.backlog.scan {
            let served = |at: Sequence, full_in_scan: u64| at >= scan.start && full_in_scan != scan.number;
            let someone = self
                .backlog
                .hungry
                .range((scan.start, KeyHash(0))..)
                .any(|(at, key)| served(*at, self.keys.get(*key).map_or(0, |key| key.full_in_scan)))
                || self.hungry_shards().any(|(at, full_in_scan)| served(at, full_in_scan));
            if scan.at <= self.backlog.tail && someone {
                return Some(scan.at);
            }
            self.finish_scan(scan);
        }
        let shard = self.hungry_shards().map(|(at, _)| at).min();
        let key = self.backlog.hungry.first().map(|(at, _)| *at);
        let start = shard.into_iter().chain(key).min()?;
        self.backlog.scans += 1;
        self.backlog.scan = Some(Scan { number: self.backlog.scans, start, at: start });
        (start <= self.backlog.tail).then_some(start)
    }

    fn hungry_shards(&self) -> impl Iterator<Item = (Sequence, u64)> {
        let any = self.backlog.shards_behind > 0;
        self.keys
            .shards()
            .take(if any { usize::MAX } else { 0 })
            .filter(|shard| shard.open_keys <= SHARD_HUNGRY)
            .filter_map(|shard| shard.behind.map(|at| (at, shard.full_in_scan)))
    }

    /// Takes in the heads that were read from where `wanted_heads` said; fewer than [`CHUNK`] mean that there are no
    /// more.
    pub(super) fn scan(&mut self, heads: &[Head]) {
        let Some(mut scan) = self.backlog.scan else { return };
        for head in heads {
            if head.sequence > self.backlog.tail {
                break;
            }
            self.scan_one(scan, head);
            scan.at = head.sequence.next();
        }
        if heads.len() < CHUNK || scan.at > self.backlog.tail {
            scan.at = self.backlog.tail.next();
        }
        self.backlog.scan = Some(scan);
    }

    fn scan_one(&mut self, scan: Scan, head: &Head) {
        if !self.concerns(head) {
            return;
        }
        let at = head.sequence;
        let hash = self.record.ordering.key_of(head);
        let shard = hash.shard();
        if let Some(key) = self.keys.get(hash)
            && let Some(more_from) = key.more_from
        {
            if at < more_from || more_from < scan.start || key.full_in_scan == scan.number {
                return;
            }
            if self.keys.shard(shard).behind.is_none_or(|behind| at < behind) {
                if key.loaded() < KEY_ROOM {
                    self.load(head);
                    self.set_more_from(hash, Some(at.next()));
                } else {
                    self.leave_behind(scan, hash, at);
                }
                return;
            }
            // The key has caught up with its shard, whose position covers the rest.
            self.set_more_from(hash, None);
        }
        let state = self.keys.shard(shard);
        let reads = |behind| at >= behind && behind >= scan.start && state.full_in_scan != scan.number;
        if state.behind.is_some_and(reads) {
            match self.room_for(hash) {
                Room::Free => {
                    self.load(head);
                    self.keys.shard_mut(shard).behind = Some(at.next());
                }
                Room::KeyFull => self.leave_behind(scan, hash, at),
                Room::ShardFull => {
                    let state = self.keys.shard_mut(shard);
                    state.behind = Some(at);
                    state.full_in_scan = scan.number;
                }
            }
        }
        self.keys.close_if_gone(hash);
    }

    /// Moves everybody who was served to where the scan came to.
    fn finish_scan(&mut self, scan: Scan) {
        self.backlog.scan = None;
        let at_tail = scan.at > self.backlog.tail;
        for shard in self.keys.shards_mut() {
            let Some(behind) = shard.behind else { continue };
            if behind >= scan.start && shard.full_in_scan != scan.number {
                shard.behind = (!at_tail).then_some(behind.max(scan.at));
                self.backlog.shards_behind -= usize::from(at_tail);
            }
        }
        let served: Vec<_> = self.backlog.overflowed.range((scan.start, KeyHash(0))..).copied().collect();
        for (more_from, hash) in served {
            if self.keys.get(hash).is_none_or(|key| key.full_in_scan == scan.number) {
                continue;
            }
            let reached = more_from.max(scan.at);
            let caught_up = match self.keys.shard(hash.shard()).behind {
                Some(behind) => reached >= behind,
                None => at_tail,
            };
            self.set_more_from(hash, (!caught_up).then_some(reached));
            self.keys.close_if_gone(hash);
        }
        let reached = self.reached();
        self.settled.advance(reached);
    }

    /// The key has run full; this scan passes it from here on.
    fn leave_behind(&mut self, scan: Scan, key: KeyHash, at: Sequence) {
        self.set_more_from(key, Some(at));
        self.keys.open(key).full_in_scan = scan.number;
    }

    /// The only place that changes a key's `more_from`.
    fn set_more_from(&mut self, hash: KeyHash, more_from: Option<Sequence>) {
        let before = std::mem::replace(&mut self.keys.open(hash).more_from, more_from);
        if let Some(before) = before {
            self.backlog.overflowed.remove(&(before, hash));
            self.backlog.hungry.remove(&(before, hash));
        }
        if let Some(at) = more_from {
            self.backlog.overflowed.insert((at, hash));
            if self.keys.get(hash).is_some_and(|key| key.loaded() <= KEY_HUNGRY) {
                self.backlog.hungry.insert((at, hash));
            }
        }
        self.keys.count(hash);
    }

    /// Notes that an update of the key has left the window.
    pub(super) fn unload(&mut self, hash: KeyHash, sequence: Sequence) {
        self.open.remove(sequence);
        self.keys.count(hash);
        if let Some(key) = self.keys.get(hash)
            && let Some(at) = key.more_from
            && key.loaded() <= KEY_HUNGRY
        {
            self.backlog.hungry.insert((at, hash));
        }
    }

    /// Where reading a shard goes on, the scan that is under way included; `None` if all of it has been read.
    pub(super) fn reading_position(&self, shard: Shard) -> Option<Sequence> {
        let state = self.keys.shard(shard);
        let behind = state.behind?;
        let reached = match self.backlog.scan {
            Some(scan) if behind >= scan.start && state.full_in_scan != scan.number => behind.max(scan.at),
            _ => behind,
        };
        (reached <= self.backlog.tail).then_some(reached)
    }

    /// The sequence up to which everything is settled.
    pub(super) fn reached(&self) -> Sequence {
        self.oldest().map_or(self.backlog.tail, |first| Sequence(first.0 - 1))
    }

    /// The oldest unsettled update, or a reading position before it.
    pub(super) fn oldest(&self) -> Option<Sequence> {
        let behind = if self.backlog.shards_behind > 0 {
            self.keys.shards().filter_map(|shard| shard.behind).min()
        } else {
            None
        };
        let overflowed = self.backlog.overflowed.first().map(|(at, _)| *at);
        self.open.first().into_iter().chain(behind).chain(overflowed).min()
    }
}
