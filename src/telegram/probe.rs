//! Looks at a bot's side of Telegram without changing anything: for `switchboard check`.

use super::api::{Api, Me, WebhookInfo};
use super::call_error::CallError;
use super::mode::{check, wanted};
use super::settings::Settings;
use super::status::ActiveMode;
use super::webhook_url::host_of;
use crate::observe::metrics::Metrics;

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Finding {
    /// As it should be.
    Good(String),
    /// Worth knowing; the bot can work.
    Note(String),
    /// The bot cannot work like this.
    Bad(String),
}

/// What was found out about a bot.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Probe {
    /// What getMe told, if it answered.
    pub me: Option<Me>,
    /// What getWebhookInfo told, if it answered.
    pub webhook: Option<WebhookInfo>,
    /// All that is worth saying, in the order of the looks.
    pub findings: Vec<Finding>,
}

impl Probe {
    /// Whether nothing stands in the way.
    #[must_use]
    pub fn is_good(&self) -> bool {
        !self.findings.iter().any(|finding| matches!(finding, Finding::Bad(_)))
    }
}

/// Checks the settings, the token and the webhook. Sends getMe and getWebhookInfo, nothing else.
pub async fn probe(settings: &Settings) -> Probe {
    let mut probe = Probe::default();
    let findings = &mut probe.findings;
    let mode = wanted(settings);
    match check(settings) {
        Ok(()) => findings.push(Finding::Good(format!("updates come in by {}", mode.name()))),
        Err(fatal) => findings.push(Finding::Bad(fatal.to_string())),
    }
    let api = match Api::new(settings, Metrics::new()) {
        Ok(api) => api,
        Err(why) => {
            findings.push(Finding::Bad(why));
            return probe;
        }
    };
    match api.get_me().await {
        Ok(me) => {
            let name = me.username.as_deref().unwrap_or("without a name");
            findings.push(if me.id == settings.token.bot_id() {
                Finding::Good(format!("the token is that of @{name} ({})", me.id))
            } else {
                Finding::Bad(format!(
                    "the token is that of bot {}, not of {}",
                    me.id,
                    settings.token.bot_id()
                ))
            });
            probe.me = Some(me);
        }
        Err(error) => {
            findings.push(Finding::Bad(match error {
                CallError::Unauthorized | CallError::NotFound => {
                    format!("{error}: compare it with the one that @BotFather shows under /mybots")
                }
                _ => error.to_string(),
            }));
            return probe;
        }
    }
    match api.webhook_info().await {
        Ok(info) => {
            findings.extend(about_webhook(settings, mode, &info));
            probe.webhook = Some(info);
        }
        Err(error) => findings.push(Finding::Bad(error.to_string())),
    }
    probe
}

fn about_webhook(settings: &Settings, mode: ActiveMode, info: &WebhookInfo) -> Vec<Finding> {
    let mut findings = Vec::new();
    let wanted = settings.webhook_url.as_deref().filter(|_| mode == ActiveMode::Webhook);
    findings.push(if info.url.is_empty() {
        Finding::Good("no webhook is set at Telegram".to_owned())
    } else if wanted == Some(&*info.url) {
        Finding::Good(format!("the webhook to {} is set at Telegram", host_of(&info.url)))
    } else if settings.takeover {
        Finding::Note(format!("a webhook to {} is set at Telegram; it will be taken over", host_of(&info.url)))
    } else {
        Finding::Note(format!(
            "a webhook to {} is set at Telegram: unless this gateway has set it, it is left alone and no updates come \
             in; stop its owner and use --takeover, or use a bot of your own",
            host_of(&info.url)
        ))
    });
    if let Some(message) = &info.last_error_message {
        findings.push(Finding::Note(format!("Telegram's last delivery to the webhook failed: {message}")));
    }
    if info.pending_update_count > 0 {
        findings.push(Finding::Note(format!("{} updates wait at Telegram", info.pending_update_count)));
    }
    findings
}
