//! One Telegram Update: its kind, its routing key, its verbatim JSON.

mod chat_type;
mod key;
mod kind;
mod payload;

use std::borrow::Cow;

use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

pub use chat_type::ChatType;
pub use key::Key;
pub use kind::KindCode;
use payload::{Chat, Payload};

/// What is read of an update. The JSON itself is borrowed and never taken apart further.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Update<'a> {
    /// Telegram's id, at least 1.
    pub update_id: i64,
    /// Its kind; [`KindCode::UNKNOWN`] for those that this release does not know.
    pub kind: KindCode,
    /// The name of its payload field, of unknown kinds too; `unknown` if there is none, or if the name is no plain text
    /// of 1 to [`MAX_KIND_BYTES`] bytes.
    pub kind_name: Cow<'a, str>,
    /// What it is ordered by.
    pub key: Key<'a>,
    /// The chat it belongs to.
    pub chat_id: Option<i64>,
    /// The user who caused it.
    pub user_id: Option<i64>,
    /// The topic (`message_thread_id`) inside the chat.
    pub thread_id: Option<i64>,
    /// The type of the chat.
    pub chat_type: Option<ChatType>,
    /// A message's command without its slash, in lower case, with `@bot` if it is there; a callback query's data.
    pub label: Option<Cow<'a, str>>,
    /// The object as it came, from `{` to the matching `}`.
    pub json: &'a str,
}

/// An unknown kind with a longer name is called `unknown`: kinds are shown in lists and logs.
pub const MAX_KIND_BYTES: usize = 64;

/// Why a body is no update.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParseError {
    /// It is not UTF-8.
    #[error("is not UTF-8: byte {0} is the first wrong one")]
    NotUtf8(usize),
    /// It is not one JSON object.
    #[error("is not one JSON object: {0}")]
    NotAnObject(String),
    /// It has no `update_id`.
    #[error("has no `update_id`")]
    NoUpdateId,
    /// Its `update_id` is no integer from 1 to 2^63 − 1, written as one.
    #[error("its `update_id` is no integer from 1 to 9223372036854775807")]
    BadUpdateId,
}

/// Reads an update in one pass over its outer fields and one over the payload's: everything else is checked to be JSON
/// and skipped, at any depth of nesting, without recursion.
///
/// A field that is `null` counts as absent. Of a field that comes twice the last one counts; of several payload fields
/// the first known kind. What cannot be read inside the payload counts as absent: the key is then the next best, at
/// worst [`Key::Update`].
///
/// # Errors
/// [`ParseError`] where there is no JSON object with a readable `update_id`.
pub fn parse(body: &[u8]) -> Result<Update<'_>, ParseError> {
    let text = std::str::from_utf8(body).map_err(|error| ParseError::NotUtf8(error.valid_up_to()))?;
    let json = text.trim_matches([' ', '\t', '\r', '\n']);
    let mut reader = serde_json::Deserializer::from_str(json);
    let envelope = reader
        .deserialize_map(Envelope::default())
        .and_then(|envelope| reader.end().map(|()| envelope))
        .map_err(|error| ParseError::NotAnObject(error.to_string()))?;

    let update_id = envelope.update_id.ok_or(ParseError::NoUpdateId)?;
    let update_id = integer(update_id).filter(|id| *id >= 1).ok_or(ParseError::BadUpdateId)?;
    let (kind, kind_name, payload) = envelope.payload();
    let payload = payload.map_or_else(Payload::default, Payload::read);
    let Chat { id: chat_id, chat_type } = payload.chat(kind);
    let user_id = payload.user_id(kind);
    let key = match (chat_id, user_id) {
        (Some(chat), _) => Key::Chat(chat),
        (None, Some(user)) => Key::User(user),
        (None, None) => payload.other_key(kind).unwrap_or(Key::Update(update_id)),
    };
    let thread_id = payload.thread_id(kind);
    let label = payload.label(kind);
    Ok(Update { update_id, kind, kind_name, key, chat_id, user_id, thread_id, chat_type, label, json })
}

/// An integer as JSON writes it: no fraction, no exponent, no quotes.
fn integer(raw: &RawValue) -> Option<i64> {
    raw.get().parse().ok()
}

/// A string's content; `None` if it is none, or has escapes that make no text (lone surrogates).
fn string<'a>(raw: &'a RawValue) -> Option<Cow<'a, str>> {
    let text: &'a str = raw.get();
    let inner = text.strip_prefix('"')?.strip_suffix('"')?;
    if inner.contains('\\') { serde_json::from_str(text).ok().map(Cow::Owned) } else { Some(inner.into()) }
}

/// Whether a text can be shown as a name: short, not empty, and without control characters.
fn is_plain(text: &str, max_bytes: usize) -> bool {
    (1..=max_bytes).contains(&text.len()) && !text.contains(char::is_control)
}

