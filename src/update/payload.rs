//! The few fields of a payload that routing needs, and which of them it uses for each kind.

use std::borrow::Cow;

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::{ChatType, Key, KindCode, integer, is_plain, string};

/// A longer id is not taken for a key: keys are stored and shown with every update.
const MAX_ID_BYTES: usize = 128;

/// The fields of a payload that some kind is routed by, as they stand there; the last one of each name.
///
/// The text was checked to be JSON before: nothing in here fails, and no field is read deeper than routing needs.
#[derive(Default)]
pub(super) struct Payload<'a> {
    chat: Option<&'a RawValue>,
    from: Option<&'a RawValue>,
    user: Option<&'a RawValue>,
    message: Option<&'a RawValue>,
    message_thread_id: Option<&'a RawValue>,
    id: Option<&'a RawValue>,
    voter_chat: Option<&'a RawValue>,
    poll_id: Option<&'a RawValue>,
    business_connection_id: Option<&'a RawValue>,
    boost: Option<&'a RawValue>,
    source: Option<&'a RawValue>,
    r#type: Option<&'a RawValue>,
    text: Option<&'a RawValue>,
    caption: Option<&'a RawValue>,
    data: Option<&'a RawValue>,
}

impl<'a> Payload<'a> {
    /// The fields of the object; none if it is no object.
    pub(super) fn read(raw: &'a RawValue) -> Self {
        if !raw.get().starts_with('{') {
            return Self::default();
        }
        serde_json::Deserializer::from_str(raw.get()).deserialize_map(Self::default()).unwrap_or_default()
    }

    fn inside(field: Option<&'a RawValue>) -> Self {
        field.map_or_else(Self::default, Self::read)
    }

    fn own_id(field: Option<&'a RawValue>) -> Option<i64> {
        integer(Self::inside(field).id?)
    }

    /// The chat that the payload itself belongs to.
    pub(super) fn chat(&self, kind: KindCode) -> Chat {
        match kind {
            KindCode::CALLBACK_QUERY => Chat::read(Self::inside(self.message).chat),
            KindCode::POLL_ANSWER => Chat::read(self.voter_chat),
            KindCode::POLL
            | KindCode::BUSINESS_CONNECTION
            | KindCode::INLINE_QUERY
            | KindCode::CHOSEN_INLINE_RESULT
            | KindCode::SHIPPING_QUERY
            | KindCode::PRE_CHECKOUT_QUERY
            | KindCode::PURCHASED_PAID_MEDIA => Chat::default(),
            KindCode::UNKNOWN => {
                let own = Chat::read(self.chat);
                if own.id.is_some() { own } else { Chat::read(Self::inside(self.message).chat) }
            }
            _ => Chat::read(self.chat),
        }
    }

    /// A message's command without its slash, in lower case; a callback query's data; else nothing.
    pub(super) fn label(&self, kind: KindCode) -> Option<Cow<'a, str>> {
        if kind == KindCode::CALLBACK_QUERY {
            return string(self.data?);
        }
        if !kind.is_message() {
            return None;
        }
        let raw = self.text.or(self.caption)?;
        // Most texts are no commands, and not to be unescaped for that: Telegram escapes all that is not ASCII.
        if !SLASHES.iter().any(|slash| raw.get().starts_with(slash)) {
            return None;
        }
        let text = string(raw)?;
        let command = text.strip_prefix('/')?;
        let word = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '@';
        let end = command.find(|c| !word(c)).unwrap_or(command.len());
        let command = command.get(..end).filter(|command| !command.is_empty())?;
        Some(command.to_ascii_lowercase().into())
    }

    /// The user who caused it.
    pub(super) fn user_id(&self, kind: KindCode) -> Option<i64> {
        match kind {
            KindCode::POLL => None,
            KindCode::CHAT_BOOST => Self::own_id(Self::inside(Self::inside(self.boost).source).user),
            KindCode::REMOVED_CHAT_BOOST => Self::own_id(Self::inside(self.source).user),
            _ => Self::own_id(self.from).or_else(|| Self::own_id(self.user)),
        }
    }

    /// The topic inside the chat.
    pub(super) fn thread_id(&self, kind: KindCode) -> Option<i64> {
        match kind {
            KindCode::CALLBACK_QUERY => integer(Self::inside(self.message).message_thread_id?),
            _ => integer(self.message_thread_id?),
        }
    }

    /// What it is ordered by where there is neither a chat nor a user.
    pub(super) fn other_key(&self, kind: KindCode) -> Option<Key<'a>> {
        match kind {
            KindCode::POLL => id_text(self.id).map(Key::Poll),
            KindCode::POLL_ANSWER => id_text(self.poll_id).map(Key::Poll),
            KindCode::BUSINESS_CONNECTION => id_text(self.id).map(Key::Connection),
            KindCode::UNKNOWN => id_text(self.id).map(Key::Id),
            _ => id_text(self.business_connection_id).map(Key::Connection),
        }
    }
}

