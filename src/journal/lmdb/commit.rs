//! Applies a batch to the tables, in the order of its fields.

mod dead_letters;
mod removal;

use super::codec::{
    EventKey, decode_group, encode_attempts, encode_event, encode_group, encode_head, encode_payload,
    encode_quarantined, event_key, group_key, id_key, position_key, sequence_key,
};
use super::fault::Fault;
use super::meta::{self, CommitRow};
use super::progress;
use super::tables::{Read, Table, Tables, Writer, between};
use crate::model::{AttemptRecord, Batch, GroupId, Sequence, UnixMillis};

/// Buffers that outlive a commit.
#[derive(Default)]
pub(super) struct Buffers {
    /// A row being written.
    pub(super) row: Vec<u8>,
    /// Settled positions in the order of their blocks.
    positions: Vec<(GroupId, Sequence)>,
    /// Events in the order of their keys, by their places in the batch.
    events: Vec<(EventKey, usize)>,
    /// Updates to remove, in order.
    gone: Vec<Sequence>,
}

/// What becomes of a batch's events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Trail {
    /// They are written.
    Kept,
    /// They are left out, for want of room.
    LeftOut,
}

/// Writes the batch, and the row of this commit, into the transaction.
pub(super) fn apply(
    writer: &mut Writer<'_>,
    batch: &Batch,
    last: CommitRow,
    trail: Trail,
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
        dead_letters::add(writer, *group, *sequence, letter, &mut state)?;
    }
    events(writer, batch, trail, &mut state, &mut buffers.events)?;
    for (group, sequence, generation) in &batch.replays {
        dead_letters::replay(writer, *group, *sequence, *generation)?;
    }
    for (group, sequence) in &batch.removed_dead_letters {
        dead_letters::remove(writer, *group, *sequence)?;
    }
    for (group, cursor) in &batch.cursors {
        progress::advance(writer, *group, *cursor)?;
    }
    removal::trim_and_purge(writer, batch, &mut buffers.gone, &mut buffers.positions)?;
    if batch.forget_quarantined_to > 0 {
        let (first, last) = (0u64.to_be_bytes(), batch.forget_quarantined_to.to_be_bytes());
        writer.delete_range(Table::Quarantine, between(&first, &last))?;
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
pub(super) fn room_needed(batch: &Batch, tables: &Tables, txn: &Read<'_>) -> Result<u64, Fault> {
    let updates: usize = batch
        .updates
        .iter()
        .map(|update| ROW + row(update.payload.key.len() + update.payload.update.len()))
        .sum();
    let quarantined: usize =
        batch.quarantined.iter().map(|element| row(element.reason.len() + element.bytes.len())).sum();
    // A group may have thousands of chats in its filters.
    let mut group = Vec::new();
    let groups: usize = batch
        .groups
        .iter()
        .chain(&batch.changed_groups)
        .map(|record| {
            group.clear();
            encode_group(&mut group, record);
            row(group.len())
        })
        .sum();
    let rest = batch.events.len() + batch.replays.len();
    let copies = dead_letters::bytes_copied(batch, tables, txn)?;
    Ok((updates + quarantined + groups + rest * ROW + copies) as u64)
}

/// A row's key, checksum, head and share of half-filled pages.
const ROW: usize = 512;

/// What a row with a value of so many bytes takes.
fn row(value: usize) -> usize {
    /// What does not fit a page beside others takes whole pages of its own.
    const PAGE: usize = 4096;
    ROW + if value > PAGE / 4 { value.next_multiple_of(PAGE) } else { value * 2 }
}

fn groups(writer: &mut Writer<'_>, batch: &Batch, state: &mut CommitRow) -> Result<(), Fault> {
    for group in batch.groups.iter().chain(&batch.changed_groups) {
        state.last_group = state.last_group.max(group.id);
        state.last_time = state.last_time.max(group.created);
        writer.put(Table::Groups, &group_key(group.id), |out| encode_group(out, group))?;
    }
    for group in &batch.deleted_groups {
        let key = group_key(*group);
        let Some(record) = writer.get(Table::Groups, &key)? else { continue };
        let record = decode_group(&key, record).ok_or_else(|| Table::Groups.damaged(&key))?;
        writer.put(Table::Deleted, record.name.as_str().as_bytes(), |_| ())?;
        for table in [Table::Groups, Table::Cursors, Table::DeadLetterCounts] {
            writer.delete(table, &key)?;
        }
        let (first, last) = (position_key(*group, 0), position_key(*group, u64::MAX));
        for table in [Table::Settled, Table::Attempts, Table::DeadLetters, Table::Replays] {
            writer.delete_range(table, between(&first, &last))?;
        }
    }
    for group in &batch.groups {
        // One with the name of another that was deleted by the same batch stays.
        if writer.get(Table::Groups, &group_key(group.id))?.is_some() {
            writer.delete(Table::Deleted, group.name.as_str().as_bytes())?;
        }
    }
    for (group, to) in &batch.sought {
        if progress::cursor(writer, *group)?.is_none() {
            continue;
        }
        let (first, last) = (position_key(*group, 0), position_key(*group, u64::MAX));
        for table in [Table::Settled, Table::Attempts, Table::Replays] {
            writer.delete_range(table, between(&first, &last))?;
        }
        writer.put(Table::Cursors, &group_key(*group), |out| out.extend_from_slice(&to.0.to_be_bytes()))?;
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
    if progress::cursor(writer, group)?.is_none() {
        return Ok(());
    }
    let key = position_key(group, sequence.0);
    // What is settled is not attempted, but for a replay.
    if progress::is_settled(writer, group, sequence)? && writer.get(Table::Replays, &key)?.is_none() {
        return Ok(());
    }
    state.last_time = state.last_time.max(newest_time(record));
    writer.put(Table::Attempts, &key, |out| encode_attempts(out, record))
}

/// The newest past time in the record.
fn newest_time(record: &AttemptRecord) -> UnixMillis {
    let failed = record.history.iter().map(|failure| failure.time).max().unwrap_or_default();
    failed.max(record.first_delivered)
}

/// What is settled needs no attempts, and its replay is over.
fn forget_attempts(writer: &mut Writer<'_>, batch: &Batch) -> Result<(), Fault> {
    // Most updates are acked at once: usually there is nothing to look for.
    for table in [Table::Attempts, Table::Replays] {
        if batch.settled.is_empty() || writer.tables().rows(table).is_empty(&writer.txn)? {
            continue;
        }
        for (group, sequence, _) in &batch.settled {
            writer.delete(table, &position_key(*group, sequence.0))?;
        }
    }
    Ok(())
}

/// Most acks come in the order of the updates: their events go to the table's end, which fills its pages.
fn events(
    writer: &mut Writer<'_>,
    batch: &Batch,
    trail: Trail,
    state: &mut CommitRow,
    order: &mut Vec<(EventKey, usize)>,
) -> Result<(), Fault> {
    order.clear();
    for (place, (group, sequence, event)) in batch.events.iter().enumerate() {
        state.last_time = state.last_time.max(event.time);
        order.push((event_key(*group, *sequence, event), place));
    }
    if order.is_empty() || trail == Trail::LeftOut {
        return Ok(());
    }
    order.sort_unstable();
    let last = writer.tables().last(&writer.txn, Table::Events)?.map(|(key, _)| key.to_vec());
    // The keys go up: once one is above all stored ones, the rest are.
    let (mut above, mut previous) = (false, None);
    for (key, place) in order {
        let Some((_, _, event)) = batch.events.get(*place) else { continue };
        above |= last.as_ref().is_none_or(|last| key.as_slice() > last.as_slice());
        if above && previous != Some(*key) {
            writer.append(Table::Events, key, |out| encode_event(out, event))?;
        } else {
            writer.put(Table::Events, key, |out| encode_event(out, event))?;
        }
        previous = Some(*key);
    }
    Ok(())
}
