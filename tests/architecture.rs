//! Who may import whom (DESIGN section 4), and the limits of style that a machine can see.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// What each module may import of ours. `observe` comes on top for those that [`OBSERVED`] does not leave out.
const MAY_IMPORT: &[(&str, &[&str])] = &[
    ("update", &[]),
    ("model", &["update"]),
    ("dispatch", &["model", "update"]),
    ("journal", &["model", "update"]),
    ("wire", &["model", "update"]),
    ("driver", &["dispatch", "journal", "model", "update", "wire"]),
    ("intake", &["driver", "model", "update", "wire"]),
    ("telegram", &["intake", "update"]),
    ("inspect", &["driver", "journal", "model", "update", "wire"]),
    ("connections", &[]),
    ("grpc", &["connections", "driver", "inspect", "model", "update", "wire"]),
    ("http", &["connections", "driver", "inspect", "intake", "model"]),
    ("observe", &[]),
    ("simulator", &["update"]),
    // The edges: what is configured, and what a command starts.
    ("config", &["driver", "grpc", "http", "model", "telegram"]),
    ("cli", &["config", "driver", "gateway", "grpc", "inspect", "model", "simulator", "telegram"]),
    (
        "gateway",
        &[
            "config", "dispatch", "driver", "grpc", "http", "inspect", "intake", "journal", "model",
            "telegram", "update", "wire",
        ],
    ),
    ("main", &["cli"]),
    // Only with the feature `fuzzing`.
    ("fuzz", &["config", "grpc", "http", "journal", "model", "telegram", "update"]),
];

/// These see no logs and no metrics.
const UNOBSERVED: &[&str] = &["dispatch", "model", "update", "simulator", "main"];

/// What the pure core must not know.
const FORBIDDEN: &[(&str, &[&str])] = &[
    (
        "dispatch",
        &["tokio", "tonic", "prost", "std::fs", "Instant", "SystemTime", "getrandom", "prometheus_client"],
    ),
    (
        "model",
        &["tokio", "tonic", "prost", "std::fs", "Instant", "SystemTime", "getrandom", "prometheus_client"],
    ),
    (
        "update",
        &["tokio", "tonic", "prost", "std::fs", "Instant", "SystemTime", "getrandom", "prometheus_client"],
    ),
    ("journal", &["tonic", "prost"]),
    ("driver", &["tonic", "reqwest", "hyper"]),
    ("telegram", &["tonic", "prost", "heed"]),
];

const MAX_LINES: usize = 400;

#[test]
fn every_module_imports_only_what_the_design_allows() {
    let mut wrong = Vec::new();
    for file in sources("src") {
        let module = file.module();
        if module == "lib" {
            continue;
        }
        let Some((_, allowed)) = MAY_IMPORT.iter().find(|(name, _)| *name == module) else {
            wrong.push(format!(
                "{}: module `{module}` is not in the table of tests/architecture.rs",
                file.name
            ));
            continue;
        };
        for (line, imported) in imports(&file.program) {
            let observes = imported == "observe" && !UNOBSERVED.contains(&module.as_str());
            if imported != module && !observes && !allowed.contains(&imported.as_str()) {
                wrong.push(format!("{}:{line}: `{module}` must not import `{imported}`", file.name));
            }
        }
    }
    assert_none("imports that DESIGN section 4 forbids", &wrong);
}

#[test]
fn the_core_knows_no_network_no_disk_and_no_clock() {
    let mut wrong = Vec::new();
    for file in sources("src") {
        for (module, words) in FORBIDDEN.iter().filter(|(module, _)| *module == file.module()) {
            for (number, line) in file.program.lines().enumerate() {
                for word in words.iter().filter(|word| has_word(line, word)) {
                    wrong.push(format!("{}:{}: `{module}` must not know `{word}`", file.name, number + 1));
                }
            }
        }
    }
    assert_none("words that a module must not know", &wrong);
}

#[test]
fn only_config_reads_the_environment() {
    let mut wrong = Vec::new();
    for file in sources("src").into_iter().filter(|file| file.module() != "config") {
        for (number, line) in file.program.lines().enumerate() {
            if ["env::var(", "env::var_os(", "env::vars(", "env::vars_os("]
                .iter()
                .any(|call| line.contains(call))
            {
                wrong.push(format!("{}:{}: {}", file.name, number + 1, line.trim()));
            }
        }
    }
    assert_none("reads of the environment outside src/config", &wrong);
}

#[test]
fn files_are_short() {
    let long: Vec<String> = ["src", "tests", "benches", "examples"]
        .into_iter()
        .flat_map(sources)
        .map(|file| (file.text.lines().count(), file.name))
        .filter(|(lines, _)| *lines > MAX_LINES)
        .map(|(lines, name)| format!("{name}: {lines} lines"))
        .collect();
    assert_none(&format!("files of more than {MAX_LINES} lines (one idea per file)"), &long);
}

#[test]
fn nothing_is_left_for_later() {
    // Put together here, so that this file does not find itself.
    let words = ["#[ig", "to", "unimplem", "db"].into_iter().zip(["nore", "do!(", "ented!(", "g!("]);
    let words: Vec<String> = words.map(|(a, b)| format!("{a}{b}")).collect();
    let mut wrong = Vec::new();
    for file in ["src", "tests", "benches"].into_iter().flat_map(sources) {
        for (number, line) in file.text.lines().enumerate() {
            for word in words.iter().filter(|word| line.contains(word.as_str())) {
                wrong.push(format!("{}:{}: {word}", file.name, number + 1));
            }
        }
    }
    assert_none("stubs and tests that do not run", &wrong);
}

