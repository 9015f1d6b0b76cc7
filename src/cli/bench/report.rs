//! The result, as JSON and as a table.

use std::fmt::Write;

use serde::Serialize;

use super::BenchArgs;
use super::histogram::Quantiles;
use super::limits::RawLog;

/// Everything measured in one run of the command.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    setup: Setup,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) throughput: Option<Throughput>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) restart: Option<Restart>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) backlog: Option<Backlog>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) limits: Option<Limits>,
}

/// What was run.
#[derive(Debug, Serialize)]
pub(super) struct Setup {
    version: &'static str,
    mode: &'static str,
    /// 0: as many as are taken.
    rate: u32,
    updates: u64,
    groups: u32,
    consumers_per_group: u32,
    chats: u32,
    update_bytes: u32,
    cores: usize,
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
#[derive(Debug, Serialize)]
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
#[derive(Debug, Serialize)]
pub(super) struct Restart {
    pub(super) unsettled: u64,
    /// From starting the process.
    pub(super) seconds_to_first_delivery: f64,
}

/// Many updates that wait.
#[derive(Debug, Serialize)]
pub(super) struct Backlog {
    pub(super) updates: u64,
    pub(super) anonymous_bytes_while_waiting: u64,
    pub(super) peak_anonymous_bytes: u64,
    pub(super) drained_per_second: f64,
    /// Of the gateway, for taking, delivering and settling, while consumers keep up.
    pub(super) cpu_us_per_update_without: f64,
    /// The same, where all were stored before the first was delivered.
    pub(super) cpu_us_per_update_with: f64,
    pub(super) cpu_ratio: f64,
    pub(super) proved: bool,
}

/// What the machine can do at most.
#[derive(Debug, Serialize)]
pub(super) struct Limits {
    /// Batches as large as the journal's usual ones.
    pub(super) raw_log_batches: RawLog,
    /// Batches as large as what can be in flight from Telegram.
    pub(super) raw_log_in_flight: RawLog,
    pub(super) bare_stream_per_second: f64,
}

impl Limits {
    fn lowest_per_second(&self) -> f64 {
        let raw = self.raw_log_batches.records_per_second.min(self.raw_log_in_flight.records_per_second);
        raw.min(self.bare_stream_per_second)
    }
}

impl Report {
    pub(super) fn new(setup: Setup) -> Self {
        Self { setup, throughput: None, restart: None, backlog: None, limits: None }
    }

    /// Whether nothing was lost, repeated or out of order.
    pub(super) fn holds(&self) -> bool {
        self.throughput.as_ref().is_none_or(|throughput| throughput.proved)
            && self.backlog.as_ref().is_none_or(|backlog| backlog.proved)
    }

    pub(super) fn json(&self) -> String {
        serde_json::to_string(self).unwrap_or_else(|error| format!("{{\"error\":\"{error}\"}}"))
    }

    pub(super) fn table(&self) -> String {
        let mut table = Table::default();
        let setup = &self.setup;
        table.row(
            "run",
            format!(
                "{} × {} B by {}, {} chats, {} group(s) × {} consumer(s), {} cores",
                setup.updates,
                setup.update_bytes,
                setup.mode,
                setup.chats,
                setup.groups,
                setup.consumers_per_group,
                setup.cores
            ),
        );
        if let Some(throughput) = &self.throughput {
            throughput.rows(&mut table, setup.rate);
        }
        if let Some(restart) = &self.restart {
            let seconds = restart.seconds_to_first_delivery;
            table.row(
                "restart, first delivery",
                format!("{seconds:.3} s with {} unsettled", restart.unsettled),
            );
        }
        if let Some(backlog) = &self.backlog {
            backlog.rows(&mut table);
        }
        if let Some(limits) = &self.limits {
            limits.rows(&mut table);
            if let Some(throughput) = &self.throughput {
                let share = throughput.updates_per_second / limits.lowest_per_second() * 100.0;
                table.row("share of the lowest limit", format!("{share:.0} %"));
            }
        }
        table.0
    }
}

impl Throughput {
    fn rows(&self, table: &mut Table, rate: u32) {
        table.row(
            "durable end to end",
            format!("{:.0} updates/s ({:.2} s)", self.updates_per_second, self.seconds),
        );
        table.row("deliveries", format!("{:.0} /s", self.deliveries_per_second));
        let latency = &self.latency;
        let queue = if rate == 0 { " (mostly in Telegram's queue; see --rate)" } else { "" };
        table.row(
            "Telegram → handler",
            format!(
                "p50 {:.2} ms, p90 {:.2} ms, p99 {:.2} ms, max {:.2} ms{queue}",
                latency.p50_ms, latency.p90_ms, latency.p99_ms, latency.max_ms
            ),
        );
        table.row(
            "commits",
            format!("{:.2} ms mean, {:.0} updates each", self.commit_mean_ms, self.updates_per_commit),
        );
        table.row(
            "gateway's CPU",
            format!("{:.1} µs per update, {:.2} cores", self.cpu_us_per_update, self.cpu_cores),
        );
        table.row(
            "gateway's memory",
            format!(
                "{} idle, {} at most (anonymous); {} resident with the journal's pages",
                mib(self.idle_anonymous_bytes),
                mib(self.peak_anonymous_bytes),
                mib(self.resident_bytes)
            ),
        );
        let verdict =
            if self.proved { "every update once in every group, each chat in order" } else { "FAILED" };
        table.row(
            "checked",
            format!(
                "{verdict}; {} repeated, {} out of order, {} acks not applied",
                self.repeated, self.out_of_order, self.not_applied
            ),
        );
    }
}

impl Backlog {
    fn rows(&self, table: &mut Table) {
        table.row("backlog", format!("{} updates", self.updates));
        table.row(
            "memory with it",
            format!(
                "{} waiting, {} at most (anonymous)",
                mib(self.anonymous_bytes_while_waiting),
                mib(self.peak_anonymous_bytes)
            ),
        );
        table.row("drained", format!("{:.0} updates/s", self.drained_per_second));
        table.row(
            "CPU per update",
            format!(
                "{:.1} µs without, {:.1} µs with the backlog: {:.2} ×",
                self.cpu_us_per_update_without, self.cpu_us_per_update_with, self.cpu_ratio
            ),
        );
        table
            .row("checked", if self.proved { "every update once, in order".into() } else { "FAILED".into() });
    }
}

impl Limits {
    fn rows(&self, table: &mut Table) {
        for raw in [&self.raw_log_batches, &self.raw_log_in_flight] {
            table.row(
                &format!("limit: raw log, {} a sync", raw.batch),
                format!(
                    "{:.0} records/s (sync p50 {:.2} ms, p99 {:.2} ms)",
                    raw.records_per_second, raw.sync.p50_ms, raw.sync.p99_ms
                ),
            );
        }
        table.row("limit: bare gRPC stream", format!("{:.0} updates/s", self.bare_stream_per_second));
    }
}

#[derive(Default)]
struct Table(String);

impl Table {
    fn row(&mut self, name: &str, value: String) {
        if !self.0.is_empty() {
            self.0.push('\n');
        }
        // Writing to a string cannot fail.
        let _ = write!(self.0, "{name:<27}{value}");
    }
}

fn mib(bytes: u64) -> String {
    format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20))
}
