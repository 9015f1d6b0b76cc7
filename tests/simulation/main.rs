//! Deterministic simulation: the real driver, dispatcher, journal and intake in a world that one seed decides about, with
//! everything going wrong that can, and a checker that holds every promise after every step.
//!
//! ```sh
//! cargo test --features simulation --test simulation
//! ```

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]
#![allow(missing_docs, reason = "a test")]

mod checker;
mod clock;
mod consumers;
mod disk;
mod gateway;
mod generate;
mod history;
mod mutants;
mod network;
mod op;
mod rng;
mod run;
mod scene;
mod search;
mod shrink;
mod telegram;
mod trace;
mod updates;
mod violation;
mod word;
mod world;

use std::sync::Once;
use std::time::Duration;

use switchboard::mutation::Mutation;

use self::history::History;
use self::run::run;
use self::search::{Until, report, search};
use self::trace::Trace;

/// Seeds that every run tries.
const FIXED: u64 = 300;
/// How long a run tries fresh ones.
const FRESH: Duration = Duration::from_secs(20);
/// Seeds within which each deliberate bug must be found.
const HUNT: u64 = 400;

/// Panics of the program are violations, which are reported in order; not as they come.
fn quiet() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let loud = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            let of_a_test = panic.location().is_some_and(|at| at.file().starts_with("tests/"));
            if of_a_test {
                loud(panic);
            }
        }));
    });
}

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().map(|value| value.parse().expect("a number"))
}

#[test]
fn fixed_seeds_keep_every_promise() {
    quiet();
    search(1, Until::Seeds(FIXED)).demand_none();
}

#[test]
fn fresh_seeds_keep_every_promise() {
    quiet();
    let first = switchboard::intake::now().0 << 20;
    println!("fresh seeds from {first} on");
    search(first, Until::Passed(FRESH)).demand_none();
}

#[test]
fn histories_that_once_broke_a_promise_keep_it_now() {
    quiet();
    let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/simulation/regressions");
    let mut files: Vec<_> = std::fs::read_dir(directory).unwrap().map(|file| file.unwrap().path()).collect();
    files.sort();
    for file in files {
        let history = History::read(&std::fs::read_to_string(&file).unwrap());
        assert_eq!(History::read(&history.to_string()), history, "a history survives its text");
        let ended = run(&history, Trace::kept());
        assert!(
            ended.kept.is_ok(),
            "{}: {}\n{}",
            file.display(),
            ended.kept.unwrap_err(),
            ended.trace.lines().join("\n")
        );
    }
}

#[test]
fn the_same_seed_leaves_the_same_trace() {
    quiet();
    for seed in 1..=20 {
        let mut history = generate::history(seed);
        history.scene.lmdb = seed % 10 == 0;
        let (one, other) = (run(&history, Trace::default()).trace, run(&history, Trace::default()).trace);
        assert_eq!((one.hash(), one.count()), (other.hash(), other.count()), "seed {seed}");
    }
}

#[test]
fn every_deliberate_bug_is_found() {
    quiet();
    let mut missed = Vec::new();
    for mutation in Mutation::ALL {
        let caught = mutants::hunt(*mutation, number("SWITCHBOARD_HUNT").unwrap_or(HUNT));
        let seeds = caught.seeds.map_or_else(|| "none".to_owned(), |seeds| seeds.to_string());
        println!(
            "{mutation:?} | {} | {seeds} | {} ms | {}",
            mutation.what(),
            caught.took.as_millis(),
            caught.violation
        );
        if caught.seeds.is_none() {
            missed.push(caught.mutation);
        }
    }
    assert!(missed.is_empty(), "not found: {missed:?}");
}

/// Only where `SWITCHBOARD_SEED` names one, or `SWITCHBOARD_HISTORY` the file of a history.
#[test]
fn one_seed() {
    let file = std::env::var_os("SWITCHBOARD_HISTORY").map(|file| std::fs::read_to_string(file).unwrap());
    let Some(seed) = number("SWITCHBOARD_SEED").or_else(|| file.as_ref().map(|_| 0)) else { return };
    quiet();
    let history = file.map_or_else(|| generate::history(seed), |file| History::read(&file));
    let ended = run(&history, Trace::kept());
    for line in ended.trace.lines() {
        println!("{line}");
    }
    if let Err(violation) = ended.kept {
        panic!("{}", report(seed, &history, &violation));
    }
}

/// The long way: `SWITCHBOARD_SIMULATION_SEEDS=10000` or `SWITCHBOARD_SIMULATION_HOURS=8`.
#[test]
fn many_seeds_keep_every_promise() {
    let hours =
        number("SWITCHBOARD_SIMULATION_HOURS").map(|hours| Until::Passed(Duration::from_secs(3_600 * hours)));
    let Some(until) = hours.or_else(|| number("SWITCHBOARD_SIMULATION_SEEDS").map(Until::Seeds)) else {
        return;
    };
    quiet();
    let first = number("SWITCHBOARD_SEED").unwrap_or(1_000_000);
    search(first, until).demand_none();
}
