//! An update's trail. There is a row for nearly every delivery that was ever made: so they are kept small.

use super::attempts::{settled_as, settled_code};
use super::{Decoder, put_varint};
use crate::model::{AttemptOutcome, EndedAttempt, Event, GroupId, Sequence, UnixMillis};

/// An event's key: its update, its group, when it was, and what ended (generation, attempt, how it was settled): what is
/// applied twice is there once.
pub(in crate::journal::lmdb) type EventKey = [u8; 29];

/// Set in the outcome's byte where a replay asked for the delivery.
const REPLAYED: u8 = 0x80;

pub(in crate::journal::lmdb) fn event_key(group: GroupId, sequence: Sequence, event: &Event) -> EventKey {
    let (generation, attempt) =
        event.attempt.as_ref().map_or((0, 0), |ended| (ended.generation, ended.attempt));
    let mut key = [0; 29];
    key[..8].copy_from_slice(&sequence.0.to_be_bytes());
    key[8..12].copy_from_slice(&group.0.to_be_bytes());
    key[12..20].copy_from_slice(&event.time.0.to_be_bytes());
    key[20..24].copy_from_slice(&generation.to_be_bytes());
    key[24..28].copy_from_slice(&attempt.to_be_bytes());
    key[28] = event.settled.map_or(0, settled_code);
    key
}

/// The first and the last key of the events of the updates from `first` to `last`.
pub(in crate::journal::lmdb) fn event_keys(first: Sequence, last: Sequence) -> (EventKey, EventKey) {
    let (mut low, mut high) = ([0; 29], [u8::MAX; 29]);
    low[..8].copy_from_slice(&first.0.to_be_bytes());
    high[..8].copy_from_slice(&last.0.to_be_bytes());
    (low, high)
}

pub(in crate::journal::lmdb) fn encode_event(out: &mut Vec<u8>, event: &Event) {
    let Some(ended) = &event.attempt else { return };
    out.push(outcome_code(ended.outcome) | if ended.replayed { REPLAYED } else { 0 });
    // As the time that it took, which is short.
    put_varint(out, event.time.0.wrapping_sub(ended.delivered.0));
    put_varint(out, ended.consumer.len() as u64);
    out.extend_from_slice(ended.consumer.as_bytes());
    out.extend_from_slice(ended.reason.as_bytes());
}

pub(in crate::journal::lmdb) fn decode_event(key: &[u8], value: &[u8]) -> Option<(GroupId, Event)> {
    let mut decoder = Decoder::new(key);
    let (_, group, time) = (decoder.u64()?, GroupId(decoder.u32()?), decoder.time()?);
    let (generation, attempt, settled) = (decoder.u32()?, decoder.u32()?, decoder.u8()?);
    let settled = if settled == 0 { None } else { Some(settled_as(settled)?) };
    decoder.end(())?;
    if value.is_empty() {
        return Some((group, Event { time, attempt: None, settled }));
    }
    let mut decoder = Decoder::new(value);
    let code = decoder.u8()?;
    let took = decoder.varint()?;
    let consumer = usize::try_from(decoder.varint()?).ok()?;
    let consumer = std::str::from_utf8(decoder.take(consumer)?).ok()?.into();
    let attempt = EndedAttempt {
        generation,
        attempt,
        outcome: outcome(code & !REPLAYED)?,
        replayed: code & REPLAYED != 0,
        delivered: UnixMillis(time.0.wrapping_sub(took)),
        consumer,
        reason: std::str::from_utf8(decoder.rest()).ok()?.into(),
    };
    Some((group, Event { time, attempt: Some(attempt), settled }))
}

const OUTCOMES: [AttemptOutcome; 7] = [
    AttemptOutcome::Acked,
    AttemptOutcome::Nacked,
    AttemptOutcome::Released,
    AttemptOutcome::Expired,
    AttemptOutcome::Lost,
    AttemptOutcome::Rejected,
    AttemptOutcome::Revoked,
];

fn outcome_code(outcome: AttemptOutcome) -> u8 {
    match outcome {
        AttemptOutcome::Acked => 1,
        AttemptOutcome::Nacked => 2,
        AttemptOutcome::Released => 3,
        AttemptOutcome::Expired => 4,
        AttemptOutcome::Lost => 5,
        AttemptOutcome::Rejected => 6,
        AttemptOutcome::Revoked => 7,
    }
}

fn outcome(code: u8) -> Option<AttemptOutcome> {
    OUTCOMES.into_iter().find(|outcome| outcome_code(*outcome) == code)
}
