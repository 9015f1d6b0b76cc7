//! The result, as JSON.

use serde::Serialize;

use super::histogram::Quantiles;
use super::limits::RawLog;
use super::{BenchArgs, Mode};

/// Everything measured in one run of the command.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    pub(super) setup: Setup,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) throughput: Option<Throughput>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) restart: Option<Restart>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) backlog: Option<Backlog>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) trim: Option<Trim>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) limits: Option<Limits>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) limit: Option<Limit>,
}

/// What was run.
#[derive(Debug, Serialize)]
pub(super) struct Setup {
    pub(super) version: &'static str,
    pub(super) mode: &'static str,
    /// 0: as many as are taken.
    pub(super) rate: u32,
    pub(super) updates: u64,
    pub(super) groups: u32,
    pub(super) consumers_per_group: u32,
    pub(super) chats: u32,
    pub(super) update_bytes: u32,
    pub(super) cores: usize,
}

impl Setup {
    pub(super) fn of(args: &BenchArgs, updates: u64) -> Self {
        Self {
            version: env!("CARGO_PKG_VERSION"),
            mode: args.mode.name(),
            rate: args.rate,
            updates,
            groups: args.groups,
            consumers_per_group: args.consumers,
            chats: args.chats,
            update_bytes: args.size,
            cores: std::thread::available_parallelism().map_or(0, usize::from),
        }
    }
}

/// Updates in, synced, delivered, acked, acks synced.
#[derive(Debug, Default, Serialize)]
pub(super) struct Throughput {
    /// From the first update sent to the last ack answered.
    pub(super) seconds: f64,
    pub(super) updates_per_second: f64,
    pub(super) deliveries_per_second: f64,
    /// From the moment the simulated Telegram had the update until the handler had it.
    pub(super) latency: Quantiles,
    pub(super) commit_mean_ms: f64,
    pub(super) updates_per_commit: f64,
    /// The gateway's, over all its threads.
    pub(super) cpu_us_per_update: f64,
    pub(super) cpu_cores: f64,
    pub(super) idle_anonymous_bytes: u64,
    pub(super) peak_anonymous_bytes: u64,
    /// With the journal's pages in memory.
    pub(super) resident_bytes: u64,
    /// Every group got every update once, each chat in order, and all acks were applied.
    pub(super) proved: bool,
    pub(super) repeated: u64,
    pub(super) out_of_order: u64,
    pub(super) not_applied: u64,
}

/// A start with unsettled updates.
#[derive(Debug, Default, Serialize)]
pub(super) struct Restart {
    pub(super) unsettled: u64,
    /// From starting the process.
    pub(super) seconds_to_first_delivery: f64,
}

/// Many updates that wait.
#[derive(Debug, Default, Serialize)]
pub(super) struct Backlog {
    pub(super) updates: u64,
    pub(super) anonymous_bytes_while_waiting: u64,
    pub(super) peak_anonymous_bytes: u64,
    pub(super) drained_per_second: f64,
    /// Of the gateway, for delivering and settling what was stored before.
    pub(super) cpu_us_per_update: f64,
    pub(super) small_backlog: u64,
    pub(super) small_backlog_rounds: u64,
    pub(super) small_backlog_cpu_us_per_update: f64,
    pub(super) cpu_ratio: f64,
    pub(super) proved: bool,
}

/// Settled updates that are removed while others come.
#[derive(Debug, Default, Serialize)]
pub(super) struct Trim {
    pub(super) settled: u64,
    pub(super) seconds_to_trim: f64,
    pub(super) latency_before: Quantiles,
    pub(super) latency_while_trimming: Quantiles,
    pub(super) proved: bool,
}

/// What the machine can do at most.
#[derive(Debug, Serialize)]
pub(super) struct Limits {
    /// Batches as large as what can be in flight from Telegram.
    pub(super) raw_log: RawLog,
    /// Posted to a server that answers 200.
    pub(super) bare_webhook_per_second: f64,
    /// Fetched by a client that confirms.
    pub(super) bare_polling_per_second: f64,
    pub(super) bare_stream_per_second: f64,
}

/// The slowest of the limits that are on the updates' way.
#[derive(Debug, Serialize)]
pub(super) struct Limit {
    pub(super) name: &'static str,
    pub(super) updates_per_second: f64,
    /// How much of it the gateway reached; not said of a run at a rate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) share: Option<f64>,
}

impl Limits {
    fn lowest(&self, mode: &str) -> (&'static str, f64) {
        let intake = if mode == Mode::Webhook.name() {
            ("bare_webhook", self.bare_webhook_per_second)
        } else {
            ("bare_polling", self.bare_polling_per_second)
        };
        let others =
            [("raw_log", self.raw_log.records_per_second), ("bare_stream", self.bare_stream_per_second)];
        others.into_iter().fold(intake, |lowest, other| if other.1 < lowest.1 { other } else { lowest })
    }
}

