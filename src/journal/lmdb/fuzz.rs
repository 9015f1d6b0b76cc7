//! Rows of any bytes, for the fuzzer. In a journal such rows are stopped by their checksum; decoding must be safe all the
//! same, and what it takes must be what encoding makes.

use super::codec::{
    decode_attempts, decode_dead_letter, decode_dead_letter_count, decode_event, decode_group, decode_head,
    decode_ids, decode_payload, decode_quarantined, decode_words, encode_attempts, encode_dead_letter_count,
    encode_event, encode_group, encode_head, encode_payload, encode_quarantined, encode_words, event_key,
};
use crate::model::Sequence;

/// The first byte says which table, the second how long the key is.
pub fn fuzz_rows(data: &[u8]) {
    let [table, key_bytes, rest @ ..] = data else { return };
    let (key, value) = rest.split_at(usize::from(*key_bytes).min(rest.len()));
    let mut again = Vec::new();
    match table % 10 {
        0 => match decode_head(key, value) {
            Some(head) => encode_head(&mut again, &head),
            None => return,
        },
        1 => match decode_payload(value) {
            Some(payload) => encode_payload(&mut again, &payload),
            None => return,
        },
        2 => match decode_group(key, value) {
            Some(group) => encode_group(&mut again, &group),
            None => return,
        },
        3 => match decode_attempts(value) {
            Some(attempts) => encode_attempts(&mut again, &attempts),
            None => return,
        },
        4 => match decode_event(key, value) {
            Some((group, event)) => {
                let sequence =
                    key.first_chunk().map_or(Sequence(0), |key| Sequence(u64::from_be_bytes(*key)));
                assert_eq!(event_key(group, sequence, &event).as_slice(), key);
                encode_event(&mut again, &event);
            }
            None => return,
        },
        5 => match decode_quarantined(value) {
            Some(element) => encode_quarantined(&mut again, &element),
            None => return,
        },
        6 => match decode_words(value) {
            Some(words) => encode_words(&mut again, &words),
            None => return,
        },
        7 => match decode_dead_letter_count(value) {
            Some(count) => encode_dead_letter_count(&mut again, count),
            None => return,
        },
        8 => {
            std::hint::black_box(decode_ids(key, value));
            return;
        }
        _ => {
            std::hint::black_box(decode_dead_letter(Sequence(1), value));
            return;
        }
    }
    assert_eq!(again, value, "what is read is what was written");
}
