//! LMDB's own tests, and the contract's.

use std::path::PathBuf;

use tempfile::TempDir;

use super::{LmdbJournal, Options, open};
use crate::journal::contract::{Place, contract_suite};

mod damage;
mod full;
mod migrating;
mod opening;
mod restoring;
mod verifying;

const BOT: i64 = 42;
const OPTIONS: Options = Options { max_bytes: 64 << 20, reserve_bytes: 1 << 20 };

/// A directory that lives as long as the test.
struct Directory(TempDir);

impl Directory {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    /// Where the journal is; it does not exist at first.
    fn path(&self) -> PathBuf {
        self.0.path().join("journal")
    }
}

impl Place for Directory {
    type Journal = LmdbJournal;

    fn open(&self) -> LmdbJournal {
        open(&self.path(), BOT, &OPTIONS).unwrap()
    }
}

contract_suite!(Directory::new());
