//! The name of one delivery.

use super::base64url::{ALPHABET, sextet};
use super::group::GroupId;
use super::head::{KeyHash, Sequence};

/// Names one delivery: which journal, which group in which generation, which update, which attempt, under which boot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Token {
    /// The journal's random id; renewed by a restore.
    pub journal: u64,
    /// The group.
    pub group: GroupId,
    /// The group's generation: raised by create, seek and replay.
    pub generation: u32,
    /// The boot epoch in which it was handed out.
    pub boot: u32,
    /// The update.
    pub sequence: Sequence,
    /// The update's ordering key, so that a delivery of an earlier boot can be taken up before its update is read.
    pub key: KeyHash,
    /// Which delivery of it.
    pub attempt: u32,
}

/// The text is not a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a delivery token; pass the `token` of a Delivery unchanged")]
pub struct MalformedToken;

/// The fields in order, big endian, then 5 bytes of their xxh3, against cut and mistyped tokens.
const FIELDS: usize = 8 + 4 + 4 + 4 + 8 + 8 + 4;
const BYTES: usize = FIELDS + 5;
/// 45 bytes are 60 characters, without padding.
const CHARACTERS: usize = BYTES / 3 * 4;

impl Token {
    /// Its text: 60 characters of the URL-safe base64 alphabet.
    #[must_use]
    pub fn encode(&self) -> String {
        let mut raw = [0u8; BYTES];
        raw[..8].copy_from_slice(&self.journal.to_be_bytes());
        raw[8..12].copy_from_slice(&self.group.0.to_be_bytes());
        raw[12..16].copy_from_slice(&self.generation.to_be_bytes());
        raw[16..20].copy_from_slice(&self.boot.to_be_bytes());
        raw[20..28].copy_from_slice(&self.sequence.0.to_be_bytes());
        raw[28..36].copy_from_slice(&self.key.0.to_be_bytes());
        raw[36..40].copy_from_slice(&self.attempt.to_be_bytes());
        let check = checksum(&raw[..FIELDS]);
        raw[FIELDS..].copy_from_slice(&check);
        let mut text = String::with_capacity(CHARACTERS);
        for chunk in raw.chunks_exact(3) {
            let bits = u32::from(chunk[0]) << 16 | u32::from(chunk[1]) << 8 | u32::from(chunk[2]);
            for shift in [18, 12, 6, 0] {
                text.push(char::from(ALPHABET[(bits >> shift & 63) as usize]));
            }
        }
        text
    }

    /// The token that this text is.
    ///
    /// # Errors
    /// [`MalformedToken`] if [`Token::encode`] never made it.
    pub fn parse(text: &str) -> Result<Self, MalformedToken> {
        let text: &[u8; CHARACTERS] = text.as_bytes().try_into().map_err(|_| MalformedToken)?;
        let mut raw = [0u8; BYTES];
        for (four, three) in text.chunks_exact(4).zip(raw.chunks_exact_mut(3)) {
            let mut bits = 0u32;
            for &character in four {
                bits = bits << 6 | u32::from(sextet(character).ok_or(MalformedToken)?);
            }
            three.copy_from_slice(&bits.to_be_bytes()[1..]);
        }
        if checksum(&raw[..FIELDS]) != raw[FIELDS..] {
            return Err(MalformedToken);
        }
        let u32_at = |at: usize| u32::from_be_bytes([raw[at], raw[at + 1], raw[at + 2], raw[at + 3]]);
        let u64_at = |at: usize| u64::from(u32_at(at)) << 32 | u64::from(u32_at(at + 4));
        Ok(Self {
            journal: u64_at(0),
            group: GroupId(u32_at(8)),
            generation: u32_at(12),
            boot: u32_at(16),
            sequence: Sequence(u64_at(20)),
            key: KeyHash(u64_at(28)),
            attempt: u32_at(36),
        })
    }
}

fn checksum(fields: &[u8]) -> [u8; 5] {
    let [a, b, c, d, e, ..] = xxhash_rust::xxh3::xxh3_64(fields).to_be_bytes();
    [a, b, c, d, e]
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOKEN: Token = Token {
        journal: 0x0123_4567_89ab_cdef,
        group: GroupId(7),
        generation: 2,
        boot: 3,
        sequence: Sequence(1 << 40 | 5),
        key: KeyHash(0xfedc_ba98_7654_3210),
        attempt: 9,
    };

    #[test]
    fn a_token_survives_its_text() {
        let text = TOKEN.encode();
        assert_eq!(text.len(), 60);
        assert_eq!(Token::parse(&text), Ok(TOKEN));
    }

    #[test]
    fn a_changed_or_cut_text_is_no_token() {
        let text = TOKEN.encode();
        assert_eq!(Token::parse(""), Err(MalformedToken));
        assert_eq!(Token::parse(&text[1..]), Err(MalformedToken));
        assert_eq!(Token::parse(&"ж".repeat(30)), Err(MalformedToken));
        for at in 0..text.len() {
            let mut changed = text.clone().into_bytes();
            changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(changed).unwrap();
            assert_eq!(Token::parse(&changed), Err(MalformedToken), "{at}");
        }
    }
}
