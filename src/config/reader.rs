//! Reads keys out of the layers, and notes what is wrong and what holds.

use std::fmt::Display;

use super::keys::Key;
use super::layers::{Entry, Layers, Rank};
use super::problem::{Origin, Problem};
use super::values;

/// One key as it holds, for `check`. Secrets are redacted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Effective {
    /// The bot, for a bot's key.
    pub bot: Option<String>,
    /// The key.
    pub key: &'static str,
    /// Its value, or that it is a secret.
    pub value: String,
    /// Where it came from.
    pub origin: Origin,
}

/// A secret. Never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Box<str>);

impl Secret {
    /// The secret's text, for the one place that uses it.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[redacted]")
    }
}

/// A secret and where it came from.
pub(super) struct Found {
    pub(super) secret: Secret,
    pub(super) origin: Origin,
}

pub(super) struct Reader<'a> {
    pub(super) layers: &'a Layers,
    pub(super) problems: Vec<Problem>,
    pub(super) effective: Vec<Effective>,
    pub(super) bot: Option<&'a str>,
}

impl<'a> Reader<'a> {
    /// The key's value, or its default, parsed; `None` if it has neither or is wrong.
    pub(super) fn get<T, E: Display>(
        &mut self,
        name: &'static str,
        parse: impl FnOnce(&'a str) -> Result<T, E>,
    ) -> Option<T> {
        let layers = self.layers;
        let (text, origin) = match layers.find(self.bot, name) {
            Some(entry) => (entry.value.trim(), entry.origin.clone()),
            None => (Key::named(name).map_or("", |key| key.default), Origin::Default),
        };
        let unset = origin == Origin::Default && (text.is_empty() || text.contains('<'));
        let shown = values::without_credentials(text);
        self.show(name, if unset { "(not set)".to_owned() } else { shown.clone() }, origin.clone());
        if unset {
            return None;
        }
        parse(text)
            .map_err(|right| self.wrong(name, &format!("= \"{shown}\" ({origin}): expected {right}")))
            .ok()
    }

    /// A secret, from its variable or from the file that another key names.
    pub(super) fn secret(&mut self, name: &'static str, file: &'static str) -> Option<Found> {
        let layers = self.layers;
        let entry = [layers.find(self.bot, name), layers.find(self.bot, file)]
            .into_iter()
            .flatten()
            .min_by_key(|entry| entry.rank);
        let Some(entry) = entry else {
            self.show(name, "(not set)".to_owned(), Origin::Default);
            return None;
        };
        self.found(name, entry)
    }

    /// A bot's token: as a secret, or from the variable that the bot's table names.
    pub(super) fn token(&mut self, environment: &super::Environment) -> Option<Found> {
        let named = self.layers.find(self.bot, "token_env");
        let own = ["token", "token_file"].into_iter().filter_map(|name| self.layers.find(self.bot, name));
        match named {
            Some(entry) if own.map(|own| own.rank).min().is_none_or(|rank| rank >= Rank::BotFile) => {
                let origin = Origin::Variable(entry.value.clone());
                let Some(value) = environment.get(&entry.value) else {
                    let (variable, at) = (&entry.value, &entry.origin);
                    self.wrong("token_env", &format!("= \"{variable}\" ({at}): that variable is not set"));
                    return None;
                };
                self.show("token", "[redacted]".to_owned(), origin.clone());
                Some(Found { secret: Secret(value.trim().into()), origin })
            }
            _ => self.secret("token", "token_file"),
        }
    }

    fn found(&mut self, name: &'static str, entry: &Entry) -> Option<Found> {
        let origin = entry.origin.clone();
        self.show(name, "[redacted]".to_owned(), origin.clone());
        if entry.key.is_secret() {
            return Some(Found { secret: Secret(entry.value.trim().into()), origin });
        }
        let (path, key) = (entry.value.trim(), entry.key.name);
        match std::fs::read_to_string(path) {
            Ok(text) if !text.trim().is_empty() => Some(Found { secret: Secret(text.trim().into()), origin }),
            Ok(_) => {
                self.wrong(key, &format!("= \"{path}\" ({origin}): the file is empty"));
                None
            }
            Err(why) => {
                self.wrong(key, &format!("= \"{path}\" ({origin}): the file cannot be read: {why}"));
                None
            }
        }
    }

    /// Where the key's value came from.
    pub(super) fn origin(&self, name: &str) -> Origin {
        self.layers.find(self.bot, name).map_or(Origin::Default, |entry| entry.origin.clone())
    }

    /// Notes what is wrong with a key.
    pub(super) fn wrong(&mut self, name: &str, what: &str) {
        let bot = self.bot.map_or_else(String::new, |bot| format!("bot \"{bot}\": "));
        self.problems.push(Problem(format!("{bot}`{name}` {what}")));
    }

    fn show(&mut self, key: &'static str, value: String, origin: Origin) {
        let bot = self.bot.map(str::to_owned);
        self.effective.push(Effective { bot, key, value, origin });
    }
}
