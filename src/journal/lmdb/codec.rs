//! The bytes of rows. Integers are big endian, so that the order of keys is the order of numbers. Decoding answers
//! `None` to whatever encoding never made.

mod attempts;
mod events;
mod groups;
mod heads;

use bytes::Bytes;

use crate::model::{GroupId, IdRange, Quarantined, Sequence, UnixMillis};

pub(super) use self::attempts::{
    decode_attempts, decode_dead_letter, decode_dead_letter_count, decode_dead_letter_row,
    decode_format_1_dead_letter, encode_attempts, encode_dead_letter, encode_dead_letter_count,
};
pub(super) use self::events::{EventKey, decode_event, encode_event, event_key, event_keys};
pub(super) use self::groups::{decode_group, encode_group};
pub(super) use self::heads::{decode_head, decode_payload, encode_head, encode_payload};

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
        self.take(length)
    }

    /// So many bytes.
    pub(super) fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (bytes, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(bytes)
    }

    /// What [`put_varint`] wrote.
    pub(super) fn varint(&mut self) -> Option<u64> {
        let mut number = 0;
        for shift in (0..u64::BITS).step_by(7) {
            let byte = u64::from(self.u8()?);
            number |= (byte & 0x7f) << shift;
            if byte < 0x80 {
                return Some(number);
            }
        }
        None
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

/// A number in as few bytes as it needs: seven bits in each, the lowest first, the high bit set in all but the last.
fn put_varint(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

/// A number of things; bounded far below 4 thousand millions by whoever takes them in.
fn put_count(out: &mut Vec<u8>, count: usize) {
    out.extend_from_slice(&(count as u32).to_be_bytes());
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
