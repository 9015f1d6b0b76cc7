//! Applies a batch to the tables, in the order of its fields.

use super::codec::{
    decode_dead_letter, decode_dead_letter_count, decode_group, decode_group_key, decode_head,
    encode_attempts, encode_dead_letter, encode_dead_letter_count, encode_event, encode_group, encode_head,
    encode_payload, encode_quarantined, event_key, event_keys, group_key, id_key, position_key, sequence_key,
};
use super::fault::Fault;
use super::meta::{self, CommitRow};
use super::progress;
use super::tables::{ALL_KEYS, Table, Writer, between};
use crate::journal::DeadLetterCount;
use crate::model::{AttemptRecord, Batch, DeadLetter, GroupId, Sequence, SettledAs, UnixMillis};

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
    for (group, sequence, event) in &batch.events {
        state.last_time = state.last_time.max(event.time);
        writer.put(Table::Events, &event_key(*group, *sequence, event), |out| encode_event(out, event))?;
    }
    for (group, sequence, generation) in &batch.replays {
        replay(writer, *group, *sequence, *generation)?;
    }
    for (group, sequence) in &batch.removed_dead_letters {
        remove_dead_letter(writer, *group, *sequence)?;
    }
    for (group, cursor) in &batch.cursors {
        progress::advance(writer, *group, *cursor)?;
    }
    for sequence in &batch.trimmed {
        trim(writer, *sequence)?;
    }
    for sequence in &batch.purged {
        purge(writer, *sequence)?;
    }
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
        writer.delete(Table::Deleted, group.name.as_str().as_bytes())?;
    }
    for group in &batch.deleted_groups {
        let key = group_key(*group);
        if let Some(record) = writer.get(Table::Groups, &key)? {
            let record = decode_group(&key, record).ok_or_else(|| Table::Groups.damaged(&key))?;
            writer.put(Table::Deleted, record.name.as_str().as_bytes(), |_| ())?;
        }
        writer.delete(Table::Groups, &key)?;
        writer.delete(Table::Cursors, &key)?;
        writer.delete(Table::DeadLetterCounts, &key)?;
        let (first, last) = (position_key(*group, 0), position_key(*group, u64::MAX));
        for table in [Table::Settled, Table::Attempts, Table::DeadLetters, Table::Replays] {
            writer.delete_range(table, between(&first, &last))?;
        }
    }
    for (group, to) in &batch.sought {
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
    let at = sequence_key(sequence);
    let head = writer.get(Table::Heads, &at)?.map(<[u8]>::to_vec);
    let payload = writer.get(Table::Payloads, &at)?.map(<[u8]>::to_vec);
    // The second time that the same is applied, the update may be trimmed; and it may have been purged meanwhile.
    let (Some(head), Some(payload)) = (head, payload) else { return Ok(()) };
    state.last_time = state.last_time.max(letter.time);
    let key = position_key(group, sequence.0);
    remove_dead_letter(writer, group, sequence)?;
    writer.put(Table::DeadLetters, &key, |out| encode_dead_letter(out, letter, &head, &payload))?;
    count_dead_letter(writer, group, 1, size(sequence, &head)?)
}

fn size(sequence: Sequence, head: &[u8]) -> Result<i64, Fault> {
    let key = sequence_key(sequence);
    let head = decode_head(&key, head).ok_or_else(|| Table::Heads.damaged(&key))?;
    Ok(i64::from(head.size))
}

fn remove_dead_letter(writer: &mut Writer<'_>, group: GroupId, sequence: Sequence) -> Result<(), Fault> {
    let key = position_key(group, sequence.0);
    let Some(row) = writer.get(Table::DeadLetters, &key)? else { return Ok(()) };
    let letter = decode_dead_letter(sequence, row).ok_or_else(|| Table::DeadLetters.damaged(&key))?;
    writer.delete(Table::DeadLetters, &key)?;
    count_dead_letter(writer, group, -1, -i64::from(letter.head.size))
}

fn count_dead_letter(writer: &mut Writer<'_>, group: GroupId, count: i64, bytes: i64) -> Result<(), Fault> {
    let key = group_key(group);
    let before = match writer.get(Table::DeadLetterCounts, &key)? {
        Some(row) => decode_dead_letter_count(row).ok_or_else(|| Table::DeadLetterCounts.damaged(&key))?,
        None => DeadLetterCount::default(),
    };
    let after = DeadLetterCount {
        count: before.count.saturating_add_signed(count),
        bytes: before.bytes.saturating_add_signed(bytes),
    };
    writer.put(Table::DeadLetterCounts, &key, |out| encode_dead_letter_count(out, after))
}

/// Notes a replay, and puts the update back from the group's dead letter if it was trimmed.
fn replay(writer: &mut Writer<'_>, group: GroupId, sequence: Sequence, generation: u32) -> Result<(), Fault> {
    if progress::cursor(writer, group)?.is_none() {
        return Ok(());
    }
    let (at, key) = (sequence_key(sequence), position_key(group, sequence.0));
    if writer.get(Table::Heads, &at)?.is_none() {
        // One that was purged meanwhile is neither here nor there.
        let Some(row) = writer.get(Table::DeadLetters, &key)? else { return Ok(()) };
        let letter = decode_dead_letter(sequence, row).ok_or_else(|| Table::DeadLetters.damaged(&key))?;
        writer.put(Table::Heads, &at, |out| encode_head(out, &letter.head))?;
        writer.put(Table::Payloads, &at, |out| encode_payload(out, &letter.payload))?;
    }
    writer.put(Table::Replays, &key, |out| out.extend_from_slice(&generation.to_be_bytes()))
}

fn trim(writer: &mut Writer<'_>, sequence: Sequence) -> Result<(), Fault> {
    let key = sequence_key(sequence);
    writer.delete(Table::Heads, &key)?;
    writer.delete(Table::Payloads, &key)?;
    let (first, last) = event_keys(sequence);
    writer.delete_range(Table::Events, between(&first, &last))
}

fn purge(writer: &mut Writer<'_>, sequence: Sequence) -> Result<(), Fault> {
    trim(writer, sequence)?;
    let groups = groups_in(writer)?;
    let settled: Vec<_> = groups.iter().map(|group| (*group, sequence, SettledAs::Purged)).collect();
    progress::settle(writer, &settled, &mut Vec::new())?;
    for group in groups {
        let key = position_key(group, sequence.0);
        writer.delete(Table::Attempts, &key)?;
        writer.delete(Table::Replays, &key)?;
        remove_dead_letter(writer, group, sequence)?;
    }
    Ok(())
}

fn groups_in(writer: &Writer<'_>) -> Result<Vec<GroupId>, Fault> {
    let rows = writer.tables().scan(&writer.txn, Table::Groups, ALL_KEYS)?;
    let id = |(key, _): (&[u8], _)| decode_group_key(key).ok_or_else(|| Table::Groups.damaged(key));
    rows.map(|row| row.and_then(id)).collect()
}
