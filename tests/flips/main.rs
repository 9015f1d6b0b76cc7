//! Flipped bits in a journal's data file: each is noticed, or harmless, or ends the process that reads; none is served as
//! good. Every reading is done in a process of its own, since damage to LMDB's inner pages can end it.
//!
//! `SWITCHBOARD_FLIPS=10000 cargo test --release --test flips` flips so many bits instead of the usual few;
//! `SWITCHBOARD_SEED` chooses others.

#![cfg(unix)]
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod contents;
mod journal;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::{Command, ExitCode};

/// As many as a run of all tests has time for.
const USUAL: u64 = 200;
/// How the process that reads is called.
const READ: &str = "--read-this-journal";

/// What became of a flip.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Met {
    /// All that is read is as it was.
    Harmless,
    /// LMDB has gone back to the commit before: the flip was in the page that names the last one.
    LastCommitLost,
    /// An error says so.
    Noticed,
    /// A page's order is damaged, and hides rows from those who look for them. What is served is as it was, but less;
    /// `check --deep` names it.
    Hidden,
    /// The process has ended.
    Died,
}

fn main() -> ExitCode {
    let args: Vec<_> = std::env::args().collect();
    if let [_, command, directory] = &args[..]
        && command == READ
    {
        return contents::print(Path::new(directory));
    }
    let number = |name: &str, usual| std::env::var(name).map_or(usual, |text| text.parse().expect(name));
    let (flips, seed) = (number("SWITCHBOARD_FLIPS", USUAL), number("SWITCHBOARD_SEED", 1));
    let counts = flip(flips, seed);
    println!("{flips} bits flipped (seed {seed}): {counts:?}");
    println!("test result: ok. 1 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out");
    ExitCode::SUCCESS
}

fn flip(flips: u64, seed: u64) -> BTreeMap<Met, u64> {
    let place = tempfile::tempdir().unwrap();
    let original = journal::filled(&place.path().join("original"));
    let (whole, before) = (read(&original.last), read(&original.before));
    assert!(whole.is_ok() && before.is_ok() && whole != before, "{whole:?} {before:?}");
    let bytes = fs::read(original.last.join("data.mdb")).unwrap();
    let mut random = seed;
    let mut counts = BTreeMap::new();
    let damaged = place.path().join("damaged");
    for _ in 0..flips {
        let bit = next(&mut random) % (bytes.len() as u64 * 8);
        let (at, mask) = ((bit / 8) as usize, 1 << (bit % 8));
        let _ = fs::remove_dir_all(&damaged);
        fs::create_dir(&damaged).unwrap();
        let mut flipped = bytes.clone();
        flipped[at] ^= mask;
        fs::write(damaged.join("data.mdb"), flipped).unwrap();
        let met = match read(&damaged) {
            Ok(contents) if Ok(&contents) == whole.as_ref() => Met::Harmless,
            Ok(contents) if Ok(&contents) == before.as_ref() => Met::LastCommitLost,
            Ok(contents) if is_part(&contents, whole.as_ref().unwrap()) && is_named(&damaged) => Met::Hidden,
            Ok(contents) => panic!("bit {mask:#04x} of byte {at} is served as good: {contents}"),
            Err(Ended::Error(_)) => Met::Noticed,
            Err(Ended::Died) => Met::Died,
        };
        *counts.entry(met).or_default() += 1;
    }
    counts
}

/// Whether nothing is served but what was there.
fn is_part(contents: &str, whole: &str) -> bool {
    let whole: BTreeSet<_> = whole.split(' ').collect();
    contents.split(' ').all(|thing| whole.contains(thing))
}

/// Whether `check --deep` finds something.
fn is_named(directory: &Path) -> bool {
    let mut check = Command::new(env!("CARGO_BIN_EXE_switchboard"));
    !check.arg("verify-journal").arg(directory).output().unwrap().status.success()
}

/// Why nothing was served.
#[derive(Debug, PartialEq, Eq)]
enum Ended {
    Error(String),
    Died,
}

/// Digests of all that the journal serves, read in another process.
fn read(directory: &Path) -> Result<String, Ended> {
    let program = std::env::current_exe().unwrap();
    let output = Command::new(program).arg(READ).arg(directory).output().unwrap();
    if output.status.signal().is_some() {
        return Err(Ended::Died);
    }
    let text = String::from_utf8(output.stdout).unwrap().trim().to_owned();
    match output.status.code() {
        Some(0) => Ok(text),
        Some(contents::REFUSED) => Err(Ended::Error(text)),
        // A panic: LMDB's bindings check what they read, too.
        _ => Err(Ended::Died),
    }
}

/// xorshift64*.
fn next(state: &mut u64) -> u64 {
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    state.wrapping_mul(0x2545_f491_4f6c_dd1d)
}
