//! `switchboard restore`: makes a journal from a backup.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use super::exit::Exit;
use super::{complain, note};
use crate::config::{self, Environment, Flags};
use crate::gateway;

/// Make a bot's journal from a backup; its directory must be empty or not exist
#[derive(Args, Clone, Debug)]
pub struct RestoreArgs {
    /// The backup
    #[arg(value_name = "FILE")]
    backup: PathBuf,

    /// The bot, as it is named in the configuration
    #[arg(long, default_value = config::DEFAULT_BOT)]
    bot: String,

    /// The data directory [env: SWITCHBOARD_DATA_DIR] [default: as `serve` would use]
    #[arg(long, value_name = "PATH")]
    data_dir: Option<PathBuf>,

    /// The configuration file, for its data_dir [env: SWITCHBOARD_CONFIG]
    #[arg(long, value_name = "PATH")]
    config: Option<PathBuf>,
}

/// Restores.
pub async fn run(args: RestoreArgs) -> ExitCode {
    match tokio::task::spawn_blocking(move || restore(args)).await {
        Ok(exit) => exit.into(),
        Err(error) => {
            complain("restore", &error);
            Exit::Failed.into()
        }
    }
}

fn restore(args: RestoreArgs) -> Exit {
    if !config::is_bot_name(&args.bot) {
        complain(
            "restore",
            &format_args!("--bot \"{}\" is not a bot's name: a-z, 0-9, `-` and `_`", args.bot),
        );
        return Exit::Config;
    }
    let flags = Flags { file: args.config, values: Vec::new() };
    let data_dir = match args.data_dir {
        Some(data_dir) => data_dir,
        None => match config::data_dir(&flags, &Environment::of_process()) {
            Ok(data_dir) => data_dir,
            Err(error) => {
                note(&error.to_string());
                return Exit::Config;
            }
        },
    };
    match gateway::restore(&args.backup, &data_dir, &args.bot) {
        Ok(said) => {
            note(&said);
            Exit::Done
        }
        Err(failure) => {
            complain("restore", &failure);
            Exit::after(&failure)
        }
    }
}
