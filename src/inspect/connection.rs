//! What the composition root tells about a bot that its journal and its driver do not know.

use crate::model::{GroupSettings, UnixMillis};

/// How a bot is connected to Telegram.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Connection {
    /// The bot's name at Telegram, without `@`.
    pub username: Option<Box<str>>,
    /// How updates come in; `None` until Telegram has accepted the token.
    pub mode: Option<ConnectionMode>,
    /// Since when updates can come in; `None` while they cannot.
    pub connected_since: Option<UnixMillis>,
    /// When the last update came.
    pub last_update: Option<UnixMillis>,
    /// Who else holds the bot, and what to do, in plain words.
    pub conflict: Option<Box<str>>,
    /// What does not work at the moment, in plain words.
    pub last_error: Option<Box<str>>,
    /// How many updates wait at Telegram; known with a webhook only.
    pub pending: Option<u64>,
    /// The webhook as Telegram reported it last.
    pub webhook: Option<Webhook>,
    /// The kinds that Telegram is asked for; none for its default.
    pub allowed_updates: Vec<Box<str>>,
}

/// How updates come in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConnectionMode {
    /// By `getUpdates`.
    Polling,
    /// By webhook.
    Webhook,
}

/// What Telegram said last about a bot's webhook.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Webhook {
    /// Where Telegram posts to.
    pub url: Box<str>,
    /// When Telegram last failed to deliver.
    pub last_error_time: Option<UnixMillis>,
    /// Why, in Telegram's words.
    pub last_error_message: Box<str>,
    /// How many connections Telegram opens at once.
    pub max_connections: u32,
    /// When this was asked.
    pub checked: UnixMillis,
}

/// What the configuration says about a bot. Times are in milliseconds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Configured {
    /// How groups treat their updates where an operator says nothing else.
    pub group: GroupSettings,
    /// How long settled updates stay.
    pub retention_max_age_ms: u64,
    /// Up to which use of the journal they do.
    pub retention_max_bytes: u64,
    /// How long dead letters stay; `None` for ever.
    pub dead_letter_max_age_ms: Option<u64>,
    /// How much they may take; `None` without limit.
    pub dead_letter_max_bytes: Option<u64>,
}
