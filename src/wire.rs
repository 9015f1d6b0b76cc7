//! The bytes of the wire `Update` message, encoded once, at intake.

use std::borrow::Cow;

use bytes::{BufMut, Bytes, BytesMut};
use prost::encoding::{
    DecodeContext, WireType, decode_key, decode_varint, encode_key, encode_varint, encoded_len_varint,
    skip_field,
};

use crate::model::{Ordering, Payload, UnixMillis};
use crate::update::Update;

/// The field numbers of `switchboard.v1.Update`.
mod field {
    pub const BOT: u32 = 1;
    pub const UPDATE_ID: u32 = 2;
    pub const KIND: u32 = 3;
    pub const CHAT_ID: u32 = 4;
    pub const USER_ID: u32 = 5;
    pub const RECEIVED_TIME: u32 = 6;
    pub const JSON: u32 = 7;
    pub const THREAD_ID: u32 = 8;
}

/// Everything but the texts: eight keys, eight varints of at most ten bytes, the time.
const FIXED_BYTES: usize = 112;

/// The bytes of a `switchboard.v1.Update`, as the generated type would write them.
#[must_use]
pub fn encode_update(bot: &str, update: &Update<'_>, received: UnixMillis) -> Bytes {
    let texts = bot.len() + update.kind_name.len() + update.json.len();
    let mut out = BytesMut::with_capacity(FIXED_BYTES + texts);
    text(field::BOT, bot, &mut out);
    if update.update_id != 0 {
        int64(field::UPDATE_ID, update.update_id, &mut out);
    }
    text(field::KIND, &update.kind_name, &mut out);
    if let Some(id) = update.chat_id {
        int64(field::CHAT_ID, id, &mut out);
    }
    if let Some(id) = update.user_id {
        int64(field::USER_ID, id, &mut out);
    }
    timestamp(field::RECEIVED_TIME, received, &mut out);
    text(field::JSON, update.json, &mut out);
    if let Some(id) = update.thread_id {
        int64(field::THREAD_ID, id, &mut out);
    }
    out.freeze()
}

/// What a group of this ordering keeps the order of an update by: `chat:-1001234567890`, `user:42`, `topic:-100:7`,
/// `update:731000001`, …
#[must_use]
pub fn ordering_key(ordering: Ordering, payload: &Payload) -> Cow<'_, str> {
    let number = |wanted| int64_field(&payload.update, wanted);
    let key = match ordering {
        Ordering::Chat => None,
        Ordering::User => number(field::USER_ID).map(|id| format!("user:{id}")),
        Ordering::Topic => number(field::CHAT_ID)
            .zip(number(field::THREAD_ID))
            .map(|(chat, thread)| format!("topic:{chat}:{thread}")),
        Ordering::None => Some(format!("update:{}", number(field::UPDATE_ID).unwrap_or_default())),
    };
    key.map_or(Cow::Borrowed(&*payload.key), Cow::Owned)
}

/// The update's JSON, in a stored payload.
#[must_use]
pub fn json(payload: &Payload) -> Option<&str> {
    let mut update = &*payload.update;
    while !update.is_empty() {
        let (tag, wire_type) = decode_key(&mut update).ok()?;
        if tag == field::JSON && wire_type == WireType::LengthDelimited {
            let length = usize::try_from(decode_varint(&mut update).ok()?).ok()?;
            return std::str::from_utf8(update.get(..length)?).ok();
        }
        skip_field(wire_type, tag, &mut update, DecodeContext::default()).ok()?;
    }
    None
}

/// An integer field of the bytes of an `Update`; `None` where it is absent.
fn int64_field(mut update: &[u8], wanted: u32) -> Option<i64> {
    while !update.is_empty() {
        let (tag, wire_type) = decode_key(&mut update).ok()?;
        if tag == wanted && wire_type == WireType::Varint {
            // Two's complement.
            return decode_varint(&mut update).ok().map(|bits| bits as i64);
        }
        skip_field(wire_type, tag, &mut update, DecodeContext::default()).ok()?;
    }
    None
}

fn text(tag: u32, value: &str, out: &mut BytesMut) {
    if value.is_empty() {
        return;
    }
    encode_key(tag, WireType::LengthDelimited, out);
    encode_varint(value.len() as u64, out);
    out.put_slice(value.as_bytes());
}

fn int64(tag: u32, value: i64, out: &mut BytesMut) {
    encode_key(tag, WireType::Varint, out);
    // Two's complement: a negative int64 takes ten bytes.
    encode_varint(value as u64, out);
}

/// A `google.protobuf.Timestamp`: seconds = 1, nanos = 2, both left out where they are zero.
fn timestamp(tag: u32, time: UnixMillis, out: &mut BytesMut) {
    let (seconds, nanos) = (time.0 / 1000, time.0 % 1000 * 1_000_000);
    let part = |value: u64| if value == 0 { 0 } else { 1 + encoded_len_varint(value) };
    encode_key(tag, WireType::LengthDelimited, out);
    encode_varint((part(seconds) + part(nanos)) as u64, out);
    for (tag, value) in [(1, seconds), (2, nanos)] {
        if value != 0 {
            encode_key(tag, WireType::Varint, out);
            encode_varint(value, out);
        }
    }
}

