//! The bytes of rows. Integers are big endian, so that the order of keys is the order of numbers. Decoding answers
//! `None` to whatever encoding never made.

use bytes::Bytes;

use crate::model::{
    AttemptRecord, DeadLetter, FailureKind, FailureRecord, GroupId, GroupName, GroupRecord, GroupSettings,
    Head, IdRange, KeyHash, Payload, Quarantined, Sequence, SettledAs, UnixMillis,
};
use crate::update::KindCode;

/// Reads a value from its front.
pub(super) struct Decoder<'a>(&'a [u8]);

impl<'a> Decoder<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (array, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*array)
    }

    pub(super) fn u8(&mut self) -> Option<u8> {
        self.array().map(u8::from_be_bytes)
    }

    pub(super) fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_be_bytes)
    }

    pub(super) fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_be_bytes)
    }

    pub(super) fn i64(&mut self) -> Option<i64> {
        self.array().map(i64::from_be_bytes)
    }

    pub(super) fn time(&mut self) -> Option<UnixMillis> {
        self.u64().map(UnixMillis)
    }

    pub(super) fn text(&mut self) -> Option<&'a str> {
        let length = usize::try_from(self.u32()?).ok()?;
        let (text, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        std::str::from_utf8(text).ok()
    }

    /// All that is left.
    pub(super) fn rest(self) -> &'a [u8] {
        self.0
    }

    /// `value`, if nothing is left.
    pub(super) fn end<T>(self, value: T) -> Option<T> {
        self.0.is_empty().then_some(value)
    }
}

/// A text with its length before it. Texts are bounded far below 4 GiB by whoever takes them in.
pub(super) fn put_text(out: &mut Vec<u8>, text: &str) {
    out.extend_from_slice(&(text.len() as u32).to_be_bytes());
    out.extend_from_slice(text.as_bytes());
}

pub(super) fn sequence_key(sequence: Sequence) -> [u8; 8] {
    sequence.0.to_be_bytes()
}

pub(super) fn decode_sequence_key(key: &[u8]) -> Option<Sequence> {
    key.try_into().ok().map(u64::from_be_bytes).map(Sequence)
}

pub(super) fn group_key(group: GroupId) -> [u8; 4] {
    group.0.to_be_bytes()
}

pub(super) fn decode_group_key(key: &[u8]) -> Option<GroupId> {
    key.try_into().ok().map(u32::from_be_bytes).map(GroupId)
}

/// A group, and a sequence or a block's number.
pub(super) fn position_key(group: GroupId, number: u64) -> [u8; 12] {
    let mut key = [0; 12];
    key[..4].copy_from_slice(&group.0.to_be_bytes());
    key[4..].copy_from_slice(&number.to_be_bytes());
    key
}

pub(super) fn decode_position_key(key: &[u8]) -> Option<(GroupId, u64)> {
    let mut decoder = Decoder::new(key);
    let position = (GroupId(decoder.u32()?), decoder.u64()?);
    decoder.end(position)
}

/// The sign is flipped: so the order of the bytes is the order of the ids.
pub(super) fn id_key(hour: u32, first: i64) -> [u8; 12] {
    let mut key = [0; 12];
    key[..4].copy_from_slice(&hour.to_be_bytes());
    key[4..].copy_from_slice(&(first ^ i64::MIN).to_be_bytes());
    key
}

pub(super) fn decode_ids(key: &[u8], value: &[u8]) -> Option<IdRange> {
    let mut decoder = Decoder::new(key);
    let (hour, first) = (decoder.u32()?, decoder.i64()? ^ i64::MIN);
    decoder.end(())?;
    Some(IdRange { hour, first, last: i64::from_be_bytes(value.try_into().ok()?) })
}

pub(super) fn encode_head(out: &mut Vec<u8>, head: &Head) {
    out.extend_from_slice(&head.update_id.to_be_bytes());
    out.extend_from_slice(&head.key.0.to_be_bytes());
    out.extend_from_slice(&head.user.0.to_be_bytes());
    out.extend_from_slice(&head.topic.0.to_be_bytes());
    out.push(head.kind.0);
    out.extend_from_slice(&head.size.to_be_bytes());
    out.extend_from_slice(&head.received.0.to_be_bytes());
}

pub(super) fn decode_head(key: &[u8], value: &[u8]) -> Option<Head> {
    let mut decoder = Decoder::new(value);
    let head = Head {
        sequence: decode_sequence_key(key)?,
        update_id: decoder.i64()?,
        key: KeyHash(decoder.u64()?),
        user: KeyHash(decoder.u64()?),
        topic: KeyHash(decoder.u64()?),
        kind: KindCode(decoder.u8()?),
        size: decoder.u32()?,
        received: decoder.time()?,
    };
    decoder.end(head)
}

