//! What the simulated Telegram sends, and how it is brought up to its full speed first.

use std::time::Duration;

use super::{BenchArgs, BenchError};
use crate::cli::clock;
use crate::cli::simulation::Simulation;
use crate::simulator::Traffic;

/// Telegram's largest page, and the most connections it opens to a webhook.
pub(super) const MOST_IN_FLIGHT: usize = 100;

/// At the rate that was asked for.
pub(super) fn traffic(args: &BenchArgs, updates: u64) -> Traffic {
    Traffic { rate: f64::from(args.rate), ..at_full_speed(args, Some(updates)) }
}

/// At this rate, until it is stopped.
pub(super) fn at_rate(args: &BenchArgs, rate: u32) -> Traffic {
    Traffic { rate: f64::from(rate), ..at_full_speed(args, None) }
}

/// As fast as the updates are taken.
pub(super) fn at_full_speed(args: &BenchArgs, total: Option<u64>) -> Traffic {
    Traffic {
        rate: 0.0,
        chats: args.chats,
        total,
        size: args.size as usize,
        timestamps: true,
        ..Traffic::default()
    }
}

/// Sends at full speed until updates are taken and Telegram opens no more connections (it opens a few at a time), then
/// stops; returns once all is confirmed, with how many updates that were. What is measured next finds the connections
/// open.
pub(super) async fn warm_up(args: &BenchArgs, load: &Simulation) -> Result<u64, BenchError> {
    load.send(at_full_speed(args, None));
    let began = clock::now();
    let (mut steady_since, mut connections) = (began, 0);
    while steady_since.elapsed() < STEADY_FOR {
        tokio::time::sleep(LOOK_INTERVAL).await;
        let open = load.webhook_connections();
        let taken = load.counts().confirmed;
        if taken == 0 && began.elapsed() > PATIENCE {
            return Err(BenchError::NothingTaken { after: PATIENCE });
        }
        if taken == 0 || open > connections {
            (steady_since, connections) = (clock::now(), open);
        }
    }
    load.stop_and_settle().await;
    Ok(load.counts().confirmed)
}

/// Telegram opens some connections to a webhook every half a second while it wants more.
const STEADY_FOR: Duration = Duration::from_millis(1500);
const LOOK_INTERVAL: Duration = Duration::from_millis(20);
const PATIENCE: Duration = Duration::from_secs(30);