/// What the bytes of a `switchboard.v1.Update` say of it before its JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Envelope<'a> {
    /// Telegram's id.
    pub update_id: i64,
    /// The kind's name.
    pub kind: &'a str,
    /// When it was received.
    pub received: UnixMillis,
}

/// Reads bytes that [`encode_update`] has written; `None` for others. The JSON is not looked at.
#[must_use]
pub fn read_envelope(mut bytes: &[u8]) -> Option<Envelope<'_>> {
    let mut envelope = Envelope { update_id: 0, kind: "", received: UnixMillis(0) };
    loop {
        // Fields are written in order: behind the time there is nothing more that is wanted.
        match field(&mut bytes)? {
            (field::UPDATE_ID, Value::Number(id)) => envelope.update_id = id as i64,
            (field::KIND, Value::Bytes(kind)) => envelope.kind = std::str::from_utf8(kind).ok()?,
            (field::RECEIVED_TIME, Value::Bytes(mut time)) => {
                while !time.is_empty() {
                    match field(&mut time)? {
                        (1, Value::Number(seconds)) => envelope.received.0 = seconds.checked_mul(1_000)?,
                        (2, Value::Number(nanos)) => envelope.received.0 += nanos / 1_000_000,
                        _ => return None,
                    }
                }
                return Some(envelope);
            }
            _ => {}
        }
    }
}

enum Value<'a> {
    Number(u64),
    Bytes(&'a [u8]),
}

/// Takes the next field off the bytes.
fn field<'a>(bytes: &mut &'a [u8]) -> Option<(u32, Value<'a>)> {
    let (tag, wire_type) = decode_key(bytes).ok()?;
    let number = decode_varint(bytes).ok()?;
    match wire_type {
        WireType::Varint => Some((tag, Value::Number(number))),
        WireType::LengthDelimited => {
            let (value, rest) = bytes.split_at_checked(usize::try_from(number).ok()?)?;
            *bytes = rest;
            Some((tag, Value::Bytes(value)))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use prost::Message;

    use super::*;
    use crate::grpc::proto::client;
    use crate::update::{Key, KindCode};

    #[test]
    fn the_ordering_key_is_what_the_group_goes_by_or_the_routing_key() {
        let mut update = crate::update::parse(
            br#"{"update_id":7,"message":{"message_thread_id":3,"from":{"id":42},"chat":{"id":-5}}}"#,
        )
        .unwrap();
        let key = |update: &Update<'_>, ordering| {
            let payload = Payload {
                key: update.key.to_string().into(),
                update: encode_update("shop", update, UnixMillis(1_500)),
            };
            ordering_key(ordering, &payload).into_owned()
        };
        let all = [Ordering::Chat, Ordering::User, Ordering::Topic, Ordering::None];
        assert_eq!(all.map(|by| key(&update, by)), ["chat:-5", "user:42", "topic:-5:3", "update:7"]);
        (update.user_id, update.thread_id) = (None, None);
        assert_eq!(all.map(|by| key(&update, by)), ["chat:-5", "chat:-5", "chat:-5", "update:7"]);
    }

    proptest! {
        #[test]
        fn the_bytes_are_those_of_the_generated_type(
            bot in "[a-z]{0,12}",
            update_id in any::<i64>(),
            kind in "[a-z_]{0,70}",
            chat_id in proptest::option::of(any::<i64>()),
            user_id in proptest::option::of(any::<i64>()),
            thread_id in proptest::option::of(any::<i64>()),
            received in prop_oneof![Just(0), Just(1_000), 0..4_000_000_000_000_u64],
            json in ".{0,300}",
        ) {
            let update = Update {
                update_id,
                kind: KindCode::UNKNOWN,
                kind_name: kind.as_str().into(),
                key: Key::Update(update_id),
                chat_id,
                user_id,
                thread_id,
                chat_type: None,
                label: None,
                json: &json,
            };
            let generated = client::Update {
                bot: bot.clone(),
                update_id,
                kind: kind.clone(),
                chat_id,
                user_id,
                received_time: Some(prost_types::Timestamp {
                    seconds: (received / 1000) as i64,
                    nanos: (received % 1000 * 1_000_000) as i32,
                }),
                json: json.clone(),
                thread_id,
            };
            let bytes = encode_update(&bot, &update, UnixMillis(received));
            prop_assert_eq!(&bytes, &Bytes::from(generated.encode_to_vec()));
            let envelope = Envelope { update_id, kind: &kind, received: UnixMillis(received) };
            prop_assert_eq!(read_envelope(&bytes), Some(envelope));
        }

        #[test]
        fn bytes_that_are_no_update_are_survived(bytes in proptest::collection::vec(any::<u8>(), 0..60)) {
            let _any = read_envelope(&bytes);
        }
    }
}
