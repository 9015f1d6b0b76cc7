//! The runs: what is started in which order, and what is measured between which moments.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::task::AbortHandle;

use super::fleet::{Fleet, FleetPlan};
use super::limits;
use super::report::{Backlog, Limits, Report, Restart, Setup, Throughput};
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
    add_limits(args, &mut report).await?;
    Ok(report)
}

/// A gateway that starts with many unsettled updates, and a consumer that waits for it.
pub(super) async fn restart(args: &BenchArgs, updates: u64) -> Result<Report, BenchError> {
    let mut report = Report::new(Setup::of(args, updates));
    let mut rig = Rig::start(args).await?;
    let stored = rig.fill(args, updates).await?;
    rig.gateway.stop().await?;
    let mut fleet = Fleet::spawn(&rig.plan(args))?;
    let began_us = clock::unix_micros();
    rig.gateway = Gateway::spawn(&rig.settings)?;
    let first_us = fleet.first_delivery_us().await?;
    drop(fleet);
    report.restart = Some(Restart {
        unsettled: stored,
        seconds_to_first_delivery: first_us.saturating_sub(began_us) as f64 / 1e6,
    });
    rig.stop().await?;
    Ok(report)
}

/// All of the updates first, then the consumers; and the same number without a backlog, to compare.
pub(super) async fn backlog(args: &BenchArgs, updates: u64) -> Result<Report, BenchError> {
    let mut report = Report::new(Setup::of(args, updates));
    let rig = Rig::start(args).await?;
    let through = rig.through(args, updates).await?;
    rig.stop().await?;

    let rig = Rig::start(args).await?;
    let before = rig.usage();
    let watch = PeakMemory::of(rig.gateway.id());
    let stored = rig.fill(args, updates).await?;
    let waiting = rig.usage();
    let mut fleet = Fleet::spawn(&rig.plan(args))?;
    let began = clock::now();
    fleet.acked(stored).await?;
    let seconds = began.elapsed().as_secs_f64();
    let after = rig.usage();
    let found = fleet.finish().await?;
    let with = cpu_us_per(before, after, stored);
    report.backlog = Some(Backlog {
        updates: stored,
        anonymous_bytes_while_waiting: waiting.anonymous_bytes,
        peak_anonymous_bytes: watch.peak(),
        drained_per_second: stored as f64 / seconds,
        cpu_us_per_update_without: through.cpu_us_per_update,
        cpu_us_per_update_with: with,
        cpu_ratio: with / through.cpu_us_per_update,
        proved: found.proves(stored),
    });
    report.throughput = Some(through);
    rig.stop().await?;
    Ok(report)
}

async fn add_limits(args: &BenchArgs, report: &mut Report) -> Result<(), BenchError> {
    if args.no_limits {
        return Ok(());
    }
    let directory = temporary(args)?;
    let size = args.size as usize;
    let raw = |batch| limits::raw_log(directory.path(), size, batch);
    report.limits = Some(Limits {
        raw_log_batches: raw(RAW_BATCH)?,
        raw_log_in_flight: raw(args.mode.in_flight())?,
        bare_stream_per_second: limits::bare_stream(size, args.total.max(MIN_BARE_STREAM)).await?,
    });
    Ok(())
}

/// A simulator and a gateway, connected.
struct Rig {
    load: Simulation,
    settings: GatewaySettings,
    gateway: Gateway,
    _directory: TemporaryDirectory,
}

