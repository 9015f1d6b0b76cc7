//! Deliberate bugs, each of which must be found. They show that the checker would see a true one.

use std::time::Duration;

use switchboard::mutation::{self, Mutation};

use crate::generate;
use crate::run::run;
use crate::search::stopwatch;
use crate::trace::Trace;

/// What finding one has taken.
pub struct Caught {
    pub mutation: Mutation,
    /// Seeds until the violation, this one included; `None` if there was none.
    pub seeds: Option<u64>,
    pub violation: String,
    pub took: Duration,
}

/// Runs seeds with the bug switched on until it is found, or the budget is over.
pub fn hunt(mutation: Mutation, most: u64) -> Caught {
    let began = stopwatch();
    for number in 0..most {
        // Seeds of its own, so that not all are caught by the same history.
        let seed = number + 1_000_000 * (1 + mutation as u64);
        let mut history = generate::history(seed);
        history.scene.lmdb = mutation == Mutation::LmdbLeavesOneOut;
        let ended = mutation::with(Some(mutation), || run(&history, Trace::default()));
        if let Err(violation) = ended.kept {
            let violation = violation.to_string();
            return Caught { mutation, seeds: Some(number + 1), violation, took: began.elapsed() };
        }
    }
    Caught { mutation, seeds: None, violation: String::new(), took: began.elapsed() }
}
