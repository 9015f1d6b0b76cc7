//! Applies a batch to the tables, in the order of its fields.

use super::codec::{
    encode_attempts, encode_dead_letter, encode_group, encode_head, encode_payload, encode_quarantined,
    group_key, id_key, position_key, sequence_key,
};
use super::fault::Fault;
use super::meta::{self, CommitRow};
use super::progress;
use super::tables::{Table, Writer, between};
use crate::model::{AttemptRecord, Batch, DeadLetter, GroupId, Sequence, UnixMillis};

/// Buffers that outlive a commit.
#[derive(Default)]
pub(super) struct Buffers {
    /// A row being written.
    pub(super) row: Vec<u8>,
    /// Settled positions in the order of their blocks.
    positions: Vec<(GroupId, Sequence)>,
}

/// Writes the batch, and the row of this commit, into the transaction.
pub(super) fn apply(
    writer: &mut Writer<'_>,
    batch: &Batch,
    last: CommitRow,
    buffers: &mut Buffers,
) -> Result<CommitRow, Fault> {
    let mut state = last;
    groups(writer, batch, &mut state)?;
    updates(writer, batch, &mut state)?;
    ids(writer, batch)?;
    quarantine(writer, batch, &mut state)?;
    for (group, sequence, record) in &batch.attempts {
        attempt(writer, *group, *sequence, record, &mut state)?;
    }
    progress::settle(writer, &batch.settled, &mut buffers.positions)?;
    forget_attempts(writer, batch)?;
    for (group, sequence, letter) in &batch.dead_letters {
        dead_letter(writer, *group, *sequence, letter, &mut state)?;
    }
    for (group, cursor) in &batch.cursors {
        progress::advance(writer, *group, *cursor)?;
    }
    for sequence in &batch.trimmed {
        let key = sequence_key(*sequence);
        writer.delete(Table::Heads, &key)?;
        writer.delete(Table::Payloads, &key)?;
    }
    if let Some(url) = &batch.own_webhook {
        meta::write_webhook(writer, url)?;
    }
    state.number += 1;
    state.chain = writer.chain();
    meta::write_commit(writer, state)?;
    Ok(state)
}

/// An upper bound of the room that the batch's new rows take, in bytes.
pub(super) fn room_needed(batch: &Batch) -> u64 {
    /// A row's key, checksum, head and share of half-filled pages.
    const ROW: usize = 512;
    /// What does not fit a page beside others takes whole pages of its own.
    const PAGE: usize = 4096;
    let row = |value: usize| ROW + if value > PAGE / 4 { value.next_multiple_of(PAGE) } else { value * 2 };
    let updates: usize = batch
        .updates
        .iter()
        .map(|update| ROW + row(update.payload.key.len() + update.payload.update.len()))
        .sum();
    let quarantined: usize =
        batch.quarantined.iter().map(|element| row(element.reason.len() + element.bytes.len())).sum();
    (updates + quarantined + batch.groups.len() * ROW) as u64
}

fn groups(writer: &mut Writer<'_>, batch: &Batch, state: &mut CommitRow) -> Result<(), Fault> {
    for group in &batch.groups {
        state.last_group = state.last_group.max(group.id);
        state.last_time = state.last_time.max(group.created);
        writer.put(Table::Groups, &group_key(group.id), |out| encode_group(out, group))?;
    }
    for group in &batch.deleted_groups {
        writer.delete(Table::Groups, &group_key(*group))?;
        writer.delete(Table::Cursors, &group_key(*group))?;
        let (first, last) = (position_key(*group, 0), position_key(*group, u64::MAX));
        for table in [Table::Settled, Table::Attempts, Table::DeadLetters] {
            writer.delete_range(table, between(&first, &last))?;
        }
    }
    Ok(())
}

