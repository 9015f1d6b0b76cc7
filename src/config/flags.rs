//! The flags: one for every key that may have one, made from the table.

use std::path::PathBuf;
use std::sync::LazyLock;

use clap::{Arg, ArgMatches, Command};

use super::keys::{CONFIG_VARIABLE, KEYS, Key};

/// What the command line says about the configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Flags {
    /// The file, if it was named.
    pub file: Option<PathBuf>,
    /// Keys and their values.
    pub values: Vec<(&'static Key, String)>,
}

/// The keys that have a flag; clap wants to borrow their names for ever.
static FLAGS: LazyLock<Vec<(&'static Key, String)>> =
    LazyLock::new(|| KEYS.iter().filter_map(|key| Some((key, key.flag()?))).collect());

impl clap::Args for Flags {
    fn augment_args(command: Command) -> Command {
        let file = Arg::new("config")
            .long("config")
            .value_name("PATH")
            .value_parser(clap::value_parser!(PathBuf))
            .help(format!(
                "The configuration file [env: {CONFIG_VARIABLE}] [default: ./switchboard.toml if it exists]"
            ));
        FLAGS.iter().fold(command.arg(file), |command, (key, flag)| {
            let arg = Arg::new(key.name).long(flag.as_str()).value_name(key.form).help(help(key));
            command.arg(if key.is_switch() { arg.num_args(0..=1).default_missing_value("true") } else { arg })
        })
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

fn help(key: &Key) -> String {
    let variable = key.variable().map_or_else(String::new, |variable| format!(" [env: {variable}]"));
    let default = if key.default.is_empty() { String::new() } else { format!(" [default: {}]", key.default) };
    format!("{}{variable}{default}", key.help)
}

impl clap::FromArgMatches for Flags {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let mut flags = Self::default();
        flags.update_from_arg_matches(matches)?;
        Ok(flags)
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        self.file = matches.get_one::<PathBuf>("config").cloned();
        self.values = FLAGS
            .iter()
            .filter_map(|(key, _)| Some((*key, matches.get_one::<String>(key.name)?.clone())))
            .collect();
        Ok(())
    }
}
