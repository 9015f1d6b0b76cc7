//! What the journal keeps of an update beside its payload.

use bytes::Bytes;

use super::group::Shard;
use super::time::UnixMillis;
use crate::update::KindCode;

/// An update's position in its bot's journal: starts at 1, increases, with gaps only where the journal recorded one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Sequence(pub u64);

impl Sequence {
    /// The next position; the last one is its own next.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

/// xxh3 of a routing key's text (`chat:42`). Two keys that share a hash are merely ordered with each other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyHash(pub u64);

impl KeyHash {
    /// The hash of a routing key's text. Never changes: shards of stored updates hang on it.
    #[must_use]
    pub fn of(key: &str) -> Self {
        Self(xxhash_rust::xxh3::xxh3_64(key.as_bytes()))
    }

    /// The key's shard.
    #[must_use]
    pub fn shard(self) -> Shard {
        Shard::of(self)
    }
}

/// The routing part of a stored update: all that dispatch and lists scan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// Its position.
    pub sequence: Sequence,
    /// Telegram's id.
    pub update_id: i64,
    /// Hash of its routing key (chat, else user, else poll or connection id).
    pub key: KeyHash,
    /// Hash of `user:<id>`, or of the routing key where there is no user.
    pub user: KeyHash,
    /// Hash of `topic:<chat>:<message_thread_id>`, or of the routing key where there is no topic.
    pub topic: KeyHash,
    /// Its kind; unknown kinds share one code, their names are in the payload.
    pub kind: KindCode,
    /// Bytes of its JSON.
    pub size: u32,
    /// When it was received.
    pub received: UnixMillis,
}

/// An update's content as stored: the routing key's text and the wire `Update` message, encoded once at intake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Payload {
    /// The routing key, `chat:-100123`.
    pub key: Box<str>,
    /// The bytes of a `switchboard.v1.Update`.
    pub update: Bytes,
}
