//! The alerts and the dashboard ask for nothing that the gateway does not have: names, labels and words are held against the
//! table that docs/metrics.md is made of. Whether the alerts are right is tested by Prometheus itself: scripts/test-alerts.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod promql;

use std::collections::BTreeSet;

use promql::{Names, Selector, names};
use serde_json::Value;
use switchboard::observe::metrics::{Kind, Label, Metrics};

const ALERTS: &str = include_str!("../../helm/switchboard/files/alerts.yaml");
const DASHBOARD: &str = include_str!("../../helm/switchboard/files/dashboard.json");
const RUNBOOKS: &str = include_str!("../../docs/alerts.md");

/// What others than the gateway expose, with the labels that it has.
const OTHERS: &[(&str, &[&str])] = &[
    ("kubelet_volume_stats_available_bytes", &["namespace", "persistentvolumeclaim"]),
    ("kubelet_volume_stats_capacity_bytes", &["namespace", "persistentvolumeclaim"]),
    ("ALERTS", &["alertname", "alertstate", "severity", "bot", "group"]),
];
/// What Prometheus adds to whatever it scrapes, as far as there is such a thing in an installation.
const OF_TARGETS: &[&str] = &["cluster", "namespace", "job", "instance", "pod"];

/// One series that can be asked for.
struct Series {
    name: String,
    kind: Option<Kind>,
    labels: Vec<Label>,
}

fn known() -> Vec<Series> {
    const LE: Label = Label { name: "le", help: "" };
    let mut all = Vec::new();
    for metric in Metrics::descriptions() {
        let series = |suffix: &str, labels: Vec<Label>| Series {
            name: format!("{}{suffix}", metric.scraped()),
            kind: Some(if metric.kind == Kind::Histogram { Kind::Counter } else { metric.kind }),
            labels,
        };
        let labels = metric.labels.to_vec();
        if metric.kind == Kind::Histogram {
            all.push(series("_bucket", [labels.as_slice(), &[LE]].concat()));
            all.extend([series("_sum", labels.clone()), series("_count", labels)]);
        } else {
            all.push(series("", labels));
        }
    }
    all.extend(OTHERS.iter().map(|(name, labels)| Series {
        name: (*name).to_owned(),
        kind: None,
        labels: labels.iter().map(|name| Label { name, help: "" }).collect(),
    }));
    all
}

/// The words that a label can hold, if its help lists them: "`polling` or `webhook`".
fn words(label: &Label) -> Option<Vec<&'static str>> {
    let parts: Vec<&str> = label.help.split('`').collect();
    let between = parts.iter().step_by(2).map(|part| part.trim());
    let lists = between.into_iter().all(|part| matches!(part, "" | "," | "or" | "."));
    (parts.len() > 1 && lists).then(|| parts.iter().skip(1).step_by(2).copied().collect())
}

/// What is wrong with an expression; empty if nothing is.
fn complaints(expression: &str) -> Vec<String> {
    let known = known();
    let Names { metrics, labels } = names(expression);
    let mut wrong = Vec::new();
    let mut there: BTreeSet<&str> = OF_TARGETS.iter().copied().collect();
    for Selector { metric, matchers, function } in &metrics {
        let Some(series) = known.iter().find(|series| series.name == *metric) else {
            wrong.push(format!("there is no metric {metric}"));
            continue;
        };
        if ["rate", "irate", "increase"].contains(&function.as_str()) && series.kind == Some(Kind::Gauge) {
            wrong.push(format!("{metric} is a gauge: it has no {function}"));
        }
        there.extend(series.labels.iter().map(|label| label.name));
        for matcher in matchers.iter().filter(|matcher| !OF_TARGETS.contains(&matcher.label.as_str())) {
            let Some(label) = series.labels.iter().find(|label| label.name == matcher.label) else {
                wrong.push(format!("{metric} has no label {}", matcher.label));
                continue;
            };
            let Some(words) = words(label) else { continue };
            let strange = matcher.values.iter().filter(|value| !words.contains(&value.as_str()));
            wrong.extend(strange.map(|value| format!("{} of {metric} is never {value}", label.name)));
        }
    }
    let strange = labels.iter().filter(|label| !there.contains(label.as_str()));
    wrong.extend(strange.map(|label| format!("nothing here has a label {label}")));
    wrong
}