impl Report {
    pub(super) fn new(setup: Setup) -> Self {
        Self { setup, throughput: None, restart: None, backlog: None, trim: None, limits: None, limit: None }
    }

    /// Takes in what the machine can do at most, and compares.
    pub(super) fn set_limits(&mut self, limits: Limits) {
        let (name, updates_per_second) = limits.lowest(self.setup.mode);
        let reached = self.throughput.as_ref().filter(|_| self.setup.rate == 0);
        let share = reached.map(|reached| reached.updates_per_second / updates_per_second);
        self.limit = Some(Limit { name, updates_per_second, share });
        self.limits = Some(limits);
    }

    /// Whether nothing was lost, repeated or out of order.
    pub(super) fn holds(&self) -> bool {
        self.throughput.as_ref().is_none_or(|throughput| throughput.proved)
            && self.backlog.as_ref().is_none_or(|backlog| backlog.proved)
            && self.trim.as_ref().is_none_or(|trim| trim.proved)
    }

    pub(super) fn json(&self) -> String {
        serde_json::to_string(self).unwrap_or_else(|error| format!("{{\"error\":\"{error}\"}}"))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::Value;

    use super::*;

    fn setup(mode: &'static str, rate: u32) -> Setup {
        Setup {
            version: "0",
            mode,
            rate,
            updates: 1,
            groups: 1,
            consumers_per_group: 1,
            chats: 1,
            update_bytes: 1,
            cores: 1,
        }
    }

    fn limits(raw: f64, webhook: f64, polling: f64, stream: f64) -> Limits {
        Limits {
            raw_log: RawLog { batch: 100, records_per_second: raw, sync: Quantiles::default() },
            bare_webhook_per_second: webhook,
            bare_polling_per_second: polling,
            bare_stream_per_second: stream,
        }
    }

    fn limit(mode: &'static str, rate: u32, limits: Limits) -> Limit {
        let mut report = Report::new(setup(mode, rate));
        report.throughput = Some(Throughput { updates_per_second: 20.0, ..Throughput::default() });
        report.set_limits(limits);
        report.limit.unwrap()
    }

    #[test]
    fn the_limit_is_the_slowest_on_the_way_of_the_mode() {
        let of = |mode, rate, limits| {
            let limit = limit(mode, rate, limits);
            (limit.name, limit.share)
        };
        assert_eq!(of("webhook", 0, limits(90.0, 40.0, 30.0, 80.0)), ("bare_webhook", Some(0.5)));
        assert_eq!(of("polling", 0, limits(90.0, 30.0, 40.0, 80.0)), ("bare_polling", Some(0.5)));
        assert_eq!(of("webhook", 0, limits(40.0, 50.0, 30.0, 80.0)), ("raw_log", Some(0.5)));
        assert_eq!(of("webhook", 0, limits(90.0, 50.0, 30.0, 40.0)), ("bare_stream", Some(0.5)));
    }

    #[test]
    fn a_run_at_a_rate_has_no_share() {
        assert_eq!(limit("webhook", 10, limits(90.0, 40.0, 30.0, 80.0)).share, None);
    }

    #[test]
    fn the_help_lists_every_field_and_no_other() {
        let mut report = Report::new(setup("webhook", 0));
        report.throughput = Some(Throughput::default());
        report.restart = Some(Restart::default());
        report.backlog = Some(Backlog::default());
        report.trim = Some(Trim::default());
        report.set_limits(limits(1.0, 1.0, 1.0, 1.0));
        let mut fields = BTreeSet::new();
        list(&serde_json::from_str(&report.json()).unwrap(), "", &mut fields);

        let mut documented = BTreeSet::new();
        let mut section = "";
        for line in include_str!("json.txt").lines() {
            let name = line.split_whitespace().next().unwrap_or_default();
            match line.strip_prefix("  ") {
                None => section = name.trim_end_matches(':'),
                // A further line of the same explanation.
                Some(rest) if rest.starts_with(' ') => {}
                Some(_) => assert!(documented.insert(format!("{section}.{name}")), "{line}"),
            }
        }
        assert_eq!(fields, documented);
    }

    fn list(value: &Value, name: &str, fields: &mut BTreeSet<String>) {
        // Quantiles are explained once.
        match value.as_object().filter(|object| !object.contains_key("p50_ms")) {
            Some(object) => {
                for (key, value) in object {
                    let name = if name.is_empty() { key.clone() } else { format!("{name}.{key}") };
                    list(value, &name, fields);
                }
            }
            None => assert!(fields.insert(name.to_owned())),
        }
    }
}
