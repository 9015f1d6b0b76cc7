//! Which sequences a group has settled, and which it has in its window unsettled.

use std::collections::BTreeMap;

use crate::model::Sequence;

/// Sequences in one block.
const BLOCK: u64 = 4096;

/// The settled sequences: all up to the cursor, and a set above it.
#[derive(Debug)]
pub(super) struct Settled {
    /// Everything at or below is settled, or was never this group's business.
    cursor: Sequence,
    /// Settled sequences above the cursor, by `sequence / 4096`. No block lies wholly at or below the cursor.
    blocks: BTreeMap<u64, Block>,
}

/// 4,096 sequences.
#[derive(Debug)]
enum Block {
    /// All are settled.
    Full,
    /// Those with their bit set are; `count` of them.
    Some { words: Box<[u64; 64]>, count: u32 },
}

impl Settled {
    pub(super) fn new(cursor: Sequence, blocks: impl IntoIterator<Item = (u64, Box<[u64; 64]>)>) -> Self {
        let blocks = blocks.into_iter().map(|(number, words)| {
            let count = words.iter().map(|word| word.count_ones()).sum();
            (number, if u64::from(count) == BLOCK { Block::Full } else { Block::Some { words, count } })
        });
        Self { cursor, blocks: blocks.collect() }
    }

    pub(super) fn cursor(&self) -> Sequence {
        self.cursor
    }

    pub(super) fn contains(&self, sequence: Sequence) -> bool {
        sequence <= self.cursor
            || match self.blocks.get(&(sequence.0 / BLOCK)) {
                None => false,
                Some(Block::Full) => true,
                Some(Block::Some { words, .. }) => {
                    let (word, bit) = place(sequence);
                    words[word] & bit != 0
                }
            }
    }

    /// Adds one; whether it was new.
    pub(super) fn insert(&mut self, sequence: Sequence) -> bool {
        if sequence <= self.cursor {
            return false;
        }
        let block = self
            .blocks
            .entry(sequence.0 / BLOCK)
            .or_insert_with(|| Block::Some { words: Box::new([0; 64]), count: 0 });
        let Block::Some { words, count } = block else { return false };
        let (word, bit) = place(sequence);
        if words[word] & bit != 0 {
            return false;
        }
        words[word] |= bit;
        *count += 1;
        if u64::from(*count) == BLOCK {
            *block = Block::Full;
        }
        true
    }

    /// Moves the cursor forward, never back.
    pub(super) fn advance(&mut self, cursor: Sequence) {
        if cursor <= self.cursor {
            return;
        }
        self.cursor = cursor;
        while let Some(first) = self.blocks.first_entry() {
            if (first.key() + 1) * BLOCK - 1 > cursor.0 {
                break;
            }
            first.remove();
        }
    }
}

/// The word of a block and the bit in it; the word is below 64.
fn place(sequence: Sequence) -> (usize, u64) {
    let within = sequence.0 % BLOCK;
    ((within / 64) as usize, 1 << (within % 64))
}

/// The sequences in the window that are not settled: a bit set with few words, whose first member is found at once.
#[derive(Debug, Default)]
pub(super) struct Open {
    /// By `sequence / 64`; no word is zero.
    words: BTreeMap<u64, u64>,
}

impl Open {
    pub(super) fn insert(&mut self, sequence: Sequence) {
        *self.words.entry(sequence.0 / 64).or_default() |= 1 << (sequence.0 % 64);
    }

    pub(super) fn remove(&mut self, sequence: Sequence) {
        if let std::collections::btree_map::Entry::Occupied(mut word) = self.words.entry(sequence.0 / 64) {
            *word.get_mut() &= !(1 << (sequence.0 % 64));
            if *word.get() == 0 {
                word.remove();
            }
        }
    }

    pub(super) fn first(&self) -> Option<Sequence> {
        let (number, word) = self.words.first_key_value()?;
        Some(Sequence(number * 64 + u64::from(word.trailing_zeros())))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn settled_and_open_agree_with_plain_sets(
            inserts in prop::collection::vec(1u64..20_000, 0..400),
            cursor in 0u64..9_000,
        ) {
            let mut settled = Settled::new(Sequence(0), []);
            let mut open = Open::default();
            let mut plain = BTreeSet::new();
            for &at in &inserts {
                prop_assert_eq!(settled.insert(Sequence(at)), plain.insert(at));
                open.insert(Sequence(at));
            }
            settled.advance(Sequence(cursor));
            for at in 1..20_000 {
                prop_assert_eq!(settled.contains(Sequence(at)), at <= cursor || plain.contains(&at));
            }
            while let Some(first) = open.first() {
                prop_assert_eq!(Some(first.0), plain.pop_first());
                open.remove(first);
            }
            prop_assert!(plain.is_empty());
        }
    }

    #[test]
    fn a_full_block_still_knows_its_members() {
        let mut settled = Settled::new(Sequence(4095), []);
        for at in 4096..8192 {
            assert!(settled.insert(Sequence(at)));
        }
        assert!(!settled.insert(Sequence(5000)));
        assert!(settled.contains(Sequence(8191)) && !settled.contains(Sequence(8192)));
        assert!(matches!(settled.blocks.get(&1), Some(Block::Full)));
        settled.advance(Sequence(8191));
        assert!(settled.blocks.is_empty());
    }
}
