//! Where updates and deliveries are in distributed traces, by W3C Trace Context.
//!
//! Ids are derived, never stored: all deliveries of an update belong to one trace, those after a restart, a seek or a
//! replay included, and nothing is written for that.

use super::head::Sequence;
use super::token::Token;

/// Seeds, so that ids made of the same numbers differ.
const RECEIVE_SEED: u64 = 1;
const DELIVERY_SEED: u64 = 2;

/// A span's place in a trace: what `traceparent` says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TraceContext {
    /// The trace; not 0.
    pub trace_id: u128,
    /// The span; not 0.
    pub span_id: u64,
    /// Whether the span is exported.
    pub sampled: bool,
}

/// The trace of an update.
#[must_use]
pub fn trace_id(journal: u64, sequence: Sequence) -> u128 {
    // Zero is no id.
    xxhash_rust::xxh3::xxh3_128(&update(journal, sequence)).max(1)
}

/// The span in which an update is received: the root of its trace.
#[must_use]
pub fn receive_span_id(journal: u64, sequence: Sequence) -> u64 {
    xxhash_rust::xxh3::xxh3_64_with_seed(&update(journal, sequence), RECEIVE_SEED).max(1)
}

/// The span of a delivery.
#[must_use]
pub fn delivery_span_id(token: &Token) -> u64 {
    let mut bytes = [0; 32];
    bytes[..16].copy_from_slice(&update(token.journal, token.sequence));
    bytes[16..20].copy_from_slice(&token.group.0.to_be_bytes());
    bytes[20..24].copy_from_slice(&token.generation.to_be_bytes());
    bytes[24..28].copy_from_slice(&token.boot.to_be_bytes());
    bytes[28..32].copy_from_slice(&token.attempt.to_be_bytes());
    xxhash_rust::xxh3::xxh3_64_with_seed(&bytes, DELIVERY_SEED).max(1)
}

fn update(journal: u64, sequence: Sequence) -> [u8; 16] {
    (u128::from(journal) << 64 | u128::from(sequence.0)).to_be_bytes()
}

/// The value of `traceparent`, in version 00.
impl std::fmt::Display for TraceContext {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "00-{:032x}-{:016x}-{:02x}", self.trace_id, self.span_id, u8::from(self.sampled))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{GroupId, KeyHash};

    const TOKEN: Token = Token {
        journal: 7,
        group: GroupId(1),
        generation: 1,
        boot: 1,
        sequence: Sequence(5),
        key: KeyHash(9),
        attempt: 1,
    };

    #[test]
    fn the_text_is_that_of_the_standard() {
        let context = TraceContext {
            trace_id: 0x0af7_6519_16cd_43dd_8448_eb21_1c80_319c,
            span_id: 0xb7ad_6b71_6920_3331,
            sampled: true,
        };
        assert_eq!(context.to_string(), "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
        let small = TraceContext { trace_id: 1, span_id: 2, sampled: false };
        assert_eq!(small.to_string(), "00-00000000000000000000000000000001-0000000000000002-00");
    }

    #[test]
    fn all_deliveries_of_an_update_are_in_its_trace_each_as_a_span_of_its_own() {
        let others = [
            Token { attempt: 2, ..TOKEN },
            Token { boot: 2, ..TOKEN },
            Token { generation: 2, ..TOKEN },
            Token { group: GroupId(2), ..TOKEN },
        ];
        let mut spans: Vec<_> = others.iter().chain([&TOKEN]).map(delivery_span_id).collect();
        spans.push(receive_span_id(TOKEN.journal, TOKEN.sequence));
        spans.sort_unstable();
        spans.dedup();
        assert_eq!(spans.len(), others.len() + 2);
    }

    #[test]
    fn traces_differ_by_journal_and_sequence_and_stay_the_same_for_ever() {
        assert_ne!(trace_id(7, Sequence(5)), trace_id(7, Sequence(6)));
        assert_ne!(trace_id(7, Sequence(5)), trace_id(8, Sequence(5)));
        assert_eq!(trace_id(7, Sequence(5)), 0x0c1a78b533caa095dc115ad7d62d74b6);
        assert_eq!(delivery_span_id(&TOKEN), 0xc4be88788814f11f);
    }
}
