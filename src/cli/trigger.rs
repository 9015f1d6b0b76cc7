//! `switchboard trigger`: lets something happen at the simulated Telegram.

use std::ffi::OsStr;
use std::io::Write;
use std::process::ExitCode;

use clap::Args;
use clap::builder::{PossibleValue, TypedValueParser};
use clap::error::ErrorKind;
use thiserror::Error;

use super::control::{Control, ControlError, DEFAULT_SIMULATOR};
use super::exit::Exit;
use super::{clock, complain};
use crate::simulator::{Sample, SampleError, SampleValues};

/// Let the simulated Telegram send a sample update
///
/// Queues an update at a running `switchboard simulate`, from where the gateway takes it like any other.
#[derive(Args, Clone, Debug)]
#[command(after_help = "For example:\n  \
    switchboard trigger message.text --chat 42 --text hello\n  \
    switchboard trigger callback_query --chat 42 --data yes\n  \
    switchboard trigger --list")]
pub struct TriggerArgs {
    /// What happens: message.text, message.photo, callback_query, …; --list shows all
    #[arg(value_parser = SampleParser, hide_possible_values = true, required_unless_present = "list")]
    sample: Option<Sample>,

    /// Show the samples, and what each takes
    #[arg(long, conflicts_with = "sample")]
    list: bool,

    /// The chat: a user's id for a private one, a negative one for a group or channel
    #[arg(long, value_name = "ID", allow_negative_numbers = true)]
    chat: Option<i64>,

    /// The user who does it; in a private chat it is the chat's
    #[arg(long, value_name = "ID", allow_negative_numbers = true)]
    user: Option<i64>,

    /// The text, caption, question or query
    #[arg(long, allow_hyphen_values = true)]
    text: Option<String>,

    /// What a button, an invoice or a web app carries
    #[arg(long, allow_hyphen_values = true)]
    data: Option<String>,

    /// How many of it, one after another
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    count: u32,

    /// Where `switchboard simulate` listens
    #[arg(long, value_name = "URL", default_value = DEFAULT_SIMULATOR)]
    simulator: String,

    /// The id of the bot that gets it, the digits of its token; may be left out where only one has called yet
    #[arg(long, value_name = "ID", value_parser = clap::value_parser!(i64).range(1..))]
    bot_id: Option<i64>,

    /// Queue it even if the bot has not asked for its kind, which Telegram would not do
    #[arg(long)]
    unasked: bool,
}

#[derive(Clone)]
struct SampleParser;

impl TypedValueParser for SampleParser {
    type Value = Sample;

    fn parse_ref(
        &self,
        command: &clap::Command,
        _: Option<&clap::Arg>,
        value: &OsStr,
    ) -> Result<Sample, clap::Error> {
        Sample::named(&value.to_string_lossy()).map_err(|unknown| {
            let text = format!("{unknown}; `switchboard trigger --list` shows all\n");
            clap::Error::raw(ErrorKind::InvalidValue, text).with_cmd(command)
        })
    }

    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue> + '_>> {
        Some(Box::new(Sample::all().map(|sample| PossibleValue::new(sample.name).help(sample.about))))
    }
}

#[derive(Debug, Error)]
enum TriggerError {
    #[error("{0}")]
    Sample(#[from] SampleError),
    #[error(transparent)]
    Control(#[from] ControlError),
    #[error("no bot has called the simulator yet: start the gateway, or name the bot with --bot-id")]
    NoBot,
    #[error("{} bots have called the simulator ({}): name one with --bot-id", .0.len(), listed(.0))]
    ManyBots(Vec<i64>),
    #[error(
        "bot {bot_id} has not asked for {kind} (allowed_updates), and so Telegram would not send it; --unasked does"
    )]
    Unasked { bot_id: i64, kind: &'static str },
    #[error("cannot print: {0}")]
    Print(#[from] std::io::Error),
}

impl TriggerError {
    fn exit(&self) -> Exit {
        match self {
            Self::Sample(_) | Self::ManyBots(_) => Exit::Config,
            Self::Control(error) => error.exit(),
            Self::NoBot | Self::Unasked { .. } => Exit::Failed,
            Self::Print(error) => Exit::after_output(error),
        }
    }
}

/// Queues what was asked for, or lists what there is.
pub async fn run(args: TriggerArgs) -> ExitCode {
    let done = match args.sample {
        Some(sample) => trigger(sample, &args).await,
        None => list(),
    };
    let exit = match done {
        Ok(()) => Exit::Done,
        Err(error) => {
            let exit = error.exit();
            if exit != Exit::Unread {
                complain("trigger", &error);
            }
            exit
        }
    };
    exit.into()
}

fn list() -> Result<(), TriggerError> {
    let width = Sample::all().map(|sample| sample.name.len()).max().unwrap_or_default();
    let mut out = std::io::stdout().lock();
    for sample in Sample::all() {
        let takes: Vec<_> = sample.takes().iter().map(|value| format!("--{value}")).collect();
        writeln!(out, "{:width$}  {} ({})", sample.name, sample.about, takes.join(" "))?;
    }
    Ok(out.flush()?)
}

async fn trigger(sample: Sample, args: &TriggerArgs) -> Result<(), TriggerError> {
    // What is wrong with the values shows without a simulator, too.
    let now_us = i64::try_from(clock::unix_micros()).unwrap_or(i64::MAX / 2);
    sample.update(&values(args, 0, now_us, 0))?;
    let control = Control::new(&args.simulator)?;
    let bot_id = match args.bot_id {
        Some(bot_id) => bot_id,
        None => only(control.bots().await?)?,
    };
    let made = (0..args.count).map(|index| sample.update(&values(args, bot_id, now_us, index)));
    let body = made.collect::<Result<Vec<_>, _>>()?.join("\n");
    let queued = control.queue(bot_id, body, args.unasked).await?;
    if queued.filtered > 0 {
        return Err(TriggerError::Unasked { bot_id, kind: sample.kind() });
    }
    let ids = match queued.update_ids.as_slice() {
        [first, .., last] => format!("updates {first} to {last}"),
        ids => format!("update {}", ids.first().copied().unwrap_or_default()),
    };
    let mut out = std::io::stdout().lock();
    writeln!(out, "{} queued for bot {bot_id}: {ids}", sample.name)?;
    Ok(out.flush()?)
}

/// The one bot that has called.
fn only(bots: Vec<i64>) -> Result<i64, TriggerError> {
    match *bots.as_slice() {
        [] => Err(TriggerError::NoBot),
        [only] => Ok(only),
        _ => Err(TriggerError::ManyBots(bots)),
    }
}

fn listed(bots: &[i64]) -> String {
    bots.iter().map(i64::to_string).collect::<Vec<_>>().join(", ")
}

/// The same for every update but for the numbers, which also differ between two commands.
fn values(args: &TriggerArgs, bot_id: i64, now_us: i64, index: u32) -> SampleValues {
    SampleValues {
        chat: args.chat,
        user: args.user,
        text: args.text.clone(),
        data: args.data.clone(),
        bot_id,
        date: now_us / 1_000_000,
        message_id: now_us / 1_000 % MESSAGE_IDS + i64::from(index),
        id: now_us + i64::from(index),
    }
}

/// A message's number has 32 bits.
const MESSAGE_IDS: i64 = 1 << 30;