fn updates(writer: &mut Writer<'_>, batch: &Batch, state: &mut CommitRow) -> Result<(), Fault> {
    for update in &batch.updates {
        let sequence = update.head.sequence;
        if sequence <= state.last_sequence {
            return Err(Fault::Misuse(format!(
                "sequence {} comes after {}",
                sequence.0, state.last_sequence.0
            )));
        }
        state.last_sequence = sequence;
        state.last_time = state.last_time.max(update.head.received);
        writer.append(Table::Heads, &sequence_key(sequence), |out| encode_head(out, &update.head))?;
    }
    for update in &batch.updates {
        let key = sequence_key(update.head.sequence);
        writer.append(Table::Payloads, &key, |out| encode_payload(out, &update.payload))?;
    }
    Ok(())
}

fn ids(writer: &mut Writer<'_>, batch: &Batch) -> Result<(), Fault> {
    for range in &batch.ids {
        let key = id_key(range.hour, range.first);
        writer.put(Table::Ids, &key, |out| out.extend_from_slice(&range.last.to_be_bytes()))?;
    }
    if let Some(hour) = batch.forget_ids_before_hour.checked_sub(1) {
        writer.delete_range(Table::Ids, between(&id_key(0, i64::MIN), &id_key(hour, i64::MAX)))?;
    }
    Ok(())
}

fn quarantine(writer: &mut Writer<'_>, batch: &Batch, state: &mut CommitRow) -> Result<(), Fault> {
    if batch.quarantined.is_empty() {
        return Ok(());
    }
    let last = writer.tables().last(&writer.txn, Table::Quarantine)?;
    let mut number = match last {
        Some((key, _)) => {
            key.try_into().map(u64::from_be_bytes).map_err(|_| Table::Quarantine.damaged(key))?
        }
        None => 0,
    };
    for element in &batch.quarantined {
        number += 1;
        state.last_time = state.last_time.max(element.received);
        writer.append(Table::Quarantine, &number.to_be_bytes(), |out| encode_quarantined(out, element))?;
    }
    Ok(())
}

fn attempt(
    writer: &mut Writer<'_>,
    group: GroupId,
    sequence: Sequence,
    record: &AttemptRecord,
    state: &mut CommitRow,
) -> Result<(), Fault> {
    let known = progress::cursor(writer, group)?.is_some();
    if !known || progress::is_settled(writer, group, sequence)? {
        return Ok(());
    }
    state.last_time = state.last_time.max(newest_time(record));
    writer.put(Table::Attempts, &position_key(group, sequence.0), |out| encode_attempts(out, record))
}

/// The newest past time in the record.
fn newest_time(record: &AttemptRecord) -> UnixMillis {
    let failed = record.history.iter().map(|failure| failure.time).max().unwrap_or_default();
    failed.max(record.first_delivered)
}

/// What is settled needs no attempts.
fn forget_attempts(writer: &mut Writer<'_>, batch: &Batch) -> Result<(), Fault> {
    // Most updates are acked at once: usually there is nothing to look for.
    if batch.settled.is_empty() || writer.tables().rows(Table::Attempts).is_empty(&writer.txn)? {
        return Ok(());
    }
    for (group, sequence, _) in &batch.settled {
        writer.delete(Table::Attempts, &position_key(*group, sequence.0))?;
    }
    Ok(())
}

fn dead_letter(
    writer: &mut Writer<'_>,
    group: GroupId,
    sequence: Sequence,
    letter: &DeadLetter,
    state: &mut CommitRow,
) -> Result<(), Fault> {
    if progress::cursor(writer, group)?.is_none() {
        return Ok(());
    }
    let key = position_key(group, sequence.0);
    let Some(payload) = writer.get(Table::Payloads, &sequence_key(sequence))?.map(<[u8]>::to_vec) else {
        // The second time that the same is applied, the update may be trimmed.
        return match writer.get(Table::DeadLetters, &key)? {
            Some(_) => Ok(()),
            None => Err(Fault::Misuse(format!("the dead letter {} is not stored", sequence.0))),
        };
    };
    state.last_time = state.last_time.max(letter.time);
    writer.put(Table::DeadLetters, &key, |out| encode_dead_letter(out, letter, &payload))
}