pub(super) fn encode_payload(out: &mut Vec<u8>, payload: &Payload) {
    put_text(out, &payload.key);
    out.extend_from_slice(&payload.update);
}

pub(super) fn decode_payload(value: &[u8]) -> Option<Payload> {
    payload(Decoder::new(value))
}

fn payload(mut decoder: Decoder<'_>) -> Option<Payload> {
    let key = decoder.text()?.into();
    Some(Payload { key, update: Bytes::copy_from_slice(decoder.rest()) })
}

pub(super) fn encode_group(out: &mut Vec<u8>, group: &GroupRecord) {
    let settings = &group.settings;
    put_text(out, group.name.as_str());
    out.extend_from_slice(&group.generation.to_be_bytes());
    out.extend_from_slice(&group.start.0.to_be_bytes());
    out.extend_from_slice(&group.created.0.to_be_bytes());
    out.extend_from_slice(&settings.max_failures.to_be_bytes());
    for milliseconds in [
        settings.min_failure_span_ms,
        settings.backoff_initial_ms,
        settings.backoff_max_ms,
        settings.member_grace_ms,
        settings.max_lease_ms,
        settings.max_unsettled_age_ms,
    ] {
        out.extend_from_slice(&milliseconds.to_be_bytes());
    }
}

pub(super) fn decode_group(key: &[u8], value: &[u8]) -> Option<GroupRecord> {
    let mut decoder = Decoder::new(value);
    let group = GroupRecord {
        id: decode_group_key(key)?,
        name: GroupName::parse(decoder.text()?).ok()?,
        generation: decoder.u32()?,
        start: Sequence(decoder.u64()?),
        created: decoder.time()?,
        settings: GroupSettings {
            max_failures: decoder.u32()?,
            min_failure_span_ms: decoder.u64()?,
            backoff_initial_ms: decoder.u64()?,
            backoff_max_ms: decoder.u64()?,
            member_grace_ms: decoder.u64()?,
            max_lease_ms: decoder.u64()?,
            max_unsettled_age_ms: decoder.u64()?,
        },
    };
    decoder.end(group)
}

pub(super) fn encode_attempts(out: &mut Vec<u8>, record: &AttemptRecord) {
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

pub(super) fn decode_attempts(value: &[u8]) -> Option<AttemptRecord> {
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

fn settled_code(settled: SettledAs) -> u8 {
    match settled {
        SettledAs::Acked => 1,
        SettledAs::Rejected => 2,
        SettledAs::DeadLettered => 3,
        SettledAs::Expired => 4,
        SettledAs::Purged => 5,
    }
}

fn settled_as(code: u8) -> Option<SettledAs> {
    [SettledAs::Acked, SettledAs::Rejected, SettledAs::DeadLettered, SettledAs::Expired, SettledAs::Purged]
        .into_iter()
        .find(|settled| settled_code(*settled) == code)
}

/// `payload` is the encoded payload.
pub(super) fn encode_dead_letter(out: &mut Vec<u8>, letter: &DeadLetter, payload: &[u8]) {
    out.extend_from_slice(&letter.time.0.to_be_bytes());
    out.push(settled_code(letter.settled));
    encode_attempts(out, &letter.attempts);
    out.extend_from_slice(payload);
}

pub(super) fn decode_dead_letter(value: &[u8]) -> Option<(DeadLetter, Payload)> {
    let mut decoder = Decoder::new(value);
    let letter = DeadLetter {
        time: decoder.time()?,
        settled: settled_as(decoder.u8()?)?,
        attempts: attempts(&mut decoder)?,
    };
    Some((letter, payload(decoder)?))
}

pub(super) fn encode_quarantined(out: &mut Vec<u8>, element: &Quarantined) {
    out.extend_from_slice(&element.received.0.to_be_bytes());
    put_text(out, &element.reason);
    out.extend_from_slice(&element.bytes);
}

pub(super) fn decode_quarantined(value: &[u8]) -> Option<Quarantined> {
    let mut decoder = Decoder::new(value);
    let (received, reason) = (decoder.time()?, decoder.text()?.into());
    Some(Quarantined { received, reason, bytes: Bytes::copy_from_slice(decoder.rest()) })
}

/// A block of settled positions: 512 bytes.
pub(super) fn encode_words(out: &mut Vec<u8>, words: &[u64; 64]) {
    for word in words {
        out.extend_from_slice(&word.to_be_bytes());
    }
}

pub(super) fn decode_words(value: &[u8]) -> Option<Box<[u64; 64]>> {
    let mut decoder = Decoder::new(value);
    let mut words = Box::new([0; 64]);
    for word in words.iter_mut() {
        *word = decoder.u64()?;
    }
    decoder.end(words)
}
