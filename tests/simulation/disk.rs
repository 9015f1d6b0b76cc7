//! The journal's place: in memory, or LMDB in a directory of its own. It outlives the gateways.

use switchboard::journal::lmdb::{self, LmdbJournal, LmdbReader, OpenError};
use switchboard::journal::memory::{Memory, MemoryJournal, MemoryReader};
use switchboard::journal::{CommitError, Counts, Journal, JournalReader, ReadError, Recovered, Usage};
use switchboard::model::{
    Batch, Event, GroupId, Head, Payload, Quarantined, Sequence, StoredDeadLetter, UnixMillis,
};

use crate::scene::Scene;

const BOT: i64 = 42;

/// Where the journal is.
pub enum Place {
    Memory(Memory),
    Lmdb { directory: tempfile::TempDir, options: lmdb::Options },
}

/// A journal that is open.
#[derive(Debug)]
pub enum Disk {
    Memory(MemoryJournal),
    Lmdb(LmdbJournal),
}

/// Reads it.
#[derive(Clone, Debug)]
pub enum DiskReader {
    Memory(MemoryReader),
    Lmdb(LmdbReader),
}

impl Place {
    pub fn of(scene: &Scene) -> Self {
        if !scene.lmdb {
            return Self::Memory(Memory::new(scene.seed | 1, scene.journal_bytes));
        }
        let memory = std::path::Path::new("/dev/shm");
        let directory = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() };
        let options = lmdb::Options { max_bytes: 8 << 20, reserve_bytes: 256 << 10 };
        Self::Lmdb { directory: directory.expect("a directory"), options }
    }

    /// Opens the journal; `None` if somebody has it.
    pub fn open(&self) -> Option<Disk> {
        match self {
            Self::Memory(memory) => Some(Disk::Memory(memory.open())),
            Self::Lmdb { directory, options } => match lmdb::open(directory.path(), BOT, options) {
                Ok(journal) => Some(Disk::Lmdb(journal)),
                Err(OpenError::Locked { .. }) => None,
                Err(error) => panic!("{error}"),
            },
        }
    }
}

macro_rules! each {
    ($which:expr, $one:ident => $do:expr) => {
        match $which {
            Self::Memory($one) => $do,
            Self::Lmdb($one) => $do,
        }
    };
}

impl Journal for Disk {
    type Reader = DiskReader;

    fn reader(&self) -> DiskReader {
        match self {
            Self::Memory(journal) => DiskReader::Memory(journal.reader()),
            Self::Lmdb(journal) => DiskReader::Lmdb(journal.reader()),
        }
    }

    fn commit(&mut self, batch: &Batch) -> Result<Usage, CommitError> {
        each!(self, journal => journal.commit(batch))
    }

    fn usage(&mut self) -> Result<Usage, CommitError> {
        each!(self, journal => journal.usage())
    }
}

impl JournalReader for DiskReader {
    fn heads(&self, from: Sequence, limit: usize) -> Result<Vec<Head>, ReadError> {
        each!(self, reader => reader.heads(from, limit))
    }

    fn heads_back(&self, from: Sequence, limit: usize) -> Result<Vec<Head>, ReadError> {
        each!(self, reader => reader.heads_back(from, limit))
    }

    fn read(&self, sequences: &[Sequence]) -> Result<Vec<Option<Payload>>, ReadError> {
        each!(self, reader => reader.read(sequences))
    }

    fn first_at(&self, from: Sequence, time: UnixMillis) -> Result<Option<Sequence>, ReadError> {
        each!(self, reader => reader.first_at(from, time))
    }

    fn recover(&self) -> Result<Recovered, ReadError> {
        each!(self, reader => reader.recover())
    }

    fn dead_letters(
        &self,
        group: GroupId,
        from: Sequence,
        limit: usize,
    ) -> Result<Vec<StoredDeadLetter>, ReadError> {
        each!(self, reader => reader.dead_letters(group, from, limit))
    }

    fn dead_letters_back(
        &self,
        group: GroupId,
        from: Sequence,
        limit: usize,
    ) -> Result<Vec<StoredDeadLetter>, ReadError> {
        each!(self, reader => reader.dead_letters_back(group, from, limit))
    }

    fn events(&self, sequence: Sequence) -> Result<Vec<(GroupId, Event)>, ReadError> {
        each!(self, reader => reader.events(sequence))
    }

    fn quarantined(&self, from: u64, limit: usize) -> Result<Vec<(u64, Quarantined)>, ReadError> {
        each!(self, reader => reader.quarantined(from, limit))
    }

    fn quarantined_back(&self, from: u64, limit: usize) -> Result<Vec<(u64, Quarantined)>, ReadError> {
        each!(self, reader => reader.quarantined_back(from, limit))
    }

    fn newest(&self) -> Result<Sequence, ReadError> {
        each!(self, reader => reader.newest())
    }

    fn usage(&self) -> Usage {
        each!(self, reader => reader.usage())
    }

    fn counts(&self) -> Result<Counts, ReadError> {
        each!(self, reader => reader.counts())
    }

    fn copy_to(&self, path: &std::path::Path) -> Result<(), ReadError> {
        each!(self, reader => reader.copy_to(path))
    }
}
