//! The runs: what is started in which order, and what is measured between which moments.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::task::AbortHandle;

use super::fleet::{Fleet, FleetPlan};
use super::limits;
use super::load;
use super::report::{Report, Restart, Setup, Throughput};
use super::usage::Usage;
use super::{BenchArgs, BenchError, Mode};
use crate::cli::clock;
use crate::cli::processes::{Gateway, GatewaySettings, TemporaryDirectory, free_addresses};
use crate::cli::simulation::Simulation;
use crate::simulator::Traffic;

/// Everything at once: updates come in while consumers take them.
pub(super) async fn throughput(args: &BenchArgs) -> Result<Report, BenchError> {
    let mut report = Report::new(Setup::of(args, args.total));
    let rig = Rig::start(args).await?;
    report.throughput = Some(rig.through(args, args.total).await?);
    rig.stop().await?;
    if !args.no_limits {
        let directory = temporary(args)?;
        report.set_limits(limits::measure(args, directory.path()).await?);
    }
    Ok(report)
}

/// A gateway that starts with many unsettled updates, and a consumer that waits for it.
pub(super) async fn restart(args: &BenchArgs, updates: u64) -> Result<Report, BenchError> {
    let mut report = Report::new(Setup::of(args, updates));
    let mut rig = Rig::start(args).await?;
    rig.fill(args, updates).await?;
    rig.gateway.stop().await?;
    let mut fleet = Fleet::spawn(&rig.plan(args))?;
    let began_us = clock::unix_micros();
    rig.gateway = Gateway::spawn(&rig.settings)?;
    let first_us = fleet.first_delivery_us().await?;
    drop(fleet);
    report.restart = Some(Restart {
        unsettled: updates,
        seconds_to_first_delivery: first_us.saturating_sub(began_us) as f64 / 1e6,
    });
    rig.stop().await?;
    Ok(report)
}

/// A simulator and a gateway, connected.
pub(super) struct Rig {
    load: Simulation,
    settings: GatewaySettings,
    gateway: Gateway,
    _directory: TemporaryDirectory,
}

impl Rig {
    pub(super) async fn start(args: &BenchArgs) -> Result<Self, BenchError> {
        let directory = temporary(args)?;
        let load = Simulation::start().await.map_err(BenchError::Simulator)?;
        let [grpc, public, ops] = free_addresses()?;
        let mut environment = vec![
            ("SWITCHBOARD_MODE".to_owned(), args.mode.name().to_owned()),
            ("SWITCHBOARD_JOURNAL_MAX_BYTES".to_owned(), JOURNAL_MAX_BYTES.to_owned()),
        ];
        if args.mode == Mode::Webhook {
            environment.push(("SWITCHBOARD_PUBLIC_URL".to_owned(), format!("http://{public}")));
            environment.push(("SWITCHBOARD_TELEGRAM_LOCAL_API".to_owned(), "true".to_owned()));
        }
        let data = directory.path().to_owned();
        let settings = GatewaySettings { telegram: load.url(), grpc, public, ops, data, environment };
        let mut gateway = Gateway::spawn(&settings)?;
        gateway.ready().await?;
        Ok(Self { load, settings, gateway, _directory: directory })
    }

    pub(super) fn plan(&self, args: &BenchArgs) -> FleetPlan {
        FleetPlan {
            address: self.settings.grpc.to_string(),
            groups: args.groups as usize,
            consumers: args.consumers as usize,
            max_outstanding: args.max_outstanding,
            // At full speed reading every timestamp would be a good part of the consumer's work.
            sample: if args.rate == 0 { SAMPLE_AT_FULL_SPEED } else { 1 },
        }
    }

    pub(super) fn usage(&self) -> Usage {
        self.gateway.id().and_then(Usage::of).unwrap_or_default()
    }

    pub(super) fn watch_memory(&self) -> PeakMemory {
        PeakMemory::of(self.gateway.id())
    }

    /// Sends updates through to waiting consumers; before those that count, some to warm up.
    async fn through(&self, args: &BenchArgs, updates: u64) -> Result<Throughput, BenchError> {
        let mut fleet = Fleet::spawn(&self.plan(args))?;
        fleet.joined().await?;
        let watch = self.watch_memory();
        let idle = self.usage();
        let warm_up = load::warm_up(args, &self.load).await?;
        fleet.acked(warm_up).await?;
        fleet.measure().await?;
        let (before, commits_before) = (self.usage(), self.commits().await?);
        let began_us = clock::unix_micros();
        self.load.send(load::traffic(args, updates));
        fleet.acked(warm_up + updates).await?;
        let after = self.usage();
        let commits = self.commits().await?.since(commits_before);
        let found = fleet.finish().await?;
        let cpu = after.cpu.saturating_sub(before.cpu).as_secs_f64();
        let seconds = found.last_ack_us.saturating_sub(began_us) as f64 / 1e6;
        Ok(Throughput {
            seconds,
            updates_per_second: updates as f64 / seconds,
            deliveries_per_second: updates as f64 * f64::from(args.groups) / seconds,
            latency: found.latency.quantiles(),
            commit_mean_ms: commits.seconds / commits.number.max(1.0) * 1000.0,
            updates_per_commit: updates as f64 / commits.number.max(1.0),
            cpu_us_per_update: cpu * 1e6 / updates as f64,
            cpu_cores: cpu / seconds,
            idle_anonymous_bytes: idle.anonymous_bytes,
            peak_anonymous_bytes: watch.peak(),
            resident_bytes: after.resident_bytes,
            proved: found.proves(warm_up + updates),
            repeated: found.repeated,
            out_of_order: found.out_of_order,
            not_applied: found.not_applied,
        })
    }

