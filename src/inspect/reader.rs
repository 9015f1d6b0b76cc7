//! Any journal's reader, so that no one else needs to know its type.

use std::path::Path;

use crate::journal::{Counts, JournalReader, ReadError, Usage};
use crate::model::{Event, GroupId, Head, Payload, Quarantined, Sequence, StoredDeadLetter, UnixMillis};

/// What is used of a [`JournalReader`], as one type for all of them.
pub(super) trait AnyReader: Send + Sync {
    fn heads(&self, from: Sequence, limit: usize) -> Result<Vec<Head>, ReadError>;
    fn heads_back(&self, from: Sequence, limit: usize) -> Result<Vec<Head>, ReadError>;
    fn read(&self, sequences: &[Sequence]) -> Result<Vec<Option<Payload>>, ReadError>;
    fn first_at(&self, from: Sequence, time: UnixMillis) -> Result<Option<Sequence>, ReadError>;
    fn dead_letters(
        &self,
        group: GroupId,
        from: Sequence,
        limit: usize,
    ) -> Result<Vec<StoredDeadLetter>, ReadError>;
    fn dead_letters_back(
        &self,
        group: GroupId,
        from: Sequence,
        limit: usize,
    ) -> Result<Vec<StoredDeadLetter>, ReadError>;
    fn events(&self, sequence: Sequence) -> Result<Vec<(GroupId, Event)>, ReadError>;
    fn quarantined_back(&self, from: u64, limit: usize) -> Result<Vec<(u64, Quarantined)>, ReadError>;
    fn newest(&self) -> Result<Sequence, ReadError>;
    fn usage(&self) -> Usage;
    fn counts(&self) -> Result<Counts, ReadError>;
    fn copy_to(&self, path: &Path) -> Result<(), ReadError>;
}

impl<R: JournalReader> AnyReader for R {
    fn heads(&self, from: Sequence, limit: usize) -> Result<Vec<Head>, ReadError> {
        JournalReader::heads(self, from, limit)
    }

    fn heads_back(&self, from: Sequence, limit: usize) -> Result<Vec<Head>, ReadError> {
        JournalReader::heads_back(self, from, limit)
    }

    fn read(&self, sequences: &[Sequence]) -> Result<Vec<Option<Payload>>, ReadError> {
        JournalReader::read(self, sequences)
    }

    fn first_at(&self, from: Sequence, time: UnixMillis) -> Result<Option<Sequence>, ReadError> {
        JournalReader::first_at(self, from, time)
    }

    fn dead_letters(
        &self,
        group: GroupId,
        from: Sequence,
        limit: usize,
    ) -> Result<Vec<StoredDeadLetter>, ReadError> {
        JournalReader::dead_letters(self, group, from, limit)
    }

    fn dead_letters_back(
        &self,
        group: GroupId,
        from: Sequence,
        limit: usize,
    ) -> Result<Vec<StoredDeadLetter>, ReadError> {
        JournalReader::dead_letters_back(self, group, from, limit)
    }

    fn events(&self, sequence: Sequence) -> Result<Vec<(GroupId, Event)>, ReadError> {
        JournalReader::events(self, sequence)
    }

    fn quarantined_back(&self, from: u64, limit: usize) -> Result<Vec<(u64, Quarantined)>, ReadError> {
        JournalReader::quarantined_back(self, from, limit)
    }

    fn newest(&self) -> Result<Sequence, ReadError> {
        JournalReader::newest(self)
    }

    fn usage(&self) -> Usage {
        JournalReader::usage(self)
    }

    fn counts(&self) -> Result<Counts, ReadError> {
        JournalReader::counts(self)
    }

    fn copy_to(&self, path: &Path) -> Result<(), ReadError> {
        JournalReader::copy_to(self, path)
    }
}
