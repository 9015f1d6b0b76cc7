//! A bot's webhook: setting it, telling about it, and sending updates to it.

mod connection;
mod delivery;
mod schedule;
mod settings;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use serde_json::{Value, json};
use tokio::sync::Notify;

use self::schedule::Schedule;
pub(super) use self::settings::Strictness;
use self::settings::{Settings, bad_webhook};
use super::Shared;
use super::answer::{self, Answer};
use super::args::Args;
use super::bot::{AbortOnDrop, Bot};
use super::poll::CONFLICT_SET_WEBHOOK;

/// Telegram takes one setWebhook in this time.
const SET_INTERVAL: Duration = Duration::from_secs(1);

/// The webhook in force.
#[derive(Debug)]
pub(super) struct ActiveWebhook {
    /// Tells this webhook from those before it, for tasks that outlive a change.
    number: u64,
    settings: Arc<Settings>,
    address: IpAddr,
    schedule: Schedule,
    last_error: Option<(i64, String)>,
    pub(super) signals: Arc<Signals>,
    /// Ends the deliveries when the webhook is replaced or deleted.
    _delivery: AbortOnDrop,
}

impl ActiveWebhook {
    /// How many connections are open or being opened.
    pub(super) fn connections(&self) -> usize {
        self.schedule.connections()
    }
}

/// How a webhook's tasks are woken.
#[derive(Debug, Default)]
pub(super) struct Signals {
    /// Wakes one idle connection.
    work: Notify,
    /// Wakes the task that opens connections and waits for retries.
    plan: Notify,
}

impl Signals {
    /// Updates are in the bot's queue.
    pub(super) fn updates_came(&self) {
        self.work.notify_one();
        self.plan.notify_one();
    }
}

/// setWebhook; with an empty URL, deleteWebhook.
pub(super) async fn set(shared: &Arc<Shared>, bot: &Arc<Bot>, url: &str, args: &Args) -> Answer {
    let parsed = (!url.is_empty()).then(|| Settings::from_args(url, args));
    let drop_pending = args.flag("drop_pending_updates");
    {
        let moment = shared.moment();
        let mut state = bot.lock();
        if parsed.is_some() {
            if moment.now < state.next_set_webhook {
                return answer::too_many_requests(1);
            }
            state.next_set_webhook = moment.now + SET_INTERVAL;
        }
        let set_already = state.webhook.as_ref().map(|webhook| &*webhook.settings);
        let unchanged = match &parsed {
            None => set_already.is_none(),
            Some(Ok(new)) => set_already == Some(new) && !new.has_certificate,
            Some(Err(_)) => false,
        };
        if unchanged && !drop_pending {
            state.allowed.update(args.get("allowed_updates"));
            let what = if parsed.is_some() { "set" } else { "deleted" };
            return answer::ok_described(&format!("Webhook is already {what}"));
        }
        if parsed.is_some() {
            state.terminate_waiting_poll(CONFLICT_SET_WEBHOOK, moment.now);
        }
        // The old one goes before the new one is looked at: a refused setWebhook leaves none.
        let had_one = state.webhook.take().is_some();
        if drop_pending {
            state.clear(moment);
        }
        let settled = state.is_settled();
        drop(state);
        bot.announce_left(settled);
        if parsed.is_none() {
            let what = if had_one { "was" } else { "is already" };
            return answer::ok_described(&format!("Webhook {what} deleted"));
        }
    }
    let checked = match parsed.unwrap_or_else(|| Err(String::new())) {
        Ok(settings) => check(settings, shared.strictness).await,
        Err(description) => Err(description),
    };
    match checked {
        Ok((settings, address)) => {
            install(shared, bot, settings, address, args.get("allowed_updates"));
            answer::ok_described("Webhook was set")
        }
        Err(description) => answer::error(StatusCode::BAD_REQUEST, &description),
    }
}

async fn check(settings: Settings, strictness: Strictness) -> Result<(Settings, IpAddr), String> {
    settings.check_target(strictness)?;
    let found: Vec<IpAddr> = match settings.ip_address {
        Some(_) => Vec::new(),
        None => tokio::net::lookup_host((settings.host.as_str(), settings.port))
            .await
            .map_err(|error| bad_webhook(&format!("Failed to resolve host: {error}")))?
            .map(|address| address.ip())
            .collect(),
    };
    let address = settings.choose_address(&found, strictness)?;
    Ok((settings, address))
}

fn install(shared: &Arc<Shared>, bot: &Arc<Bot>, settings: Settings, address: IpAddr, allowed: Option<&str>) {
    let settings = Arc::new(settings);
    let signals = Arc::new(Signals::default());
    let mut state = bot.lock();
    state.allowed.update(allowed);
    let number = state.webhook_number;
    state.webhook_number += 1;
    let delivery = delivery::Delivery {
        shared: Arc::clone(shared),
        bot: Arc::clone(bot),
        number,
        settings: Arc::clone(&settings),
        address: SocketAddr::new(address, settings.port),
        signals: Arc::clone(&signals),
    };
    let task = tokio::spawn(delivery.run());
    state.webhook = Some(ActiveWebhook {
        number,
        schedule: Schedule::new(settings.max_connections, shared.seed ^ number),
        settings,
        address,
        last_error: None,
        signals,
        _delivery: AbortOnDrop(task.abort_handle()),
    });
}

/// getWebhookInfo.
pub(super) fn info(shared: &Shared, bot: &Bot) -> Value {
    let mut state = bot.lock();
    state.expire(shared.moment());
    let mut info = json!({
        "url": "",
        "has_custom_certificate": false,
        "pending_update_count": state.queue.len(),
    });
    if let Some(webhook) = &state.webhook {
        info["url"] = json!(webhook.settings.url);
        info["has_custom_certificate"] = json!(webhook.settings.has_certificate);
        if let Some((date, message)) = &webhook.last_error {
            info["last_error_date"] = json!(date);
            info["last_error_message"] = json!(message);
        }
        info["max_connections"] = json!(webhook.settings.max_connections);
        info["ip_address"] = json!(webhook.address.to_string());
    }
    if let Some(names) = state.allowed.names() {
        info["allowed_updates"] = json!(names);
    }
    info
}
