//! Brings a journal of format 1 up to date: dead letters get the heads of their updates, and are counted.
//!
//! The rest is read as it is: heads and groups of format 1 are shorter, and what they lack has a value of its own.

use std::collections::BTreeMap;

use super::codec::{
    Decoder, decode_format_1_dead_letter, decode_head, decode_payload, decode_position_key,
    encode_dead_letter, encode_dead_letter_count, encode_head, group_key, sequence_key,
};
use super::fault::Fault;
use super::meta;
use super::tables::{Table, Writer};
use crate::journal::DeadLetterCount;
use crate::model::{GroupId, Head, KeyHash, Label, Payload, Sequence, UnixMillis};
use crate::update;

/// Migrates the journal if it has an older format. All tables are there already.
pub(super) fn migrate(writer: &mut Writer<'_>) -> Result<(), Fault> {
    if meta::format(writer.tables().rows(Table::Meta), &writer.txn)? == Some(meta::FORMAT) {
        return Ok(());
    }
    let mut counts: BTreeMap<GroupId, DeadLetterCount> = BTreeMap::new();
    for key in dead_letter_keys(writer)? {
        let damaged = || Table::DeadLetters.damaged(&key);
        let (group, sequence) = decode_position_key(&key).ok_or_else(damaged)?;
        let size = add_head(writer, &key, Sequence(sequence))?.ok_or_else(damaged)?;
        let count = counts.entry(group).or_default();
        count.count += 1;
        count.bytes += u64::from(size);
    }
    for (group, count) in counts {
        let key = group_key(group);
        writer.put(Table::DeadLetterCounts, &key, |out| encode_dead_letter_count(out, count))?;
    }
    meta::write_format(writer)
}

fn dead_letter_keys(writer: &Writer<'_>) -> Result<Vec<Vec<u8>>, Fault> {
    let rows = writer.tables().scan_whole(&writer.txn, Table::DeadLetters)?;
    rows.map(|row| row.map(|(key, _)| key.to_vec())).collect()
}

/// Rewrites a dead letter with its update's head; answers the size of the update.
fn add_head(writer: &mut Writer<'_>, key: &[u8], sequence: Sequence) -> Result<Option<u32>, Fault> {
    let row = writer.get(Table::DeadLetters, key)?.map(<[u8]>::to_vec);
    let Some((letter, payload)) = row.as_deref().and_then(decode_format_1_dead_letter) else {
        return Ok(None);
    };
    let at = sequence_key(sequence);
    let head = match writer.get(Table::Heads, &at)? {
        Some(head) => Some(decode_head(&at, head).ok_or_else(|| Table::Heads.damaged(&at))?),
        // It was trimmed.
        None => decode_payload(payload).and_then(|payload| head_of(sequence, &payload)),
    };
    let Some(head) = head else { return Ok(None) };
    let mut encoded = Vec::new();
    encode_head(&mut encoded, &head);
    writer.put(Table::DeadLetters, key, |out| encode_dead_letter(out, &letter, &encoded, payload))?;
    Ok(Some(head.size))
}

/// The head of an update of which only the payload is left.
fn head_of(sequence: Sequence, payload: &Payload) -> Option<Head> {
    let (json, received) = stored_update(&payload.update)?;
    let update = update::parse(json).ok()?;
    let key = KeyHash::of(&payload.key);
    Some(Head {
        sequence,
        update_id: update.update_id,
        key,
        user: update.user_id.map_or(key, KeyHash::of_user),
        topic: match (update.chat_id, update.thread_id) {
            (Some(chat), Some(thread)) => KeyHash::of(&format!("topic:{chat}:{thread}")),
            _ => key,
        },
        kind: update.kind,
        chat_type: update.chat_type,
        label: update.label.as_deref().map_or(Label::EMPTY, Label::new),
        claimed: false,
        size: u32::try_from(json.len()).ok()?,
        received,
        committed: received,
    })
}

/// The fields `received_time` and `json` of a `switchboard.v1.Update`, as format 1 stored it.
fn stored_update(bytes: &[u8]) -> Option<(&[u8], UnixMillis)> {
    const RECEIVED_TIME: u64 = 6;
    const JSON: u64 = 7;
    let (mut json, mut received) = (None, UnixMillis(0));
    let mut decoder = Decoder::new(bytes);
    while !decoder.is_empty() {
        match field(&mut decoder)? {
            (JSON, Field::Bytes(bytes)) => json = Some(bytes),
            (RECEIVED_TIME, Field::Bytes(bytes)) => received = time(bytes)?,
            _ => {}
        }
    }
    Some((json?, received))
}

/// A `google.protobuf.Timestamp`.
fn time(bytes: &[u8]) -> Option<UnixMillis> {
    const SECONDS: u64 = 1;
    const NANOS: u64 = 2;
    let mut milliseconds = 0u64;
    let mut decoder = Decoder::new(bytes);
    while !decoder.is_empty() {
        match field(&mut decoder)? {
            (SECONDS, Field::Number(seconds)) => milliseconds += seconds.checked_mul(1000)?,
            (NANOS, Field::Number(nanos)) => milliseconds += nanos / 1_000_000,
            _ => {}
        }
    }
    Some(UnixMillis(milliseconds))
}

/// A field of a protobuf message: of the types that an Update has.
enum Field<'a> {
    Number(u64),
    Bytes(&'a [u8]),
}

/// The next field, with its number.
fn field<'a>(decoder: &mut Decoder<'a>) -> Option<(u64, Field<'a>)> {
    let tag = decoder.varint()?;
    let value = match tag & 7 {
        0 => Field::Number(decoder.varint()?),
        2 => {
            let length = usize::try_from(decoder.varint()?).ok()?;
            Field::Bytes(decoder.take(length)?)
        }
        _ => return None,
    };
    Some((tag >> 3, value))
}
