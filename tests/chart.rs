//! The Helm chart and the gateway mean the same: the chart's schema knows the keys that the gateway knows, and what it renders
//! is a configuration that the gateway takes.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use switchboard::config::{self, Config, Environment, Flags, KEYS};

mod tools;

/// The chart sets these from other values, or never.
const OF_THE_CHART: &[&str] = &[
    "data_dir",
    "access_token_file",
    "allow_unauthenticated",
    "grpc.listen",
    "public.listen",
    "ops.listen",
    "shutdown.grace",
    "token_file",
    "token_env",
    "webhook.secret_file",
];

fn chart() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("helm/switchboard")
}

#[test]
fn the_schema_has_every_key_that_may_stand_in_the_file_but_those_that_the_chart_sets() {
    let text = std::fs::read_to_string(chart().join("values.schema.json")).unwrap();
    let schema: Value = serde_json::from_str(&text).unwrap();
    for (definition, bot_table) in [("config", false), ("botConfig", true)] {
        let mut known = BTreeSet::new();
        keys_of(&schema, &schema["definitions"][definition], "", &mut known);
        let expected: BTreeSet<String> = KEYS
            .iter()
            .filter(|key| key.in_file(bot_table) && !OF_THE_CHART.contains(&key.name))
            .map(|key| key.name.to_owned())
            .collect();
        assert_eq!(known, expected, "the definition {definition} of values.schema.json");
    }
}

#[test]
fn every_key_that_the_chart_sets_exists() {
    for name in OF_THE_CHART {
        assert!(KEYS.iter().any(|key| key.name == *name), "{name}");
    }
}

#[test]
fn the_gateway_takes_what_every_value_file_renders() {
    let Some(helm) = tools::tool("install-helm-tools", "tools/bin/helm3") else { return };
    let mut rendered = 0;
    for entry in std::fs::read_dir(chart().join("ci")).unwrap() {
        let values = entry.unwrap().path();
        if values.extension().is_some_and(|extension| extension == "yaml") {
            let config = Pod::render(&helm, &values)
                .and_then(|pod| pod.load())
                .unwrap_or_else(|why| panic!("{}: {why}", values.display()));
            reached_with_a_token_only(&config, &values);
            rendered += 1;
        }
    }
    assert!(rendered >= 12, "{rendered} value files");
}

fn reached_with_a_token_only(config: &Config, values: &Path) {
    let ports = [config.grpc_listen, config.public_listen, config.ops_listen].map(|listen| listen.port());
    assert_eq!(ports, [50051, 8080, 9090], "{}", values.display());
    assert!(config.grpc_listen.ip().is_unspecified(), "{}", values.display());
    assert!(config.access_token.is_some(), "{}", values.display());
    assert_eq!(config.data_dir, Path::new("/var/lib/switchboard"), "{}", values.display());
    assert!(!config.bots.is_empty(), "{}", values.display());
}

/// The dotted names of the leaves of a schema.
fn keys_of(schema: &Value, node: &Value, prefix: &str, found: &mut BTreeSet<String>) {
    if let Some(reference) = node["$ref"].as_str() {
        let place = schema.pointer(reference.trim_start_matches('#')).unwrap();
        return keys_of(schema, place, prefix, found);
    }
    let Some(properties) = node["properties"].as_object() else {
        found.insert(prefix.trim_end_matches('.').to_owned());
        return;
    };
    assert_eq!(node["additionalProperties"], false, "`{prefix}` takes keys that nobody knows");
    for (name, inner) in properties {
        keys_of(schema, inner, &format!("{prefix}{name}."), found);
    }
}

/// What the gateway's container gets.
struct Pod {
    toml: String,
    variables: Vec<(String, String)>,
}

/// Where the chart mounts the secrets.
const SECRETS: &str = "/run/secrets/switchboard";

impl Pod {
    fn render(helm: &Path, values: &Path) -> Result<Self, String> {
        let show = |template: &str| {
            let mut command = Command::new(helm);
            command.args(["template", "release"]).arg(chart()).arg("--values").arg(values);
            let output = command.args(["--show-only", template]).output().unwrap();
            if output.status.success() {
                Ok(String::from_utf8(output.stdout).unwrap())
            } else {
                Err(String::from_utf8_lossy(&output.stderr).into_owned())
            }
        };
        let map = show("templates/configmap.yaml")?;
        let (_, block) = map.split_once("  switchboard.toml: |\n").ok_or("there is no switchboard.toml")?;
        let toml =
            block.lines().map(|line| line.strip_prefix("    ").unwrap_or_default()).collect::<Vec<_>>();

        let set = show("templates/statefulset.yaml")?;
        let mut variables = Vec::new();
        let mut lines = set.lines().map(str::trim).peekable();
        while let Some(line) = lines.next() {
            if let Some(name) = line.strip_prefix("- name: ").filter(|name| name.starts_with("SWITCHBOARD_"))
            {
                // Only a proxy comes from a Secret.
                let value = lines.peek().and_then(|next| next.strip_prefix("value: "));
                let value = value
                    .map_or("socks5://me:secret@proxy.example.com:1080", |value| value.trim_matches('"'));
                variables.push((name.to_owned(), value.to_owned()));
            }
        }
        Ok(Self { toml: toml.join("\n"), variables })
    }

    /// Reads it as the gateway does, with files where the chart mounts them.
    fn load(&self) -> Result<Config, String> {
        let dir = tempfile::tempdir().unwrap();
        let here = dir.path().display().to_string();
        let of_file = self.toml.lines().filter_map(|line| line.split_once("_file = \"")?.1.strip_suffix('"'));
        let of_variables = self.variables.iter().map(|(_, value)| value.as_str());
        let files = of_file.chain(of_variables).filter_map(|path| path.strip_prefix(SECRETS));
        for (number, file) in files.enumerate() {
            let path = PathBuf::from(format!("{here}{file}"));
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, content(file, number)).unwrap();
        }
        let toml = dir.path().join("switchboard.toml");
        std::fs::write(&toml, self.toml.replace(SECRETS, &here)).unwrap();
        let variables =
            self.variables.iter().map(|(name, value)| (name.clone(), value.replace(SECRETS, &here)));
        let environment: Environment =
            variables.filter(|(name, _)| name != config::CONFIG_VARIABLE).collect();
        let flags = Flags { file: Some(toml), ..Flags::default() };
        config::load(&flags, &environment).map_err(|error| error.to_string())
    }
}

/// A secret of the right form; no two bots have the same token.
fn content(file: &str, number: usize) -> String {
    let is_bot_token = file.starts_with("/bots/") && file.ends_with("/token");
    if is_bot_token { format!("{number}:AAE-secret") } else { format!("secret-{number}") }
}
