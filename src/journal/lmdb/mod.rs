//! The journal in LMDB.
//!
//! One commit is one transaction. What LMDB leaves open is closed here: its pages have no checksums, so every row
//! carries one ([`tables`]); it needs free pages even to delete, so new updates are refused while a reserve for
//! settlements and trims is left, in the map and on the disk ([`space`]); and its locks and its map need a local disk
//! and one process ([`open`](open()), [`filesystem`]).

mod codec;
mod commit;
mod environment;
mod fault;
mod filesystem;
#[cfg(feature = "fuzzing")]
mod fuzz;
mod meta;
mod migration;
mod open;
mod progress;
mod reader;
mod restore;
mod space;
mod tables;
#[cfg(test)]
mod tests;
mod verify;

use std::sync::{Arc, PoisonError};

use self::commit::{Buffers, Trail};
use self::fault::{Fault, Shortage};
use self::meta::CommitRow;
use self::reader::Shared;
use self::space::{Extent, Space};
use self::tables::Writer;
use super::{CommitError, Journal, Room, Usage};
use crate::model::Batch;

#[cfg(feature = "fuzzing")]
pub use self::fuzz::fuzz_rows;
pub use self::open::{OpenError, open};
pub use self::reader::LmdbReader;
pub use self::restore::{RestoreError, Restored, restore};
pub use self::verify::{Verified, verify};

/// How large a journal may get.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// The limit of what the journal takes, in bytes; at least 4 MiB. The file itself may get a quarter larger, since
    /// it does not shrink and what is free in it may be scattered.
    pub max_bytes: u64,
    /// What of that is kept for settlements and trims, in bytes, and kept allocated on the disk for them; the last batch
    /// of updates may take half of it. At least 256 KiB, at most half of the limit.
    pub reserve_bytes: u64,
}

impl Options {
    /// The limit where none is configured: 8 GiB.
    pub const DEFAULT_MAX_BYTES: u64 = 8 << 30;

    /// A journal of at most `max_bytes`, with a reserve of an eighth, but not more than 64 MiB.
    #[must_use]
    pub fn with_max_bytes(max_bytes: u64) -> Self {
        Self { max_bytes, reserve_bytes: (max_bytes / 8).min(64 << 20) }
    }
}

impl Default for Options {
    fn default() -> Self {
        Self::with_max_bytes(Self::DEFAULT_MAX_BYTES)
    }
}

/// The writer. Its directory stays locked until it and all its readers are gone.
pub struct LmdbJournal {
    shared: Arc<Shared>,
    space: Space,
    /// What of the file was in use at the last look.
    extent: Extent,
    /// After the last commit.
    state: CommitRow,
    options: Options,
    buffers: Buffers,
    /// What became of the last commit's events.
    last_trail: Trail,
    /// Why it must not be used any more.
    failed: Option<String>,
}

impl std::fmt::Debug for LmdbJournal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LmdbJournal").field("dir", &self.shared.dir).finish_non_exhaustive()
    }
}

impl Journal for LmdbJournal {
    type Reader = LmdbReader;

    fn reader(&self) -> LmdbReader {
        LmdbReader { shared: Arc::clone(&self.shared) }
    }

    fn commit(&mut self, batch: &Batch) -> Result<Usage, CommitError> {
        if let Some(why) = &self.failed {
            return Err(self.failure(format!("it failed before: {why}")));
        }
        if batch.is_empty() {
            return Ok(self.shared.usage());
        }
        let result = self.try_commit(batch);
        if let Err(CommitError::Failed { why, .. }) = &result {
            self.failed = Some(why.clone());
        }
        result
    }

    fn usage(&mut self) -> Result<Usage, CommitError> {
        self.look().map_err(|fault| self.failure(fault.to_string()))
    }
}

impl LmdbJournal {
    fn try_commit(&mut self, batch: &Batch) -> Result<Usage, CommitError> {
        let needed = self.room_needed(batch).map_err(|fault| self.failure(fault.to_string()))?;
        if batch.appends()
            && let Some(why) = self.lacks(needed).map_err(|fault| self.failure(fault.to_string()))?
        {
            return Err(self.no_room(why));
        }
        match self.write(batch).and_then(|()| self.look()) {
            Ok(usage) => Ok(usage),
            Err(fault) => Err(self.judge(&fault, needed)),
        }
    }

    fn room_needed(&self, batch: &Batch) -> Result<u64, Fault> {
        commit::room_needed(batch, &self.shared.tables, &*self.shared.env.read_txn()?)
    }

