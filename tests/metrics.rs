//! docs/metrics.md is made of the code. After a change of the metrics it is written anew by
//!
//! ```sh
//! SWITCHBOARD_TEST_WRITE=1 cargo test --test metrics
//! ```

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

use std::fmt::Write;

use switchboard::observe::metrics::{Description, Kind, Metrics};

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/metrics.md");

#[test]
fn the_page_is_what_the_code_says() {
    let page = page();
    if std::env::var_os("SWITCHBOARD_TEST_WRITE").is_some() {
        std::fs::write(PAGE, &page).unwrap();
    }
    let written = std::fs::read_to_string(PAGE).unwrap_or_default();
    let differs = written.lines().zip(page.lines()).find(|(written, made)| written != made);
    assert!(
        written == page,
        "docs/metrics.md is stale ({differs:?}); write it anew: SWITCHBOARD_TEST_WRITE=1 cargo test --test metrics"
    );
}

#[test]
fn labels_are_few_and_none_is_about_a_chat_a_user_or_an_update() {
    for metric in Metrics::descriptions() {
        assert!(metric.labels.len() <= 3, "{}", metric.family);
        for label in metric.labels {
            let forbidden = ["chat", "user", "update_id", "sequence", "token", "consumer"];
            assert!(!forbidden.contains(&label.name), "{} has the label {}", metric.family, label.name);
        }
    }
}

fn page() -> String {
    let mut page = HEAD.to_owned();
    let metrics = Metrics::descriptions();
    page.push_str(
        "\n| metric | type | labels | what it says | when to raise an alarm |\n|---|---|---|---|---|\n",
    );
    for metric in &metrics {
        let labels: Vec<String> = metric.labels.iter().map(|label| format!("`{}`", label.name)).collect();
        let (name, kind, labels) = (metric.scraped(), metric.kind.name(), labels.join(", "));
        let cell = |text: &str| if text.is_empty() { "–".to_owned() } else { text.replace('|', "\\|") };
        let (labels, alert) = (cell(&labels), cell(metric.alert));
        writeln!(page, "| `{name}` | {kind} | {labels} | {}. | {alert} |", cell(metric.help)).unwrap();
    }
    page.push_str("\n## Labels\n\n| label | of | what it holds |\n|---|---|---|\n");
    let mut seen: Vec<(&str, &str)> = Vec::new();
    for label in metrics.iter().flat_map(|metric| metric.labels) {
        let help = label.help.trim();
        if seen.contains(&(label.name, help)) {
            continue;
        }
        seen.push((label.name, help));
        let has = |metric: &&Description| metric.labels.iter().any(|other| other == label);
        let of: Vec<String> =
            metrics.iter().filter(has).map(|metric| format!("`{}`", metric.scraped())).collect();
        let of = if of.len() > 4 { format!("{} metrics", of.len()) } else { of.join(", ") };
        let help = help.replace("  ", " ");
        writeln!(page, "| `{}` | {of} | {help} |", label.name).unwrap();
    }
    page.push_str("\n## Histograms\n\n");
    for metric in metrics.iter().filter(|metric| metric.kind == Kind::Histogram) {
        let name = metric.scraped();
        writeln!(page, "- `{name}_bucket`, `{name}_sum`, `{name}_count`").unwrap();
    }
    page
}

const HEAD: &str = "# Metrics

<!-- Made of src/observe/metrics.rs. Do not edit: SWITCHBOARD_TEST_WRITE=1 cargo test --test metrics -->

`/metrics` on the ops listener (port 9090) serves OpenMetrics text, which Prometheus reads. It asks for the access token if one
is set. Counters start at 0 with the process: ask for `rate()` or `increase()`. A series appears with its first value; those of
what should never happen to a bot, and a group's, are there from the start.

No label holds a chat, a user, an update or a consumer: the number of series is bounded by bots, groups and the words listed
below. What a single update went through is told by its timeline and, where traces are exported, by its
[trace](tracing.md).

An update's way, and what measures each part of it:

```text
received ──durable_latency──▶ durable ──delivery_latency──▶ first delivery ──handling_latency──▶ settled
    └────────────────────────────────── settled_latency ──────────────────────────────────────────▲
```

The stored times have a resolution of a millisecond, and so have these four; `commit_duration` is finer. An update that was
delivered before a restart and settled after it is in none of the last three.
";