/// The alerts, with their expressions.
fn alerts() -> Vec<(&'static str, String)> {
    let mut alerts: Vec<(&str, String)> = Vec::new();
    let mut block = None;
    for line in ALERTS.lines() {
        let text = line.trim_start();
        let indent = line.len() - text.len();
        if let Some(name) = text.strip_prefix("- alert: ") {
            alerts.push((name, String::new()));
        }
        if block.is_some_and(|than| indent <= than) {
            block = None;
        }
        if let Some(expression) = text.strip_prefix("expr: ") {
            block = (expression == "|").then_some(indent);
            if block.is_none() {
                alerts.last_mut().unwrap().1 = expression.to_owned();
            }
        } else if block.is_some() {
            let expression = &mut alerts.last_mut().unwrap().1;
            expression.push_str(text);
            expression.push('\n');
        }
    }
    let without = alerts.iter().filter(|(_, expression)| expression.is_empty()).map(|(name, _)| name);
    assert_eq!(without.collect::<Vec<_>>(), Vec::<&&str>::new(), "alerts without an expression");
    assert!(alerts.len() >= 20, "{}", alerts.len());
    alerts
}

fn dashboard() -> Value {
    serde_json::from_str(DASHBOARD).unwrap()
}

fn list<'a>(value: &'a Value, name: &str) -> &'a [Value] {
    value[name].as_array().map_or(&[], Vec::as_slice)
}

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name].as_str().unwrap_or_default()
}

/// All that the dashboard asks Prometheus for, with where.
fn queries(dashboard: &Value) -> Vec<(String, &str)> {
    let panels = list(dashboard, "panels").iter();
    let mut queries: Vec<(String, &str)> = panels
        .flat_map(|panel| list(panel, "targets").iter().map(|target| (text(panel, "title"), target)))
        .map(|(title, target)| (format!("panel {title}"), text(target, "expr")))
        .collect();
    let variables = list(&dashboard["templating"], "list").iter();
    let variables = variables.filter(|variable| text(variable, "type") == "query");
    queries
        .extend(variables.map(|it| (format!("variable {}", text(it, "name")), text(&it["query"], "query"))));
    let annotations = list(&dashboard["annotations"], "list").iter().filter(|it| it["expr"].is_string());
    queries.extend(annotations.map(|it| (format!("annotation {}", text(it, "name")), text(it, "expr"))));
    assert!(queries.len() > 50 && queries.iter().all(|(_, query)| !query.is_empty()), "{queries:?}");
    queries
}

#[test]
fn alerts_ask_for_what_there_is() {
    for (alert, expression) in alerts() {
        assert_eq!(complaints(&expression), Vec::<String>::new(), "{alert}: {expression}");
    }
}

#[test]
fn the_dashboard_asks_for_what_there_is() {
    let dashboard = dashboard();
    for (place, query) in queries(&dashboard) {
        assert_eq!(complaints(query), Vec::<String>::new(), "{place}: {query}");
    }
}

#[test]
fn a_misspelt_name_label_or_word_is_found() {
    for (expression, complaint) in [
        ("switchboard_lags > 1", "there is no metric switchboard_lags"),
        ("rate(switchboard_deliveries[5m])", "there is no metric switchboard_deliveries"),
        ("switchboard_commit_duration_seconds", "there is no metric switchboard_commit_duration_seconds"),
        ("up == 0", "there is no metric up"),
        ("switchboard_lag{grup=\"a\"}", "switchboard_lag has no label grup"),
        ("sum by (gruop) (switchboard_lag)", "nothing here has a label gruop"),
        ("sum by (group) (switchboard_telegram_connected)", "nothing here has a label group"),
        (
            "switchboard_telegram_calls_total{outcome!=\"okay\"}",
            "outcome of switchboard_telegram_calls_total is never okay",
        ),
        (
            "switchboard_attempts_ended_total{how=~\"lost|nackt\"}",
            "how of switchboard_attempts_ended_total is never nackt",
        ),
        ("rate(switchboard_lag[5m])", "switchboard_lag is a gauge: it has no rate"),
    ] {
        assert_eq!(complaints(expression), [complaint], "{expression}");
    }
    assert_eq!(
        complaints("sum by (job, how) (rate(switchboard_attempts_ended_total{bot=\"x\", how=\"lost\"}[5m]))"),
        Vec::<String>::new()
    );
}

