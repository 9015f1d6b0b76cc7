//! The webhook: set it, watch it, and repair it at most once an hour. The requests themselves come in at
//! `http::public`.

use tokio::time::Instant;

use super::api::{SetWebhook, WebhookInfo};
use super::backoff::Backoff;
use super::mode::{Owner, stranger_message};
use super::secret::webhook_secret;
use super::status::{ActiveMode, WebhookStatus};
use super::webhook_url::{host_of, shown};
use super::{CallError, Ended, Fatal, Telegram};
use crate::intake::{AppendError, UnixMillis, now};

/// A delivery that failed longer ago than this says nothing about now.
const RECENT_ERROR_MS: u64 = 5 * 60_000;
/// What Telegram says when the name is not known (yet): new names take a while.
const UNRESOLVED: &str = "Failed to resolve host";

/// What has been done about the webhook so far.
struct Held {
    /// It was set, and seen to be, since the start.
    registered: bool,
    /// When it was last set: what failed before says nothing about it.
    since: UnixMillis,
    /// When it was last repaired.
    last_heal: Option<Instant>,
    /// The kinds that it was last set with.
    asked: Vec<Box<str>>,
}

impl Telegram {
    /// Keeps the webhook set until the token is refused.
    pub(super) async fn hold_webhook(&self, drop_pending: &mut bool) -> Result<Ended, Fatal> {
        // Checked at the start: a URL and a secret there are.
        let Some(url) = self.settings.webhook_url.as_deref() else {
            return Err(Fatal::NoWebhookUrl { bot: self.settings.bot.clone() });
        };
        let mut held = Held { registered: false, since: now(), last_heal: None, asked: Vec::new() };
        let mut kinds = self.kinds();
        let mut backoff = self.backoff(self.pace.trouble);
        loop {
            let info = match self.api.webhook_info().await {
                Ok(info) => info,
                Err(CallError::Unauthorized | CallError::NotFound) => return Ok(Ended::TokenRefused),
                Err(error) if held.registered => {
                    // Requests come in without our asking: not being able to look is no reason to call it broken.
                    self.reporter.degraded(&format!("cannot look after the webhook: {error}; trying again"));
                    tokio::time::sleep(backoff.wait()).await;
                    continue;
                }
                Err(error) => {
                    self.wait_out(&error, &mut backoff).await;
                    continue;
                }
            };
            let owner = self.owner_of(&info.url);
            self.show(&info, owner);
            let wanted = kinds.current();
            if owner == Owner::Stranger && !self.settings.takeover {
                self.reporter.conflict(&stranger_message(&info.url));
            } else if owner == Owner::Wanted && held.registered && wanted != held.asked {
                // No drift: what is asked for has changed.
                if let Err(error) = self.register(url, &wanted, drop_pending).await {
                    self.reporter
                        .degraded(&format!("cannot ask for other kinds of updates: {error}; trying again"));
                    match error {
                        CallError::Unauthorized | CallError::NotFound => return Ok(Ended::TokenRefused),
                        CallError::TooManyRequests { retry_after } => tokio::time::sleep(retry_after).await,
                        _ => tokio::time::sleep(backoff.wait()).await,
                    }
                    continue;
                }
                held.since = now();
                held.asked = wanted;
                continue;
            } else if owner == Owner::Wanted && held.registered {
                backoff.reset();
                self.reporter.conflict_over();
                self.healthy(&info, held.since);
                if self.remember(url).await == Err(AppendError::Stopped) {
                    return Ok(Ended::DriverStopped);
                }
                tokio::select! {
                    () = self.pause(&mut backoff, &held) => {}
                    () = kinds.other_than(&held.asked) => tokio::time::sleep(self.pace.kinds).await,
                }
                continue;
            } else if self.may_set(&held, &info) {
                match self.register(url, &wanted, drop_pending).await {
                    Ok(()) => {
                        held.since = now();
                        held.asked = wanted;
                        if std::mem::replace(&mut held.registered, true) {
                            held.last_heal = Some(Instant::now());
                        }
                        continue;
                    }
                    Err(CallError::Unauthorized | CallError::NotFound) => return Ok(Ended::TokenRefused),
                    Err(CallError::Refused { code: 400, description })
                        // What was taken before may be taken again; names come and go.
                        if !held.registered && !description.contains(UNRESOLVED) =>
                    {
                        let bot = self.settings.bot.clone();
                        return Err(Fatal::WebhookRefused { bot, url: url.into(), description });
                    }
                    Err(error) => {
                        self.wait_out(&error, &mut backoff).await;
                        continue;
                    }
                }
            }
            self.pause(&mut backoff, &held).await;
        }
    }

