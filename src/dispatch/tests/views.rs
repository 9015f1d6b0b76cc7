//! How the transcripts show what operators see.

use std::fmt::Write;

use super::world::{EPOCH, GROUP, World};
use crate::model::{Sequence, UnixMillis};

fn since_start(at: UnixMillis) -> String {
    let ms = at.0.saturating_sub(EPOCH);
    format!("{}.{:03}s", ms / 1_000, ms % 1_000)
}

/// Each consumer, with what it owns and has.
pub(super) fn consumers(world: &World, out: &mut String) {
    for view in world.dispatcher.status(GROUP, world.now).unwrap().consumers {
        let connected = view.connected.map_or("never".into(), since_start);
        let _ = writeln!(
            out,
            "{}: {:?} since {connected}, shards {:?}, {} out ({} bytes)",
            view.consumer_id, view.state, view.shards, view.outstanding, view.outstanding_bytes
        );
    }
}

/// The oldest update, and the keys that are held by one that failed.
pub(super) fn blocked(world: &World, out: &mut String) {
    let status = world.dispatcher.status(GROUP, world.now).unwrap();
    let oldest = status.oldest.map_or("none".into(), |at| at.0.to_string());
    let _ = writeln!(out, "oldest {oldest}, lag {}", status.lag);
    for key in status.blocked {
        let held = key.held;
        let last = held.last_failure.map_or_else(Box::default, |failure| failure.reason);
        let _ = writeln!(
            out,
            "{} failed {} times, last {last:?} by {} delivered at {}; {} wait",
            held.sequence.0,
            held.failures,
            held.consumer,
            since_start(held.delivered),
            key.waiting
        );
    }
}

/// All that was told of an update.
pub(super) fn trail(world: &World, sequence: Sequence, out: &mut String) {
    for event in world.groups[&GROUP].trail.get(&sequence).into_iter().flatten() {
        let _ = write!(out, "{}:", since_start(event.time));
        if let Some(attempt) = &event.attempt {
            let delivered = since_start(attempt.delivered);
            let _ = write!(
                out,
                " attempt {} by {:?} from {delivered}: {:?}",
                attempt.attempt, attempt.consumer, attempt.outcome
            );
            if !attempt.reason.is_empty() {
                let _ = write!(out, " {:?}", attempt.reason);
            }
        }
        if let Some(settled) = event.settled {
            let _ = write!(out, " => {settled:?}");
        }
        out.push('\n');
    }
}