#[test]
fn texts_name_metrics_that_there_are() {
    let known = known();
    let families: BTreeSet<String> = Metrics::descriptions().iter().map(|metric| metric.scraped()).collect();
    for (place, text) in
        [("alerts.yaml", ALERTS), ("docs/alerts.md", RUNBOOKS), ("dashboard.json", DASHBOARD)]
    {
        let named = text.split(|other: char| !(other.is_ascii_alphanumeric() || other == '_'));
        for name in named.filter(|word| word.starts_with("switchboard_") || word.starts_with("process_")) {
            let is = known.iter().any(|series| series.name == name) || families.contains(name);
            assert!(is, "{place} names {name}, which there is not");
        }
    }
}

#[test]
fn legends_show_labels_that_the_query_leaves() {
    let dashboard = dashboard();
    for panel in list(&dashboard, "panels") {
        for target in list(panel, "targets") {
            let Names { metrics, labels } = names(text(target, "expr"));
            for label in text(target, "legendFormat").split("{{").skip(1) {
                let label = label.split("}}").next().unwrap();
                let aggregated = text(target, "expr").contains(" by (");
                let there = labels.iter().any(|left| left == label)
                    || !aggregated && OF_TARGETS.contains(&label)
                    || !aggregated && {
                        let known = known();
                        let of = |metric: &Selector| known.iter().find(|series| series.name == metric.metric);
                        metrics.iter().filter_map(of).any(|it| it.labels.iter().any(|has| has.name == label))
                    };
                assert!(
                    there,
                    "{}: {{{{{label}}}}} is not left by {}",
                    text(panel, "title"),
                    text(target, "expr")
                );
            }
        }
    }
}

#[test]
fn panels_have_their_place_and_explain_themselves_and_lead_to_runbooks_that_there_are() {
    let dashboard = dashboard();
    let mut ids = BTreeSet::new();
    let mut taken = BTreeSet::new();
    for panel in list(&dashboard, "panels") {
        let title = text(panel, "title");
        assert!(ids.insert(panel["id"].as_u64().unwrap()), "{title}: its id is another's, too");
        let [x, y, width, height] = ["x", "y", "w", "h"].map(|side| panel["gridPos"][side].as_u64().unwrap());
        assert!(x + width <= 24, "{title} is too wide");
        for place in (x..x + width).flat_map(|x| (y..y + height).map(move |y| (x, y))) {
            assert!(taken.insert(place), "{title} lies over another panel");
        }
        if text(panel, "type") == "row" {
            continue;
        }
        assert!(text(panel, "description").ends_with('.'), "{title} does not say what it shows");
        assert_eq!(text(&panel["datasource"], "uid"), "${datasource}", "{title}");
        let queries: BTreeSet<&str> =
            list(panel, "targets").iter().map(|target| text(target, "refId")).collect();
        assert_eq!(queries.len(), list(panel, "targets").len(), "{title}: two queries of one name");
        for link in list(panel, "links") {
            let (_, heading) = text(link, "url").split_once("/docs/alerts.md#").expect("a runbook");
            let is = alerts().iter().any(|(alert, _)| *alert == text(link, "title"));
            assert!(is && text(link, "title").to_lowercase() == heading, "{title} leads to {heading}");
        }
    }
    assert_eq!(text(&dashboard, "uid"), "switchboard");
    assert!(dashboard["id"].is_null(), "an id of one installation");
}

#[test]
fn the_dashboard_uses_no_variable_that_it_does_not_have() {
    let dashboard = dashboard();
    let variables = list(&dashboard["templating"], "list").iter().map(|it| text(it, "name"));
    let mut variables: BTreeSet<&str> = variables.collect();
    assert_eq!(variables.clone().into_iter().collect::<Vec<_>>(), ["bot", "datasource", "group", "job"]);
    variables.insert("__rate_interval");
    variables.insert("__all");
    for used in DASHBOARD.split('$').skip(1) {
        let used = used.trim_start_matches('{');
        let used =
            &used[..used.find(|other: char| !(other.is_ascii_alphanumeric() || other == '_')).unwrap()];
        // A `$` that ends a regular expression is no variable.
        assert!(used.is_empty() || variables.contains(used), "${used}");
    }
}
