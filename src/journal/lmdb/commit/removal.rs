//! Removes updates: their heads, payloads and events, and what groups keep of them if they are purged.

use std::collections::HashSet;

use super::super::codec::{
    decode_group_key, decode_position_key, decode_sequence_key, event_keys, position_key, sequence_key,
};
use super::super::fault::Fault;
use super::super::progress;
use super::super::tables::{ALL_KEYS, Table, Writer, between};
use super::dead_letters;
use crate::model::{Batch, GroupId, Sequence, SettledAs};

/// Trims and purges what the batch says. `gone` and `positions` are buffers.
pub(super) fn trim_and_purge(
    writer: &mut Writer<'_>,
    batch: &Batch,
    gone: &mut Vec<Sequence>,
    positions: &mut Vec<(GroupId, Sequence)>,
) -> Result<(), Fault> {
    if batch.trimmed.is_empty() && batch.purged.is_empty() {
        return Ok(());
    }
    gone.clear();
    let replayed = replayed(writer)?;
    gone.extend(batch.trimmed.iter().filter(|sequence| !replayed.contains(sequence)));
    if !batch.purged.is_empty() {
        settle_purged(writer, &batch.purged, positions)?;
        gone.extend(&batch.purged);
    }
    gone.sort_unstable();
    gone.dedup();
    remove(writer, gone)
}

/// The updates that a replay waits for.
fn replayed(writer: &Writer<'_>) -> Result<HashSet<Sequence>, Fault> {
    let position = |(key, _): (&[u8], _)| {
        let (_, sequence) = decode_position_key(key).ok_or_else(|| Table::Replays.damaged(key))?;
        Ok(Sequence(sequence))
    };
    let rows = writer.tables().scan(&writer.txn, Table::Replays, ALL_KEYS)?;
    rows.map(|row| row.and_then(position)).collect()
}

/// Nothing that groups keep of the updates stays, but that they are done with them.
fn settle_purged(
    writer: &mut Writer<'_>,
    purged: &[Sequence],
    positions: &mut Vec<(GroupId, Sequence)>,
) -> Result<(), Fault> {
    let groups = groups(writer)?;
    let each = || groups.iter().flat_map(|group| purged.iter().map(move |sequence| (*group, *sequence)));
    let settled: Vec<_> = each().map(|(group, sequence)| (group, sequence, SettledAs::Purged)).collect();
    progress::settle(writer, &settled, positions)?;
    for (group, sequence) in each() {
        let key = position_key(group, sequence.0);
        writer.delete(Table::Attempts, &key)?;
        writer.delete(Table::Replays, &key)?;
        dead_letters::remove(writer, group, sequence)?;
    }
    Ok(())
}

fn groups(writer: &Writer<'_>) -> Result<Vec<GroupId>, Fault> {
    let rows = writer.tables().scan(&writer.txn, Table::Groups, ALL_KEYS)?;
    let id = |(key, _): (&[u8], _)| decode_group_key(key).ok_or_else(|| Table::Groups.damaged(key));
    rows.map(|row| row.and_then(id)).collect()
}

/// Removes the rows of updates, which are ascending. Most are a run of sequences without a gap, which goes at once.
fn remove(writer: &mut Writer<'_>, gone: &[Sequence]) -> Result<(), Fault> {
    let runs = || {
        let runs = gone.chunk_by(|one, other| one.next() == *other);
        runs.filter_map(|run| Some((*run.first()?, *run.last()?)))
    };
    for (first, last) in runs() {
        let keys = (sequence_key(first), sequence_key(last));
        for table in [Table::Heads, Table::Payloads] {
            writer.delete_range(table, between(&keys.0, &keys.1))?;
        }
    }
    // What is below the first update can have no events, not even such as came after it was gone.
    let head = writer.tables().first(&writer.txn, Table::Heads)?.map(|(key, _)| decode_sequence_key(key));
    let kept = match head {
        Some(Some(first)) => first,
        Some(None) => return Err(Table::Heads.damaged(&[])),
        None => Sequence(u64::MAX),
    };
    let below = Sequence(kept.0.saturating_sub(1));
    let (low, high) = event_keys(Sequence(0), below);
    writer.delete_range(Table::Events, between(&low, &high))?;
    for (first, last) in runs().filter(|(_, last)| *last > below) {
        let (low, high) = event_keys(first, last);
        writer.delete_range(Table::Events, between(&low, &high))?;
    }
    Ok(())
}
