//! Every metric, once: its name, its labels, its meaning. Labels never hold chats, users or updates.

use std::sync::Arc;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};

/// Labels of what a bot does.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct BotLabels {
    /// The bot's name.
    pub bot: Arc<str>,
}

/// Labels of how updates come in.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct IntakeLabels {
    /// The bot's name.
    pub bot: Arc<str>,
    /// `polling` or `webhook`.
    pub mode: &'static str,
}

/// Labels of what a group does.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct GroupLabels {
    /// The bot's name.
    pub bot: Arc<str>,
    /// The group's name.
    pub group: Arc<str>,
}

/// Labels of how updates leave a group.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct SettledLabels {
    /// The bot's name.
    pub bot: Arc<str>,
    /// The group's name.
    pub group: Arc<str>,
    /// `acked`, `rejected`, `dead_lettered`, `expired` or `purged`.
    pub outcome: &'static str,
}

/// Labels of attempts that ended without a settlement.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct EndedLabels {
    /// The bot's name.
    pub bot: Arc<str>,
    /// The group's name.
    pub group: Arc<str>,
    /// `nacked`, `released`, `expired` or `lost`.
    pub how: &'static str,
}

/// Labels of calls to Telegram.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct CallLabels {
    /// The bot's name.
    pub bot: Arc<str>,
    /// The Bot API method.
    pub method: &'static str,
    /// `ok`, `conflict`, `too_many_requests`, `unauthorized`, `server_error`, `unreachable`, `refused` or
    /// `unreadable`.
    pub outcome: &'static str,
}

/// Labels of webhook requests.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct WebhookLabels {
    /// The bot's name; empty where the path is no bot's.
    pub bot: Arc<str>,
    /// The HTTP status that was answered.
    pub status: u16,
}

macro_rules! metrics {
    ($($(#[$doc:meta])* $field:ident: $type:ty = $name:literal $(in $unit:expr)?, $help:literal, $make:expr;)*) => {
        /// All metrics of the process. Cheap to clone.
        #[derive(Clone, Debug)]
        pub struct Metrics {
            registry: Arc<Registry>,
            $(#[doc = $help] pub $field: $type,)*
        }

        impl Metrics {
            /// All of them, at zero.
            #[must_use]
            pub fn new() -> Self {
                let mut registry = Registry::with_prefix("switchboard");
                $(
                    let $field: $type = $make;
                    metrics!(@register registry, $name, $help, $field $(, $unit)?);
                )*
                Self { registry: Arc::new(registry), $($field,)* }
            }
        }
    };
    (@register $registry:ident, $name:literal, $help:literal, $field:ident) => {
        $registry.register($name, $help, $field.clone());
    };
    (@register $registry:ident, $name:literal, $help:literal, $field:ident, $unit:expr) => {
        $registry.register_with_unit($name, $help, $unit, $field.clone());
    };
}

type ByBot<M> = Family<BotLabels, M>;
type ByGroup<M> = Family<GroupLabels, M>;
type ByBotHistogram = Family<BotLabels, Histogram, fn() -> Histogram>;

metrics! {
    received: Family<IntakeLabels, Counter> = "updates_received", "Updates received from Telegram, repeats included", Family::default();
    stored: ByBot<Counter> = "updates_stored", "Updates made durable", Family::default();
    duplicates: ByBot<Counter> = "updates_duplicate", "Updates dropped because their update_id was known", Family::default();
    quarantined: ByBot<Counter> = "updates_quarantined", "Polled elements that could not be read and were set aside", Family::default();
    trimmed: ByBot<Counter> = "updates_trimmed", "Updates removed after their retention", Family::default();
    commits: ByBotHistogram = "commit_duration" in Unit::Seconds, "Time from handing a commit to the journal until it is durable", Family::new_with_constructor(durations as fn() -> Histogram);
    commit_updates: ByBotHistogram = "commit_updates", "New updates in one commit", Family::new_with_constructor(sizes as fn() -> Histogram);
    commit_failures: ByBot<Counter> = "commit_failures", "Commits refused for want of room", Family::default();
    journal_used: ByBot<Gauge> = "journal_used" in Unit::Bytes, "Bytes of the journal in use", Family::default();
    journal_max: ByBot<Gauge> = "journal_max" in Unit::Bytes, "The journal's limit", Family::default();
    intake_paused: ByBot<Gauge> = "intake_paused", "1 while no updates are taken", Family::default();
    deliveries: ByGroup<Counter> = "deliveries", "Updates handed to consumers, repeats included", Family::default();
    redeliveries: ByGroup<Counter> = "redeliveries", "Deliveries after the first of the same update", Family::default();
    ended: Family<EndedLabels, Counter> = "attempts_ended", "Deliveries that ended without a settlement", Family::default();
    settled: Family<SettledLabels, Counter> = "updates_settled", "Updates that a group is done with", Family::default();
    outstanding: ByGroup<Gauge> = "outstanding", "Deliveries not settled yet", Family::default();
    lag: ByGroup<Gauge> = "lag", "Updates not settled yet, by sequence: newest minus the group's cursor", Family::default();
    consumers: ByGroup<Gauge> = "consumers", "Open Subscribe streams", Family::default();
    telegram_calls: Family<CallLabels, Counter> = "telegram_calls", "Calls to the Bot API", Family::default();
    telegram_connected: ByBot<Gauge> = "telegram_connected", "1 while updates can come in: polling works, or the webhook is set", Family::default();
    telegram_conflict: ByBot<Gauge> = "telegram_conflict", "1 while somebody else holds the bot (409, or a stranger's webhook)", Family::default();
    telegram_pending: ByBot<Gauge> = "telegram_pending", "Updates waiting at Telegram, from getWebhookInfo", Family::default();
    webhook_requests: Family<WebhookLabels, Counter> = "webhook_requests", "Requests to the webhook", Family::default();
}

fn durations() -> Histogram {
    Histogram::new(exponential_buckets(0.000_1, 2.0, 20))
}

fn sizes() -> Histogram {
    Histogram::new(exponential_buckets(1.0, 2.0, 14))
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    /// The OpenMetrics text.
    ///
    /// # Errors
    /// Never in practice: writing to a `String` does not fail.
    pub fn encode(&self) -> Result<String, std::fmt::Error> {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &self.registry)?;
        Ok(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_has_names_units_and_labels() {
        let metrics = Metrics::new();
        metrics.stored.get_or_create(&BotLabels { bot: "default".into() }).inc();
        metrics.journal_used.get_or_create(&BotLabels { bot: "default".into() }).set(5);
        let text = metrics.encode().unwrap();
        assert!(text.contains("switchboard_updates_stored_total{bot=\"default\"} 1"), "{text}");
        assert!(text.contains("switchboard_journal_used_bytes{bot=\"default\"} 5"), "{text}");
    }
}