/// The outer fields of an update.
#[derive(Default)]
struct Envelope<'a> {
    update_id: Option<&'a RawValue>,
    known: Option<(KindCode, &'a RawValue)>,
    unknown: Option<(Cow<'a, str>, &'a RawValue)>,
}

impl<'a> Envelope<'a> {
    fn payload(self) -> (KindCode, Cow<'a, str>, Option<&'a RawValue>) {
        match (self.known, self.unknown) {
            (Some((kind, payload)), _) => (kind, kind.name().into(), Some(payload)),
            (None, Some((name, payload))) => (KindCode::UNKNOWN, name, Some(payload)),
            (None, None) => (KindCode::UNKNOWN, KindCode::UNKNOWN.name().into(), None),
        }
    }

    fn field(&mut self, name: Cow<'a, str>, value: &'a RawValue) {
        let present = value.get() != "null";
        if name == "update_id" {
            self.update_id = Some(value);
        } else if let Some(kind) = KindCode::from_name(&name) {
            if self.known.is_none_or(|(known, _)| known == kind) {
                self.known = present.then_some((kind, value));
            }
        } else if self.unknown.as_ref().is_none_or(|(known, _)| *known == name) {
            let name = if is_plain(&name, MAX_KIND_BYTES) { name } else { "unknown".into() };
            self.unknown = present.then_some((name, value));
        }
    }
}

