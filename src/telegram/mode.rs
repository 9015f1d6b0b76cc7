//! Which way updates come in, and what must be so before: the token is right, and nothing of a stranger's is taken.

use tokio::time::Instant;

use super::secret::webhook_secret;
use super::status::ActiveMode;
use super::webhook_url::{check_webhook_url, host_of};
use super::{CallError, Ended, Fatal, Mode, Settings, Telegram};

/// Whose webhook Telegram has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Owner {
    /// There is none.
    Nobody,
    /// It is the one that this gateway wants.
    Wanted,
    /// This gateway has set it earlier.
    Ours,
    /// Anybody else.
    Stranger,
}

/// The way that the settings ask for.
pub(super) fn wanted(settings: &Settings) -> ActiveMode {
    match settings.mode {
        Mode::Polling => ActiveMode::Polling,
        Mode::Webhook => ActiveMode::Webhook,
        Mode::Auto if settings.webhook_url.is_some() => ActiveMode::Webhook,
        Mode::Auto => ActiveMode::Polling,
    }
}

/// Checks what can be checked before Telegram is asked.
pub(super) fn check(settings: &Settings) -> Result<(), Fatal> {
    if wanted(settings) == ActiveMode::Polling {
        return Ok(());
    }
    let bot = || settings.bot.clone();
    let url = settings.webhook_url.as_deref().ok_or_else(|| Fatal::NoWebhookUrl { bot: bot() })?;
    check_webhook_url(url, settings).map_err(|error| Fatal::InvalidWebhookUrl { bot: bot(), error })?;
    webhook_secret(settings).map_err(|error| Fatal::InvalidSecret { bot: bot(), error })?;
    Ok(())
}

/// What a stranger's webhook means, and the ways out.
pub(super) fn stranger_message(url: &str) -> String {
    format!(
        "a webhook to {} is set for this bot, and this gateway did not set it: nothing is taken over unasked. Either \
         use a bot of your own here, or, if that one is no longer needed, stop it and start with takeover = true \
         (--takeover)",
        host_of(url)
    )
}

impl Telegram {
    /// Brings updates in. A token that is refused at the start ends it; one that was good before is asked about again.
    pub(super) async fn connect(&self) -> Result<(), Fatal> {
        let mut drop_pending = self.settings.drop_pending_updates;
        let mut again = self.backoff(self.pace.trouble);
        let mut was_good = false;
        loop {
            match self.identify().await {
                Ok(()) => was_good = true,
                Err(refused @ Fatal::WrongToken { .. }) if was_good => {
                    self.reporter.refused(&refused);
                    tokio::time::sleep(again.jitter(self.pace.recheck)).await;
                    continue;
                }
                Err(fatal) => return Err(fatal),
            }
            let began = Instant::now();
            let mode = wanted(&self.settings);
            self.reporter.entering(mode);
            let ended = match mode {
                ActiveMode::Polling => match self.clear_way(&mut drop_pending).await {
                    Ok(()) => self.poll().await,
                    Err(ended) => ended,
                },
                ActiveMode::Webhook => self.hold_webhook(&mut drop_pending).await?,
            };
            match ended {
                Ended::DriverStopped => return Ok(()),
                Ended::TokenRefused => {
                    self.reporter.trouble("Telegram refuses the token; asking whether it is still good")
                }
                Ended::WebhookSet => {}
            }
            if began.elapsed() > self.pace.trouble.max {
                again.reset();
            }
            tokio::time::sleep(again.wait()).await;
        }
    }

    /// Asks who the token is for until Telegram answers.
    async fn identify(&self) -> Result<(), Fatal> {
        let bot = || self.settings.bot.clone();
        let mut backoff = self.backoff(self.pace.trouble);
        loop {
            match self.api.get_me().await {
                Ok(me) if me.id == self.settings.token.bot_id() => {
                    self.reporter.identified(me.username.as_deref());
                    return Ok(());
                }
                Ok(me) => {
                    let expected = self.settings.token.bot_id();
                    return Err(Fatal::OtherBot { bot: bot(), expected, found: me.id });
                }
                Err(CallError::Unauthorized) => return Err(Fatal::WrongToken { bot: bot(), code: 401 }),
                Err(CallError::NotFound) => return Err(Fatal::WrongToken { bot: bot(), code: 404 }),
                Err(error) => self.wait_out(&error, &mut backoff).await,
            }
        }
    }

    /// Whose the webhook is.
    pub(super) fn owner_of(&self, url: &str) -> Owner {
        if url.is_empty() {
            Owner::Nobody
        } else if wanted(&self.settings) == ActiveMode::Webhook
            && self.settings.webhook_url.as_deref() == Some(url)
        {
            Owner::Wanted
        } else if self.intake.own_webhook().as_deref() == Some(url) {
            Owner::Ours
        } else {
            Owner::Stranger
        }
    }

    /// Waits until no webhook stands in the way of polling. Our own is deleted; nothing that is pending is lost by it.
    async fn clear_way(&self, drop_pending: &mut bool) -> Result<(), Ended> {
        let mut backoff = self.backoff(self.pace.trouble);
        loop {
            let info = match self.api.webhook_info().await {
                Ok(info) => info,
                Err(CallError::Unauthorized | CallError::NotFound) => return Err(Ended::TokenRefused),
                Err(error) => {
                    self.wait_out(&error, &mut backoff).await;
                    continue;
                }
            };
            let owner = self.owner_of(&info.url);
            if owner == Owner::Stranger && !self.settings.takeover {
                self.reporter.conflict(&stranger_message(&info.url));
                tokio::time::sleep(backoff.jitter(self.pace.recheck)).await;
                continue;
            }
            if owner == Owner::Nobody && !*drop_pending {
                self.forget_webhook().await;
                return Ok(());
            }
            if owner == Owner::Stranger {
                tracing::warn!(
                    bot = &*self.settings.bot,
                    "takeover: deleting the webhook to {}",
                    host_of(&info.url)
                );
            }
            match self.api.delete_webhook(*drop_pending).await {
                Ok(_) => {
                    if std::mem::take(drop_pending) {
                        tracing::warn!(
                            bot = &*self.settings.bot,
                            "dropped what was pending at Telegram, as asked for ({} updates)",
                            info.pending_update_count
                        );
                    }
                    self.forget_webhook().await;
                    return Ok(());
                }
                Err(CallError::Unauthorized | CallError::NotFound) => return Err(Ended::TokenRefused),
                Err(error) => self.wait_out(&error, &mut backoff).await,
            }
        }
    }

    /// There is no webhook any more, so none is ours. If that cannot be kept now, nothing is lost: a URL that is
    /// remembered in vain only matters if it is set again.
    async fn forget_webhook(&self) {
        self.reporter.conflict_over();
        if self.intake.own_webhook().is_some()
            && let Err(error) = self.intake.remember_webhook("").await
        {
            tracing::warn!(bot = &*self.settings.bot, "cannot note that our webhook is gone: {error}");
        }
    }
}
