//! An update's head and payload.

use bytes::Bytes;

use super::{Decoder, decode_sequence_key, put_text};
use crate::model::{Head, KeyHash, Label, MAX_LABEL_BYTES, Payload, UnixMillis};
use crate::update::{ChatType, KindCode};

pub(in crate::journal::lmdb) fn encode_head(out: &mut Vec<u8>, head: &Head) {
    out.extend_from_slice(&head.update_id.to_be_bytes());
    out.extend_from_slice(&head.key.0.to_be_bytes());
    out.extend_from_slice(&head.user.0.to_be_bytes());
    out.extend_from_slice(&head.topic.0.to_be_bytes());
    out.push(head.kind.0);
    out.extend_from_slice(&head.size.to_be_bytes());
    out.extend_from_slice(&head.received.0.to_be_bytes());
    // As the time that it took: most are below a second.
    let waited = head.committed.since(head.received).min(u64::from(u32::MAX));
    out.extend_from_slice(&(waited as u32).to_be_bytes());
    out.push(head.chat_type.map_or(0, ChatType::code));
    out.push(u8::from(head.claimed));
    out.extend_from_slice(head.label.as_str().as_bytes());
}

pub(in crate::journal::lmdb) fn decode_head(key: &[u8], value: &[u8]) -> Option<Head> {
    let mut decoder = Decoder::new(value);
    let mut head = Head {
        sequence: decode_sequence_key(key)?,
        update_id: decoder.i64()?,
        key: KeyHash(decoder.u64()?),
        user: KeyHash(decoder.u64()?),
        topic: KeyHash(decoder.u64()?),
        kind: KindCode(decoder.u8()?),
        size: decoder.u32()?,
        received: decoder.time()?,
        committed: UnixMillis(0),
        chat_type: None,
        claimed: false,
        label: Label::EMPTY,
    };
    head.committed = head.received;
    if decoder.is_empty() {
        // Written by format 1, which had no more.
        return Some(head);
    }
    head.committed = head.received.plus(u64::from(decoder.u32()?));
    let chat_type = decoder.u8()?;
    head.chat_type = ChatType::from_code(chat_type);
    if head.chat_type.is_none() && chat_type != 0 {
        return None;
    }
    head.claimed = decoder.flag()?;
    let label = std::str::from_utf8(decoder.rest()).ok().filter(|text| text.len() <= MAX_LABEL_BYTES)?;
    head.label = Label::new(label);
    Some(head)
}

pub(in crate::journal::lmdb) fn encode_payload(out: &mut Vec<u8>, payload: &Payload) {
    put_text(out, &payload.key);
    out.extend_from_slice(&payload.update);
}

pub(in crate::journal::lmdb) fn decode_payload(value: &[u8]) -> Option<Payload> {
    let mut decoder = Decoder::new(value);
    let key = decoder.text()?.into();
    Some(Payload { key, update: Bytes::copy_from_slice(decoder.rest()) })
}
