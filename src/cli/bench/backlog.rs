//! Many updates that wait: what they cost in memory, and whether draining them costs more than draining few.

use std::ops::AddAssign;
use std::time::Duration;

use super::fleet::Fleet;
use super::report::{Backlog, Report, Setup};
use super::rig::Rig;
use super::{BenchArgs, BenchError};
use crate::cli::clock;

/// Stores and drains a thousandth of the updates some times, then all of them.
pub(super) async fn run(args: &BenchArgs, updates: u64) -> Result<Report, BenchError> {
    let mut report = Report::new(Setup::of(args, updates));
    let rig = Rig::start(args).await?;
    let few = updates / FACTOR;
    // The first time is the warm-up.
    fill_and_drain(&rig, args, few).await?;
    let mut small = Drained::default();
    let mut connecting = Duration::ZERO;
    let rounds = (FEW_IN_ALL / few).clamp(1, MOST_ROUNDS);
    for _ in 0..rounds {
        connecting += connect(&rig, args).await?;
        small += fill_and_drain(&rig, args, few).await?;
    }
    small.cpu = small.cpu.saturating_sub(connecting);

    let watch = rig.watch_memory();
    rig.fill(args, updates).await?;
    let waiting = rig.usage();
    let mut large = drain(&rig, args, updates).await?;
    large.cpu = large.cpu.saturating_sub(connecting / u32::try_from(rounds).unwrap_or(u32::MAX));
    rig.stop().await?;
    report.backlog = Some(Backlog {
        updates,
        anonymous_bytes_while_waiting: waiting.anonymous_bytes,
        peak_anonymous_bytes: watch.peak(),
        drained_per_second: large.updates as f64 / large.time.as_secs_f64(),
        cpu_us_per_update: large.cpu_us_per_update(),
        small_backlog: few,
        small_backlog_rounds: rounds,
        small_backlog_cpu_us_per_update: small.cpu_us_per_update(),
        cpu_ratio: large.cpu_us_per_update() / small.cpu_us_per_update(),
        proved: large.proved && small.proved,
    });
    Ok(report)
}

async fn fill_and_drain(rig: &Rig, args: &BenchArgs, updates: u64) -> Result<Drained, BenchError> {
    rig.fill(args, updates).await?;
    drain(rig, args, updates).await
}

/// Connects the consumers until all is acked.
async fn drain(rig: &Rig, args: &BenchArgs, updates: u64) -> Result<Drained, BenchError> {
    let (before, began) = (rig.usage(), clock::now());
    let mut fleet = Fleet::spawn(&rig.plan(args))?;
    fleet.acked(updates).await?;
    let (after, time) = (rig.usage(), began.elapsed());
    let proved = fleet.finish().await?.proves(updates);
    Ok(Drained { updates, cpu: after.cpu.saturating_sub(before.cpu), time, proved })
}

/// The gateway's CPU time for consumers that come and find nothing: for few updates that would be much of the whole.
async fn connect(rig: &Rig, args: &BenchArgs) -> Result<Duration, BenchError> {
    let before = rig.usage();
    let mut fleet = Fleet::spawn(&rig.plan(args))?;
    fleet.joined().await?;
    let after = rig.usage();
    fleet.finish().await?;
    Ok(after.cpu.saturating_sub(before.cpu))
}

struct Drained {
    updates: u64,
    /// Of the gateway.
    cpu: Duration,
    time: Duration,
    proved: bool,
}

impl Default for Drained {
    fn default() -> Self {
        Self { updates: 0, cpu: Duration::ZERO, time: Duration::ZERO, proved: true }
    }
}

impl AddAssign for Drained {
    fn add_assign(&mut self, more: Self) {
        self.updates += more.updates;
        self.cpu += more.cpu;
        self.time += more.time;
        self.proved &= more.proved;
    }
}

impl Drained {
    fn cpu_us_per_update(&self) -> f64 {
        self.cpu.as_secs_f64() * 1e6 / self.updates as f64
    }
}

const FACTOR: u64 = 1000;
/// So that one round that happened to be dear does not count for much.
const FEW_IN_ALL: u64 = 50_000;
const MOST_ROUNDS: u64 = 100;
