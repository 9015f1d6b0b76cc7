//! Telegram's side: the Bot API client, long polling, the webhook, and which of the two is in use.
//!
//! ```text
//! identify ──▶ mode ──▶ polling   getUpdates → intake → offset
//!    ▲           ├────▶ webhook   setWebhook, then watch getWebhookInfo
//!    └───────────┴──── whenever Telegram says that it is no longer so
//! ```
//!
//! Nothing here ends while Telegram is merely unreachable or the bot is held by somebody else: it says so, waits, and
//! goes on by itself. Only what an operator must mend is [`Fatal`], and a token that was good before is not that:
//! handlers still have what is in the journal, and a refusal can be Telegram's own trouble.

mod api;
mod backoff;
mod call_error;
#[cfg(feature = "fuzzing")]
mod fuzz;
mod kinds;
mod mode;
mod page;
mod polling;
mod probe;
mod secret;
mod settings;
mod status;
#[cfg(test)]
mod tests;
mod webhook;
mod webhook_url;

use std::time::Duration;

use tokio::sync::watch;

use crate::intake::{Intake, IntakeState};
use crate::observe::metrics::Metrics;
use api::Api;
use backoff::{Backoff, Waits};
use status::Reporter;

pub use api::{Me, WebhookInfo};
pub use call_error::{CallError, Conflict};
#[cfg(feature = "fuzzing")]
pub use fuzz::fuzz_page;
pub use probe::{Finding, Probe, probe};
pub use secret::{InvalidSecret, check_secret, webhook_secret};
pub use settings::{BotToken, InvalidToken, Mode, Settings};
pub use status::{ActiveMode, Status, StatusReader, WebhookStatus};
pub use webhook_url::{InvalidWebhookUrl, check_url, check_webhook_url};

/// What an operator must mend before the bot can work.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fatal {
    /// Telegram does not accept the token.
    #[error(
        "bot `{bot}`: Telegram does not accept its token ({code}). Compare it with the one that @BotFather shows under \
         /mybots; it was mistyped, revoked, or belongs to another Bot API server. Put the right one in place and \
         restart the gateway"
    )]
    WrongToken {
        /// The bot's name in the configuration.
        bot: Box<str>,
        /// 401 or 404.
        code: u16,
    },
    /// Telegram says that the token is another bot's.
    #[error("bot `{bot}`: its token begins with {expected}, but Telegram says that it is bot {found}")]
    OtherBot {
        /// The bot's name in the configuration.
        bot: Box<str>,
        /// The id in the token, which the journal is for.
        expected: i64,
        /// The id that getMe told.
        found: i64,
    },
    /// Mode webhook, and no URL.
    #[error(
        "bot `{bot}`: mode `webhook` needs a public URL; set one, or use mode `polling`, which needs none"
    )]
    NoWebhookUrl {
        /// The bot's name in the configuration.
        bot: Box<str>,
    },
    /// The webhook's URL cannot be one.
    #[error("bot `{bot}`: the webhook URL {error}")]
    InvalidWebhookUrl {
        /// The bot's name in the configuration.
        bot: Box<str>,
        /// What is wrong.
        error: InvalidWebhookUrl,
    },
    /// The webhook's secret cannot be one.
    #[error("bot `{bot}`: the webhook secret {error}")]
    InvalidSecret {
        /// The bot's name in the configuration.
        bot: Box<str>,
        /// What is wrong.
        error: InvalidSecret,
    },
    /// Telegram refuses the webhook.
    #[error("bot `{bot}`: Telegram refuses the webhook {url}: {description}")]
    WebhookRefused {
        /// The bot's name in the configuration.
        bot: Box<str>,
        /// The URL.
        url: Box<str>,
        /// Telegram's words.
        description: Box<str>,
    },
    /// No client can be made.
    #[error("bot `{bot}`: {why}")]
    Client {
        /// The bot's name in the configuration.
        bot: Box<str>,
        /// What is wrong.
        why: String,
    },
}

/// How long everything waits. Constants of the program; shorter in tests.
#[derive(Clone, Copy, Debug)]
struct Pace {
    /// After trouble of any kind but a conflict.
    trouble: Waits,
    /// After a 409: long enough not to fight with the other, short enough to take over soon.
    conflict: Waits,
    /// A conflict counts as over when none was seen for this long. Longer than the longest wait above, so that two
    /// gateways that take turns both see that they are two.
    conflict_memory: Duration,
    /// Between two looks at what only somebody else can change: a stranger's webhook, a token that was revoked.
    recheck: Duration,
    /// Between two looks at our own webhook.
    watch: Duration,
    /// Between two repairs of our own webhook.
    heal: Duration,
    /// While the next update cannot be read. Well above the half second in which Telegram, asked for the same again,
    /// gives a single update: what is behind that one must be seen.
    stuck: Duration,
    /// After the kinds to ask for have changed, until the webhook is set again: groups come in bursts, and Telegram
    /// takes one setWebhook a second.
    kinds: Duration,
}

