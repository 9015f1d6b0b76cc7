//! The result, to be read by people.

use std::fmt::Write;

use super::report::{Backlog, Limits, Report, Throughput, Trim};

impl Report {
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
        if let Some(trim) = &self.trim {
            trim.rows(&mut table);
        }
        if let Some(limits) = &self.limits {
            limits.rows(&mut table);
        }
        if let Some(limit) = &self.limit {
            table.row(
                "lowest limit on this way",
                format!("{:.0} updates/s ({})", limit.updates_per_second, limit.name),
            );
            if let Some(share) = limit.share {
                table.row("share of the lowest limit", format!("{:.0} %", share * 100.0));
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
                "{:.1} µs draining it, {:.1} µs draining {} ({} times): {:.2} ×",
                self.cpu_us_per_update,
                self.small_backlog_cpu_us_per_update,
                self.small_backlog,
                self.small_backlog_rounds,
                self.cpu_ratio
            ),
        );
        table
            .row("checked", if self.proved { "every update once, in order".into() } else { "FAILED".into() });
    }
}

impl Trim {
    fn rows(&self, table: &mut Table) {
        table.row("trimmed", format!("{} updates in {:.1} s", self.settled, self.seconds_to_trim));
        for (name, latency) in
            [("latency, all kept", &self.latency_before), ("latency, trimming", &self.latency_while_trimming)]
        {
            table.row(
                name,
                format!(
                    "p50 {:.2} ms, p90 {:.2} ms, p99 {:.2} ms, max {:.2} ms",
                    latency.p50_ms, latency.p90_ms, latency.p99_ms, latency.max_ms
                ),
            );
        }
        table
            .row("checked", if self.proved { "every update once, in order".into() } else { "FAILED".into() });
    }
}

impl Limits {
    fn rows(&self, table: &mut Table) {
        let raw = &self.raw_log;
        table.row(
            &format!("limit: raw log, {} a sync", raw.batch),
            format!(
                "{:.0} updates/s (sync p50 {:.2} ms, p99 {:.2} ms)",
                raw.records_per_second, raw.sync.p50_ms, raw.sync.p99_ms
            ),
        );
        table.row("limit: bare POST → 200", format!("{:.0} updates/s", self.bare_webhook_per_second));
        table.row("limit: bare getUpdates", format!("{:.0} updates/s", self.bare_polling_per_second));
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
