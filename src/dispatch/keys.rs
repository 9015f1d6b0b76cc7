//! The keys that have something in the window, and the shards they belong to.

use std::collections::VecDeque;

use super::hash::NumberMap;
use crate::model::{Head, KeyHash, SHARDS, Sequence, Shard, UnixMillis};
use crate::update::KindCode;

/// An update in the window that does not hold its key. There may be a million: it is small.
#[derive(Clone, Copy, Debug)]
pub(super) struct Queued {
    pub(super) sequence: Sequence,
    /// When it was received.
    pub(super) received: UnixMillis,
    /// Bytes of its JSON.
    pub(super) size: u32,
    pub(super) kind: KindCode,
}

impl Queued {
    pub(super) fn new(head: &Head) -> Self {
        Self { sequence: head.sequence, received: head.received, size: head.size, kind: head.kind }
    }
}

/// One ordering key with something in the window, or something held, or something left to read.
#[derive(Debug, Default)]
pub(super) struct Key {
    /// Its queued updates, ascending.
    pub(super) queue: VecDeque<Queued>,
    /// The update that holds it; nothing else of this key is delivered meanwhile. Below all of `queue`, unless it is a
    /// replay.
    pub(super) held: Option<Sequence>,
    /// Whether that one is a replay: it takes no room in the window.
    pub(super) replaying: bool,
    /// How many replays wait for it; they go before `queue`.
    pub(super) replays: u32,
    /// Where reading this key's further updates starts: it has (or may have) some from here up to its shard's reading
    /// position that are not in the window. Above all of `queue`.
    pub(super) more_from: Option<Sequence>,
    /// The number of the scan in which it ran full: this scan passes it from then on.
    pub(super) full_in_scan: u64,
    /// Whether it is counted among its shard's `open_keys`: while it has something loaded or left behind.
    pub(super) takes_room: bool,
    /// Whether it stands in its shard's ready list. It may have become undeliverable since.
    pub(super) listed: bool,
}

impl Key {
    pub(super) fn loaded(&self) -> usize {
        self.queue.len() + usize::from(self.held.is_some() && !self.replaying)
    }

    pub(super) fn is_gone(&self) -> bool {
        let is_empty = self.queue.is_empty() && self.held.is_none() && self.more_from.is_none();
        is_empty && self.replays == 0 && !self.listed
    }
}

/// One shard.
#[derive(Debug, Default)]
pub(super) struct ShardState {
    /// Keys that may have something deliverable, in turn.
    pub(super) ready: VecDeque<KeyHash>,
    /// Whether it stands in its owner's ready list.
    pub(super) listed: bool,
    /// Its keys that take room in the window.
    pub(super) open_keys: usize,
    /// Where reading this shard goes on; `None` if everything up to the newest update has been read. Updates below it
    /// are in the window, settled, or covered by their key's `more_from`.
    pub(super) behind: Option<Sequence>,
    /// The number of the scan in which it ran full.
    pub(super) full_in_scan: u64,
}

/// All of them.
#[derive(Debug)]
pub(super) struct Keys {
    keys: NumberMap<KeyHash, Key>,
    shards: Box<[ShardState]>,
}

impl Keys {
    pub(super) fn new(behind: Option<Sequence>) -> Self {
        let shards = (0..SHARDS).map(|_| ShardState { behind, ..ShardState::default() }).collect();
        Self { keys: NumberMap::default(), shards }
    }

    pub(super) fn get(&self, key: KeyHash) -> Option<&Key> {
        self.keys.get(&key)
    }

    pub(super) fn get_mut(&mut self, key: KeyHash) -> Option<&mut Key> {
        self.keys.get_mut(&key)
    }

    /// The key's state, made if there is none.
    pub(super) fn open(&mut self, key: KeyHash) -> &mut Key {
        self.keys.entry(key).or_default()
    }

    /// Counts the key among its shard's open ones, or no more; to be called when it was loaded, unloaded or left behind.
    pub(super) fn count(&mut self, hash: KeyHash) {
        let Some(key) = self.keys.get_mut(&hash) else { return };
        let takes_room = key.loaded() > 0 || key.more_from.is_some();
        let before = std::mem::replace(&mut key.takes_room, takes_room);
        let open_keys = &mut self.shard_mut(hash.shard()).open_keys;
        *open_keys = *open_keys + usize::from(takes_room) - usize::from(before);
    }

    /// Forgets the key if nothing is known about it any more.
    pub(super) fn close_if_gone(&mut self, key: KeyHash) {
        if self.keys.get(&key).is_some_and(Key::is_gone) {
            self.keys.remove(&key);
        }
    }

    pub(super) fn shard(&self, shard: Shard) -> &ShardState {
        &self.shards[usize::from(shard.number())]
    }

    pub(super) fn shard_mut(&mut self, shard: Shard) -> &mut ShardState {
        &mut self.shards[usize::from(shard.number())]
    }

    pub(super) fn shards_mut(&mut self) -> impl Iterator<Item = &mut ShardState> {
        self.shards.iter_mut()
    }

    #[cfg(test)]
    pub(super) fn iter(&self) -> impl Iterator<Item = (KeyHash, &Key)> {
        self.keys.iter().map(|(hash, key)| (*hash, key))
    }

    pub(super) fn shards(&self) -> impl Iterator<Item = &ShardState> {
        self.shards.iter()
    }
}
