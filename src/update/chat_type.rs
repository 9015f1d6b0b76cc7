//! The types of chats.

/// The type of a chat. The numbers are part of the stored format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ChatType {
    /// With one user.
    Private = 1,
    /// A small group.
    Group = 2,
    /// A large group, or one with topics.
    Supergroup = 3,
    /// A channel.
    Channel = 4,
}

impl ChatType {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Private, Self::Group, Self::Supergroup, Self::Channel];

    /// The type with this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|chat_type| chat_type.name() == name)
    }

    /// Telegram's name for it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Private => "private",
            Self::Group => "group",
            Self::Supergroup => "supergroup",
            Self::Channel => "channel",
        }
    }

    /// Whether a chat of this type may have this id: that of a private chat is the user's, which is positive, and those of
    /// all others are negative.
    #[must_use]
    pub fn may_have(self, chat_id: i64) -> bool {
        if self == Self::Private { chat_id > 0 } else { chat_id < 0 }
    }

    /// Its number.
    #[must_use]
    pub fn code(self) -> u8 {
        self as u8
    }

    /// The type with this number.
    #[must_use]
    pub fn from_code(code: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|chat_type| chat_type.code() == code)
    }
}
