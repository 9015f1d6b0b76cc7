//! Runs many seeds, on all processors, and reports the first violation of each kind with a short history.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::generate;
use crate::history::History;
use crate::run::run;
use crate::shrink::shrink;
use crate::trace::Trace;
use crate::violation::Violation;

/// When a search ends.
#[derive(Clone, Copy)]
pub enum Until {
    /// After so many seeds.
    Seeds(u64),
    /// After so long.
    Passed(Duration),
}

/// What a search has found.
#[derive(Default)]
pub struct Found {
    pub seeds: u64,
    pub steps: usize,
    pub violations: BTreeMap<u64, Violation>,
}

/// The time, for budgets only: nothing in the simulated world knows it.
#[expect(clippy::disallowed_methods, reason = "a budget of true time")]
pub fn stopwatch() -> Instant {
    Instant::now()
}

/// Runs seeds from `first` on.
pub fn search(first: u64, until: Until) -> Found {
    let (began, next, found) = (stopwatch(), AtomicU64::new(0), Mutex::new(Found::default()));
    let goes_on = |number| match until {
        Until::Seeds(seeds) => number < seeds,
        Until::Passed(budget) => began.elapsed() < budget,
    };
    let work = || {
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if !goes_on(number) {
                break;
            }
            let seed = first.wrapping_add(number);
            let ended = run(&generate::history(seed), Trace::default());
            let mut found = found.lock().unwrap();
            found.seeds += 1;
            found.steps += ended.steps;
            if let Err(violation) = ended.kept {
                println!("seed {seed}: {violation}");
                found.violations.insert(seed, violation);
            }
        }
    };
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(work);
        }
    });
    found.into_inner().unwrap()
}

impl Found {
    /// Fails if there is a violation, and says how to see it again.
    pub fn demand_none(&self) {
        println!("{} seeds, {} operations, {} violations", self.seeds, self.steps, self.violations.len());
        let Some((seed, violation)) = self.violations.first_key_value() else { return };
        panic!("{}", report(*seed, &generate::history(*seed), violation));
    }
}

/// What broke, how to run it again, and the shortest history that breaks the same.
pub fn report(seed: u64, history: &History, violation: &Violation) -> String {
    let short = shrink(history, &violation.promise);
    let ended = run(&short, Trace::kept());
    let broken = ended.kept.err().map_or_else(String::new, |violation| violation.to_string());
    let mut text = format!(
        "seed {seed}: {violation}\n\nTo run it again:\n\n    SWITCHBOARD_SEED={seed} cargo test --features simulation \
         --test simulation one_seed -- --nocapture\n\n"
    );
    let file = keep(seed, &short, &broken);
    let _ =
        write!(text, "A short history that breaks the same ({}):\n\n{short}\n{broken}\n\n", file.display());
    text.push_str(&ended.trace.lines().join("\n"));
    text
}

/// Writes a short history where it can be taken from into `tests/simulation/regressions`.
fn keep(seed: u64, history: &History, broken: &str) -> PathBuf {
    let directory = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
    let file = directory.join(format!("seed-{seed}.txt"));
    // It is printed, too.
    let _ = std::fs::write(&file, format!("# {broken}\n{history}"));
    file
}