    /// Settlements must go on however long nothing can be trimmed, and each one leaves an event: so when three quarters
    /// of the reserve are used up, the events are left out.
    fn trail(&mut self) -> Result<Trail, Fault> {
        let Usage { used_bytes, max_bytes, room } = self.shared.usage();
        let left = self.options.reserve_bytes / 4;
        let scarce = match room {
            Room::Open => false,
            Room::JournalFull => used_bytes >= max_bytes - left,
            Room::DiskFull => !self.space.has(self.extent, left)?,
        };
        let trail = if scarce { Trail::LeftOut } else { Trail::Kept };
        if trail != self.last_trail {
            let dir = self.shared.dir.display();
            match trail {
                Trail::LeftOut => tracing::warn!(%dir, "for want of room timelines get no new events"),
                Trail::Kept => tracing::info!(%dir, "timelines get new events again"),
            }
            self.last_trail = trail;
        }
        Ok(trail)
    }

    fn write(&mut self, batch: &Batch) -> Result<(), Fault> {
        let trail = self.trail()?;
        let row = std::mem::take(&mut self.buffers.row);
        let txn = self.shared.env.write_txn()?;
        let mut writer = Writer::new(self.shared.tables, txn, self.state.chain, row);
        let state = commit::apply(&mut writer, batch, self.state, trail, &mut self.buffers)?;
        self.buffers.row = writer.commit()?;
        self.state = state;
        Ok(())
    }

    /// What must be there beyond what is in use to append `needed` bytes.
    fn ahead(&self, needed: u64) -> u64 {
        self.options.reserve_bytes.max(needed.saturating_add(self.options.reserve_bytes / 2))
    }

    /// What is missing to append `needed` bytes. Where there is room at all, half of the reserve may be used: so a
    /// batch of that size is never refused, and the next one is told that the room ended.
    fn lacks(&mut self, needed: u64) -> Result<Option<&'static str>, Fault> {
        let mut usage = self.shared.usage();
        if usage.room != Room::Open {
            usage = self.look()?;
        }
        let Options { max_bytes, reserve_bytes } = self.options;
        let over_limit = usage.used_bytes.saturating_add(needed) > max_bytes - reserve_bytes / 2;
        Ok(match usage.room {
            Room::JournalFull => Some("it is at its limit less the reserve for settlements"),
            Room::DiskFull => Some("the disk is full"),
            Room::Open if over_limit => Some("the batch does not fit below its limit"),
            Room::Open => {
                let enough = self.space.has(self.extent, self.ahead(needed))?;
                (!enough).then_some("the disk has no room for the batch")
            }
        })
    }

    /// Looks at how full the journal and the disk are.
    fn look(&mut self) -> Result<Usage, Fault> {
        let Shared { env, tables, .. } = &*self.shared;
        self.extent = environment::extent_in(env, tables, &*env.read_txn()?)?;
        let Options { max_bytes, reserve_bytes } = self.options;
        // Asked for in any case, since it is what keeps the reserve on the disk.
        let disk = self.space.has(self.extent, reserve_bytes)?;
        let room = if self.extent.used >= max_bytes - reserve_bytes {
            Room::JournalFull
        } else if disk {
            Room::Open
        } else {
            Room::DiskFull
        };
        let usage = Usage { used_bytes: self.extent.used, max_bytes, room };
        *self.shared.usage.lock().unwrap_or_else(PoisonError::into_inner) = usage;
        Ok(usage)
    }

    /// Whether a failed commit may be tried again.
    fn judge(&mut self, fault: &Fault, needed: u64) -> CommitError {
        let for_room = match fault.shortage() {
            Shortage::Certain => true,
            Shortage::Possible => {
                let ahead = self.ahead(needed);
                matches!(self.space.has(self.extent, ahead), Ok(false))
            }
            Shortage::None => false,
        };
        // After some failures LMDB refuses every transaction. A look also tells what room there is now.
        let usable = for_room && self.shared.env.write_txn().is_ok() && self.look().is_ok();
        if usable { self.no_room(&fault.to_string()) } else { self.failure(fault.to_string()) }
    }

    fn no_room(&self, why: &str) -> CommitError {
        CommitError::NoRoom { path: self.shared.dir.display().to_string(), why: why.to_owned() }
    }

    fn failure(&self, why: String) -> CommitError {
        CommitError::Failed { path: self.shared.dir.display().to_string(), why }
    }
}
