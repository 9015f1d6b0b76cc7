//! The process itself, by the names that every exporter has them: read from `/proc` when asked. Elsewhere than on Linux
//! there are none.

use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Unit;

use super::description::{Description, Kind};

/// In which `/proc` counts: `USER_HZ`, the same on every Linux that we build for.
const TICKS_PER_SECOND: f64 = 100.0;

/// Reads `/proc` at each scrape.
#[derive(Debug)]
pub(super) struct Process;

/// What is known of the process; what cannot be read is left out.
#[derive(Debug, Default, PartialEq)]
struct Status {
    cpu_seconds: Option<f64>,
    start_time_seconds: Option<f64>,
    resident_bytes: Option<u64>,
    virtual_bytes: Option<u64>,
    threads: Option<u64>,
    open_files: Option<u64>,
    max_files: Option<u64>,
}

const CPU: &str = "User and system time of all threads";
const START: &str = "When the process was started, in seconds since 1970";
const RESIDENT: &str = "Resident memory, the journals' mapped pages in the page cache included";
const VIRTUAL: &str = "Virtual memory; the journals' maps are most of it and cost nothing";
const THREADS: &str = "Threads";
const OPEN: &str = "Open file descriptors";
const MAX: &str = "The limit of open file descriptors";

/// All of them, for the documentation.
pub(super) fn descriptions() -> Vec<Description> {
    let of = |family: &str, kind, help, alert| Description {
        family: family.to_owned(),
        kind,
        labels: &[],
        help,
        alert,
    };
    vec![
        of("process_cpu_seconds", Kind::Counter, CPU, ""),
        of(
            "process_start_time_seconds",
            Kind::Gauge,
            START,
            "`changes(process_start_time_seconds[1h]) > 3`: it is restarted again and again",
        ),
        of("process_resident_memory_bytes", Kind::Gauge, RESIDENT, ""),
        of("process_virtual_memory_bytes", Kind::Gauge, VIRTUAL, ""),
        of("process_threads", Kind::Gauge, THREADS, ""),
        of(
            "process_open_fds",
            Kind::Gauge,
            OPEN,
            "`process_open_fds > 0.8 * process_max_fds`: connections will wait to be accepted",
        ),
        of("process_max_fds", Kind::Gauge, MAX, ""),
    ]
}

impl Collector for Process {
    fn encode(&self, mut encoder: DescriptorEncoder) -> fmt::Result {
        let status = Status::read();
        if let Some(seconds) = status.cpu_seconds {
            let counter = ConstCounter::new(seconds);
            let unit = Some(&Unit::Seconds);
            counter.encode(encoder.encode_descriptor("process_cpu", CPU, unit, counter.metric_type())?)?;
        }
        if let Some(seconds) = status.start_time_seconds {
            let gauge = ConstGauge::new(seconds);
            let unit = Some(&Unit::Seconds);
            gauge.encode(encoder.encode_descriptor(
                "process_start_time",
                START,
                unit,
                gauge.metric_type(),
            )?)?;
        }
        let numbers = [
            ("process_resident_memory", RESIDENT, Some(&Unit::Bytes), status.resident_bytes),
            ("process_virtual_memory", VIRTUAL, Some(&Unit::Bytes), status.virtual_bytes),
            ("process_threads", THREADS, None, status.threads),
            ("process_open_fds", OPEN, None, status.open_files),
            ("process_max_fds", MAX, None, status.max_files),
        ];
        for (name, help, unit, value) in numbers {
            let Some(value) = value else { continue };
            let gauge = ConstGauge::new(i64::try_from(value).unwrap_or(i64::MAX));
            gauge.encode(encoder.encode_descriptor(name, help, unit, gauge.metric_type())?)?;
        }
        Ok(())
    }
}

impl Status {
    fn read() -> Self {
        let text = |path| std::fs::read_to_string(path).unwrap_or_default();
        let open_files = std::fs::read_dir("/proc/self/fd").ok().map(|files| files.count() as u64);
        Self {
            // The directory itself was open while it was counted.
            open_files: open_files.map(|count| count.saturating_sub(1)),
            ..Self::parse(
                &text("/proc/self/stat"),
                &text("/proc/self/status"),
                &text("/proc/self/limits"),
                &text("/proc/stat"),
            )
        }
    }

    #[expect(clippy::cast_precision_loss, reason = "2^53 ticks are three million years")]
    fn parse(stat: &str, status: &str, limits: &str, system: &str) -> Self {
        // The name of the process, in parentheses, may hold anything. Behind it the fields are numbered from 3 on.
        let fields: Vec<&str> = stat
            .rsplit_once(')')
            .map(|(_, rest)| rest.split_ascii_whitespace().collect())
            .unwrap_or_default();
        let ticks = |number: usize| fields.get(number - 3)?.parse::<u64>().ok();
        let boot = line(system, "btime").and_then(first_number);
        let seconds = |ticks: u64| ticks as f64 / TICKS_PER_SECOND;
        let bytes = |name| line(status, name).and_then(first_number).map(|kib| kib * 1024);
        Self {
            cpu_seconds: ticks(14).zip(ticks(15)).map(|(user, system)| seconds(user + system)),
            start_time_seconds: ticks(22).zip(boot).map(|(start, boot)| boot as f64 + seconds(start)),
            resident_bytes: bytes("VmRSS:"),
            virtual_bytes: bytes("VmSize:"),
            threads: line(status, "Threads:").and_then(first_number),
            open_files: None,
            max_files: line(limits, "Max open files").and_then(first_number),
        }
    }
}

/// What follows these words at the beginning of a line.
fn line<'a>(text: &'a str, begins: &str) -> Option<&'a str> {
    text.lines().find_map(|line| line.strip_prefix(begins))
}

fn first_number(text: &str) -> Option<u64> {
    text.split_ascii_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_files_of_proc_are_read_whatever_the_process_is_called() {
        let stat = "7 (a) b (c) S 1 7 7 0 -1 4194560 1 0 0 0 250 50 0 0 20 0 9 0 12300 1000 200 18446744073709551615";
        let status = "Name:\tx\nVmSize:\t  2048 kB\nVmRSS:\t     512 kB\nThreads:\t9\n";
        let limits =
            "Limit   Soft Limit  Hard Limit  Units\nMax open files            1024      4096      files\n";
        let expected = Status {
            cpu_seconds: Some(3.0),
            start_time_seconds: Some(1_000_123.0),
            resident_bytes: Some(512 << 10),
            virtual_bytes: Some(2 << 20),
            threads: Some(9),
            open_files: None,
            max_files: Some(1024),
        };
        assert_eq!(Status::parse(stat, status, limits, "cpu  1 2\nbtime 1000000\n"), expected);
        assert_eq!(Status::parse("", "", "", ""), Status::default());
    }
}
