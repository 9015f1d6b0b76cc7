//! What the order of updates is kept by.

use std::borrow::Cow;
use std::fmt;

/// What an update is ordered by: written `chat:-1001234567890`, `user:42`, `poll:5001`, `connection:AbC`, `id:x`,
/// `update:731000001`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Key<'a> {
    /// The chat; wins over everything else.
    Chat(i64),
    /// The user, where there is no chat.
    User(i64),
    /// The poll, for polls and anonymous answers.
    Poll(Cow<'a, str>),
    /// The business connection.
    Connection(Cow<'a, str>),
    /// The payload's own id, for kinds that are not known.
    Id(Cow<'a, str>),
    /// The update itself: it is ordered with nothing.
    Update(i64),
}

impl fmt::Display for Key<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Chat(id) => write!(f, "chat:{id}"),
            Self::User(id) => write!(f, "user:{id}"),
            Self::Poll(id) => write!(f, "poll:{id}"),
            Self::Connection(id) => write!(f, "connection:{id}"),
            Self::Id(id) => write!(f, "id:{id}"),
            Self::Update(id) => write!(f, "update:{id}"),
        }
    }
}
