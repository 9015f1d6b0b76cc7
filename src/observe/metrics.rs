//! Every metric, once: its name, its labels, its meaning, and when to raise an alarm. docs/metrics.md is made of it.

mod description;
mod labels;
mod process;

use std::sync::Arc;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};

pub use description::{Description, Kind};
pub use labels::{
    BotLabels, BuildLabels, CallLabels, EndedLabels, GroupLabels, IntakeLabels, Label, PauseLabels,
    SettledLabels, WebhookLabels,
};

use description::Shape;

const PREFIX: &str = "switchboard";

macro_rules! metrics {
    ($($field:ident: $type:ty = $name:literal $(in $unit:ident)?, $make:expr, $help:literal, $alert:literal;)*) => {
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
                let mut registry = Registry::default();
                let ours = registry.sub_registry_with_prefix(PREFIX);
                $(
                    let $field: $type = $make;
                    metrics!(@register ours, $name, $help, $field $(, $unit)?);
                )*
                registry.register_collector(Box::new(process::Process));
                let all = Self { registry: Arc::new(registry), $($field,)* };
                all.build.get_or_create(&BuildLabels { version: env!("CARGO_PKG_VERSION") }).set(1);
                all
            }

            /// What there is, in the order of the documentation.
            #[must_use]
            pub fn descriptions() -> Vec<Description> {
                let mut all = vec![$(Description {
                    family: metrics!(@family $name $(, $unit)?),
                    kind: <$type as Shape>::KIND,
                    labels: <$type as Shape>::LABELS,
                    help: $help,
                    alert: $alert,
                },)*];
                all.extend(process::descriptions());
                all
            }
        }
    };
    (@register $registry:ident, $name:literal, $help:literal, $field:ident) => {
        $registry.register($name, $help, $field.clone());
    };
    (@register $registry:ident, $name:literal, $help:literal, $field:ident, $unit:ident) => {
        $registry.register_with_unit($name, $help, Unit::$unit, $field.clone());
    };
    (@family $name:literal) => { format!("{PREFIX}_{}", $name) };
    (@family $name:literal, $unit:ident) => { format!("{PREFIX}_{}_{}", $name, Unit::$unit.as_str()) };
}

type ByBot<M> = Family<BotLabels, M>;
type ByGroup<M> = Family<GroupLabels, M>;
type ByBotHistogram = Family<BotLabels, Histogram, fn() -> Histogram>;
type ByGroupHistogram = Family<GroupLabels, Histogram, fn() -> Histogram>;

