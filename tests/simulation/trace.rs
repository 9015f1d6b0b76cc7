//! The trace of a run: one line for each thing that can be seen from outside. Equal seeds must leave equal traces.

use std::fmt::{self, Write};

/// A trace as its hash and, if it is wanted, its lines.
#[derive(Debug, Default)]
pub struct Trace {
    hash: Fnv,
    lines: Option<Vec<String>>,
    count: usize,
}

/// FNV-1a, 64 bits.
#[derive(Debug)]
struct Fnv(u64);

impl Default for Fnv {
    fn default() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }
}

impl Write for Fnv {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for byte in text.bytes() {
            self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
        Ok(())
    }
}

impl Trace {
    /// One that keeps its lines.
    pub fn kept() -> Self {
        Self { lines: Some(Vec::new()), ..Self::default() }
    }

    pub fn line(&mut self, line: fmt::Arguments<'_>) {
        self.count += 1;
        let _never_fails = self.hash.write_fmt(line).and_then(|()| self.hash.write_str("\n"));
        if let Some(lines) = &mut self.lines {
            lines.push(line.to_string());
        }
    }

    pub fn hash(&self) -> u64 {
        self.hash.0
    }

    /// How many lines it has.
    pub fn count(&self) -> usize {
        self.count
    }

    /// The lines, if they were kept.
    pub fn lines(&self) -> &[String] {
        self.lines.as_deref().unwrap_or_default()
    }
}