impl<'de> Visitor<'de> for Envelope<'de> {
    type Value = Self;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("an Update object")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<Self, A::Error> {
        // Names are taken raw: a name with a lone surrogate is no text, but the object is still valid JSON.
        while let Some((name, value)) = map.next_entry::<&RawValue, &RawValue>()? {
            self.field(string(name).unwrap_or_else(|| "unknown".into()), value);
        }
        Ok(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(json: &str) -> String {
        parse(json.as_bytes()).unwrap().key.to_string()
    }

    #[test]
    fn the_json_is_the_object_without_the_space_around_it() {
        let update = parse(b" \r\n{\"update_id\":7,\n\"message\":{\"chat\":{\"id\":-5}} }\t").unwrap();
        assert_eq!(update.json, "{\"update_id\":7,\n\"message\":{\"chat\":{\"id\":-5}} }");
        assert_eq!((update.update_id, update.kind_name.as_ref()), (7, "message"));
        assert_eq!((update.chat_id, update.user_id, update.thread_id), (Some(-5), None, None));
    }

    #[test]
    fn a_chat_goes_before_a_user_and_a_user_before_any_other_id() {
        assert_eq!(key(r#"{"update_id":1,"message":{"from":{"id":2},"chat":{"id":3}}}"#), "chat:3");
        assert_eq!(key(r#"{"update_id":1,"message":{"from":{"id":2}}}"#), "user:2");
        assert_eq!(key(r#"{"update_id":1,"poll":{"id":"50"}}"#), "poll:50");
        assert_eq!(key(r#"{"update_id":1,"poll_answer":{"poll_id":"50"}}"#), "poll:50");
        assert_eq!(
            key(r#"{"update_id":1,"poll_answer":{"poll_id":"5","user":{"id":8},"voter_chat":{"id":-9}}}"#),
            "chat:-9"
        );
        assert_eq!(key(r#"{"update_id":1,"business_connection":{"id":"Ab\u0043"}}"#), "connection:AbC");
        assert_eq!(key(r#"{"update_id":1,"inline_query":{"id":"5","from":{"id":6}}}"#), "user:6");
        assert_eq!(key(r#"{"update_id":1,"chat_boost":{"boost":{"source":{"user":{"id":6}}}}}"#), "user:6");
        assert_eq!(key(r#"{"update_id":1,"removed_chat_boost":{"source":{"user":{"id":6}}}}"#), "user:6");
    }

    #[test]
    fn a_callback_belongs_to_the_chat_and_topic_of_its_message() {
        let json = r#"{"update_id":1,"callback_query":{"from":{"id":2},
            "message":{"from":{"id":99},"message_thread_id":4,"chat":{"id":-3}}}}"#;
        let update = parse(json.as_bytes()).unwrap();
        assert_eq!((update.key.to_string().as_str(), update.user_id), ("chat:-3", Some(2)));
        assert_eq!(update.thread_id, Some(4));
        assert_eq!(
            key(r#"{"update_id":1,"callback_query":{"from":{"id":2},"inline_message_id":"x"}}"#),
            "user:2"
        );
    }

    #[test]
    fn commands_and_callback_data_are_read_for_filters() {
        let label = |json: &str| parse(json.as_bytes()).unwrap().label.map(String::from);
        let text = |text: &str| label(&format!(r#"{{"update_id":1,"message":{{"text":"{text}"}}}}"#));
        assert_eq!(text("/Start now"), Some("start".into()));
        assert_eq!(text("/start@Shop_Bot"), Some("start@shop_bot".into()));
        assert_eq!(text(r"\u002fstart\nx"), Some("start".into()));
        for no_command in ["", "/", "start", " /start", "// start", r"\n/start"] {
            assert_eq!(text(no_command), None, "{no_command}");
        }
        assert_eq!(label(r#"{"update_id":1,"channel_post":{"caption":"/post"}}"#), Some("post".into()));
        assert_eq!(label(r#"{"update_id":1,"callback_query":{"data":"order:1"}}"#), Some("order:1".into()));
        assert_eq!(label(r#"{"update_id":1,"inline_query":{"text":"/start","data":"x"}}"#), None);
    }

    #[test]
    fn a_chat_has_a_type() {
        let chat_type = |json: &str| parse(json.as_bytes()).unwrap().chat_type;
        let private = r#"{"update_id":1,"message":{"chat":{"id":1,"type":"private"}}}"#;
        assert_eq!(chat_type(private), Some(ChatType::Private));
        let channel = r#"{"update_id":1,"callback_query":{"message":{"chat":{"type":"channel"}}}}"#;
        assert_eq!(chat_type(channel), Some(ChatType::Channel));
        assert_eq!(chat_type(r#"{"update_id":1,"message":{"chat":{"type":"new"}}}"#), None);
    }

    #[test]
    fn unknown_kinds_keep_their_name_and_are_ordered_by_what_is_found() {
        let update = parse(br#"{"x_event":{"message":{"chat":{"id":4}}},"update_id":1}"#).unwrap();
        assert_eq!((update.kind, update.kind_name.as_ref()), (KindCode::UNKNOWN, "x_event"));
        assert_eq!(update.key, Key::Chat(4));
        assert_eq!(key(r#"{"update_id":1,"x":{"id":"a","user":{"id":3}}}"#), "user:3");
        assert_eq!(key(r#"{"update_id":1,"x":{"id":"a"}}"#), "id:a");
        assert_eq!(key(r#"{"update_id":1,"x":{"id":17}}"#), "id:17");
        assert_eq!(key(r#"{"update_id":1,"x":17}"#), "update:1");
        assert_eq!(parse(br#"{"update_id":1,"a\nb":{}}"#).unwrap().kind_name, "unknown");
        assert_eq!(parse(br#"{"update_id":1,"":{}}"#).unwrap().kind_name, "unknown");
        assert_eq!(key(r#"{"update_id":1,"poll":{"id":"5\u001b[31m"}}"#), "update:1");
        let long = format!(r#"{{"update_id":1,"{}":{{}}}}"#, "k".repeat(65));
        assert_eq!(parse(long.as_bytes()).unwrap().kind_name, "unknown");
    }

    #[test]
    fn null_counts_as_absent_and_of_duplicates_the_last_one_routes() {
        let update = parse(br#"{"update_id":1,"message":null,"poll":{"id":"5"}}"#).unwrap();
        assert_eq!((update.kind, update.key.to_string().as_str()), (KindCode::POLL, "poll:5"));
        assert_eq!(
            key(
                r#"{"update_id":1,"message":{"chat":{"id":1},"chat":{"id":2}},"message":{"chat":{"id":3,"id":4}}}"#
            ),
            "chat:4"
        );
        assert_eq!(parse(br#"{"update_id":1,"update_id":2}"#).unwrap().update_id, 2);
    }

    #[test]
    fn what_cannot_be_read_inside_the_payload_counts_as_absent() {
        for chat in [
            "null",
            "7",
            "\"x\"",
            "[1]",
            "{\"id\":\"-100\"}",
            "{\"id\":1e400}",
            "{\"id\":1.0}",
            "\"\\ud800\"",
        ] {
            let json = format!(r#"{{"update_id":9,"message":{{"chat":{chat},"\udc00":"\ud800"}}}}"#);
            let update = parse(json.as_bytes()).unwrap();
            assert_eq!((update.kind_name.as_ref(), update.key), ("message", Key::Update(9)), "{chat}");
        }
        assert_eq!(key(r#"{"update_id":9,"\ud800":1}"#), "update:9");
    }

    #[test]
    fn control_characters_are_refused_wherever_they_stand() {
        for json in [&b"{\"update_id\":1,\"a\x01\":1}"[..], b"{\"update_id\":1,\"a\":{\"b\x01\":1}}"] {
            assert!(matches!(parse(json), Err(ParseError::NotAnObject(_))));
        }
    }

    #[test]
    fn nesting_of_any_depth_is_read_on_a_small_stack() {
        let deep = format!(
            r#"{{"update_id":1,"message":{{"chat":{{"id":5}},"x":{}{}}}}}"#,
            "[".repeat(400_000),
            "]".repeat(400_000)
        );
        let reader = std::thread::Builder::new().stack_size(64 * 1024);
        let key =
            reader.spawn(move || parse(deep.as_bytes()).unwrap().key.to_string()).unwrap().join().unwrap();
        assert_eq!(key, "chat:5");
    }
}