impl Pace {
    /// After a 409 it waits for a whole long poll of the other at most, which then has said whether it is alive.
    fn of(settings: &Settings) -> Self {
        let conflict_max = settings.poll_timeout.clamp(Duration::from_secs(2), Duration::from_secs(30));
        Self {
            trouble: Waits { initial: Duration::from_secs(1), max: Duration::from_secs(60) },
            conflict: Waits { initial: Duration::from_secs(1), max: conflict_max },
            conflict_memory: conflict_max.mul_f64(1.5),
            recheck: Duration::from_secs(30),
            watch: Duration::from_secs(30),
            heal: Duration::from_secs(3600),
            stuck: Duration::from_secs(1),
            kinds: Duration::from_secs(2),
        }
    }
}

/// One bot's connection to Telegram.
#[derive(Debug)]
pub struct Telegram {
    settings: Settings,
    api: Api,
    intake: Intake,
    reporter: Reporter,
    pace: Pace,
}

/// Why polling or the webhook is not the way any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ended {
    /// Telegram does not accept the token any more, or says so.
    TokenRefused,
    /// A webhook stands in the way of polling.
    WebhookSet,
    /// The driver has stopped: there is nowhere to put updates.
    DriverStopped,
}

impl Telegram {
    /// Prepares the connection; nothing is sent yet.
    ///
    /// # Errors
    /// [`Fatal`] for settings that cannot work.
    pub fn new(settings: Settings, intake: Intake, metrics: Metrics) -> Result<Self, Fatal> {
        mode::check(&settings)?;
        let client = |why| Fatal::Client { bot: settings.bot.clone(), why };
        let api = Api::new(&settings, metrics.clone()).map_err(client)?;
        let reporter = Reporter::new(&settings, metrics);
        let pace = Pace::of(&settings);
        Ok(Self { settings, api, intake, reporter, pace })
    }

    /// Where the connection's status is read, before, while and after it runs.
    #[must_use]
    pub fn status(&self) -> StatusReader {
        self.reporter.reader(self.intake.clone())
    }

    /// Brings updates in until `shutdown` is true or its sender is gone. Then a waiting request is dropped at once and
    /// nothing more is confirmed; the webhook stays registered, so that Telegram keeps what comes meanwhile.
    ///
    /// # Errors
    /// [`Fatal`]; trouble that can pass is waited out.
    pub async fn run(self, mut shutdown: watch::Receiver<bool>) -> Result<(), Fatal> {
        tokio::select! {
            biased;
            // A sender that is gone cannot say it any more, and means the same.
            _ = shutdown.wait_for(|stop| *stop) => Ok(()),
            ended = self.connect() => ended.inspect_err(|fatal| self.reporter.refused(fatal)),
            () = self.watch_intake() => Ok(()),
        }
    }

    /// Shows in the status whether updates are taken; ends with the driver.
    async fn watch_intake(&self) {
        let mut state = self.intake.state();
        loop {
            let paused = match *state.borrow_and_update() {
                IntakeState::Open => None,
                IntakeState::Paused { reason, .. } => Some(reason),
            };
            self.reporter.paused(paused);
            if state.changed().await.is_err() {
                return;
            }
        }
    }

    fn backoff(&self, waits: Waits) -> Backoff {
        // Without randomness the waits still differ by bot.
        Backoff::new(waits, getrandom::u64().unwrap_or(self.settings.token.bot_id() as u64))
    }

    /// Says what went wrong and waits before the next try.
    async fn wait_out(&self, error: &CallError, backoff: &mut Backoff) {
        self.reporter.trouble(&format!("{error}; trying again"));
        let wait = match error {
            CallError::TooManyRequests { retry_after } => *retry_after,
            _ => backoff.wait(),
        };
        tokio::time::sleep(wait).await;
    }
}

/// Brings a bot's updates in until `shutdown` is true: [`Telegram::new`] and [`Telegram::run`] in one.
///
/// # Errors
/// [`Fatal`].
pub async fn run(
    settings: Settings,
    intake: Intake,
    metrics: Metrics,
    shutdown: watch::Receiver<bool>,
) -> Result<(), Fatal> {
    Telegram::new(settings, intake, metrics)?.run(shutdown).await
}
