//! What was said where, before it is judged: flags, environment and file as one list of entries with their rank.

use super::environment::Environment;
use super::flags::Flags;
use super::foreign::{FOREIGN, Foreign, RATIO_SAMPLERS, Reading, SAMPLER_VARIABLE};
use super::keys::{BOTS_VARIABLE, CONFIG_VARIABLE, KEYS, Key, Scope, bot_variable_part};
use super::problem::{Origin, Problem, did_you_mean};

/// Who wins: the smaller one. A bot's own value goes before the general one; flags, which have no bot, before all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Rank {
    Flag,
    BotVariable,
    BotFile,
    Variable,
    Foreign,
    File,
}

/// One value that was set.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) key: &'static Key,
    /// The bot that it is for; `None` where it holds for all.
    pub(super) bot: Option<String>,
    pub(super) value: String,
    pub(super) origin: Origin,
    pub(super) rank: Rank,
}

/// All that was set.
#[derive(Debug, Default)]
pub(super) struct Layers {
    /// The bots that are declared, and where.
    pub(super) bots: Vec<(String, Origin)>,
    pub(super) entries: Vec<Entry>,
    pub(super) problems: Vec<Problem>,
    pub(super) findings: Vec<String>,
}

impl Layers {
    /// The value that holds for this bot, or for the gateway.
    pub(super) fn find(&self, bot: Option<&str>, name: &str) -> Option<&Entry> {
        self.entries
            .iter()
            .filter(|entry| entry.key.name == name && (entry.bot.is_none() || entry.bot.as_deref() == bot))
            .min_by_key(|entry| entry.rank)
    }

    pub(super) fn add_flags(&mut self, flags: &Flags) {
        self.entries.extend(flags.values.iter().map(|(key, value)| Entry {
            key,
            bot: None,
            value: value.clone(),
            origin: Origin::Flag(key.flag().unwrap_or_default()),
            rank: Rank::Flag,
        }));
    }

    /// Reads the environment. The file comes before it: the bots' own variables are known by the bots' names.
    pub(super) fn add_environment(&mut self, environment: &Environment) {
        if let Some(names) = environment.get(BOTS_VARIABLE) {
            for name in names.split(',').map(str::trim) {
                if !self.bots.iter().any(|(known, _)| known == name) {
                    self.bots.push((name.to_owned(), Origin::Variable(BOTS_VARIABLE.to_owned())));
                }
            }
        }
        let known = self.known_variables();
        for (variable, value) in environment.iter().filter(|(name, _)| name.starts_with("SWITCHBOARD_")) {
            if [CONFIG_VARIABLE, BOTS_VARIABLE].contains(&variable) || variable.starts_with(TEST_VARIABLES) {
                continue;
            }
            match known.iter().find(|(name, ..)| name == variable) {
                Some((_, bot, key)) => self.entries.push(Entry {
                    key,
                    rank: if bot.is_some() { Rank::BotVariable } else { Rank::Variable },
                    bot: bot.clone(),
                    value: value.to_owned(),
                    origin: Origin::Variable(variable.to_owned()),
                }),
                None if is_kubernetes_service(variable) => {}
                None => {
                    let names = known.iter().map(|(name, ..)| name.as_str());
                    let near = did_you_mean(variable, names.chain([CONFIG_VARIABLE, BOTS_VARIABLE]));
                    self.problems.push(Problem(format!(
                        "environment {variable}: no such setting{near} (a bot's own variables need the bot in the \
                         file or in {BOTS_VARIABLE})"
                    )));
                }
            }
        }
        self.add_foreign(environment);
    }

    fn known_variables(&self) -> Vec<(String, Option<String>, &'static Key)> {
        let general = KEYS.iter().filter_map(|key| Some((key.variable()?, None, key)));
        let of_bots = self.bot_names().into_iter().flat_map(|bot| {
            KEYS.iter().filter_map(move |key| Some((key.bot_variable(&bot)?, Some(bot.clone()), key)))
        });
        general.chain(of_bots).collect()
    }

    /// The declared bots, or the one that there is without a declaration.
    pub(super) fn bot_names(&self) -> Vec<String> {
        if self.bots.is_empty() {
            return vec![super::DEFAULT_BOT.to_owned()];
        }
        self.bots.iter().map(|(name, _)| name.clone()).collect()
    }

    fn add_foreign(&mut self, environment: &Environment) {
        let set: Vec<(&Foreign, &str)> = FOREIGN
            .iter()
            .filter_map(|foreign| Some((foreign, environment.get(foreign.variable)?.trim())))
            .collect();
        let mut taken: Vec<(&Foreign, &str)> = Vec::new();
        for (foreign, value) in set {
            let same =
                |(other, _): &&(&Foreign, &str)| other.key == foreign.key && other.reading == foreign.reading;
            let first = taken.iter().find(same).copied();
            match first {
                None => taken.push((foreign, value)),
                Some((_, earlier)) if earlier == value => {}
                Some((earlier, _)) if foreign.key == "token" => self.problems.push(Problem(format!(
                    "environment {} and {}: they hold different tokens; unset one, or set SWITCHBOARD_BOT_TOKEN",
                    earlier.variable, foreign.variable
                ))),
                Some((earlier, _)) => self.findings.push(format!(
                    "environment {} is not used: {} goes before it",
                    foreign.variable, earlier.variable
                )),
            }
        }
        self.add_foreign_listen(&taken);
        for (foreign, value) in taken {
            let value = match foreign.reading {
                Reading::ListenHost | Reading::ListenPort => continue,
                Reading::Plain => value.to_owned(),
                Reading::SampleRatio => {
                    let sampler = environment.get(SAMPLER_VARIABLE).unwrap_or_default().trim();
                    if !RATIO_SAMPLERS.contains(&sampler) {
                        continue;
                    }
                    value.to_owned()
                }
                Reading::Domain => format!("https://{value}"),
                Reading::WebhookSwitch => match super::values::switch(value) {
                    Ok(true) => "webhook".to_owned(),
                    Ok(false) => "polling".to_owned(),
                    Err(right) => {
                        let variable = foreign.variable;
                        self.problems
                            .push(Problem(format!("environment {variable} = \"{value}\": expected {right}")));
                        continue;
                    }
                },
            };
            self.push_foreign(foreign, value);
        }
    }

