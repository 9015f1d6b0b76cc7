//! What the gateway says of its health.

use serde::Serialize;

/// What the listener asks the gateway. Answers must be at hand: health must not wait for what it is about.
pub trait Health: Send + Sync + 'static {
    /// What is broken beyond repair, if anything is: the process should be restarted.
    fn failure(&self) -> Option<String>;

    /// Whether the gateway can do its work, and what each bot is at.
    fn readiness(&self) -> Readiness;
}

/// The body of `/readyz`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Readiness {
    /// Whether handlers can subscribe. Telegram has no say in it.
    pub ready: bool,
    /// Why not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// Each bot.
    pub bots: Vec<BotReadiness>,
}

/// What one bot is at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct BotReadiness {
    /// Its name in the configuration.
    pub bot: String,
    /// `polling` or `webhook`; `null` until Telegram has accepted the token.
    pub mode: Option<&'static str>,
    /// Whether updates can come in.
    pub connected: bool,
    /// Since when, in milliseconds since 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connected_since_ms: Option<u64>,
    /// When the last update came, in milliseconds since 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_update_ms: Option<u64>,
    /// Who else holds the bot, and what to do.
    pub conflict: Option<String>,
    /// What does not work towards Telegram at the moment.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trouble: Option<String>,
    /// Set while no updates are taken; Telegram keeps them.
    pub intake_paused: Option<Paused>,
}

/// Why no updates are taken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Paused {
    /// In words, with what to do.
    pub reason: String,
    /// Since when, in milliseconds since 1970.
    pub since_ms: u64,
}
