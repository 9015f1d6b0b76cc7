//! Dead letters, their counts, and the replays that take updates from them.

use super::super::codec::{
    decode_dead_letter_count, decode_dead_letter_row, decode_head, encode_dead_letter,
    encode_dead_letter_count, encode_head, group_key, position_key, sequence_key,
};
use super::super::fault::Fault;
use super::super::meta::CommitRow;
use super::super::progress;
use super::super::tables::{Read, Table, Tables, Writer};
use super::{ROW, row};
use crate::journal::DeadLetterCount;
use crate::model::{Batch, DeadLetter, GroupId, Sequence};

/// Keeps a copy of an update as a dead letter, in the place of an earlier one.
pub(super) fn add(
    writer: &mut Writer<'_>,
    group: GroupId,
    sequence: Sequence,
    letter: &DeadLetter,
    state: &mut CommitRow,
) -> Result<(), Fault> {
    if progress::cursor(writer, group)?.is_none() {
        return Ok(());
    }
    let at = sequence_key(sequence);
    let head = writer.get(Table::Heads, &at)?.map(<[u8]>::to_vec);
    let payload = writer.get(Table::Payloads, &at)?.map(<[u8]>::to_vec);
    // The second time that the same is applied, the update may be trimmed; and it may have been purged meanwhile.
    let (Some(head), Some(payload)) = (head, payload) else { return Ok(()) };
    let size = decode_head(&at, &head).ok_or_else(|| Table::Heads.damaged(&at))?.size;
    state.last_time = state.last_time.max(letter.time);
    remove(writer, group, sequence)?;
    let key = position_key(group, sequence.0);
    writer.put(Table::DeadLetters, &key, |out| encode_dead_letter(out, letter, &head, &payload))?;
    count(writer, group, 1, i64::from(size))
}

/// Removes a dead letter, if it is there.
pub(super) fn remove(writer: &mut Writer<'_>, group: GroupId, sequence: Sequence) -> Result<(), Fault> {
    let key = position_key(group, sequence.0);
    let Some(value) = writer.get(Table::DeadLetters, &key)? else { return Ok(()) };
    let row = decode_dead_letter_row(sequence, value).ok_or_else(|| Table::DeadLetters.damaged(&key))?;
    let size = row.head.size;
    writer.delete(Table::DeadLetters, &key)?;
    count(writer, group, -1, -i64::from(size))
}

/// Notes a replay, whose deliveries count anew, and puts the update back from the group's dead letter if it was trimmed.
pub(super) fn replay(
    writer: &mut Writer<'_>,
    group: GroupId,
    sequence: Sequence,
    generation: u32,
) -> Result<(), Fault> {
    if progress::cursor(writer, group)?.is_none() {
        return Ok(());
    }
    let (at, key) = (sequence_key(sequence), position_key(group, sequence.0));
    if writer.get(Table::Heads, &at)?.is_none() {
        // One that was purged meanwhile is neither here nor there.
        let Some(value) = writer.get(Table::DeadLetters, &key)? else { return Ok(()) };
        let row = decode_dead_letter_row(sequence, value).ok_or_else(|| Table::DeadLetters.damaged(&key))?;
        let (head, payload) = (row.head, row.payload.to_vec());
        writer.put(Table::Heads, &at, |out| encode_head(out, &head))?;
        writer.put(Table::Payloads, &at, |out| out.extend_from_slice(&payload))?;
    }
    writer.delete(Table::Attempts, &key)?;
    writer.put(Table::Replays, &key, |out| out.extend_from_slice(&generation.to_be_bytes()))
}

/// What the copies take that a batch makes: dead letters, and updates that come back from them.
pub(super) fn bytes_copied(batch: &Batch, tables: &Tables, txn: &Read<'_>) -> Result<usize, Fault> {
    let mut bytes = 0;
    for (_, sequence, letter) in &batch.dead_letters {
        let payload = tables.get(txn, Table::Payloads, &sequence_key(*sequence))?.map_or(0, <[u8]>::len);
        let words = |text: &str| text.len();
        let history: usize = letter
            .attempts
            .history
            .iter()
            .map(|failure| words(&failure.reason) + words(&failure.consumer))
            .sum();
        bytes += ROW + row(payload + history);
    }
    for (group, sequence, _) in &batch.replays {
        let key = position_key(*group, sequence.0);
        if tables.get(txn, Table::Heads, &sequence_key(*sequence))?.is_none() {
            bytes += ROW + row(tables.get(txn, Table::DeadLetters, &key)?.map_or(0, <[u8]>::len));
        }
    }
    Ok(bytes)
}

/// Counts a dead letter of a group in or out.
fn count(writer: &mut Writer<'_>, group: GroupId, count: i64, bytes: i64) -> Result<(), Fault> {
    let key = group_key(group);
    let damaged = || Table::DeadLetterCounts.damaged(&key);
    let before = match writer.get(Table::DeadLetterCounts, &key)? {
        Some(value) => decode_dead_letter_count(value).ok_or_else(damaged)?,
        None => DeadLetterCount::default(),
    };
    let after = DeadLetterCount {
        count: before.count.checked_add_signed(count).ok_or_else(damaged)?,
        bytes: before.bytes.checked_add_signed(bytes).ok_or_else(damaged)?,
    };
    if after.count == 0 {
        return writer.delete(Table::DeadLetterCounts, &key);
    }
    writer.put(Table::DeadLetterCounts, &key, |out| encode_dead_letter_count(out, after))
}
