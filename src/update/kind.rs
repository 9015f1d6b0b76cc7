//! The kinds of updates, and their numbers in the journal.

use super::ChatType;

/// A kind of update as one byte, for the journal's heads. The numbers are part of the stored format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KindCode(pub u8);

/// Every kind of Bot API 10.3, at the position that is its number. Append only: stored heads hang on the numbers.
const NAMES: [&str; 28] = [
    "unknown",
    "message",
    "edited_message",
    "channel_post",
    "edited_channel_post",
    "business_connection",
    "business_message",
    "edited_business_message",
    "deleted_business_messages",
    "guest_message",
    "message_reaction",
    "message_reaction_count",
    "inline_query",
    "chosen_inline_result",
    "callback_query",
    "shipping_query",
    "pre_checkout_query",
    "purchased_paid_media",
    "poll",
    "poll_answer",
    "my_chat_member",
    "chat_member",
    "chat_join_request",
    "chat_boost",
    "removed_chat_boost",
    "managed_bot",
    "subscription",
    "stopped_message_generation",
];

impl KindCode {
    /// All kinds that this release does not know, and updates without a payload.
    pub const UNKNOWN: Self = Self(0);
    /// `channel_post`.
    pub const CHANNEL_POST: Self = Self(3);
    /// `edited_channel_post`.
    pub const EDITED_CHANNEL_POST: Self = Self(4);
    /// `business_connection`.
    pub const BUSINESS_CONNECTION: Self = Self(5);
    /// `inline_query`.
    pub const INLINE_QUERY: Self = Self(12);
    /// `chosen_inline_result`.
    pub const CHOSEN_INLINE_RESULT: Self = Self(13);
    /// `callback_query`.
    pub const CALLBACK_QUERY: Self = Self(14);
    /// `shipping_query`.
    pub const SHIPPING_QUERY: Self = Self(15);
    /// `pre_checkout_query`.
    pub const PRE_CHECKOUT_QUERY: Self = Self(16);
    /// `purchased_paid_media`.
    pub const PURCHASED_PAID_MEDIA: Self = Self(17);
    /// `poll`.
    pub const POLL: Self = Self(18);
    /// `poll_answer`.
    pub const POLL_ANSWER: Self = Self(19);
    /// `chat_join_request`.
    pub const CHAT_JOIN_REQUEST: Self = Self(22);
    /// `chat_boost`.
    pub const CHAT_BOOST: Self = Self(23);
    /// `removed_chat_boost`.
    pub const REMOVED_CHAT_BOOST: Self = Self(24);

    /// `chat_member`.
    pub const CHAT_MEMBER: Self = Self(21);
    /// `message_reaction`.
    pub const MESSAGE_REACTION: Self = Self(10);
    /// `message_reaction_count`.
    pub const MESSAGE_REACTION_COUNT: Self = Self(11);

    /// Whether its payload is a Message that someone wrote, and so may have a command.
    #[must_use]
    pub fn is_message(self) -> bool {
        matches!(self.0, 1..=4 | 6 | 7 | 9)
    }

    /// Whether updates of this kind may belong to a chat.
    #[must_use]
    pub fn may_have_chat(self) -> bool {
        !matches!(
            self,
            Self::BUSINESS_CONNECTION
                | Self::INLINE_QUERY
                | Self::CHOSEN_INLINE_RESULT
                | Self::SHIPPING_QUERY
                | Self::PRE_CHECKOUT_QUERY
                | Self::PURCHASED_PAID_MEDIA
                | Self::POLL
        )
    }

    /// Whether an update of this kind may come from a chat of this type. Only what the Bot API rules out is ruled out:
    /// posts are a channel's; who answers a poll as a chat is no person, and a private chat is neither boosted nor joined.
    #[must_use]
    pub fn may_come_from(self, chat_type: ChatType) -> bool {
        match self {
            Self::CHANNEL_POST | Self::EDITED_CHANNEL_POST => chat_type == ChatType::Channel,
            Self::POLL_ANSWER | Self::CHAT_JOIN_REQUEST | Self::CHAT_BOOST | Self::REMOVED_CHAT_BOOST => {
                chat_type != ChatType::Private
            }
            _ => self.may_have_chat(),
        }
    }

    /// Whether Telegram sends it only if it is asked for by name.
    #[must_use]
    pub fn is_opt_in(self) -> bool {
        matches!(self, Self::CHAT_MEMBER | Self::MESSAGE_REACTION | Self::MESSAGE_REACTION_COUNT)
    }

    /// The kind with this name; `None` for one that this release does not know, and for `unknown`.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        let number = NAMES.iter().skip(1).position(|known| *known == name)?;
        // The table has fewer than 256 rows.
        Some(Self(number as u8 + 1))
    }

    /// Its name; `unknown` for [`KindCode::UNKNOWN`] and for numbers of later releases.
    #[must_use]
    pub fn name(self) -> &'static str {
        NAMES.get(usize::from(self.0)).copied().unwrap_or("unknown")
    }

    /// All kinds that this release knows, in the order of their numbers.
    pub fn known() -> impl Iterator<Item = Self> {
        (1..NAMES.len()).map(|number| Self(number as u8))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_those_whose_names_say_so_and_those_of_guests() {
        let messages: Vec<_> =
            KindCode::known().filter(|kind| kind.is_message()).map(KindCode::name).collect();
        assert_eq!(
            messages,
            [
                "message",
                "edited_message",
                "channel_post",
                "edited_channel_post",
                "business_message",
                "edited_business_message",
                "guest_message"
            ]
        );
    }

    #[test]
    fn every_kind_is_found_by_its_name_and_the_numbers_never_change() {
        for kind in KindCode::known() {
            assert_eq!(KindCode::from_name(kind.name()), Some(kind));
        }
        assert_eq!(KindCode::from_name("unknown"), None);
        assert_eq!(KindCode(255).name(), "unknown");
        for (kind, number, name) in [
            (KindCode::CHANNEL_POST, 3, "channel_post"),
            (KindCode::EDITED_CHANNEL_POST, 4, "edited_channel_post"),
            (KindCode::BUSINESS_CONNECTION, 5, "business_connection"),
            (KindCode::INLINE_QUERY, 12, "inline_query"),
            (KindCode::CHOSEN_INLINE_RESULT, 13, "chosen_inline_result"),
            (KindCode::CALLBACK_QUERY, 14, "callback_query"),
            (KindCode::SHIPPING_QUERY, 15, "shipping_query"),
            (KindCode::PRE_CHECKOUT_QUERY, 16, "pre_checkout_query"),
            (KindCode::PURCHASED_PAID_MEDIA, 17, "purchased_paid_media"),
            (KindCode::POLL, 18, "poll"),
            (KindCode::POLL_ANSWER, 19, "poll_answer"),
            (KindCode::CHAT_JOIN_REQUEST, 22, "chat_join_request"),
            (KindCode::CHAT_BOOST, 23, "chat_boost"),
            (KindCode::REMOVED_CHAT_BOOST, 24, "removed_chat_boost"),
            (KindCode::CHAT_MEMBER, 21, "chat_member"),
            (KindCode::MESSAGE_REACTION, 10, "message_reaction"),
            (KindCode::MESSAGE_REACTION_COUNT, 11, "message_reaction_count"),
            (KindCode(27), 27, "stopped_message_generation"),
        ] {
            assert_eq!((kind.0, kind.name()), (number, name));
        }
    }
}
