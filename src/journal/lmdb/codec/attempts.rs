//! What is remembered of an update's deliveries, and dead letters.

use super::{Decoder, decode_head, decode_payload, put_count, put_text, sequence_key};
use crate::journal::DeadLetterCount;
use crate::model::{
    AttemptRecord, DeadLetter, FailureKind, FailureRecord, Head, Sequence, SettledAs, StoredDeadLetter,
};

pub(in crate::journal::lmdb) fn encode_attempts(out: &mut Vec<u8>, record: &AttemptRecord) {
    for number in [record.attempt, record.failures, record.losses] {
        out.extend_from_slice(&number.to_be_bytes());
    }
    for time in [record.first_delivered, record.first_failed, record.not_before] {
        out.extend_from_slice(&time.0.to_be_bytes());
    }
    // The dispatcher bounds the history to a few entries.
    out.extend_from_slice(&(record.history.len() as u32).to_be_bytes());
    for failure in &record.history {
        out.push(failure_code(failure.kind));
        out.extend_from_slice(&failure.time.0.to_be_bytes());
        out.extend_from_slice(&failure.attempt.to_be_bytes());
        put_text(out, &failure.reason);
        put_text(out, &failure.consumer);
    }
}

pub(in crate::journal::lmdb) fn decode_attempts(value: &[u8]) -> Option<AttemptRecord> {
    let mut decoder = Decoder::new(value);
    let record = attempts(&mut decoder)?;
    decoder.end(record)
}

fn attempts(decoder: &mut Decoder<'_>) -> Option<AttemptRecord> {
    let mut record = AttemptRecord {
        attempt: decoder.u32()?,
        failures: decoder.u32()?,
        losses: decoder.u32()?,
        first_delivered: decoder.time()?,
        first_failed: decoder.time()?,
        not_before: decoder.time()?,
        history: Vec::new(),
    };
    for _ in 0..decoder.u32()? {
        record.history.push(FailureRecord {
            kind: failure_kind(decoder.u8()?)?,
            time: decoder.time()?,
            attempt: decoder.u32()?,
            reason: decoder.text()?.into(),
            consumer: decoder.text()?.into(),
        });
    }
    Some(record)
}

fn failure_code(kind: FailureKind) -> u8 {
    match kind {
        FailureKind::Nacked => 1,
        FailureKind::Expired => 2,
        FailureKind::Lost => 3,
        FailureKind::Rejected => 4,
    }
}

fn failure_kind(code: u8) -> Option<FailureKind> {
    [FailureKind::Nacked, FailureKind::Expired, FailureKind::Lost, FailureKind::Rejected]
        .into_iter()
        .find(|kind| failure_code(*kind) == code)
}

pub(super) fn settled_code(settled: SettledAs) -> u8 {
    match settled {
        SettledAs::Acked => 1,
        SettledAs::Rejected => 2,
        SettledAs::DeadLettered => 3,
        SettledAs::Expired => 4,
        SettledAs::Purged => 5,
    }
}

pub(super) fn settled_as(code: u8) -> Option<SettledAs> {
    [SettledAs::Acked, SettledAs::Rejected, SettledAs::DeadLettered, SettledAs::Expired, SettledAs::Purged]
        .into_iter()
        .find(|settled| settled_code(*settled) == code)
}

/// A dead letter's row.
pub(in crate::journal::lmdb) struct DeadLetterRow<'a> {
    pub(in crate::journal::lmdb) letter: DeadLetter,
    pub(in crate::journal::lmdb) head: Head,
    /// Still encoded.
    pub(in crate::journal::lmdb) payload: &'a [u8],
}

/// `head` and `payload` are encoded.
pub(in crate::journal::lmdb) fn encode_dead_letter(
    out: &mut Vec<u8>,
    letter: &DeadLetter,
    head: &[u8],
    payload: &[u8],
) {
    out.extend_from_slice(&letter.time.0.to_be_bytes());
    out.push(settled_code(letter.settled));
    encode_attempts(out, &letter.attempts);
    put_count(out, head.len());
    out.extend_from_slice(head);
    out.extend_from_slice(payload);
}

pub(in crate::journal::lmdb) fn decode_dead_letter(
    sequence: Sequence,
    value: &[u8],
) -> Option<StoredDeadLetter> {
    let DeadLetterRow { letter, head, payload } = decode_dead_letter_row(sequence, value)?;
    Some(StoredDeadLetter { head, letter, payload: decode_payload(payload)? })
}

pub(in crate::journal::lmdb) fn decode_dead_letter_row(
    sequence: Sequence,
    value: &[u8],
) -> Option<DeadLetterRow<'_>> {
    let mut decoder = Decoder::new(value);
    let letter = letter(&mut decoder)?;
    let head = decode_head(&sequence_key(sequence), decoder.bytes()?)?;
    Some(DeadLetterRow { letter, head, payload: decoder.rest() })
}

/// In format 1 there was no head between the letter and the encoded payload.
pub(in crate::journal::lmdb) fn decode_format_1_dead_letter(value: &[u8]) -> Option<(DeadLetter, &[u8])> {
    let mut decoder = Decoder::new(value);
    Some((letter(&mut decoder)?, decoder.rest()))
}

fn letter(decoder: &mut Decoder<'_>) -> Option<DeadLetter> {
    Some(DeadLetter {
        time: decoder.time()?,
        settled: settled_as(decoder.u8()?)?,
        attempts: attempts(decoder)?,
    })
}

pub(in crate::journal::lmdb) fn encode_dead_letter_count(out: &mut Vec<u8>, count: DeadLetterCount) {
    out.extend_from_slice(&count.count.to_be_bytes());
    out.extend_from_slice(&count.bytes.to_be_bytes());
}

pub(in crate::journal::lmdb) fn decode_dead_letter_count(value: &[u8]) -> Option<DeadLetterCount> {
    let mut decoder = Decoder::new(value);
    let count = DeadLetterCount { count: decoder.u64()?, bytes: decoder.u64()? };
    decoder.end(count)
}
