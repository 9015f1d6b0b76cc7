//! Which positions a group has settled: a cursor, and above it blocks of 4,096 bits each.

use super::codec::{decode_words, encode_words, group_key, position_key};
use super::fault::Fault;
use super::tables::{Table, Writer, between};
use crate::model::{GroupId, Sequence, SettledAs};

/// Positions in a block.
pub(super) const BLOCK: u64 = 4096;

/// A group's cursor; 0 where none was recorded, `None` where there is no such group.
pub(super) fn cursor(writer: &Writer<'_>, group: GroupId) -> Result<Option<Sequence>, Fault> {
    let key = group_key(group);
    if writer.get(Table::Groups, &key)?.is_none() {
        return Ok(None);
    }
    let Some(value) = writer.get(Table::Cursors, &key)? else { return Ok(Some(Sequence(0))) };
    match super::codec::decode_sequence_key(value) {
        Some(cursor) => Ok(Some(cursor)),
        None => Err(Table::Cursors.damaged(&key)),
    }
}

/// Whether a group is done with an update.
pub(super) fn is_settled(writer: &Writer<'_>, group: GroupId, at: Sequence) -> Result<bool, Fault> {
    let Some(cursor) = cursor(writer, group)? else { return Ok(false) };
    if at <= cursor {
        return Ok(true);
    }
    let words = block(writer, group, at.0 / BLOCK)?;
    let (word, bit) = place(at);
    Ok(words.get(word).is_some_and(|word| word & bit != 0))
}

/// The words of a block; none set where it is not stored.
fn block(writer: &Writer<'_>, group: GroupId, number: u64) -> Result<Box<[u64; 64]>, Fault> {
    let key = position_key(group, number);
    match writer.get(Table::Settled, &key)? {
        Some(value) => decode_words(value).ok_or_else(|| Table::Settled.damaged(&key)),
        None => Ok(Box::new([0; 64])),
    }
}

/// A position's word in its block, and its bit in the word.
fn place(at: Sequence) -> (usize, u64) {
    let offset = at.0 % BLOCK;
    // Below 64.
    ((offset / 64) as usize, 1 << (offset % 64))
}

/// Marks positions as settled; each touched block is read and written once. Positions of groups that are not there, or
/// at and below their cursor, change nothing. `order` is a buffer.
pub(super) fn settle(
    writer: &mut Writer<'_>,
    settled: &[(GroupId, Sequence, SettledAs)],
    order: &mut Vec<(GroupId, Sequence)>,
) -> Result<(), Fault> {
    order.clear();
    order.extend(settled.iter().map(|(group, sequence, _)| (*group, *sequence)));
    order.sort_unstable();
    let same_block =
        |a: &(GroupId, Sequence), b: &(GroupId, Sequence)| a.0 == b.0 && a.1.0 / BLOCK == b.1.0 / BLOCK;
    for positions in order.chunk_by(same_block) {
        let Some((group, first)) = positions.first().copied() else { continue };
        let Some(cursor) = cursor(writer, group)? else { continue };
        let number = first.0 / BLOCK;
        let mut words = block(writer, group, number)?;
        let mut changed = false;
        for (_, sequence) in positions.iter().filter(|(_, sequence)| *sequence > cursor) {
            let (word, bit) = place(*sequence);
            if let Some(word) = words.get_mut(word) {
                changed |= *word & bit == 0;
                *word |= bit;
            }
        }
        if changed {
            writer.put(Table::Settled, &position_key(group, number), |out| encode_words(out, &words))?;
        }
    }
    Ok(())
}

/// Moves a group's cursor forward, and forgets the blocks that are wholly at or below it.
pub(super) fn advance(writer: &mut Writer<'_>, group: GroupId, to: Sequence) -> Result<(), Fault> {
    let Some(old) = cursor(writer, group)? else { return Ok(()) };
    if to <= old {
        return Ok(());
    }
    writer.put(Table::Cursors, &group_key(group), |out| out.extend_from_slice(&to.0.to_be_bytes()))?;
    let whole = |cursor: Sequence| cursor.0.saturating_add(1) / BLOCK;
    if whole(to) > whole(old) {
        let (first, last) = (position_key(group, 0), position_key(group, whole(to) - 1));
        writer.delete_range(Table::Settled, between(&first, &last))?;
    }
    Ok(())
}
