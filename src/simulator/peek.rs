//! What the simulator must know of an update that it is given: its id, its kind, and whose webhook queue it joins.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{MapAccess, Visitor};
use serde_json::value::RawValue;

use super::kind::{Kind, queue_number};

/// The parts of an update object that matter to Telegram's queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Peek {
    /// Its `update_id`, if it has one.
    pub update_id: Option<i64>,
    pub kind: Kind,
    pub lane: i64,
}

impl Peek {
    /// Looks into one JSON object.
    pub(super) fn into_update(json: &str) -> serde_json::Result<Self> {
        serde_json::from_str(json)
    }
}

impl<'de> Deserialize<'de> for Peek {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Members)
    }
}

struct Members;

impl<'de> Visitor<'de> for Members {
    type Value = Peek;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an update object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Peek, A::Error> {
        let mut peek = Peek { update_id: None, kind: Kind::UNKNOWN, lane: 0 };
        while let Some(name) = map.next_key::<Cow<'de, str>>()? {
            if name == "update_id" {
                let id: i64 = map.next_value()?;
                if id < 1 {
                    return Err(serde::de::Error::custom("update_id must be positive"));
                }
                peek.update_id = Some(id);
            } else {
                let payload: &RawValue = map.next_value()?;
                peek.kind = Kind::named(&name);
                // A payload of an unexpected shape waits for nobody, like an unknown kind.
                let payload = serde_json::from_str::<Payload<'_>>(payload.get()).unwrap_or_default();
                peek.lane = payload.lane(peek.kind);
            }
        }
        Ok(peek)
    }
}

#[derive(Default, Deserialize)]
struct Payload<'a> {
    chat: Option<Numbered>,
    from: Option<Numbered>,
    user: Option<Numbered>,
    #[serde(borrow)]
    id: Option<&'a RawValue>,
    #[serde(borrow)]
    poll_id: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Numbered {
    id: i64,
}

impl Payload<'_> {
    fn lane(&self, kind: Kind) -> i64 {
        let user = self.from.as_ref().or(self.user.as_ref()).map(|user| user.id);
        let poll = self.poll_id.or(self.id).and_then(|id| id.get().trim_matches('"').parse().ok());
        queue_number(kind.lane(), self.chat.as_ref().map(|chat| chat.id), user, poll)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_update_of_the_corpus_is_understood() {
        let corpus = include_str!("../../tests/fixtures/updates/updates.jsonl");
        for line in corpus.lines() {
            let peek = Peek::into_update(line).unwrap();
            assert!(peek.update_id.is_some(), "{line}");
        }
    }

    #[test]
    fn the_queue_is_the_payloads_own_chat_and_not_that_of_a_nested_message() {
        let json = r#"{"message":{"reply_to_message":{"chat":{"id":1}},"chat":{"id":2},"from":{"id":3}}}"#;
        assert_eq!(Peek::into_update(json).unwrap(), Peek { update_id: None, kind: Kind::MESSAGE, lane: 2 });
        let json =
            r#"{"update_id":5,"callback_query":{"id":"1","from":{"id":3},"message":{"chat":{"id":2}}}}"#;
        let peek = Peek::into_update(json).unwrap();
        assert_eq!((peek.update_id, peek.lane), (Some(5), 3 + (3 << 33)));
        let json = r#"{"poll":{"id":"5001"}}"#;
        assert_eq!(Peek::into_update(json).unwrap().lane, 5001);
    }

    #[test]
    fn what_is_no_update_object_is_an_error() {
        for bad in ["[]", "1", r#"{"update_id":"1"}"#, r#"{"update_id":0}"#, "{"] {
            assert!(Peek::into_update(bad).is_err(), "{bad}");
        }
    }
}
