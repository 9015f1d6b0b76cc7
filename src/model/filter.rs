//! Which updates a group gets.

mod possible;

use std::collections::HashSet;
use std::sync::Arc;

use super::head::{Head, KeyHash};
use crate::update::{ChatType, KindCode};

/// The most kinds in a filter.
pub const MAX_KINDS: usize = 64;
/// The most chats in a filter.
pub const MAX_CHATS: usize = 10_000;
/// The most commands, and the most prefixes, in a filter.
pub const MAX_WORDS: usize = 256;
/// The longest command and the longest prefix: Telegram's own limits.
pub const MAX_COMMAND_BYTES: usize = 32;
/// See [`MAX_COMMAND_BYTES`].
pub const MAX_PREFIX_BYTES: usize = 64;

/// What a filter is made of, as users give it. A list that is empty lets everything pass.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FilterParts {
    /// Kinds.
    pub kinds: Vec<KindCode>,
    /// Chats.
    pub chat_ids: Vec<i64>,
    /// Types of chats.
    pub chat_types: Vec<ChatType>,
    /// Commands without the slash.
    pub commands: Vec<Box<str>>,
    /// Beginnings of callback data.
    pub callback_data_prefixes: Vec<Box<str>>,
}

/// A filter that can match something. All its fields must match, and of a field's values one; commands and callback data
/// are one field. What is compared is in the head: no payload is read for it.
///
/// Cheap to clone: it may have thousands of chats, and a group's record is cloned for everybody who looks at the group.
#[derive(Clone, Debug)]
pub struct Filter {
    /// Each list sorted, without repeats, commands in lower case.
    parts: Arc<FilterParts>,
    /// The hashes of the chats' keys.
    chats: Arc<HashSet<KeyHash>>,
}

/// Why there is no such filter.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidFilter {
    /// Nothing is in it: that is no filter.
    #[error("has no field set; leave the filter out to let everything pass")]
    Empty,
    /// Too much of something.
    #[error("`{field}` has more than {limit} values")]
    TooMany {
        /// Of what.
        field: &'static str,
        /// How many there may be.
        limit: usize,
    },
    /// A command that Telegram does not know as one.
    #[error("`{0}` is no command: 1–32 letters, digits and underscores, without the slash")]
    Command(Box<str>),
    /// A prefix that no callback data can have.
    #[error("a prefix of callback data has 1–64 bytes, `{0}` has not")]
    Prefix(Box<str>),
    /// Nothing can ever match.
    #[error("can never match: {0}")]
    NeverMatches(&'static str),
}

impl InvalidFilter {
    /// The field of the filter that is wrong; none if it is all of it.
    #[must_use]
    pub fn field(&self) -> Option<&'static str> {
        match self {
            Self::Empty | Self::NeverMatches(_) => None,
            Self::TooMany { field, .. } => Some(field),
            Self::Command(_) => Some("commands"),
            Self::Prefix(_) => Some("callback_data_prefixes"),
        }
    }
}

impl Filter {
    /// The filter of these parts.
    ///
    /// # Errors
    /// [`InvalidFilter`] if it is none, or can never match.
    pub fn new(parts: FilterParts) -> Result<Self, InvalidFilter> {
        let filter = Self::recorded(parts)?;
        possible::check(&filter.parts)?;
        Ok(filter)
    }

    /// The same of parts that were a filter once: one that an older release let in, though it can never match, is still
    /// read.
    ///
    /// # Errors
    /// [`InvalidFilter`] if it is none.
    pub fn recorded(mut parts: FilterParts) -> Result<Self, InvalidFilter> {
        if parts == FilterParts::default() {
            return Err(InvalidFilter::Empty);
        }
        for (field, count, limit) in [
            ("kinds", parts.kinds.len(), MAX_KINDS),
            ("chat_ids", parts.chat_ids.len(), MAX_CHATS),
            ("commands", parts.commands.len(), MAX_WORDS),
            ("callback_data_prefixes", parts.callback_data_prefixes.len(), MAX_WORDS),
        ] {
            if count > limit {
                return Err(InvalidFilter::TooMany { field, limit });
            }
        }
        for command in &mut parts.commands {
            let word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
            if !(1..=MAX_COMMAND_BYTES).contains(&command.len()) || !command.bytes().all(word) {
                return Err(InvalidFilter::Command(command.clone()));
            }
            command.make_ascii_lowercase();
        }
        if let Some(prefix) =
            parts.callback_data_prefixes.iter().find(|prefix| !(1..=MAX_PREFIX_BYTES).contains(&prefix.len()))
        {
            return Err(InvalidFilter::Prefix(prefix.clone()));
        }
        tidy(&mut parts.kinds);
        tidy(&mut parts.chat_ids);
        tidy(&mut parts.chat_types);
        tidy(&mut parts.commands);
        tidy(&mut parts.callback_data_prefixes);
        let chats = parts.chat_ids.iter().map(|id| KeyHash::of_chat(*id)).collect();
        Ok(Self { parts: Arc::new(parts), chats: Arc::new(chats) })
    }

    /// What it is made of.
    #[must_use]
    pub fn parts(&self) -> &FilterParts {
        &self.parts
    }

    /// The kinds that it can match; none if it does not narrow them.
    #[must_use]
    pub fn kinds(&self) -> &[KindCode] {
        &self.parts.kinds
    }