/// How a text begins in JSON if its first character is a slash.
const SLASHES: [&str; 4] = [r#""/"#, r#""\/"#, r#""\u002f"#, r#""\u002F"#];

/// What is read of a chat.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Chat {
    pub(super) id: Option<i64>,
    pub(super) chat_type: Option<ChatType>,
}

impl Chat {
    fn read(field: Option<&RawValue>) -> Self {
        let chat = Payload::inside(field);
        let id = chat.id.and_then(integer);
        Self { id, chat_type: chat.r#type.and_then(string).and_then(|name| ChatType::from_name(&name)) }
    }
}

/// An id's text: a string that can be shown, or an integer.
fn id_text(raw: Option<&RawValue>) -> Option<Cow<'_, str>> {
    let raw = raw?;
    let text = string(raw).or_else(|| integer(raw).map(|_| Cow::Borrowed(raw.get())))?;
    is_plain(&text, MAX_ID_BYTES).then_some(text)
}

impl<'de> Visitor<'de> for Payload<'de> {
    type Value = Self;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<Self, A::Error> {
        while let Some(Name(name)) = map.next_key()? {
            let field = match name.as_ref() {
                b"chat" => &mut self.chat,
                b"from" => &mut self.from,
                b"user" => &mut self.user,
                b"message" => &mut self.message,
                b"message_thread_id" => &mut self.message_thread_id,
                b"id" => &mut self.id,
                b"voter_chat" => &mut self.voter_chat,
                b"poll_id" => &mut self.poll_id,
                b"business_connection_id" => &mut self.business_connection_id,
                b"boost" => &mut self.boost,
                b"source" => &mut self.source,
                b"type" => &mut self.r#type,
                b"text" => &mut self.text,
                b"caption" => &mut self.caption,
                b"data" => &mut self.data,
                _ => {
                    map.next_value::<IgnoredAny>()?;
                    continue;
                }
            };
            *field = Some(map.next_value()?);
        }
        Ok(self)
    }
}

/// A field's name as bytes: names with lone surrogates are no text but must not fail.
struct Name<'a>(Cow<'a, [u8]>);

impl<'de> Deserialize<'de> for Name<'de> {
    fn deserialize<D: Deserializer<'de>>(reader: D) -> Result<Self, D::Error> {
        struct Bytes;

        impl<'de> Visitor<'de> for Bytes {
            type Value = Name<'de>;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a field's name")
            }

            fn visit_borrowed_bytes<E>(self, name: &'de [u8]) -> Result<Name<'de>, E> {
                Ok(Name(Cow::Borrowed(name)))
            }

            fn visit_bytes<E>(self, name: &[u8]) -> Result<Name<'de>, E> {
                Ok(Name(Cow::Owned(name.to_vec())))
            }

            fn visit_borrowed_str<E>(self, name: &'de str) -> Result<Name<'de>, E> {
                Ok(Name(Cow::Borrowed(name.as_bytes())))
            }
        }

        reader.deserialize_bytes(Bytes)
    }
}
