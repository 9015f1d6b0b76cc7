//! Telegram's side: the Bot API client, long polling, the webhook, and which of the two is in use.

mod settings;

pub use settings::{BotToken, InvalidToken, Mode, Settings};
