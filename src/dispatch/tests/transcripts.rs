//! Runs the transcripts. `UPDATE_TRANSCRIPTS=1 cargo test transcripts` writes them anew: read the difference.

use std::fmt::Write;
use std::path::Path;

use super::script::Script;

/// A file is scenarios, each from a line `== name` to the next; a scenario is comments, inputs, `----`, and outputs up
/// to an empty line.
fn run(text: &str) -> String {
    let mut written = String::new();
    let mut script = Script::new();
    let mut inputs: Vec<&str> = Vec::new();
    let mut skips = false;
    for line in text.lines() {
        if skips {
            skips = !line.is_empty();
        } else if line.starts_with("==") {
            // Shown only when a scenario panics.
            println!("{line}");
            script = Script::new();
        } else if line == "----" {
            let outputs: String = inputs.drain(..).map(|at| told(at, script.line(at))).collect();
            let _ = write!(written, "----\n{outputs}");
            skips = true;
        } else if !line.is_empty() && !line.starts_with('#') {
            inputs.push(line);
        }
        if !skips {
            let _ = writeln!(written, "{line}");
        }
    }
    assert!(inputs.is_empty(), "inputs without ----: {inputs:?}");
    written
}

#[test]
fn the_dispatcher_does_what_the_transcripts_say() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/dispatch/tests/transcripts");
    let mut files: Vec<_> =
        std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(!files.is_empty());
    let mut wrong = Vec::new();
    for file in files {
        let text = std::fs::read_to_string(&file).unwrap();
        let written = run(&text);
        if written != text && std::env::var_os("UPDATE_TRANSCRIPTS").is_some() {
            std::fs::write(&file, &written).unwrap();
        } else if written != text {
            let line = text.lines().zip(written.lines()).position(|(a, b)| a != b).unwrap_or(0);
            let (said, did) = (text.lines().nth(line), written.lines().nth(line));
            wrong.push(format!("{}:{}: {said:?}, but it is {did:?}", file.display(), line + 1));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Shown only when a scenario panics.
fn told(input: &str, output: String) -> String {
    println!("{input}\n{output}");
    output
}
