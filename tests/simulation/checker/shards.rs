//! A set of shards.

use switchboard::model::Shard;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Shards([u64; 16]);

impl Shards {
    pub fn insert(&mut self, shard: Shard) {
        let number = shard.number();
        self.0[usize::from(number / 64)] |= 1 << (number % 64);
    }

    pub fn remove(&mut self, shard: Shard) {
        let number = shard.number();
        self.0[usize::from(number / 64)] &= !(1 << (number % 64));
    }

    pub fn contains(&self, shard: Shard) -> bool {
        let number = shard.number();
        self.0[usize::from(number / 64)] >> (number % 64) & 1 == 1
    }

    pub fn len(&self) -> u32 {
        self.0.iter().map(|word| word.count_ones()).sum()
    }

    pub fn and(mut self, other: Self) -> Self {
        self.0.iter_mut().zip(other.0).for_each(|(word, other)| *word &= other);
        self
    }

    pub fn or(mut self, other: Self) -> Self {
        self.0.iter_mut().zip(other.0).for_each(|(word, other)| *word |= other);
        self
    }
}
