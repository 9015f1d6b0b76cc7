//! What the fuzzers have found interesting, or wrong once, run through their targets again.

#![cfg(feature = "fuzzing")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

use std::path::{Path, PathBuf};

use switchboard::fuzz::TARGETS;

fn files(directory: &Path) -> Vec<PathBuf> {
    let entries =
        std::fs::read_dir(directory).unwrap_or_else(|error| panic!("{}: {error}", directory.display()));
    let mut files: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

#[test]
fn every_input_of_the_corpora_passes_its_target() {
    let corpora = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus");
    for (name, target) in TARGETS {
        let files = files(&corpora.join(name));
        assert!(!files.is_empty(), "the corpus of {name} is empty");
        for file in files {
            let input = std::fs::read(&file).unwrap();
            let passes = std::panic::catch_unwind(|| target(&input));
            assert!(passes.is_ok(), "{} fails: see above", file.display());
        }
    }
}

/// Bodies of the shared collection, whole and damaged, are good inputs for all targets.
#[test]
fn real_and_hostile_updates_pass_every_target() {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/updates");
    let updates = std::fs::read(fixtures.join("updates.jsonl")).unwrap();
    let hostile = files(&fixtures.join("malformed")).into_iter().map(|file| std::fs::read(file).unwrap());
    let inputs: Vec<_> = updates.split(|byte| *byte == b'\n').map(<[u8]>::to_vec).chain(hostile).collect();
    assert!(inputs.len() > 500);
    for (_, target) in TARGETS {
        inputs.iter().for_each(|input| target(input));
    }
}