impl Rig {
    async fn start(args: &BenchArgs) -> Result<Self, BenchError> {
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

    fn plan(&self, args: &BenchArgs) -> FleetPlan {
        FleetPlan {
            address: self.settings.grpc.to_string(),
            groups: args.groups as usize,
            consumers: args.consumers as usize,
            max_outstanding: args.max_outstanding,
            // At full speed reading every timestamp would be a good part of the consumer's work.
            sample: if args.rate == 0 { SAMPLE_AT_FULL_SPEED } else { 1 },
        }
    }

    fn usage(&self) -> Usage {
        self.gateway.id().and_then(Usage::of).unwrap_or_default()
    }

    /// Sends updates through to waiting consumers.
    async fn through(&self, args: &BenchArgs, updates: u64) -> Result<Throughput, BenchError> {
        let mut fleet = Fleet::spawn(&self.plan(args))?;
        fleet.joined().await?;
        let watch = PeakMemory::of(self.gateway.id());
        let before = self.usage();
        let began_us = clock::unix_micros();
        self.load.send(traffic(args, updates));
        fleet.acked(updates).await?;
        let after = self.usage();
        let found = fleet.finish().await?;
        let seconds = found.last_ack_us.saturating_sub(began_us) as f64 / 1e6;
        let commits = self.gateway.metric("switchboard_commit_duration_seconds_count", "").await?;
        let commit_seconds = self.gateway.metric("switchboard_commit_duration_seconds_sum", "").await?;
        Ok(Throughput {
            seconds,
            updates_per_second: updates as f64 / seconds,
            deliveries_per_second: updates as f64 * f64::from(args.groups) / seconds,
            latency: found.latency.quantiles(),
            commit_mean_ms: commit_seconds / commits.max(1.0) * 1000.0,
            updates_per_commit: updates as f64 / commits.max(1.0),
            cpu_us_per_update: cpu_us_per(before, after, updates),
            cpu_cores: after.cpu.saturating_sub(before.cpu).as_secs_f64() / seconds,
            idle_anonymous_bytes: before.anonymous_bytes,
            peak_anonymous_bytes: watch.peak(),
            resident_bytes: after.resident_bytes,
            proved: found.proves(updates),
            repeated: found.repeated,
            out_of_order: found.out_of_order,
            not_applied: found.not_applied,
        })
    }

    /// Lets the gateway store updates that nobody takes; how many.
    async fn fill(&self, args: &BenchArgs, updates: u64) -> Result<u64, BenchError> {
        Fleet::only_create_groups(&self.plan(args)).await?;
        self.load.send(traffic(args, updates));
        let mut stored = 0;
        let mut unchanged_since = clock::now();
        while stored < updates {
            let now = self.gateway.metric("switchboard_updates_stored_total", "").await? as u64;
            if now != stored {
                stored = now;
                unchanged_since = clock::now();
            } else if unchanged_since.elapsed() > FILL_PATIENCE {
                return Err(BenchError::NotStored { stored, wanted: updates });
            }
            tokio::time::sleep(FILL_INTERVAL).await;
        }
        Ok(stored)
    }

    async fn stop(mut self) -> Result<(), BenchError> {
        Ok(self.gateway.stop().await?)
    }
}

fn traffic(args: &BenchArgs, updates: u64) -> Traffic {
    Traffic {
        rate: f64::from(args.rate),
        chats: args.chats,
        total: Some(updates),
        size: args.size as usize,
        timestamps: true,
        ..Traffic::default()
    }
}

fn temporary(args: &BenchArgs) -> Result<TemporaryDirectory, BenchError> {
    let parent = args.directory.clone().unwrap_or_else(std::env::temp_dir);
    Ok(TemporaryDirectory::below(&parent, "bench")?)
}

fn cpu_us_per(before: Usage, after: Usage, updates: u64) -> f64 {
    after.cpu.saturating_sub(before.cpu).as_secs_f64() * 1e6 / updates as f64
}

/// The most anonymous memory that a process was seen with.
struct PeakMemory {
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

    fn peak(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }
}

impl Drop for PeakMemory {
    fn drop(&mut self) {
        self.watching.abort();
    }
}

const RAW_BATCH: usize = 128;
const SAMPLE_AT_FULL_SPEED: u64 = 16;
/// Below this, starting dominates.
const MIN_BARE_STREAM: u64 = 500_000;
/// Room for ten million updates.
const JOURNAL_MAX_BYTES: &str = "64GiB";
const FILL_PATIENCE: Duration = Duration::from_secs(30);
const FILL_INTERVAL: Duration = Duration::from_millis(50);
const WATCH_INTERVAL: Duration = Duration::from_millis(50);
