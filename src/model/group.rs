//! Groups: their names, their settings, and the shards that their consumers share.

use super::filter::Filter;
use super::head::{Head, KeyHash, Sequence};
use super::time::UnixMillis;
use crate::update::KindCode;

/// How many shards a group has. Part of the stored format and of the API; never changes.
pub const SHARDS: u16 = 1024;
/// The most failures that may make a dead letter: more is a mistake.
pub const MAX_FAILURES: u32 = 1_000;
/// The longest time in a group's settings, a year, in milliseconds: more is a mistake.
pub const MAX_SETTING_MS: u64 = 366 * 24 * 3_600_000;

/// A shard: 0 to 1023. Stable over restarts and releases.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Shard(u16);

impl Shard {
    /// The shard of a key: its hash modulo [`SHARDS`].
    #[must_use]
    pub fn of(key: KeyHash) -> Self {
        // The remainder is below 1024 and fits.
        Self((key.0 % u64::from(SHARDS)) as u16)
    }

    /// The shard with this number, if there is one.
    #[must_use]
    pub fn new(number: u16) -> Option<Self> {
        (number < SHARDS).then_some(Self(number))
    }

    /// Its number, below [`SHARDS`].
    #[must_use]
    pub fn number(self) -> u16 {
        self.0
    }

    /// All of them, in order.
    pub fn all() -> impl Iterator<Item = Self> {
        (0..SHARDS).map(Self)
    }
}

/// A group's number inside its bot's journal. Never used again after the group is deleted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GroupId(pub u32);

/// A group's name: 1–63 characters of `a-z 0-9 - _ .`, beginning with a letter or digit.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GroupName(Box<str>);

/// Why a text is not a group's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidGroupName {
    /// It is empty.
    #[error("is empty; name a group, such as `orders`")]
    Empty,
    /// It is too long.
    #[error("is longer than 63 characters")]
    TooLong,
    /// It has another character.
    #[error("may have only a-z, 0-9, `-`, `_` and `.`, and must begin with a letter or digit")]
    Character,
}

impl GroupName {
    /// The name, if it is one.
    ///
    /// # Errors
    /// [`InvalidGroupName`] says which rule it breaks.
    pub fn parse(text: &str) -> Result<Self, InvalidGroupName> {
        let Some(first) = text.bytes().next() else {
            return Err(InvalidGroupName::Empty);
        };
        if text.len() > 63 {
            return Err(InvalidGroupName::TooLong);
        }
        let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
        if plain(first) && text.bytes().all(|b| plain(b) || b"-_.".contains(&b)) {
            Ok(Self(text.into()))
        } else {
            Err(InvalidGroupName::Character)
        }
    }

    /// Its text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Display for GroupName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// How a group treats its updates. Times are in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GroupSettings {
    /// Failures that make a dead letter, once they span `min_failure_span_ms`: 1 to [`MAX_FAILURES`].
    pub max_failures: u32,
    /// The time between the first and the last failure below which nothing is dead-lettered: an outage is not poison.
    pub min_failure_span_ms: u64,
    /// The wait after the first failure; doubles with each one.
    pub backoff_initial_ms: u64,
    /// The longest wait after a failure.
    pub backoff_max_ms: u64,
    /// How long a lost consumer's shards and deliveries wait for it to come back.
    pub member_grace_ms: u64,
    /// How far from its delivery a lease can be extended.
    pub max_lease_ms: u64,
    /// How old an unsettled update gets before it expires.
    pub max_unsettled_age_ms: u64,
}

impl Default for GroupSettings {
    fn default() -> Self {
        Self {
            max_failures: 5,
            min_failure_span_ms: 5 * 60_000,
            backoff_initial_ms: 1_000,
            backoff_max_ms: 60_000,
            member_grace_ms: 5_000,
            max_lease_ms: 10 * 60_000,
            max_unsettled_age_ms: 7 * 24 * 3_600_000,
        }
    }
}

/// Where a new group begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// A bot's first group at the earliest retained update, later ones after the newest.
    Default,
    /// At the earliest retained update.
    Earliest,
    /// After the newest update.
    Latest,
    /// At this sequence, or the next one that exists.
    Sequence(Sequence),
    /// At the first update received at or after this time.
    Time(UnixMillis),
}

/// What a group's order is kept by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Ordering {
    /// The chat, else the user, else the poll or connection id.
    #[default]
    Chat,
    /// The user, else as for `Chat`.
    User,
    /// The topic inside the chat, else as for `Chat`.
    Topic,
    /// Nothing: every update is its own key.
    None,
}

