//! Sample updates: at least one of every kind, with the chat, the user and the words that somebody wants in it.

mod fill;
mod table;

use thiserror::Error;

/// A kind of update, or of message, to make an update of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sample {
    /// What it is asked for by: `message.photo`, `callback_query`, …
    pub name: &'static str,
    /// What happens at Telegram that makes such an update.
    pub about: &'static str,
    template: &'static str,
}

/// What is in an update. What is not given is made up, or left to the sample.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SampleValues {
    /// The chat: a user's id for a private one, otherwise negative; below -1,000,000,000,000 a supergroup or channel.
    pub chat: Option<i64>,
    /// The user that does it.
    pub user: Option<i64>,
    /// The text, caption, question or query.
    pub text: Option<String>,
    /// What a button, an invoice or a web app carries.
    pub data: Option<String>,
    /// The id of the bot that gets it.
    pub bot_id: i64,
    /// When, in seconds since 1970.
    pub date: i64,
    /// The message's number.
    pub message_id: i64,
    /// The number of a query, a poll or a payment.
    pub id: i64,
}

/// There is no such sample.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("there is no sample `{name}`{}", .nearest.map(|near| format!("; did you mean `{near}`?")).unwrap_or_default())]
pub struct UnknownSample {
    /// As asked for.
    pub name: String,
    /// The one that was most likely meant.
    pub nearest: Option<&'static str>,
}

/// The values do not go with the sample, or with each other.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum SampleError {
    /// The sample has no place for a value.
    #[error("{sample} has no {value}; it takes {takes}")]
    NoPlace {
        /// The sample's name.
        sample: &'static str,
        /// What it has no place for: `chat`, `user`, `text` or `data`.
        value: &'static str,
        /// What it has places for.
        takes: String,
    },
    /// Such a chat cannot be where this happens.
    #[error("{sample} happens in {place}, whose id is {right}; {chat} is not")]
    Chat {
        /// The sample's name.
        sample: &'static str,
        /// As given.
        chat: i64,
        /// Where it happens.
        place: &'static str,
        /// What its id is like.
        right: &'static str,
    },
    /// Nobody has such an id.
    #[error("a user's id is 1 or more; {0} is not")]
    User(i64),
    /// In a private chat there is only the one.
    #[error(
        "chat {chat} is a private one, and so its user is {chat} as well, not {user}; a group's id is negative"
    )]
    OtherUser {
        /// The chat.
        chat: i64,
        /// The user.
        user: i64,
    },
    /// No command.
    #[error("a command begins with a slash and a letter, as /start does; {0:?} does not")]
    Command(String),
}

impl Sample {
    /// All of them.
    pub fn all() -> impl Iterator<Item = Self> {
        table::TABLE.iter().map(|(name, about, template)| Self { name, about, template })
    }

    /// The one with this name.
    ///
    /// # Errors
    /// There is none; the error has the nearest name.
    pub fn named(name: &str) -> Result<Self, UnknownSample> {
        let found = Self::all().find(|sample| sample.name == name);
        found.ok_or_else(|| UnknownSample { name: name.to_owned(), nearest: nearest(name) })
    }

    /// The values that it has places for, of `chat`, `user`, `text` and `data`.
    #[must_use]
    pub fn takes(&self) -> Vec<&'static str> {
        fill::takes(self.template)
    }

    /// The update's kind.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        self.template.trim_start_matches("{\"").split('"').next().unwrap_or_default()
    }

    /// The update as JSON in Telegram's form, without an `update_id`: the simulator gives it the next one.
    ///
    /// # Errors
    /// The values do not go with the sample, or with each other.
    pub fn update(&self, values: &SampleValues) -> Result<String, SampleError> {
        fill::fill(self, values)
    }
}

/// The name, or the part of one behind its dot, that is most alike.
fn nearest(name: &str) -> Option<&'static str> {
    const ALIKE: f64 = 0.7;
    let wanted = name.to_ascii_lowercase();
    let likeness = |known: &str| {
        let part = known.split_once('.').map_or(0.0, |(_, part)| strsim::jaro_winkler(&wanted, part));
        strsim::jaro_winkler(&wanted, known).max(part)
    };
    Sample::all()
        .map(|sample| (likeness(sample.name), sample.name))
        .filter(|(alike, _)| *alike >= ALIKE)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::super::kind::Kind;
    use super::super::peek::Peek;
    use super::*;
    use crate::update::KindCode;

    #[test]
    fn every_kind_that_is_known_has_a_sample() {
        for kind in KindCode::known().map(KindCode::name) {
            assert!(Sample::all().any(|sample| sample.kind() == kind), "no sample of {kind}");
        }
    }

    #[test]
    fn every_sample_is_valid_and_of_the_kind_that_its_name_says() {
        for sample in Sample::all() {
            let json = sample.update(&SampleValues::default()).unwrap();
            assert!(json.is_ascii() && !json.contains('$'), "{json}");
            serde_json::from_str::<serde_json::Value>(&json).unwrap();
            let peek = Peek::into_update(&json).unwrap();
            assert_eq!(peek.kind, Kind::named(sample.kind()), "{json}");
            let named = sample.name.split('.').next().unwrap();
            assert!(sample.kind() == named || named == "unknown", "{} is a {}", sample.name, sample.kind());
        }
    }

    #[test]
    fn names_are_told_apart() {
        let mut names: Vec<_> = Sample::all().map(|sample| sample.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), Sample::all().count());
    }

    #[test]
    fn a_wrong_name_suggests_the_nearest_with_or_without_its_first_part() {
        for (wrong, right) in [
            ("message.txt", "message.text"),
            ("photo", "message.photo"),
            ("Message.Photo", "message.photo"),
            ("callback", "callback_query"),
            ("poll_anser", "poll_answer"),
        ] {
            assert_eq!(Sample::named(wrong).unwrap_err().nearest, Some(right), "{wrong}");
        }
        assert_eq!(Sample::named("xyzzy").unwrap_err().to_string(), "there is no sample `xyzzy`");
    }
}
