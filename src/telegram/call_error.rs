//! How a call to the Bot API fails.

use std::time::Duration;

/// How a call to the Bot API failed. Its text never holds the token.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// 409: somebody else holds the bot.
    #[error("{0}")]
    Conflict(Conflict),
    /// 429.
    #[error("Telegram asks to wait for {} s (429)", retry_after.as_secs())]
    TooManyRequests {
        /// For how long.
        retry_after: Duration,
    },
    /// 401: the token is wrong or was revoked.
    #[error("Telegram does not know this token (401)")]
    Unauthorized,
    /// 404: the token is malformed.
    #[error("Telegram does not know this token (404)")]
    NotFound,
    /// 5xx.
    #[error("Telegram has trouble (HTTP {status}: {description})")]
    ServerError {
        /// The status.
        status: u16,
        /// Telegram's words, if it was Telegram.
        description: Box<str>,
    },
    /// Any other refusal.
    #[error("Telegram refuses it ({code}: {description})")]
    Refused {
        /// Telegram's `error_code`.
        code: u16,
        /// Telegram's words.
        description: Box<str>,
    },
    /// No answer.
    #[error("Telegram cannot be reached: {why}")]
    Unreachable {
        /// What happened.
        why: Box<str>,
    },
    /// An answer that is none of the Bot API's.
    #[error("Telegram's answer cannot be read: {why}")]
    Unreadable {
        /// What is wrong with it.
        why: String,
    },
}

/// Who else holds the bot.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Conflict {
    /// A webhook is set.
    #[error("a webhook is set for this bot, so Telegram refuses getUpdates (409)")]
    WebhookActive,
    /// Somebody has just set one.
    #[error("somebody has just set a webhook for this bot (409)")]
    WebhookSet,
    /// Somebody else polls.
    #[error("another process polls with the same token (409)")]
    OtherPoller,
    /// None of the known texts.
    #[error("Telegram reports a conflict (409: {0})")]
    Other(Box<str>),
}

impl Conflict {
    /// From Telegram's words, which name the case.
    pub(super) fn from_description(text: &str) -> Self {
        if text.contains("webhook is active") {
            Self::WebhookActive
        } else if text.contains("setWebhook") {
            Self::WebhookSet
        } else if text.contains("other getUpdates") {
            Self::OtherPoller
        } else {
            Self::Other(text.into())
        }
    }
}

impl CallError {
    /// Its name in metrics.
    pub(super) fn label(&self) -> &'static str {
        match self {
            Self::Conflict(_) => "conflict",
            Self::TooManyRequests { .. } => "too_many_requests",
            Self::Unauthorized | Self::NotFound => "unauthorized",
            Self::ServerError { .. } => "server_error",
            Self::Refused { .. } => "refused",
            Self::Unreachable { .. } => "unreachable",
            Self::Unreadable { .. } => "unreadable",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn telegrams_words_name_the_conflict() {
        for (text, conflict) in [
            (
                "Conflict: can't use getUpdates method while webhook is active; use deleteWebhook to delete the \
                 webhook first",
                Conflict::WebhookActive,
            ),
            (
                "Conflict: terminated by other getUpdates request; make sure that only one bot instance is running",
                Conflict::OtherPoller,
            ),
            ("Conflict: terminated by setWebhook request", Conflict::WebhookSet),
            ("Conflict: terminated by other setWebhook", Conflict::WebhookSet),
            ("Conflict: x", Conflict::Other("Conflict: x".into())),
        ] {
            assert_eq!(Conflict::from_description(text), conflict);
        }
    }
}
