//! Runs a history from its beginning to its end.

use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::history::History;
use crate::trace::Trace;
use crate::violation::{Kept, Violation};
use crate::world::World;

/// How a run ended.
pub struct Ended {
    pub kept: Kept,
    pub trace: Trace,
    /// Operations that were carried out.
    pub steps: usize,
}

/// Runs a history, with its trace kept or only hashed.
pub fn run(history: &History, trace: Trace) -> Ended {
    let mut world = World::new(history.scene.clone(), trace);
    let mut steps = 0;
    let result = catch_unwind(AssertUnwindSafe(|| {
        for op in &history.ops {
            steps += 1;
            world.step(op)?;
        }
        world.finish()
    }));
    let kept = result.unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
        Err(Violation::of("panic", text.unwrap_or_default()))
    });
    Ended { kept, trace: std::mem::take(&mut world.trace), steps }
}
