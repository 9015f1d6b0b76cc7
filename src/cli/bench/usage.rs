//! What a process has used so far, from /proc.

use std::time::Duration;

use serde::Serialize;

/// A process's use of the machine at one moment.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub(super) struct Usage {
    /// User and system time of all its threads so far.
    #[serde(skip)]
    pub(super) cpu: Duration,
    /// All its resident pages, files mapped into memory (the journal) included.
    pub(super) resident_bytes: u64,
    /// Only those that belong to no file: what the process itself needs.
    pub(super) anonymous_bytes: u64,
}

impl Usage {
    /// `None` where there is no /proc, or no such process.
    pub(super) fn of(pid: u32) -> Option<Self> {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
        let mut usage = Self::parse(&stat, &status)?;
        // Finer, but without the threads that have ended, which the hundredths of a second include.
        usage.cpu = usage.cpu.max(threads_cpu(pid).unwrap_or_default());
        Some(usage)
    }

    fn parse(stat: &str, status: &str) -> Option<Self> {
        // The second field is the command's name in parentheses and may contain anything, also parentheses.
        let after_name = stat.get(stat.rfind(')')? + 1..)?;
        let mut fields = after_name.split_ascii_whitespace().skip(11);
        let user: u64 = fields.next()?.parse().ok()?;
        let system: u64 = fields.next()?.parse().ok()?;
        Some(Self {
            cpu: Duration::from_millis((user + system) * 1000 / TICKS_PER_SECOND),
            resident_bytes: kib(status, "VmRSS:")? * 1024,
            anonymous_bytes: kib(status, "RssAnon:")? * 1024,
        })
    }
}

/// The CPU time of the threads that run, as the scheduler counts it; `None` where the kernel does not say.
fn threads_cpu(pid: u32) -> Option<Duration> {
    let mut cpu = Duration::ZERO;
    for thread in std::fs::read_dir(format!("/proc/{pid}/task")).ok()? {
        let Ok(schedstat) = std::fs::read_to_string(thread.ok()?.path().join("schedstat")) else { continue };
        cpu += Duration::from_nanos(schedstat.split_ascii_whitespace().next()?.parse().ok()?);
    }
    Some(cpu)
}

fn kib(status: &str, name: &str) -> Option<u64> {
    status.lines().find_map(|line| line.strip_prefix(name)?.split_ascii_whitespace().next()?.parse().ok())
}

/// The unit of times in /proc: USER_HZ, which is 100 wherever Linux has a stable interface.
const TICKS_PER_SECOND: u64 = 100;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_sizes_are_read_also_behind_a_name_with_parentheses_and_blanks() {
        let stat = "7 (a) b) S 1 7 7 0 -1 4194304 100 0 0 0 150 50 0 0 20 0 4 0 100 1000 200 184";
        let status = "Name:\tx\nVmRSS:\t    2048 kB\nRssAnon:\t    1024 kB\n";
        let usage = Usage::parse(stat, status).unwrap();
        assert_eq!(usage.cpu, Duration::from_secs(2));
        assert_eq!(usage.resident_bytes, 2048 * 1024);
        assert_eq!(usage.anonymous_bytes, 1024 * 1024);
    }
}
