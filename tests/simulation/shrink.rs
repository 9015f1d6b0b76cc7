//! From a long history that breaks a promise to a short one that breaks the same promise (delta debugging).

use crate::history::History;
use crate::run::run;
use crate::trace::Trace;

/// Runs that are worth it.
const TRIES: usize = 3_000;

/// The shortest history found that still breaks this promise.
pub fn shrink(history: &History, promise: &str) -> History {
    let mut best = history.clone();
    let mut tries = 0;
    let mut breaks = |ops: Vec<_>| {
        tries += 1;
        let shorter = History { scene: history.scene.clone(), ops };
        let broken = run(&shorter, Trace::default()).kept.err();
        (tries <= TRIES && broken.is_some_and(|broken| broken.promise == promise)).then_some(shorter)
    };
    // What came after the violation has nothing to do with it.
    let steps = run(history, Trace::default()).steps;
    if let Some(shorter) = breaks(best.ops[..steps].to_vec()) {
        best = shorter;
    }
    let mut size = best.ops.len().div_ceil(2);
    while size > 0 {
        let mut from = 0;
        let mut progress = false;
        while from < best.ops.len() {
            let to = (from + size).min(best.ops.len());
            let ops = [&best.ops[..from], &best.ops[to..]].concat();
            match breaks(ops) {
                Some(shorter) => {
                    best = shorter;
                    progress = true;
                }
                None => from = to,
            }
        }
        if !progress || size > 1 {
            size /= 2;
        }
    }
    best
}