impl Ordering {
    /// The ordering key of an update.
    #[must_use]
    pub fn key_of(self, head: &Head) -> KeyHash {
        match self {
            Self::Chat => head.key,
            Self::User => head.user,
            Self::Topic => head.topic,
            Self::None => KeyHash::of_sequence(head.sequence),
        }
    }
}

/// A group as the journal keeps it. Its progress is kept apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupRecord {
    /// Its number.
    pub id: GroupId,
    /// Its name.
    pub name: GroupName,
    /// The number of its last create, seek or replay; raised by each.
    pub generation: u32,
    /// The generation of its create or last seek: that of all tokens but those of replayed updates. Tokens of an older
    /// one are superseded.
    pub base_generation: u32,
    /// The first sequence that is its business.
    pub start: Sequence,
    /// How it treats its updates.
    pub settings: GroupSettings,
    /// By kind: an update older than so many milliseconds is not delivered but expires. Ascending by kind.
    pub max_ages: Vec<(KindCode, u64)>,
    /// When it was created.
    pub created: UnixMillis,
    /// What its order is kept by. Never changes.
    pub ordering: Ordering,
    /// Whether it gets only what no other group's filter claimed. Never changes.
    pub fallback: bool,
    /// Its filters with the sequences from which on each holds, ascending; before the first, and where it is `None`,
    /// everything matches. The last one is the current filter.
    pub filters: Vec<(Sequence, Option<Filter>)>,
    /// Since when it is paused.
    pub paused: Option<UnixMillis>,
}

impl GroupRecord {
    /// A group that gets everything, by chat.
    #[must_use]
    pub fn new(
        id: GroupId,
        name: GroupName,
        start: Sequence,
        settings: GroupSettings,
        created: UnixMillis,
    ) -> Self {
        Self {
            id,
            name,
            generation: 1,
            base_generation: 1,
            start,
            settings,
            max_ages: Vec::new(),
            created,
            ordering: Ordering::Chat,
            fallback: false,
            filters: Vec::new(),
            paused: None,
        }
    }

    /// The filter that holds for new updates.
    #[must_use]
    pub fn filter(&self) -> Option<&Filter> {
        self.filters.last()?.1.as_ref()
    }

    /// Whether an update is this group's business: not before its start, matched by the filter that held when it came,
    /// and, for a fallback group, claimed by nobody else.
    #[must_use]
    pub fn matches(&self, head: &Head) -> bool {
        if head.sequence < self.start || self.fallback && head.claimed {
            return false;
        }
        let held = self.filters.iter().rev().find(|(from, _)| *from <= head.sequence);
        held.and_then(|(_, filter)| filter.as_ref()).is_none_or(|filter| filter.matches(head))
    }

    /// Whether its filter claims an update that is being stored, so that fallback groups do not get it.
    #[must_use]
    pub fn claims(&self, head: &Head) -> bool {
        !self.fallback && self.filter().is_some_and(|filter| filter.matches(head))
    }

    /// When an update is too old to be delivered; never, for most kinds.
    #[must_use]
    pub fn expires(&self, head: &Head) -> Option<UnixMillis> {
        self.expires_at(head.kind, head.received)
    }

    /// When an update of this kind, received at that time, is too old to be delivered.
    #[must_use]
    pub fn expires_at(&self, kind: KindCode, received: UnixMillis) -> Option<UnixMillis> {
        let (_, max_age) = self.max_ages.iter().find(|(of, _)| *of == kind)?;
        Some(received.plus(*max_age))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_lower_case_words() {
        for good in ["a", "orders", "orders-eu_2.v1", "0"] {
            assert!(GroupName::parse(good).is_ok(), "{good}");
        }
        assert_eq!(GroupName::parse(""), Err(InvalidGroupName::Empty));
        assert_eq!(GroupName::parse(&"a".repeat(64)), Err(InvalidGroupName::TooLong));
        for bad in ["Orders", "-a", "a b", "ä", ".a"] {
            assert_eq!(GroupName::parse(bad), Err(InvalidGroupName::Character), "{bad}");
        }
    }

    #[test]
    fn the_shard_of_a_key_never_changes() {
        assert_eq!(KeyHash::of("chat:-1001234567890").shard().number(), 145);
        assert_eq!(KeyHash::of("user:42").shard().number(), 170);
    }
}
