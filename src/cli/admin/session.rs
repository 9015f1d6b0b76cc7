//! One run of a command: the gateway it talks to, and how it shows what comes.

use clap::Args;
use prost_types::Timestamp;

use super::console::Console;
use super::failure::Failure;
use super::json::{self, ApiMessage};
use super::table::{Column, Table};
use super::times::{TimeStyle, Times};
use crate::cli::client::{AdminClient, ConnectArgs};
use crate::cli::{clock, text};

/// Which gateway and bot, and how to show what it says.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Gateway and output")]
pub struct Target {
    #[command(flatten)]
    connect: ConnectArgs,

    /// The bot; may be left out where the gateway has only one
    #[arg(long, value_name = "NAME", default_value = "", hide_default_value = true, global = true)]
    pub(super) bot: String,

    /// Print JSON, one object a line
    #[arg(long, global = true)]
    pub(super) json: bool,

    /// How tables show times
    #[arg(long, value_enum, default_value_t, global = true)]
    times: TimeStyle,
}

impl Target {
    /// Where the gateway is.
    pub(super) fn address(&self) -> &str {
        &self.connect.address
    }
}

/// What a command works with.
pub(super) struct Session {
    pub(super) client: AdminClient,
    pub(super) console: Console,
    /// As given; empty for a gateway's only one.
    pub(super) bot: String,
    pub(super) json: bool,
    style: TimeStyle,
}

impl Session {
    pub(super) fn new(target: &Target, console: Console) -> Result<Self, Failure> {
        Ok(Self {
            client: target.connect.admin_client()?,
            console,
            bot: target.bot.clone(),
            json: target.json,
            style: target.times,
        })
    }

    /// How times are shown at this moment.
    pub(super) fn times(&self) -> Times {
        let micros = clock::unix_micros();
        let seconds = i64::try_from(micros / 1_000_000).unwrap_or(i64::MAX);
        // Less than a second in nanoseconds fits.
        let nanos = i32::try_from(micros % 1_000_000 * 1_000).unwrap_or(0);
        Times::new(self.style, Timestamp { seconds, nanos })
    }

    pub(super) fn now(&self) -> Timestamp {
        self.times().now()
    }

    pub(super) fn table(&self, columns: Vec<Column>) -> Table {
        Table::new(columns, self.console.columns())
    }

    /// Prints a message as JSON if that was asked for, else the lines that are made of it.
    pub(super) fn show<M: ApiMessage>(
        &mut self,
        message: &M,
        lines: impl FnOnce(&Self) -> Vec<String>,
    ) -> Result<(), Failure> {
        if self.json {
            self.console.print([json::line(message)?])
        } else {
            let lines = lines(self);
            self.print(&lines)
        }
    }

    /// Prints lines for people. Whatever is in them, it cannot steer the terminal.
    pub(super) fn print(&mut self, lines: &[String]) -> Result<(), Failure> {
        self.console.print(lines.iter().map(|line| text::printable(line)))
    }

    /// Prints messages as JSON if that was asked for, else as rows of a table.
    pub(super) fn show_list<M: ApiMessage>(
        &mut self,
        messages: &[M],
        table: &mut Table,
        row: impl Fn(&Times, &M) -> Vec<String>,
    ) -> Result<(), Failure> {
        if self.json {
            for message in messages {
                self.console.print([json::line(message)?])?;
            }
            return Ok(());
        }
        if messages.is_empty() {
            return Ok(());
        }
        let times = self.times();
        let rows: Vec<Vec<String>> = messages.iter().map(|message| row(&times, message)).collect();
        self.console.print(table.lines(&rows))
    }

    /// Says something to a person; scripts that read JSON count for themselves.
    pub(super) fn remark(&mut self, text: &str) {
        if !self.json {
            self.console.note(text);
        }
    }

    /// A command to go on with, for the same bot.
    pub(super) fn command(&self, words: &str) -> String {
        let bot = if self.bot.is_empty() { String::new() } else { format!(" --bot {}", self.bot) };
        format!("switchboard {words}{bot}")
    }
}
