//! What the Telegram side of one bot is told by the configuration.

use std::fmt;
use std::time::Duration;

/// A bot's token. Never printed: its `Debug` and `Display` say only whose it is.
#[derive(Clone, PartialEq, Eq)]
pub struct BotToken {
    id: i64,
    token: Box<str>,
}

/// The text is no bot token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("is not a bot token: expected the form 123456789:AAE…, as @BotFather gives it")]
pub struct InvalidToken;

impl BotToken {
    /// The token, if the text has a token's form: digits, a colon, and letters, digits, `_` or `-`.
    ///
    /// # Errors
    /// [`InvalidToken`]; it does not repeat the text.
    pub fn parse(text: &str) -> Result<Self, InvalidToken> {
        let (id, secret) = text.split_once(':').ok_or(InvalidToken)?;
        let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b == b'-';
        if !id.bytes().all(|b| b.is_ascii_digit()) || secret.is_empty() || !secret.bytes().all(plain) {
            return Err(InvalidToken);
        }
        let id = id.parse().map_err(|_| InvalidToken)?;
        Ok(Self { id, token: text.into() })
    }

    /// The bot's numeric id, the part before the colon.
    #[must_use]
    pub fn bot_id(&self) -> i64 {
        self.id
    }

    /// The whole token, for the one place that puts it into a request.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.token
    }
}

impl fmt::Debug for BotToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:[redacted]", self.id)
    }
}

impl fmt::Display for BotToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// How updates come in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Webhook where a public URL is known, else polling.
    Auto,
    /// `getUpdates`.
    Polling,
    /// `setWebhook`.
    Webhook,
}

/// One bot's side towards Telegram. Checked where it is made. Its `Debug` shows no secret and no proxy, whose URL may
/// hold a password.
#[derive(Clone)]
pub struct Settings {
    /// The bot's name in the configuration.
    pub bot: Box<str>,
    /// Its token.
    pub token: BotToken,
    /// Where the Bot API is, without a trailing slash: `https://api.telegram.org`.
    pub api_url: Box<str>,
    /// Whether the Bot API server runs with `--local`: it takes webhooks on http and on any port.
    pub local_api: bool,
    /// An outbound proxy, `http://…`, `https://…`, `socks5://…` or `socks5h://…`.
    pub proxy: Option<Box<str>>,
    /// Hosts that are reached without the proxy, as in `NO_PROXY`.
    pub no_proxy: Option<Box<str>>,
    /// How updates come in.
    pub mode: Mode,
    /// The whole webhook URL, `https://bot.example.com/telegram/webhook/<bot>`; none without a public URL.
    pub webhook_url: Option<Box<str>>,
    /// The path at which the public listener takes this bot's webhook; the path of `webhook_url`, unless a proxy
    /// strips a part of it.
    pub webhook_path: Box<str>,
    /// The webhook's secret; derived from the token where none is configured.
    pub webhook_secret: Option<Box<str>>,
    /// `max_connections` of setWebhook, 1–100.
    pub max_connections: u8,
    /// Kinds to ask Telegram for, an empty list for its default; without, those that the groups want.
    pub allowed_updates: Option<Vec<Box<str>>>,
    /// Whether a webhook that somebody else has set may be deleted or overwritten.
    pub takeover: bool,
    /// Whether to drop, once, what is pending at Telegram.
    pub drop_pending_updates: bool,
    /// `timeout` of getUpdates.
    pub poll_timeout: Duration,
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("bot", &self.bot)
            .field("token", &self.token)
            .field("api_url", &self.api_url)
            .field("mode", &self.mode)
            .field("webhook_url", &self.webhook_url)
            .field("takeover", &self.takeover)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_digits_colon_secret_and_never_prints() {
        let token = BotToken::parse("42:AAE-x_9").unwrap();
        assert_eq!((token.bot_id(), token.expose()), (42, "42:AAE-x_9"));
        assert_eq!(format!("{token:?} {token}"), "42:[redacted] 42:[redacted]");
        for bad in ["", "42", "42:", ":x", "x:y", "42:a b", "42:a/b", "99999999999999999999:a"] {
            assert_eq!(BotToken::parse(bad), Err(InvalidToken), "{bad}");
        }
    }
}