    async fn commits(&self) -> Result<Commits, BenchError> {
        let number = self.gateway.metric("switchboard_commit_duration_seconds_count", "").await?;
        let seconds = self.gateway.metric("switchboard_commit_duration_seconds_sum", "").await?;
        Ok(Commits { number, seconds })
    }

    /// Lets the gateway store updates that nobody takes.
    pub(super) async fn fill(&self, args: &BenchArgs, updates: u64) -> Result<(), BenchError> {
        Fleet::only_create_groups(&self.plan(args)).await?;
        let before = self.stored().await?;
        self.load.send(load::traffic(args, updates));
        let mut stored = 0;
        let mut unchanged_since = clock::now();
        while stored < updates {
            let now = self.stored().await? - before;
            if now != stored {
                stored = now;
                unchanged_since = clock::now();
            } else if unchanged_since.elapsed() > FILL_PATIENCE {
                return Err(BenchError::NotStored { stored, wanted: updates });
            }
            tokio::time::sleep(FILL_INTERVAL).await;
        }
        Ok(())
    }

    /// Starts the gateway anew, with these further variables of its environment.
    pub(super) async fn restart(&mut self, environment: &[(&str, &str)]) -> Result<(), BenchError> {
        self.gateway.stop().await?;
        let further = environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        self.settings.environment.extend(further);
        self.gateway = Gateway::spawn(&self.settings)?;
        Ok(self.gateway.ready().await?)
    }

    pub(super) fn send(&self, traffic: Traffic) {
        self.load.send(traffic);
    }

    pub(super) async fn stop_sending(&self) {
        self.load.stop_and_settle().await;
    }

    /// How many updates Telegram has got rid of.
    pub(super) fn confirmed(&self) -> u64 {
        self.load.counts().confirmed
    }

    pub(super) async fn trimmed(&self) -> Result<u64, BenchError> {
        Ok(self.gateway.metric("switchboard_updates_trimmed_total", "").await? as u64)
    }

    async fn stored(&self) -> Result<u64, BenchError> {
        Ok(self.gateway.metric("switchboard_updates_stored_total", "").await? as u64)
    }

    pub(super) async fn stop(mut self) -> Result<(), BenchError> {
        Ok(self.gateway.stop().await?)
    }
}

fn temporary(args: &BenchArgs) -> Result<TemporaryDirectory, BenchError> {
    let parent = args.directory.clone().unwrap_or_else(std::env::temp_dir);
    Ok(TemporaryDirectory::below(&parent, "bench")?)
}

/// What the gateway's journal has done so far.
#[derive(Clone, Copy)]
struct Commits {
    number: f64,
    seconds: f64,
}

impl Commits {
    fn since(self, before: Self) -> Self {
        Self { number: self.number - before.number, seconds: self.seconds - before.seconds }
    }
}

/// The most anonymous memory that a process was seen with.
pub(super) struct PeakMemory {
    bytes: Arc<AtomicU64>,
    watching: AbortHandle,
}

impl PeakMemory {
    fn of(process: Option<u32>) -> Self {
        let bytes = Arc::new(AtomicU64::new(0));
        let seen = Arc::clone(&bytes);
        let watching = tokio::spawn(async move {
            let mut tick = tokio::time::interval(WATCH_INTERVAL);
            while let Some(usage) = process.and_then(Usage::of) {
                seen.fetch_max(usage.anonymous_bytes, Ordering::Relaxed);
                tick.tick().await;
            }
        });
        Self { bytes, watching: watching.abort_handle() }
    }

    pub(super) fn peak(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }
}

impl Drop for PeakMemory {
    fn drop(&mut self) {
        self.watching.abort();
    }
}

const SAMPLE_AT_FULL_SPEED: u64 = 16;
/// Room for ten million updates.
const JOURNAL_MAX_BYTES: &str = "64GiB";
const FILL_PATIENCE: Duration = Duration::from_secs(30);
const FILL_INTERVAL: Duration = Duration::from_millis(50);
const WATCH_INTERVAL: Duration = Duration::from_millis(50);
