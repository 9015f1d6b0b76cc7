//! The URL-safe base64 of RFC 4648, without padding: for tokens that travel in texts and addresses.

pub(super) const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// The text of these bytes.
#[must_use]
pub fn encode(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let at = |index| u32::from(chunk.get(index).copied().unwrap_or_default());
        let bits = at(0) << 16 | at(1) << 8 | at(2);
        // Three bytes are four characters, two are three, one is two.
        for shift in [18, 12, 6, 0].into_iter().take(chunk.len() + 1) {
            text.push(char::from(ALPHABET[(bits >> shift & 63) as usize]));
        }
    }
    text
}

/// The bytes of this text; `None` if [`encode`] never made it.
#[must_use]
pub fn decode(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3 + 2);
    for chunk in text.as_bytes().chunks(4) {
        let mut bits = 0u32;
        for index in 0..4 {
            let sextet = chunk.get(index).map_or(Some(0), |character| sextet(*character))?;
            bits = bits << 6 | u32::from(sextet);
        }
        let [_, three @ ..] = bits.to_be_bytes();
        let (whole, rest) = three.split_at_checked(chunk.len().checked_sub(1)?)?;
        // One character is no byte, and bits that stand for nothing are zero.
        if whole.is_empty() || rest.iter().any(|byte| *byte != 0) {
            return None;
        }
        bytes.extend_from_slice(whole);
    }
    Some(bytes)
}

pub(super) fn sextet(character: u8) -> Option<u8> {
    match character {
        b'A'..=b'Z' => Some(character - b'A'),
        b'a'..=b'z' => Some(character - b'a' + 26),
        b'0'..=b'9' => Some(character - b'0' + 52),
        b'-' => Some(62),
        b'_' => Some(63),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_of_any_length_survive_their_text() {
        for length in 0..50u8 {
            let bytes: Vec<u8> = (0..length).map(|byte| byte.wrapping_mul(37)).collect();
            assert_eq!(decode(&encode(&bytes)), Some(bytes));
        }
        assert_eq!(encode(b"\xfb\xff?"), "-_8_");
    }

    #[test]
    fn what_was_never_encoded_is_refused() {
        for wrong in ["A", "AAAAA", "A!", "AB", "==", "ж"] {
            assert_eq!(decode(wrong), None, "{wrong}");
        }
    }
}