#[rustfmt::skip]
metrics! {
    received: Family<IntakeLabels, Counter> = "updates_received", Family::default(),
        "Updates received from Telegram, repeats included",
        "`sum by (bot) (rate(switchboard_updates_received_total[30m])) == 0` for a bot that is never quiet so long";
    last_update: ByBot<Gauge> = "last_update_timestamp" in Seconds, Family::default(),
        "When the last update came, in seconds since 1970",
        "`time() - switchboard_last_update_timestamp_seconds` beyond what is normal for the bot";
    stored: ByBot<Counter> = "updates_stored", Family::default(),
        "Updates made durable",
        "";
    duplicates: ByBot<Counter> = "updates_duplicate", Family::default(),
        "Updates dropped because their update_id was known",
        "more than a few per hour: Telegram's confirmations get lost, or two gateways have one bot";
    quarantined: ByBot<Counter> = "updates_quarantined", Family::default(),
        "Polled elements that could not be read and were set aside",
        "any increase: something between Telegram and the gateway changes what is sent";
    trimmed: ByBot<Counter> = "updates_trimmed", Family::default(),
        "Updates removed after their retention",
        "";
    durable_latency: ByBotHistogram = "durable_latency" in Seconds, Family::new_with_constructor(latencies as fn() -> Histogram),
        "From an update's receipt until it is durable; Telegram waits so long for its confirmation",
        "the 99th percentile above 1 s: the disk is too slow or shared";
    delivery_latency: ByGroupHistogram = "delivery_latency" in Seconds, Family::new_with_constructor(latencies as fn() -> Histogram),
        "From an update's being durable, or its receipt where it has waited since before what is remembered, until its first delivery to the group",
        "the 99th percentile above what a user may wait: too few consumers, or chats that are blocked";
    handling_latency: ByGroupHistogram = "handling_latency" in Seconds, Family::new_with_constructor(latencies as fn() -> Histogram),
        "From an update's first delivery until the group is done with it, retries included; without what expired or was purged",
        "the 99th percentile near the lease: handlers are too slow";
    settled_latency: ByGroupHistogram = "settled_latency" in Seconds, Family::new_with_constructor(latencies as fn() -> Histogram),
        "From an update's receipt until the group is done with it: what a user has waited; without what expired or was purged",
        "the objective that you promise your users";
    commits: ByBotHistogram = "commit_duration" in Seconds, Family::new_with_constructor(durations as fn() -> Histogram),
        "Time from handing a commit to the journal until it is synced to disk",
        "the 99th percentile above 0.25 s: the disk is too slow or shared";
    commit_updates: ByBotHistogram = "commit_updates", Family::new_with_constructor(sizes as fn() -> Histogram),
        "New updates in one commit",
        "";
    commit_failures: ByBot<Counter> = "commit_failures", Family::default(),
        "Commits refused for want of room",
        "any increase: the disk or the journal is full";
    journal_used: ByBot<Gauge> = "journal_used" in Bytes, Family::default(),
        "Bytes of the journal in use",
        "`switchboard_journal_used_bytes > 0.8 * switchboard_journal_max_bytes`: intake stops when it is full";
    journal_max: ByBot<Gauge> = "journal_max" in Bytes, Family::default(),
        "The journal's limit",
        "";
    journal_updates: ByBot<Gauge> = "journal_updates", Family::default(),
        "Updates that the journal holds, settled ones that are kept for replay included",
        "";
    intake_paused: ByBot<Gauge> = "intake_paused", Family::default(),
        "1 while no updates are taken; Telegram keeps them, for 24 hours",
        "1 for more than a minute";
    intake_pauses: Family<PauseLabels, Counter> = "intake_pauses", Family::default(),
        "Times that updates were no longer taken",
        "";
    deliveries: ByGroup<Counter> = "deliveries", Family::default(),
        "Updates handed to consumers, repeats included",
        "";
    redeliveries: ByGroup<Counter> = "redeliveries", Family::default(),
        "Deliveries after the first of the same update",
        "more than a tenth of the deliveries: handlers fail or are too slow for their leases";
    ended: Family<EndedLabels, Counter> = "attempts_ended", Family::default(),
        "Deliveries that failed or were given back, the last one of a dead letter included",
        "`how=\"expired\"` rising: handlers die or are too slow; `how=\"nacked\"`: they fail";
    settled: Family<SettledLabels, Counter> = "updates_settled", Family::default(),
        "Updates that a group is done with",
        "any increase of `outcome=~\"dead_lettered|rejected|expired\"`: updates that nobody has handled";
    outstanding: ByGroup<Gauge> = "outstanding", Family::default(),
        "Deliveries not settled yet",
        "";
    backing_off: ByGroup<Gauge> = "backing_off", Family::default(),
        "Updates that wait after a failed delivery, each with its chat",
        "above 0 for long: somebody gets no answers; `switchboard groups` names the chats";
    lag: ByGroup<Gauge> = "lag", Family::default(),
        "Updates not settled yet",
        "growing for 10 minutes: the group does not keep up";
    oldest: ByGroup<Gauge> = "oldest_unsettled_timestamp" in Seconds, Family::default(),
        "When the group's oldest unsettled update was received, in seconds since 1970; 0 where there is none",
        "`time() - (switchboard_oldest_unsettled_timestamp_seconds > 0)` above what a user may wait";
    dead_letters: ByGroup<Gauge> = "dead_letters", Family::default(),
        "Dead letters that are kept",
        "any increase: look with `switchboard dead-letters`, mend, replay";
    consumers: ByGroup<Gauge> = "consumers", Family::default(),
        "Open Subscribe streams",
        "0 while `switchboard_lag > 0`: nobody works";
    group_paused: ByGroup<Gauge> = "group_paused", Family::default(),
        "1 while the group is paused",
        "1 for longer than anybody meant it";
    telegram_calls: Family<CallLabels, Counter> = "telegram_calls", Family::default(),
        "Calls to the Bot API",
        "`outcome!=\"ok\"` rising; `unauthorized` at once";
    telegram_connected: ByBot<Gauge> = "telegram_connected", Family::default(),
        "1 while updates can come in: polling works, or the webhook is set",
        "0 for more than two minutes";
    telegram_conflict: ByBot<Gauge> = "telegram_conflict", Family::default(),
        "1 while somebody else holds the bot (409, or a stranger's webhook)",
        "1 for more than a minute";
    telegram_pending: ByBot<Gauge> = "telegram_pending", Family::default(),
        "Updates waiting at Telegram, from getWebhookInfo",
        "growing: the webhook is not reached";
    webhook_requests: Family<WebhookLabels, Counter> = "webhook_requests", Family::default(),
        "Requests to the webhook",
        "`status=\"401\"`: somebody without the secret; `status=\"503\"`: intake is paused";
    spans_exported: Counter = "spans_exported", Counter::default(),
        "Spans of traces that the collector has taken",
        "";
    spans_dropped: Counter = "spans_dropped", Counter::default(),
        "Spans that were dropped: the collector is gone or too slow",
        "any increase: traces have holes";
    build: Family<BuildLabels, Gauge> = "build_info", Family::default(),
        "1; says which release runs",
        "";
}

/// From a tenth of a millisecond to 52 s: the disk.
fn durations() -> Histogram {
    Histogram::new(exponential_buckets(0.000_1, 2.0, 20))
}

/// From a millisecond, which is the resolution of the stored times, to a day: handlers, and what waits for them.
fn latencies() -> Histogram {
    Histogram::new([
        0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 300.0,
        1_800.0, 7_200.0, 86_400.0,
    ])
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

    #[test]
    fn whatever_is_scraped_is_described_and_no_two_have_one_name() {
        let descriptions = Metrics::descriptions();
        let mut names: Vec<_> = descriptions.iter().map(|metric| metric.family.as_str()).collect();
        let text = Metrics::new().encode().unwrap();
        for line in text.lines().filter_map(|line| line.strip_prefix("# TYPE ")) {
            let (name, kind) = line.split_once(' ').unwrap();
            let metric = descriptions.iter().find(|metric| metric.family == name);
            assert_eq!(metric.map(|metric| metric.kind.name()), Some(kind), "{name}");
        }
        let all = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), all);
        let labelled: Vec<_> = descriptions
            .iter()
            .flat_map(|metric| metric.labels)
            .filter(|label| label.help.is_empty())
            .collect();
        assert!(labelled.is_empty(), "{labelled:?}");
    }
}
