//! `switchboard trigger`: lets something happen at the simulated Telegram.

use std::ffi::OsStr;
use std::io::Write;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use clap::builder::{PossibleValue, TypedValueParser};
use clap::error::ErrorKind;
use reqwest::{Response, Url};
use serde::Deserialize;
use serde_json::Value;
use thiserror::Error;

use super::exit::Exit;
use super::{client, clock, complain};
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

/// Where `simulate` listens unless it is told otherwise.
const DEFAULT_SIMULATOR: &str = "http://127.0.0.1:8081";

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
    #[error("--simulator {given}: {why}; give it as {DEFAULT_SIMULATOR}")]
    Url { given: String, why: String },
    #[error(
        "no simulator answers at {url}: {why}; start one with `switchboard simulate`, or say where it is with --simulator"
    )]
    Away { url: String, why: String },
    #[error(
        "what answers at {url} is no simulator (HTTP {status}); say where `switchboard simulate` listens with --simulator"
    )]
    Stranger { url: String, status: u16 },
    #[error("the simulator refuses: {0}")]
    Refused(String),
    #[error("no bot has called the simulator yet: start the gateway, or name the bot with --bot-id")]
    NoBot,
    #[error("{} bots have called the simulator ({}): name one with --bot-id", .0.len(), .0.join(", "))]
    ManyBots(Vec<String>),
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
            Self::Sample(_) | Self::Url { .. } | Self::ManyBots(_) => Exit::Config,
            Self::Away { .. }
            | Self::Stranger { .. }
            | Self::Refused(_)
            | Self::NoBot
            | Self::Unasked { .. } => Exit::Failed,
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
        None => control.only_bot().await?,
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

/// The simulator's control interface.
struct Control {
    http: reqwest::Client,
    url: Url,
}

#[derive(Deserialize)]
struct Queued {
    update_ids: Vec<i64>,
    #[serde(default)]
    filtered: u64,
}

impl Control {
    fn new(given: &str) -> Result<Self, TriggerError> {
        let wrong = |why: String| TriggerError::Url { given: given.to_owned(), why };
        let url = Url::parse(given).map_err(|error| wrong(error.to_string()))?;
        if url.scheme() != "http" {
            return Err(wrong("a simulator speaks http".to_owned()));
        }
        let http = reqwest::Client::builder().no_proxy().timeout(TIMEOUT).build();
        Ok(Self { http: http.map_err(|error| wrong(error.to_string()))?, url })
    }

    /// The one bot that has called.
    async fn only_bot(&self) -> Result<i64, TriggerError> {
        let answer = self.http.get(self.at("simulator/bots")).send().await;
        let bots: serde_json::Map<String, Value> = self.understood(answer).await?;
        let mut ids: Vec<String> = bots.into_iter().map(|(id, _)| id).collect();
        match ids.pop() {
            None => Err(TriggerError::NoBot),
            Some(only) if ids.is_empty() => only.parse().map_err(|_| TriggerError::NoBot),
            Some(last) => {
                ids.push(last);
                Err(TriggerError::ManyBots(ids))
            }
        }
    }

    async fn queue(&self, bot_id: i64, body: String, unasked: bool) -> Result<Queued, TriggerError> {
        let filter = if unasked { "" } else { "?filter=true" };
        let url = self.at(&format!("simulator/bots/{bot_id}/updates{filter}"));
        let answer = self.http.post(url).body(body).send().await;
        self.understood(answer).await
    }

    fn at(&self, path: &str) -> String {
        format!("{}/{path}", self.url.as_str().trim_end_matches('/'))
    }

    async fn understood<T: for<'de> Deserialize<'de>>(
        &self,
        answer: Result<Response, reqwest::Error>,
    ) -> Result<T, TriggerError> {
        #[derive(Deserialize)]
        struct Refusal {
            error: String,
        }
        let url = || self.url.as_str().trim_end_matches('/').to_owned();
        let away = |error: reqwest::Error| TriggerError::Away {
            url: url(),
            why: client::deepest(&error.without_url()),
        };
        let answer = answer.map_err(away)?;
        let status = answer.status();
        let body = answer.bytes().await.map_err(away)?;
        if status.is_success()
            && let Ok(understood) = serde_json::from_slice(&body)
        {
            return Ok(understood);
        }
        match serde_json::from_slice::<Refusal>(&body) {
            Ok(refusal) => Err(TriggerError::Refused(refusal.error)),
            Err(_) => Err(TriggerError::Stranger { url: url(), status: status.as_u16() }),
        }
    }
}

const TIMEOUT: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simulator::SimulatorConfig;

    #[test]
    fn the_simulator_is_looked_for_where_it_listens_by_default() {
        assert_eq!(DEFAULT_SIMULATOR, format!("http://{}", SimulatorConfig::default().listen));
    }
}
