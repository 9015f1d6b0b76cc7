//! The payloads that were appended last, so that handing them out needs no reading.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;

use crate::model::{Payload, Sequence, UnixMillis};

/// Bytes of payloads that are kept.
const MAX_BYTES: usize = 32 << 20;

/// A payload, and since when it is durable; 0 where that is not known any more.
#[derive(Clone, Debug)]
pub(super) struct Cached {
    pub(super) payload: Arc<Payload>,
    pub(super) durable: UnixMillis,
}

impl Cached {
    /// One that is not in the cache. When it became durable is not remembered: it has waited for long since.
    pub(super) fn from_disk(payload: Payload) -> Self {
        Self { payload: Arc::new(payload), durable: UnixMillis(0) }
    }
}

/// A bounded queue of the newest payloads, found by sequence.
#[derive(Debug, Default)]
pub(super) struct PayloadCache {
    /// Sequences ascending.
    entries: VecDeque<(Sequence, Cached)>,
    /// The payloads' bytes, together.
    bytes: usize,
}

impl PayloadCache {
    /// Adds one whose sequence is above all others.
    pub(super) fn push(&mut self, sequence: Sequence, payload: Arc<Payload>, durable: UnixMillis) {
        self.bytes += size(&payload);
        self.entries.push_back((sequence, Cached { payload, durable }));
        while self.bytes > MAX_BYTES
            && let Some((_, Cached { payload, .. })) = self.entries.pop_front()
        {
            self.bytes -= size(&payload);
        }
    }

    /// Removes some.
    pub(super) fn forget(&mut self, sequences: &HashSet<Sequence>) {
        let bytes = &mut self.bytes;
        self.entries.retain(|(sequence, Cached { payload, .. })| {
            let goes = sequences.contains(sequence);
            *bytes -= if goes { size(payload) } else { 0 };
            !goes
        });
    }

    pub(super) fn get(&self, sequence: Sequence) -> Option<&Cached> {
        // Without gaps, which are rare, the place follows from the sequence.
        let (first, _) = self.entries.front()?;
        let distance = usize::try_from(sequence.0.checked_sub(first.0)?).ok()?;
        if let Some((at, cached)) = self.entries.get(distance)
            && *at == sequence
        {
            return Some(cached);
        }
        let at = self.entries.binary_search_by_key(&sequence, |(sequence, _)| *sequence).ok()?;
        self.entries.get(at).map(|(_, cached)| cached)
    }
}

fn size(payload: &Payload) -> usize {
    // The entry itself and the allocations' own needs, roughly.
    payload.key.len() + payload.update.len() + 96
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_payloads_are_kept_within_the_limit() {
        let mut cache = PayloadCache::default();
        for at in 1..=100 {
            let update = vec![0; 1 << 20].into();
            cache.push(Sequence(at), Arc::new(Payload { key: "k".into(), update }), UnixMillis(at));
        }
        assert!(cache.bytes <= MAX_BYTES);
        assert!(cache.get(Sequence(100)).is_some() && cache.get(Sequence(80)).is_some());
        assert!(cache.get(Sequence(1)).is_none() && cache.get(Sequence(101)).is_none());

        let before = cache.bytes;
        cache.forget(&[Sequence(1), Sequence(90)].into());
        assert!(cache.get(Sequence(90)).is_none() && cache.get(Sequence(91)).is_some());
        assert_eq!(before - cache.bytes, (1 << 20) + 97);
    }
}