    async fn pause(&self, backoff: &mut Backoff, held: &Held) {
        let wait = if held.registered { self.pace.watch } else { self.pace.recheck };
        tokio::time::sleep(backoff.jitter(wait)).await;
    }

    /// Whether to set the webhook now. One that we had set and that is gone is reported at once and repaired at most
    /// once an hour: something else is at work, and two that fight would fill Telegram's limits.
    fn may_set(&self, held: &Held, info: &WebhookInfo) -> bool {
        if !held.registered {
            if self.owner_of(&info.url) == Owner::Stranger {
                let host = host_of(&info.url);
                tracing::warn!(bot = &*self.settings.bot, "takeover: overwriting the webhook to {host}");
            }
            return true;
        }
        let now_there =
            if info.url.is_empty() { "gone".to_owned() } else { format!("one to {}", host_of(&info.url)) };
        if self.owner_of(&info.url) != Owner::Stranger {
            self.reporter.conflict_over();
        }
        let healing = held.last_heal.is_none_or(|last| last.elapsed() >= self.pace.heal);
        let then = if healing { "setting it again" } else { "set again within the hour already; waiting" };
        self.reporter.trouble(&format!(
            "our webhook is {now_there} without our doing: somebody else uses the token; {then}"
        ));
        healing
    }

    /// Sets the webhook and remembers that it is ours.
    async fn register(
        &self,
        url: &str,
        kinds: &[Box<str>],
        drop_pending: &mut bool,
    ) -> Result<(), CallError> {
        let refused = |error: super::InvalidSecret| CallError::Refused {
            code: 400,
            description: error.to_string().into(),
        };
        let request = SetWebhook {
            url,
            secret_token: &webhook_secret(&self.settings).map_err(refused)?,
            max_connections: self.settings.max_connections,
            allowed_updates: kinds,
            drop_pending_updates: *drop_pending,
        };
        self.api.set_webhook(&request).await?;
        if std::mem::take(drop_pending) {
            tracing::warn!(bot = &*self.settings.bot, "dropped what was pending at Telegram, as asked for");
        }
        self.reporter.asked_for(kinds);
        self.reporter.conflict_over();
        self.reporter.connected(ActiveMode::Webhook);
        // If this fails, the next look at the webhook tries again; until then the URL is known as the wanted one.
        let _ = self.remember(url).await;
        Ok(())
    }

    /// Shows what Telegram has told.
    fn show(&self, info: &WebhookInfo, owner: Owner) {
        self.reporter.pending(info.pending_update_count);
        self.reporter.webhook(WebhookStatus {
            url: shown(&info.url, owner != Owner::Stranger),
            last_error_time: info.last_error_date.map(|seconds| UnixMillis(seconds.saturating_mul(1000))),
            last_error_message: info.last_error_message.clone().unwrap_or_default(),
            max_connections: info.max_connections.unwrap_or_default(),
            checked: now(),
        });
    }

    async fn remember(&self, url: &str) -> Result<(), AppendError> {
        if self.intake.own_webhook().as_deref() == Some(url) {
            return Ok(());
        }
        self.intake.remember_webhook(url).await
    }

    /// The webhook is set; whether it works is seen from Telegram's last error.
    fn healthy(&self, info: &WebhookInfo, since: UnixMillis) {
        let failed = info.last_error_date.map_or(UnixMillis(0), |seconds| UnixMillis(seconds * 1000));
        // Telegram keeps the last error, and counts in seconds.
        let of_this_one = failed.0 / 1000 >= since.0 / 1000;
        match &info.last_error_message {
            Some(message) if of_this_one && now().since(failed) < RECENT_ERROR_MS => {
                // Without the number that waits, which the metrics have: each change of it would be said again.
                self.reporter.degraded(&format!("Telegram could not deliver to the webhook: {message}"));
            }
            _ => self.reporter.connected(ActiveMode::Webhook),
        }
    }
}
