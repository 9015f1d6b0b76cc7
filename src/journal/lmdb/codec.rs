//! The bytes of rows. Integers are big endian, so that the order of keys is the order of numbers. Decoding answers
//! `None` to whatever encoding never made.

use bytes::Bytes;

use crate::journal::DeadLetterCount;
use crate::model::{
    AttemptOutcome, AttemptRecord, DeadLetter, EndedAttempt, Event, FailureKind, FailureRecord, Filter,
    FilterParts, GroupId, GroupName, GroupRecord, GroupSettings, Head, IdRange, KeyHash, Label,
    MAX_LABEL_BYTES, Ordering, Payload, Quarantined, Sequence, SettledAs, StoredDeadLetter, UnixMillis,
};
use crate::update::{ChatType, KindCode};

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

    /// A yes or no.
    pub(super) fn flag(&mut self) -> Option<bool> {
        match self.u8()? {
            0 => Some(false),
            1 => Some(true),
            _ => None,
        }
    }

    /// Whether nothing is left.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
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
        std::str::from_utf8(self.bytes()?).ok()
    }

    /// A length, and so many bytes.
    pub(super) fn bytes(&mut self) -> Option<&'a [u8]> {
        let length = usize::try_from(self.u32()?).ok()?;
        let (bytes, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(bytes)
    }

    /// A count, and so many things.
    fn list<T>(&mut self, mut one: impl FnMut(&mut Self) -> Option<T>) -> Option<Vec<T>> {
        (0..self.u32()?).map(|_| one(self)).collect()
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
    // As the time that it took: most are below a second.
    let waited = head.committed.since(head.received).min(u64::from(u32::MAX));
    out.extend_from_slice(&(waited as u32).to_be_bytes());
    out.push(head.chat_type.map_or(0, ChatType::code));
    out.push(u8::from(head.claimed));
    out.extend_from_slice(head.label.as_str().as_bytes());
}

pub(super) fn decode_head(key: &[u8], value: &[u8]) -> Option<Head> {
    let mut decoder = Decoder::new(value);
    let mut head = Head {
        sequence: decode_sequence_key(key)?,
        update_id: decoder.i64()?,
        key: KeyHash(decoder.u64()?),
        user: KeyHash(decoder.u64()?),
        topic: KeyHash(decoder.u64()?),
        kind: KindCode(decoder.u8()?),
        size: decoder.u32()?,
        received: decoder.time()?,
        committed: UnixMillis(0),
        chat_type: None,
        claimed: false,
        label: Label::EMPTY,
    };
    head.committed = head.received;
    if decoder.is_empty() {
        // Written by format 1, which had no more.
        return Some(head);
    }
    head.committed = head.received.plus(u64::from(decoder.u32()?));
    let chat_type = decoder.u8()?;
    head.chat_type = ChatType::from_code(chat_type);
    if head.chat_type.is_none() && chat_type != 0 {
        return None;
    }
    head.claimed = decoder.flag()?;
    let label = std::str::from_utf8(decoder.rest()).ok().filter(|text| text.len() <= MAX_LABEL_BYTES)?;
    head.label = Label::new(label);
    Some(head)
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
    out.extend_from_slice(&group.base_generation.to_be_bytes());
    out.push(ordering_code(group.ordering));
    out.push(u8::from(group.fallback));
    out.extend_from_slice(&group.paused.map_or(0, |since| since.0).to_be_bytes());
    put_count(out, group.max_ages.len());
    for (kind, age_ms) in &group.max_ages {
        out.push(kind.0);
        out.extend_from_slice(&age_ms.to_be_bytes());
    }
    put_count(out, group.filters.len());
    for (from, filter) in &group.filters {
        out.extend_from_slice(&from.0.to_be_bytes());
        encode_filter(out, filter.as_ref());
    }
}

/// A number of things; bounded far below 4 thousand millions by whoever takes them in.
fn put_count(out: &mut Vec<u8>, count: usize) {
    out.extend_from_slice(&(count as u32).to_be_bytes());
}

fn ordering_code(ordering: Ordering) -> u8 {
    match ordering {
        Ordering::Chat => 0,
        Ordering::User => 1,
        Ordering::Topic => 2,
        Ordering::None => 3,
    }
}

fn ordering(code: u8) -> Option<Ordering> {
    [Ordering::Chat, Ordering::User, Ordering::Topic, Ordering::None]
        .into_iter()
        .find(|ordering| ordering_code(*ordering) == code)
}

fn encode_filter(out: &mut Vec<u8>, filter: Option<&Filter>) {
    let none = FilterParts::default();
    let parts = filter.map_or(&none, Filter::parts);
    put_count(out, parts.kinds.len());
    out.extend(parts.kinds.iter().map(|kind| kind.0));
    put_count(out, parts.chat_ids.len());
    for id in &parts.chat_ids {
        out.extend_from_slice(&id.to_be_bytes());
    }
    put_count(out, parts.chat_types.len());
    out.extend(parts.chat_types.iter().map(|chat_type| chat_type.code()));
    for words in [&parts.commands, &parts.callback_data_prefixes] {
        put_count(out, words.len());
        for word in words {
            put_text(out, word);
        }
    }
}

fn decode_filter(decoder: &mut Decoder<'_>) -> Option<Option<Filter>> {
    let parts = FilterParts {
        kinds: decoder.list(|decoder| decoder.u8().map(KindCode))?,
        chat_ids: decoder.list(Decoder::i64)?,
        chat_types: decoder.list(|decoder| ChatType::from_code(decoder.u8()?))?,
        commands: decoder.list(|decoder| decoder.text().map(Into::into))?,
        callback_data_prefixes: decoder.list(|decoder| decoder.text().map(Into::into))?,
    };
    if parts == FilterParts::default() {
        return Some(None);
    }
    Filter::new(parts).ok().map(Some)
}

