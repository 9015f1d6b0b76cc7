//! What the journal keeps of an update beside its payload.

use bytes::Bytes;

use super::group::Shard;
use super::time::UnixMillis;
use crate::update::{ChatType, KindCode};

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

    /// The hash of a chat's key.
    #[must_use]
    pub fn of_chat(id: i64) -> Self {
        Self::of(&format!("chat:{id}"))
    }

    /// The hash of a user's key.
    #[must_use]
    pub fn of_user(id: i64) -> Self {
        Self::of(&format!("user:{id}"))
    }

    /// The key of an update that is ordered with no other.
    #[must_use]
    pub fn of_sequence(sequence: Sequence) -> Self {
        Self(xxhash_rust::xxh3::xxh3_64(&sequence.0.to_be_bytes()))
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
    /// The type of its chat.
    pub chat_type: Option<ChatType>,
    /// Its command or callback data, for filters.
    pub label: Label,
    /// Whether the filter of a group matched it when it was stored: then it is none of a fallback group's business.
    pub claimed: bool,
    /// Bytes of its JSON.
    pub size: u32,
    /// When it was received. Never before that of an earlier one.
    pub received: UnixMillis,
    /// When the commit began that made it durable.
    pub committed: UnixMillis,
}

/// The longest label: Telegram's limit for callback data.
pub const MAX_LABEL_BYTES: usize = 64;

/// A message's command (`start`, `start@some_bot`, in lower case), or a callback query's data; else empty.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Label {
    length: u8,
    /// UTF-8 up to `length`, zeros behind.
    bytes: [u8; MAX_LABEL_BYTES],
}

impl Label {
    /// None.
    pub const EMPTY: Self = Self { length: 0, bytes: [0; MAX_LABEL_BYTES] };

    /// The text, cut to [`MAX_LABEL_BYTES`] at a character.
    #[must_use]
    pub fn new(text: &str) -> Self {
        let length = text.floor_char_boundary(MAX_LABEL_BYTES);
        let mut bytes = [0; MAX_LABEL_BYTES];
        for (to, from) in bytes.iter_mut().zip(text.bytes().take(length)) {
            *to = from;
        }
        // At most 64.
        Self { length: length as u8, bytes }
    }

    /// Its text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        let text = self.bytes.get(..usize::from(self.length)).unwrap_or_default();
        // Made of a text, cut at a character.
        std::str::from_utf8(text).unwrap_or_default()
    }
}

impl Default for Label {
    fn default() -> Self {
        Self::EMPTY
    }
}

impl std::fmt::Debug for Label {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Debug::fmt(self.as_str(), f)
    }
}

/// An update's content as stored: the routing key's text and the wire `Update` message, encoded once at intake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Payload {
    /// The routing key, `chat:-100123`.
    pub key: Box<str>,
    /// The bytes of a `switchboard.v1.Update`.
    pub update: Bytes,
}