#[test]
fn no_test_sleeps() {
    let calls = ["thread", "time"].map(|module| format!("{module}::sleep("));
    let mut wrong = Vec::new();
    for file in ["src", "tests"].into_iter().flat_map(sources) {
        // Where tokio's time is paused nothing waits for real.
        if file.text.contains("start_paused = true") || file.text.contains("time::pause()") {
            continue;
        }
        for (number, line) in file.tests.lines().enumerate() {
            // Looking again and again at another process is waiting for a condition.
            let looks_again = line.contains("sleep(POLL_INTERVAL)");
            if calls.iter().any(|call| line.contains(call.as_str())) && !looks_again {
                wrong.push(format!("{}:{}: {}", file.name, number + 1, line.trim()));
            }
        }
    }
    assert_none(
        "tests that sleep (wait for a condition, looking every POLL_INTERVAL, or pause tokio's time)",
        &wrong,
    );
}

#[test]
fn imports_are_found_in_paths_and_in_groups() {
    let found = |text: &str| imports(text).into_iter().map(|(_, name)| name).collect::<Vec<_>>().join(" ");
    assert_eq!(found("use crate::journal::Journal;"), "journal");
    assert_eq!(found("use crate::{grpc::{a, b}, model::Token, wire};"), "grpc model wire");
    assert_eq!(found("use crate::{\n    driver::{self, x},\n    observe,\n};"), "driver observe");
    assert_eq!(found("let x = crate::update::parse(y); // crate::grpc"), "update");
    assert_eq!(found("/// See [`crate::grpc`]."), "");
}

struct Source {
    name: String,
    text: String,
    /// What runs in the program: the text without comments and tests, line by line.
    program: String,
    /// What runs in tests, line by line.
    tests: String,
}

impl Source {
    /// `src/journal/lmdb/mod.rs` and `src/journal.rs` are of `journal`.
    fn module(&self) -> String {
        let path = self.name.strip_prefix("src/").unwrap_or(&self.name);
        path.split('/').next().unwrap().trim_end_matches(".rs").to_owned()
    }
}

fn sources(directory: &str) -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    collect(&root.join(directory), &mut files);
    files.sort();
    let source = |path: PathBuf| {
        let name = path.strip_prefix(root).unwrap().to_string_lossy().into_owned();
        let text = std::fs::read_to_string(&path).unwrap();
        let is_test = name.starts_with("tests/")
            || path
                .components()
                .any(|part| ["tests", "tests.rs"].iter().any(|test| part.as_os_str() == *test));
        let (program, tests) = if is_test { (String::new(), text.clone()) } else { split_tests(&text) };
        Source { name, program, tests, text }
    };
    files.into_iter().map(source).collect()
}

fn collect(directory: &Path, files: &mut Vec<PathBuf>) {
    // `benches` and `examples` need not exist.
    for entry in std::fs::read_dir(directory).into_iter().flatten() {
        let path = entry.unwrap().path();
        if path.is_dir() && !path.ends_with("node_modules") {
            collect(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

/// What follows `#[cfg(test)]` at the left edge is a test up to the closing brace at the left edge. Lines keep their
/// numbers: what does not belong is left empty.
fn split_tests(text: &str) -> (String, String) {
    let (mut program, mut tests) = (String::new(), String::new());
    let mut in_test = false;
    for line in text.lines() {
        in_test |= line.starts_with("#[cfg(test)]");
        let of_test = in_test;
        if line == "}" || (in_test && !line.starts_with('#') && line.ends_with(';') && !line.starts_with(' '))
        {
            in_test = false;
        }
        let (taken, empty) = if of_test { (&mut tests, &mut program) } else { (&mut program, &mut tests) };
        taken.push_str(if line.trim_start().starts_with("//") && !of_test { "" } else { line });
        taken.push('\n');
        empty.push('\n');
    }
    (program, tests)
}

/// The modules of ours that a text names, with the line.
fn imports(text: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    let code: String =
        text.lines().map(|line| line.split("//").next().unwrap_or(line).to_owned() + "\n").collect();
    for (at, _) in code.match_indices("crate::") {
        let line = code[..at].matches('\n').count() + 1;
        let rest = &code[at + "crate::".len()..];
        let names = match rest.strip_prefix('{') {
            Some(group) => group_heads(group),
            None => [word(rest)].into(),
        };
        found.extend(
            names.into_iter().filter(|name| name.starts_with(char::is_lowercase)).map(|name| (line, name)),
        );
    }
    found
}

/// The first words of the members of `a::b, c::{d, e}, f}`.
fn group_heads(group: &str) -> BTreeSet<String> {
    let mut heads = BTreeSet::new();
    let (mut depth, mut at_start) = (0, true);
    for (i, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => at_start = true,
            c if at_start && !c.is_whitespace() => {
                heads.insert(word(&group[i..]));
                at_start = false;
            }
            _ => {}
        }
    }
    heads
}

fn word(text: &str) -> String {
    text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
}

fn has_word(line: &str, wanted: &str) -> bool {
    let part = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
    line.match_indices(wanted).any(|(at, _)| {
        !part(line[..at].chars().next_back()) && !part(line[at + wanted.len()..].chars().next())
    })
}

fn assert_none(what: &str, found: &[String]) {
    assert!(found.is_empty(), "{what}:\n  {}", found.join("\n  "));
}