pub(super) fn decode_group(key: &[u8], value: &[u8]) -> Option<GroupRecord> {
    let mut decoder = Decoder::new(value);
    let (id, name) = (decode_group_key(key)?, GroupName::parse(decoder.text()?).ok()?);
    let (generation, start, created) = (decoder.u32()?, Sequence(decoder.u64()?), decoder.time()?);
    let settings = GroupSettings {
        max_failures: decoder.u32()?,
        min_failure_span_ms: decoder.u64()?,
        backoff_initial_ms: decoder.u64()?,
        backoff_max_ms: decoder.u64()?,
        member_grace_ms: decoder.u64()?,
        max_lease_ms: decoder.u64()?,
        max_unsettled_age_ms: decoder.u64()?,
    };
    let group = GroupRecord { generation, ..GroupRecord::new(id, name, start, settings, created) };
    if decoder.is_empty() {
        // Written by format 1, which had no more.
        return Some(GroupRecord { base_generation: generation, ..group });
    }
    let group = GroupRecord {
        base_generation: decoder.u32()?,
        ordering: ordering(decoder.u8()?)?,
        fallback: decoder.flag()?,
        paused: Some(decoder.time()?).filter(|since| since.0 > 0),
        max_ages: decoder.list(|decoder| Some((KindCode(decoder.u8()?), decoder.u64()?)))?,
        filters: decoder.list(|decoder| Some((Sequence(decoder.u64()?), decode_filter(decoder)?)))?,
        ..group
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

/// `head` and `payload` are encoded.
pub(super) fn encode_dead_letter(out: &mut Vec<u8>, letter: &DeadLetter, head: &[u8], payload: &[u8]) {
    out.extend_from_slice(&letter.time.0.to_be_bytes());
    out.push(settled_code(letter.settled));
    encode_attempts(out, &letter.attempts);
    put_count(out, head.len());
    out.extend_from_slice(head);
    out.extend_from_slice(payload);
}

pub(super) fn decode_dead_letter(sequence: Sequence, value: &[u8]) -> Option<StoredDeadLetter> {
    let mut decoder = Decoder::new(value);
    let letter = DeadLetter {
        time: decoder.time()?,
        settled: settled_as(decoder.u8()?)?,
        attempts: attempts(&mut decoder)?,
    };
    let head = decode_head(&sequence_key(sequence), decoder.bytes()?)?;
    Some(StoredDeadLetter { head, letter, payload: payload(decoder)? })
}

/// An event's key: its update, its group, when it was, and what ended: so that what is applied twice is there once.
pub(super) fn event_key(group: GroupId, sequence: Sequence, event: &Event) -> [u8; 25] {
    let mut key = [0; 25];
    key[..8].copy_from_slice(&sequence.0.to_be_bytes());
    key[8..12].copy_from_slice(&group.0.to_be_bytes());
    key[12..20].copy_from_slice(&event.time.0.to_be_bytes());
    key[20..24].copy_from_slice(&event.attempt.as_ref().map_or(0, |ended| ended.attempt).to_be_bytes());
    key[24] = event.settled.map_or(0, settled_code);
    key
}

/// The first and the last key of an update's events.
pub(super) fn event_keys(sequence: Sequence) -> ([u8; 25], [u8; 25]) {
    let (mut first, mut last) = ([0; 25], [u8::MAX; 25]);
    first[..8].copy_from_slice(&sequence.0.to_be_bytes());
    last[..8].copy_from_slice(&sequence.0.to_be_bytes());
    (first, last)
}

pub(super) fn encode_dead_letter_count(out: &mut Vec<u8>, count: DeadLetterCount) {
    out.extend_from_slice(&count.count.to_be_bytes());
    out.extend_from_slice(&count.bytes.to_be_bytes());
}

pub(super) fn decode_dead_letter_count(value: &[u8]) -> Option<DeadLetterCount> {
    let mut decoder = Decoder::new(value);
    let count = DeadLetterCount { count: decoder.u64()?, bytes: decoder.u64()? };
    decoder.end(count)
}

pub(super) fn encode_event(out: &mut Vec<u8>, event: &Event) {
    let Some(ended) = &event.attempt else { return };
    out.push(outcome_code(ended.outcome));
    out.push(u8::from(ended.replayed));
    out.extend_from_slice(&ended.generation.to_be_bytes());
    out.extend_from_slice(&ended.delivered.0.to_be_bytes());
    put_text(out, &ended.consumer);
    out.extend_from_slice(ended.reason.as_bytes());
}

pub(super) fn decode_event(key: &[u8], value: &[u8]) -> Option<(GroupId, Event)> {
    let mut decoder = Decoder::new(key);
    let (_, group, time) = (decoder.u64()?, GroupId(decoder.u32()?), decoder.time()?);
    let (attempt, settled) = (decoder.u32()?, decoder.u8()?);
    let settled = if settled == 0 { None } else { Some(settled_as(settled)?) };
    decoder.end(())?;
    let mut decoder = Decoder::new(value);
    let attempt = if decoder.is_empty() {
        None
    } else {
        Some(EndedAttempt {
            attempt,
            outcome: outcome(decoder.u8()?)?,
            replayed: decoder.flag()?,
            generation: decoder.u32()?,
            delivered: decoder.time()?,
            consumer: decoder.text()?.into(),
            reason: std::str::from_utf8(decoder.rest()).ok()?.into(),
        })
    };
    Some((group, Event { time, attempt, settled }))
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
