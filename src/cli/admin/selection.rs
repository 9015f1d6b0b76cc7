//! Flags that say which updates or dead letters.

use clap::Args;
use prost_types::Timestamp;

use super::failure::Failure;
use super::moment::Moment;
use super::session::Session;
use super::values;
use crate::grpc::proto::client::Selection;

/// Those that match all flags; of a flag's values one.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Which")]
pub struct SelectionArgs {
    /// By sequence, several with commas
    #[arg(long = "sequence", value_name = "N", value_delimiter = ',', allow_hyphen_values = true,
        value_parser = values::sequence)]
    sequences: Vec<i64>,

    /// By Telegram's id
    #[arg(long, value_name = "ID", allow_negative_numbers = true, value_parser = values::update_id)]
    update_id: Option<i64>,

    /// By chat
    #[arg(long, value_name = "ID", allow_negative_numbers = true)]
    chat: Option<i64>,

    /// By the user who caused it
    #[arg(long, value_name = "ID", allow_negative_numbers = true)]
    user: Option<i64>,

    /// By ordering key, as tables show it, such as chat:42
    #[arg(long, value_name = "KEY", value_parser = values::word)]
    key: Option<String>,

    /// By kind, such as message, several with commas
    #[arg(long = "kind", value_name = "KIND", value_delimiter = ',', value_parser = values::word)]
    kinds: Vec<String>,

    /// Received since then: 2026-05-01T12:00:00Z (without a zone UTC), or how long ago like 1h
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    since: Option<Moment>,

    /// Received before then
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    until: Option<Moment>,
}

impl SelectionArgs {
    /// For a list: without a flag, everything.
    pub(super) fn selection(&self, now: Timestamp) -> Result<Selection, Failure> {
        let time = |moment: Option<Moment>, flag| match moment.map(|moment| moment.resolve(now)) {
            None => Ok(None),
            Some(Ok(time)) => Ok(Some(time)),
            Some(Err(why)) => Err(Failure::Usage(format!("{flag}: {why}; leave it out for everything"))),
        };
        Ok(Selection {
            sequences: self.sequences.clone(),
            update_id: self.update_id,
            chat_id: self.chat,
            user_id: self.user,
            ordering_key: self.key.clone().unwrap_or_default(),
            kinds: self.kinds.clone(),
            start_time: time(self.since, "--since")?,
            end_time: time(self.until, "--until")?,
            all: false,
        })
    }

    /// Of one update.
    pub(super) fn of_sequence(sequence: i64) -> Selection {
        Selection { sequences: vec![sequence], ..Selection::default() }
    }
}

/// The same where something is changed: nobody changes everything by leaving flags out.
#[derive(Args, Clone, Debug, Default)]
pub struct ChangeArgs {
    #[command(flatten)]
    which: SelectionArgs,

    /// Every one
    #[arg(long, help_heading = "Which")]
    all: bool,
}

impl ChangeArgs {
    /// Why nothing was found, if sequences are named: which, and where to look. `lacks` says what each of them is not.
    pub(super) fn not_found(&self, session: &Session, lacks: &str) -> Option<Failure> {
        let sequences = &self.which.sequences;
        let first = sequences.first()?;
        let shown: Vec<String> = sequences.iter().take(NAMED).map(ToString::to_string).collect();
        let timeline = session.command(&format!("timeline {first}"));
        Some(Failure::NotFound(match sequences.len() {
            1 => format!("sequence {first} is {lacks}; what became of it says: {timeline}"),
            _ => format!(
                "each of the sequences {}{} is {lacks}; what became of one says: {timeline}",
                shown.join(", "),
                if sequences.len() > NAMED { ", …" } else { "" }
            ),
        }))
    }

    pub(super) fn selection(&self, now: Timestamp) -> Result<Selection, Failure> {
        let selection = self.which.selection(now)?;
        match (selection == Selection::default(), self.all) {
            (true, false) => Err(Failure::Usage(
                "say which ones: --sequence, --chat, --kind, --since, … or --all".to_owned(),
            )),
            (false, true) => {
                Err(Failure::Usage("--all means every one; leave out --all or the other flags".to_owned()))
            }
            (_, all) => Ok(Selection { all, ..selection }),
        }
    }
}

/// Enough to know which ones were meant.
const NAMED: usize = 5;

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        change: ChangeArgs,
    }

    fn selection(args: &[&str]) -> Result<Selection, Failure> {
        let line = Line::try_parse_from(std::iter::once(&"x").chain(args)).unwrap();
        line.change.selection(Timestamp { seconds: 10_000, nanos: 0 })
    }

    #[test]
    fn flags_become_the_apis_selection() {
        let args =
            ["--sequence", "7,8", "--sequence=9", "--chat", "-1001234567890", "--kind", "message,poll"];
        let asked =
            selection(&[&args[..], &["--since", "-1h", "--until", "30m", "--key", "chat:1"]].concat());
        assert_eq!(
            asked.unwrap(),
            Selection {
                sequences: vec![7, 8, 9],
                chat_id: Some(-1_001_234_567_890),
                kinds: vec!["message".into(), "poll".into()],
                start_time: Some(Timestamp { seconds: 6_400, nanos: 0 }),
                end_time: Some(Timestamp { seconds: 8_200, nanos: 0 }),
                ordering_key: "chat:1".into(),
                ..Selection::default()
            }
        );
    }

    #[test]
    fn a_time_before_there_was_anything_is_refused() {
        let refused = selection(&["--since", "99999d"]).unwrap_err().to_string();
        assert!(refused.starts_with("--since: ") && refused.contains("before 1970"), "{refused}");
    }

    #[test]
    fn everything_has_to_be_asked_for() {
        assert!(selection(&[]).unwrap_err().to_string().contains("--all"));
        assert_eq!(selection(&["--all"]).unwrap(), Selection { all: true, ..Selection::default() });
        assert!(selection(&["--all", "--chat", "1"]).is_err());
    }
}
