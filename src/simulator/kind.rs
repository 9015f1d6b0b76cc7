//! The kinds of update: how long Telegram keeps each, which are asked for by default, and which webhook queue they join.
//!
//! Lifetimes and queue numbers are those of Telegram's server (tdlib/telegram-bot-api, `Client.cpp`, `add_update…`).

use std::time::Duration;

/// A kind of update, as an index into the table of known ones; the last index stands for every unknown kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Kind(u8);

/// Whose queue an update joins at the webhook.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lane {
    /// The chat's, of the given number.
    Chat(i64),
    /// The user's, of the given number.
    User(i64),
    /// The poll's.
    Poll,
    /// One of its own: it waits for nobody.
    Alone,
}

const DAY_S: u64 = 86_400;

#[rustfmt::skip]
const TABLE: &[(&str, u64, Lane)] = &[
    ("message", DAY_S, Lane::Chat(0)),
    ("edited_message", DAY_S, Lane::Chat(0)),
    ("channel_post", DAY_S, Lane::Chat(0)),
    ("edited_channel_post", DAY_S, Lane::Chat(0)),
    ("inline_query", 30, Lane::User(1)),
    ("chosen_inline_result", 600, Lane::User(2)),
    ("callback_query", 150, Lane::User(3)),
    ("shipping_query", 150, Lane::User(4)),
    ("pre_checkout_query", 150, Lane::User(4)),
    ("my_chat_member", DAY_S, Lane::Chat(5)),
    ("chat_member", DAY_S, Lane::User(6)),
    ("chat_join_request", DAY_S, Lane::User(6)),
    ("chat_boost", DAY_S, Lane::Chat(7)),
    ("removed_chat_boost", DAY_S, Lane::Chat(7)),
    ("message_reaction", DAY_S, Lane::Chat(8)),
    ("message_reaction_count", DAY_S, Lane::Chat(9)),
    ("business_connection", DAY_S, Lane::User(10)),
    ("business_message", DAY_S, Lane::Chat(11)),
    ("edited_business_message", DAY_S, Lane::Chat(11)),
    ("deleted_business_messages", DAY_S, Lane::Chat(11)),
    ("guest_message", DAY_S, Lane::Chat(12)),
    ("purchased_paid_media", DAY_S, Lane::User(12)),
    ("managed_bot", DAY_S, Lane::User(13)),
    ("poll", DAY_S, Lane::Poll),
    ("poll_answer", DAY_S, Lane::Poll),
    ("custom_event", 600, Lane::Alone),
    ("custom_query", 150, Lane::Alone),
];

/// Kinds that Telegram sends only to those who ask for them by name.
const NOT_BY_DEFAULT: [&str; 3] = ["chat_member", "message_reaction", "message_reaction_count"];

impl Kind {
    pub(super) const MESSAGE: Self = Self(0);
    pub(super) const EDITED_MESSAGE: Self = Self(1);
    pub(super) const CALLBACK_QUERY: Self = Self(6);
    pub(super) const MY_CHAT_MEMBER: Self = Self(9);
    /// A kind that is not in the table; what is unknown is kept for a day and waits for nobody.
    pub(super) const UNKNOWN: Self = Self(u8::MAX);

    pub(super) fn named(name: &str) -> Self {
        TABLE
            .iter()
            .position(|(known, ..)| *known == name)
            .and_then(|index| u8::try_from(index).ok())
            .map_or(Self::UNKNOWN, Self)
    }

    pub(super) fn name(self) -> &'static str {
        TABLE.get(usize::from(self.0)).map_or("unknown", |row| row.0)
    }

    /// How long Telegram keeps an update of this kind.
    pub(super) fn lifetime(self) -> Duration {
        Duration::from_secs(TABLE.get(usize::from(self.0)).map_or(DAY_S, |row| row.1))
    }

    pub(super) fn lane(self) -> Lane {
        TABLE.get(usize::from(self.0)).map_or(Lane::Alone, |row| row.2)
    }
}

/// The number of the webhook queue; 0 means one of its own.
pub(super) fn queue_number(lane: Lane, chat: Option<i64>, user: Option<i64>, poll: Option<i64>) -> i64 {
    // Nobody has the number 0 at Telegram, but samples do: their chats keep their order as well.
    let own = |base: i64| if base == 0 { 1 << 62 } else { base };
    let numbered =
        |base: Option<i64>, number: i64| base.map_or(0, |base| own(base).wrapping_add(number << 33));
    match lane {
        Lane::Chat(number) => numbered(chat, number),
        Lane::User(number) => numbered(user, number),
        Lane::Poll => poll.unwrap_or(0),
        Lane::Alone => 0,
    }
}

