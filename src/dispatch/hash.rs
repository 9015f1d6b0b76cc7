//! A cheap hasher for maps keyed by sequences and key hashes, which are numbers already.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

/// A map keyed by a number.
pub(super) type NumberMap<K, V> = HashMap<K, V, BuildHasherDefault<Mixed>>;

/// One multiplication by the golden ratio, folded. Keys are either counters or already hashes; nobody outside chooses
/// them freely enough to force collisions that matter, since the maps are bounded by the window.
#[derive(Default)]
pub(super) struct Mixed(u64);

impl Hasher for Mixed {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.write_u64(u64::from(byte));
        }
    }

    fn write_u64(&mut self, number: u64) {
        let product = u128::from(self.0 ^ number).wrapping_mul(0x9E37_79B9_7F4A_7C15_F39C_C060_5CED_C835);
        // The two halves of the product, folded: both fit by construction.
        self.0 = (product as u64) ^ ((product >> 64) as u64);
    }
}