    /// Whether it matches an update.
    #[must_use]
    pub fn matches(&self, head: &Head) -> bool {
        let parts = &self.parts;
        (parts.kinds.is_empty() || parts.kinds.contains(&head.kind))
            && (parts.chat_ids.is_empty() || self.chats.contains(&head.key))
            && (parts.chat_types.is_empty()
                || head.chat_type.is_some_and(|chat_type| parts.chat_types.contains(&chat_type)))
            && self.matches_text(head)
    }

    fn matches_text(&self, head: &Head) -> bool {
        let (commands, prefixes) = (&self.parts.commands, &self.parts.callback_data_prefixes);
        if commands.is_empty() && prefixes.is_empty() {
            return true;
        }
        let label = head.label.as_str();
        if head.kind == KindCode::CALLBACK_QUERY {
            prefixes.iter().any(|prefix| label.starts_with(&**prefix))
        } else {
            // `start@some_bot` is the command `start`.
            let command = label.split('@').next().unwrap_or_default();
            commands.iter().any(|known| **known == *command)
        }
    }
}

impl std::fmt::Display for Filter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        /// Enough to tell filters apart by.
        const SHOWN: usize = 8;
        let mut first = true;
        let mut list = |name: &str, values: Vec<String>| {
            if values.is_empty() {
                return Ok(());
            }
            let more = if values.len() > SHOWN { ", …" } else { "" };
            let shown = values.iter().take(SHOWN).map(String::as_str).collect::<Vec<_>>().join(", ");
            let before = if std::mem::take(&mut first) { "" } else { "; " };
            write!(f, "{before}{name} {shown}{more}")
        };
        let texts = |words: &[Box<str>]| words.iter().map(|word| format!("{word:?}")).collect();
        list("kinds", self.parts.kinds.iter().map(|kind| kind.name().to_owned()).collect())?;
        list("chat_ids", self.parts.chat_ids.iter().map(ToString::to_string).collect())?;
        list("chat_types", self.parts.chat_types.iter().map(|kind| kind.name().to_owned()).collect())?;
        list("commands", texts(&self.parts.commands))?;
        list("callback_data_prefixes", texts(&self.parts.callback_data_prefixes))
    }
}

impl PartialEq for Filter {
    fn eq(&self, other: &Self) -> bool {
        self.parts == other.parts
    }
}

impl Eq for Filter {}

fn tidy<T: Ord>(values: &mut Vec<T>) {
    values.sort_unstable();
    values.dedup();
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Label, Sequence, UnixMillis};

    fn head(kind: &str, chat: i64, chat_type: Option<ChatType>, label: &str) -> Head {
        Head {
            sequence: Sequence(1),
            update_id: 1,
            key: KeyHash::of_chat(chat),
            user: KeyHash(1),
            topic: KeyHash(2),
            kind: KindCode::from_name(kind).unwrap(),
            chat_type,
            label: Label::new(label),
            claimed: false,
            size: 10,
            received: UnixMillis(0),
            committed: UnixMillis(0),
        }
    }

    fn filter(change: impl FnOnce(&mut FilterParts)) -> Result<Filter, InvalidFilter> {
        let mut parts = FilterParts::default();
        change(&mut parts);
        Filter::new(parts)
    }

    #[test]
    fn all_fields_must_match_and_of_each_one_value() {
        let orders = filter(|parts| {
            parts.kinds = vec![KindCode::CALLBACK_QUERY, KindCode::from_name("message").unwrap()];
            parts.chat_types = vec![ChatType::Private];
            parts.commands = vec!["Buy".into()];
            parts.callback_data_prefixes = vec!["order:".into()];
        })
        .unwrap();
        let private = Some(ChatType::Private);
        assert!(orders.matches(&head("message", 5, private, "buy")));
        assert!(orders.matches(&head("message", 5, private, "buy@shop_bot")));
        assert!(orders.matches(&head("callback_query", 5, private, "order:17")));
        assert!(!orders.matches(&head("callback_query", 5, private, "buy")));
        assert!(!orders.matches(&head("message", 5, private, "order:17")));
        assert!(!orders.matches(&head("message", 5, Some(ChatType::Group), "buy")));
        assert!(!orders.matches(&head("message", 5, None, "buy")));
        assert!(!orders.matches(&head("edited_message", 5, private, "buy")));
        assert!(!orders.matches(&head("message", 5, private, "")));
    }

    #[test]
    fn chats_match_by_their_id() {
        let chats = filter(|parts| parts.chat_ids = vec![-100, 7, 7]).unwrap();
        assert!(chats.matches(&head("message", -100, None, "")));
        assert!(!chats.matches(&head("message", 100, None, "")));
        assert_eq!(chats.parts().chat_ids, [-100, 7]);
        let both = filter(|parts| {
            parts.chat_ids = (0..9).collect();
            parts.commands = vec!["start".into()];
        });
        let text = both.unwrap().to_string();
        assert_eq!(text, "chat_ids 0, 1, 2, 3, 4, 5, 6, 7, …; commands \"start\"");
    }

    #[test]
    fn what_is_no_filter_is_refused() {
        assert_eq!(filter(|_| ()), Err(InvalidFilter::Empty));
        for wrong in ["/start", "", "a b", &"x".repeat(33)] {
            let refused = filter(|parts| parts.commands = vec![wrong.into()]);
            assert_eq!(refused, Err(InvalidFilter::Command(wrong.into())));
        }
        let refused = filter(|parts| parts.callback_data_prefixes = vec!["x".repeat(65).into()]);
        assert_eq!(refused.unwrap_err().field(), Some("callback_data_prefixes"));
    }
}
