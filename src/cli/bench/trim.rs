//! Many settled updates that go all at once: whether those that come meanwhile are delivered as fast as ever.

use std::time::Duration;

use super::fleet::{Fleet, FleetPlan};
use super::histogram::Quantiles;
use super::load;
use super::report::{Report, Setup, Trim};
use super::rig::Rig;
use super::{BenchArgs, BenchError};
use crate::cli::clock;

/// Stores and settles the updates, then sends more at a rate: while all are kept, and while all that are old go.
pub(super) async fn run(args: &BenchArgs, updates: u64) -> Result<Report, BenchError> {
    let rate = if args.rate == 0 { RATE } else { args.rate };
    let mut report = Report::new(Setup { rate, ..Setup::of(args, updates) });
    // The rate is for what comes later.
    let args = &BenchArgs { rate: 0, ..args.clone() };
    let mut rig = Rig::start(args).await?;
    rig.fill(args, updates).await?;
    let mut fleet = Fleet::spawn(&rig.plan(args))?;
    fleet.acked(updates).await?;
    let mut proved = fleet.finish().await?.proves(updates);

    // Both begin with a start of the gateway, so that they differ in nothing else.
    rig.restart(&[]).await?;
    let kept = steady(&rig, args, rate, Until::Passed(KEPT_FOR)).await?;
    rig.restart(&[("SWITCHBOARD_RETENTION_MAX_AGE", RETENTION)]).await?;
    let trimming = steady(&rig, args, rate, Until::Trimmed(updates)).await?;
    rig.stop().await?;
    proved &= kept.proved && trimming.proved;
    report.trim = Some(Trim {
        settled: updates,
        seconds_to_trim: trimming.time.as_secs_f64(),
        latency_before: kept.latency,
        latency_while_trimming: trimming.latency,
        proved,
    });
    Ok(report)
}

/// When updates have been sent for long enough.
enum Until {
    Passed(Duration),
    /// The gateway has removed so many.
    Trimmed(u64),
}

struct Steady {
    time: Duration,
    latency: Quantiles,
    proved: bool,
}

/// Sends updates at a rate to waiting consumers.
async fn steady(rig: &Rig, args: &BenchArgs, rate: u32, until: Until) -> Result<Steady, BenchError> {
    // At a rate there is time to look at each.
    let plan = FleetPlan { sample: 1, ..rig.plan(args) };
    let mut fleet = Fleet::spawn(&plan)?;
    fleet.joined().await?;
    let before = rig.confirmed();
    let began = clock::now();
    rig.send(load::at_rate(args, rate));
    match until {
        Until::Passed(time) => tokio::time::sleep(time).await,
        Until::Trimmed(wanted) => loop {
            let trimmed = rig.trimmed().await?;
            if trimmed >= wanted {
                break;
            }
            if began.elapsed() > PATIENCE {
                return Err(BenchError::NotTrimmed { trimmed, wanted });
            }
            tokio::time::sleep(LOOK_INTERVAL).await;
        },
    }
    let time = began.elapsed();
    rig.stop_sending().await;
    let sent = rig.confirmed() - before;
    fleet.acked(sent).await?;
    let found = fleet.finish().await?;
    Ok(Steady { time, latency: found.latency.quantiles(), proved: found.proves(sent) })
}

/// Updates a second where none are asked for.
const RATE: u32 = 1000;
/// Long enough for the percentiles, and for several passes that find nothing to remove.
const KEPT_FOR: Duration = Duration::from_secs(30);
/// What was stored before is older at the restart, all of it.
const RETENTION: &str = "1s";
const LOOK_INTERVAL: Duration = Duration::from_millis(100);
const PATIENCE: Duration = Duration::from_secs(600);