/// The kinds that a bot has asked for with `allowed_updates`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Allowed(u64);

impl Default for Allowed {
    fn default() -> Self {
        let unwanted = NOT_BY_DEFAULT.iter().fold(0, |mask, name| mask | bit(Kind::named(name)));
        Self(!unwanted)
    }
}

impl Allowed {
    /// Takes over an `allowed_updates` argument: bad JSON and an absent one change nothing, unknown names are
    /// dropped, an empty list means the default.
    pub(super) fn update(&mut self, argument: Option<&str>) {
        let Some(names) = argument.and_then(|text| serde_json::from_str::<Vec<String>>(text).ok()) else {
            return;
        };
        // Kinds that Telegram's table does not know cannot be refused by name, so they always come.
        let mask = names.iter().fold(0, |mask, name| mask | bit(Kind::named(&name.to_ascii_lowercase())));
        *self = if mask & KNOWN == 0 { Self::default() } else { Self(mask | !KNOWN) };
    }

    pub(super) fn contains(self, kind: Kind) -> bool {
        self.0 & bit(kind) != 0
    }

    /// The names, unless they are the default.
    pub(super) fn names(self) -> Option<Vec<&'static str>> {
        (self != Self::default())
            .then(|| TABLE.iter().map(|row| row.0).filter(|name| self.contains(Kind::named(name))).collect())
    }
}

const KNOWN: u64 = (1 << TABLE.len()) - 1;

fn bit(kind: Kind) -> u64 {
    1 << kind.0.min(63)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lifetimes_are_a_day_but_for_the_short_lived_kinds() {
        let seconds = |name: &str| Kind::named(name).lifetime().as_secs();
        assert_eq!(["message", "poll", "brand_new_kind"].map(seconds), [DAY_S; 3]);
        assert_eq!(seconds("inline_query"), 30);
        assert_eq!(["callback_query", "shipping_query", "pre_checkout_query"].map(seconds), [150; 3]);
        assert_eq!(seconds("chosen_inline_result"), 600);
    }

    #[test]
    fn a_message_queues_by_chat_and_a_callback_by_user() {
        assert_ne!(queue_number(Lane::Chat(0), Some(0), None, None), 0, "a chat of a sample is a chat");
        let number = |name: &str| queue_number(Kind::named(name).lane(), Some(42), Some(7), Some(5));
        assert_eq!(number("message"), 42);
        assert_eq!(number("edited_channel_post"), 42);
        assert_eq!(number("callback_query"), 7 + (3 << 33));
        assert_eq!(number("my_chat_member"), 42 + (5 << 33));
        assert_eq!(number("chat_member"), 7 + (6 << 33));
        assert_eq!(number("poll_answer"), 5);
        assert_eq!(number("brand_new_kind"), 0);
    }

    #[test]
    fn allowed_updates_ignores_bad_json_drops_unknown_names_and_takes_an_empty_list_for_the_default() {
        let mut allowed = Allowed::default();
        assert!(!allowed.contains(Kind::named("chat_member")) && allowed.contains(Kind::UNKNOWN));
        assert_eq!(allowed.names(), None);
        allowed.update(Some(r#"["message","chat_member","nonsense"]"#));
        assert_eq!(allowed.names(), Some(vec!["message", "chat_member"]));
        for unchanged in [None, Some("not json"), Some("{}")] {
            allowed.update(unchanged);
            assert!(!allowed.contains(Kind::CALLBACK_QUERY));
        }
        allowed.update(Some("[]"));
        assert_eq!(allowed, Allowed::default());
    }

    #[test]
    fn the_named_constants_stand_where_the_table_has_them() {
        for (kind, name) in [
            (Kind::MESSAGE, "message"),
            (Kind::EDITED_MESSAGE, "edited_message"),
            (Kind::CALLBACK_QUERY, "callback_query"),
            (Kind::MY_CHAT_MEMBER, "my_chat_member"),
        ] {
            assert_eq!((Kind::named(name), kind.name()), (kind, name));
        }
    }
}
