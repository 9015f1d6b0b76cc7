//! Which updates or dead letters an operator means.

use crate::model::{Head, KeyHash, Sequence, UnixMillis};
use crate::update::KindCode;

/// Which updates or dead letters. All that is given must match; of several values one. Nothing given: all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selection {
    /// Positions, ascending, without repeats.
    pub sequences: Vec<Sequence>,
    /// Telegram's id.
    pub update_id: Option<i64>,
    /// The chat's key.
    pub chat: Option<KeyHash>,
    /// The user's key.
    pub user: Option<KeyHash>,
    /// An ordering key's text, of a group of whatever ordering.
    pub ordering_key: Option<Box<str>>,
    /// Kinds.
    pub kinds: Vec<KindCode>,
    /// Received at or after this time.
    pub start: Option<UnixMillis>,
    /// Received before this time.
    pub end: Option<UnixMillis>,
}

impl Selection {
    /// What an update is compared with; made once for many updates.
    pub(super) fn matcher(&self) -> Matcher<'_> {
        let update = self.ordering_key.as_ref().and_then(|key| key.strip_prefix("update:")?.parse().ok());
        Matcher {
            selection: self,
            ordering_key: self.ordering_key.as_ref().map(|key| KeyHash::of(key)),
            ordering_update: update,
        }
    }
}

/// A selection with its key's hash.
pub(super) struct Matcher<'a> {
    selection: &'a Selection,
    ordering_key: Option<KeyHash>,
    /// The id in `update:<id>`: where nothing is ordered, that is the key.
    ordering_update: Option<i64>,
}

impl Matcher<'_> {
    pub(super) fn matches(&self, head: &Head) -> bool {
        let wanted = self.selection;
        wanted.start.is_none_or(|start| head.received >= start)
            && wanted.end.is_none_or(|end| head.received < end)
            && wanted.update_id.is_none_or(|id| head.update_id == id)
            && wanted.chat.is_none_or(|chat| head.key == chat)
            // Where there is no chat, the routing key may be the user.
            && wanted.user.is_none_or(|user| head.user == user || head.key == user)
            && self.ordering_key.is_none_or(|key| {
                [head.key, head.user, head.topic].contains(&key) || self.ordering_update == Some(head.update_id)
            })
            && (wanted.kinds.is_empty() || wanted.kinds.contains(&head.kind))
            && (wanted.sequences.is_empty() || wanted.sequences.binary_search(&head.sequence).is_ok())
    }
}