    /// The public listener from a host and a port. Where a platform gives only the port, it comes from outside.
    fn add_foreign_listen(&mut self, taken: &[(&'static Foreign, &str)]) {
        let part = |reading| taken.iter().find(|(foreign, _)| foreign.reading == reading);
        let host = part(Reading::ListenHost);
        let port = part(Reading::ListenPort);
        let Some((by, _)) = port.or(host) else {
            return;
        };
        let host = host.map_or("0.0.0.0", |(_, host)| *host);
        let port = port.map_or("8080", |(_, port)| *port);
        let value = if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") };
        self.push_foreign(by, value);
    }

    fn push_foreign(&mut self, foreign: &Foreign, value: String) {
        // The table names only keys that exist; its test says so.
        if let Some(key) = Key::named(foreign.key) {
            let origin = Origin::Variable(foreign.variable.to_owned());
            self.entries.push(Entry { key, bot: None, value, origin, rank: Rank::Foreign });
        }
    }

    /// Two bots whose names differ only in `-` and `_` would share their variables.
    pub(super) fn check_bot_names(&mut self) {
        let mut parts: Vec<(String, &str)> = Vec::new();
        for (name, origin) in &self.bots {
            let part = bot_variable_part(name);
            if !is_bot_name(name) {
                self.problems.push(Problem(format!(
                    "bot \"{name}\" ({origin}): a bot's name has 1 to 63 of a-z, 0-9, `-` and `_` and begins with a \
                     letter or digit"
                )));
            } else if let Some((_, other)) = parts.iter().find(|(known, _)| *known == part) {
                self.problems.push(Problem(format!(
                    "bot \"{name}\" ({origin}): in environment variables it cannot be told from \"{other}\"; rename one"
                )));
            }
            parts.push((part, name));
        }
    }

    /// Drops tokens that are for the one bot where there are several.
    pub(super) fn drop_ambiguous_tokens(&mut self) {
        if self.bots.len() < 2 {
            return;
        }
        let findings = &mut self.findings;
        self.entries.retain(|entry| {
            let ambiguous = entry.bot.is_none() && matches!(entry.key.name, "token" | "token_file");
            if ambiguous {
                findings.push(format!(
                    "{} is not used: there are several bots; set SWITCHBOARD_BOT_<NAME>_TOKEN, or token_file or \
                     token_env in [bots.<name>]",
                    entry.origin
                ));
            }
            !ambiguous
        });
    }
}

/// The test suite's own variables; the gateways that it starts see them too.
const TEST_VARIABLES: &str = "SWITCHBOARD_TEST_";

/// Where a key may be set, for a message.
pub(super) fn where_to_set(key: &Key) -> String {
    let table = if key.scope == Scope::Bot { " or [bots.<name>]" } else { "" };
    match (key.variable(), key.flag()) {
        (Some(variable), _) if key.is_secret() => variable,
        (Some(variable), _) => format!("{variable}, the file{table}"),
        (None, Some(flag)) => format!("--{flag}"),
        (None, None) => "[bots.<name>]".to_owned(),
    }
}

/// Whether this can be a bot's name: it becomes a directory, a label and a part of a URL.
#[must_use]
pub fn is_bot_name(name: &str) -> bool {
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    name.len() <= 63
        && name.bytes().next().is_some_and(plain)
        && name.bytes().all(|b| plain(b) || b == b'-' || b == b'_')
}

/// Kubernetes puts such variables into every container of a namespace that has a service called `switchboard…`.
fn is_kubernetes_service(variable: &str) -> bool {
    let segments: Vec<&str> = variable.split('_').collect();
    let number = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let service = segments.windows(2).any(|pair| matches!(pair, ["SERVICE", "HOST" | "PORT"]));
    let port = segments
        .windows(3)
        .any(|part| matches!(part, ["PORT", port, "TCP" | "UDP" | "SCTP"] if number(port)));
    service || port || variable.ends_with("_PORT")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_foreign_table_names_only_keys_that_exist() {
        for foreign in FOREIGN {
            assert!(Key::named(foreign.key).is_some(), "{foreign:?}");
        }
    }

    #[test]
    fn variables_of_a_kubernetes_service_are_told_from_misspelt_ones() {
        for theirs in [
            "SWITCHBOARD_SERVICE_HOST",
            "SWITCHBOARD_SERVICE_PORT_GRPC",
            "SWITCHBOARD_PORT",
            "SWITCHBOARD_PORT_50051_TCP_ADDR",
            "SWITCHBOARD_OPS_PORT_9090_TCP",
        ] {
            assert!(is_kubernetes_service(theirs), "{theirs}");
        }
        for ours in ["SWITCHBOARD_GRPC_LISTN", "SWITCHBOARD_PORTS", "SWITCHBOARD_SERVICE"] {
            assert!(!is_kubernetes_service(ours), "{ours}");
        }
    }
}
