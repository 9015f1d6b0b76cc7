//! The file as entries, each with its line.

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::keys::{KEYS, Key, Scope, Sources};
use super::layers::{Entry, Layers, Rank, where_to_set};
use super::problem::{Origin, Problem, did_you_mean};

/// Reads the text of the file at `path` into `layers`.
pub(super) fn add_file(layers: &mut Layers, path: &str, text: &str) {
    let mut file = File { layers, path, text, bot: None };
    match DeTable::parse(text) {
        Ok(table) => file.table("", table.get_ref()),
        Err(error) => {
            let at = file.origin(error.span().map_or(0, |span| span.start));
            file.problem(format!("{at}: this is not TOML: {}", error.message().trim()));
        }
    }
}

struct File<'a> {
    layers: &'a mut Layers,
    path: &'a str,
    text: &'a str,
    bot: Option<String>,
}

impl File<'_> {
    fn table(&mut self, prefix: &str, table: &DeTable<'_>) {
        for (name, value) in table {
            let start = name.span().start;
            let name = name.get_ref();
            match value.get_ref() {
                bots if prefix.is_empty() && self.bot.is_none() && name == "bots" => self.bots(start, bots),
                DeValue::Table(inner) => self.table(&format!("{prefix}{name}."), inner),
                value => self.value(&format!("{prefix}{name}"), start, value),
            }
        }
    }

    fn bots(&mut self, start: usize, bots: &DeValue<'_>) {
        let DeValue::Table(bots) = bots else {
            let at = self.origin(start);
            return self.problem(format!("`bots` ({at}): expected a table for each bot: [bots.<name>]"));
        };
        for (name, bot) in bots {
            let origin = self.origin(name.span().start);
            let DeValue::Table(keys) = bot.get_ref() else {
                let name = name.get_ref();
                self.problem(format!("`bots.{name}` ({origin}): expected a table: [bots.{name}]"));
                continue;
            };
            self.layers.bots.push((name.get_ref().to_string(), origin));
            self.bot = Some(name.get_ref().to_string());
            self.table("", keys);
            self.bot = None;
        }
    }

    fn value(&mut self, name: &str, start: usize, value: &DeValue<'_>) {
        let origin = self.origin(start);
        let Some(key) = Key::named(name) else {
            let here = KEYS.iter().filter(|key| key.in_file(self.bot.is_some())).map(|key| key.name);
            return self.problem(format!("`{name}` ({origin}): no such key{}", did_you_mean(name, here)));
        };
        if !key.in_file(self.bot.is_some()) {
            let why = match key.sources {
                Sources::Secret => "a secret does not belong in the file; name the file that holds it with \
                                    the key that ends in `_file`, or set"
                    .to_owned(),
                _ if key.scope == Scope::Gateway => {
                    "it holds for the whole gateway, not for one bot; set".to_owned()
                }
                _ => "it cannot be set here; use".to_owned(),
            };
            // A bot's own secret has a variable of its own.
            let own = self.bot.as_deref().filter(|_| key.is_secret()).and_then(|bot| key.bot_variable(bot));
            let place = own.unwrap_or_else(|| where_to_set(key));
            return self.problem(format!("`{name}` ({origin}): {why} {place}"));
        }
        match plain(value) {
            Some(value) => {
                let rank = if self.bot.is_some() { Rank::BotFile } else { Rank::File };
                self.layers.entries.push(Entry { key, bot: self.bot.clone(), value, origin, rank });
            }
            None => self.problem(format!(
                "`{name}` ({origin}): is {}, expected {} as a text",
                value.type_str(),
                key.form
            )),
        }
    }

    fn origin(&self, offset: usize) -> Origin {
        let before = self.text.get(..offset).unwrap_or(self.text);
        Origin::File { path: self.path.to_owned(), line: before.matches('\n').count() + 1 }
    }

    fn problem(&mut self, text: String) {
        self.layers.problems.push(Problem(text));
    }
}

/// A value as it would be written in an environment variable.
fn plain(value: &DeValue<'_>) -> Option<String> {
    match value {
        DeValue::String(text) => Some(text.to_string()),
        DeValue::Integer(number) if number.radix() == 10 => Some(number.as_str().to_owned()),
        DeValue::Float(number) => Some(number.as_str().to_owned()),
        DeValue::Boolean(on) => Some(on.to_string()),
        DeValue::Array(items) => {
            let items: Option<Vec<&str>> = items.iter().map(Spanned::get_ref).map(DeValue::as_str).collect();
            Some(items?.join(","))
        }
        _ => None,
    }
}
