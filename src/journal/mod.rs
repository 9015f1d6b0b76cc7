//! The journal's contract: the durable, ordered record of one bot's updates and of every group's progress.
//!
//! There is one writer, a [`Journal`], and any number of [`JournalReader`]s. All calls block; the driver makes commits
//! on a thread of their own. Callers rely on nothing beyond what is said here.

#[cfg(test)]
mod contract;
pub mod lmdb;

use crate::model::{
    AttemptRecord, Batch, Event, GroupId, GroupName, GroupRecord, Head, IdRange, Payload, Quarantined,
    Sequence, StoredDeadLetter, UnixMillis,
};

/// The writer.
pub trait Journal: Send + 'static {
    /// How it is read.
    type Reader: JournalReader;

    /// A reader of what is durable.
    fn reader(&self) -> Self::Reader;

    /// Makes the batch durable, whole or not at all. Applying the same (group, sequence) twice changes nothing. Events
    /// alone may be left out: when there is no room for new updates and most of the reserve is used up, so that
    /// settlements go on.
    ///
    /// # Errors
    /// See [`CommitError`]. After [`CommitError::NoRoom`] nothing of the batch is durable and the journal goes on.
    /// After any other one it must not be used again.
    fn commit(&mut self, batch: &Batch) -> Result<Usage, CommitError>;

    /// How full it is, looked at anew: room that came back since the last commit is seen here.
    ///
    /// # Errors
    /// [`CommitError::Failed`] if it cannot be found out.
    fn usage(&mut self) -> Result<Usage, CommitError>;
}

/// Reads what is durable. Cheap to clone; every call sees the newest commit.
pub trait JournalReader: Clone + Send + Sync + 'static {
    /// Up to `limit` heads from `from` on, ascending.
    ///
    /// # Errors
    /// [`ReadError`].
    fn heads(&self, from: Sequence, limit: usize) -> Result<Vec<Head>, ReadError>;

    /// Up to `limit` heads from `from` on downwards, descending.
    ///
    /// # Errors
    /// [`ReadError`].
    fn heads_back(&self, from: Sequence, limit: usize) -> Result<Vec<Head>, ReadError>;

    /// The payloads of these updates, in the order asked for; `None` where one is trimmed or never was.
    ///
    /// # Errors
    /// [`ReadError`].
    fn read(&self, sequences: &[Sequence]) -> Result<Vec<Option<Payload>>, ReadError>;

    /// The first stored sequence at or after `from`, and the first one received at or after `time`, whichever is
    /// later; `None` if there is none.
    ///
    /// # Errors
    /// [`ReadError`].
    fn first_at(&self, from: Sequence, time: UnixMillis) -> Result<Option<Sequence>, ReadError>;

    /// All that a driver needs to go on where the last one stopped.
    ///
    /// # Errors
    /// [`ReadError`].
    fn recover(&self) -> Result<Recovered, ReadError>;

    /// Up to `limit` dead letters of a group from `from` on, ascending.
    ///
    /// # Errors
    /// [`ReadError`].
    fn dead_letters(
        &self,
        group: GroupId,
        from: Sequence,
        limit: usize,
    ) -> Result<Vec<StoredDeadLetter>, ReadError>;

    /// Up to `limit` dead letters of a group from `from` on downwards, descending.
    ///
    /// # Errors
    /// [`ReadError`].
    fn dead_letters_back(
        &self,
        group: GroupId,
        from: Sequence,
        limit: usize,
    ) -> Result<Vec<StoredDeadLetter>, ReadError>;

    /// What happened to an update, by group, in the order of time.
    ///
    /// # Errors
    /// [`ReadError`].
    fn events(&self, sequence: Sequence) -> Result<Vec<(GroupId, Event)>, ReadError>;

    /// Up to `limit` quarantined elements with their numbers, from number `from` on, ascending: oldest first.
    ///
    /// # Errors
    /// [`ReadError`].
    fn quarantined(&self, from: u64, limit: usize) -> Result<Vec<(u64, Quarantined)>, ReadError>;

    /// Up to `limit` quarantined elements with their numbers, from number `from` on downwards, descending.
    ///
    /// # Errors
    /// [`ReadError`].
    fn quarantined_back(&self, from: u64, limit: usize) -> Result<Vec<(u64, Quarantined)>, ReadError>;

    /// The newest sequence ever given out, stored or not; 0 if none.
    ///
    /// # Errors
    /// [`ReadError`].
    fn newest(&self) -> Result<Sequence, ReadError>;

    /// How full it is, as its writer saw it last.
    fn usage(&self) -> Usage;

    /// How much there is of everything; takes no scan.
    ///
    /// # Errors
    /// [`ReadError`].
    fn counts(&self) -> Result<Counts, ReadError>;

    /// Writes a consistent, compact copy of the whole journal to `path`, which must not exist.
    ///
    /// # Errors
    /// [`ReadError`].
    fn copy_to(&self, path: &std::path::Path) -> Result<(), ReadError>;
}

/// How much there is of everything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Updates.
    pub updates: u64,
    /// The oldest update, and when it was received.
    pub first: Option<(Sequence, UnixMillis)>,
    /// The dead letters of each group that has some.
    pub dead_letters: Vec<(GroupId, DeadLetterCount)>,
    /// Quarantined elements.
    pub quarantined: u64,
}

/// How many dead letters there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DeadLetterCount {
    /// How many.
    pub count: u64,
    /// Bytes of their JSON.
    pub bytes: u64,
}

/// How full a journal is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Usage {
    /// Bytes in use, free pages not counted.
    pub used_bytes: u64,
    /// The configured limit.
    pub max_bytes: u64,
    /// Whether new updates may be appended. If not, settlements and trims still can be committed.
    pub room: Room,
}

/// Whether there is room for new updates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Room {
    /// There is.
    Open,
    /// The journal is at its limit less the reserve that settlements and trims need.
    JournalFull,
    /// The disk has no room for it to grow.
    DiskFull,
}

/// Why a commit did not happen.
#[derive(Debug, thiserror::Error)]
pub enum CommitError {
    /// No room, in the journal or on the disk. Nothing changed; try again later, with less.
    #[error("the journal at {path} has no room: {why}")]
    NoRoom {
        /// Where it is.
        path: String,
        /// What ended.
        why: String,
    },
    /// Another writer has taken over.
    #[error("another gateway has taken over this journal")]
    Fenced,
    /// Anything else: the process must end, since it cannot be known what is on the disk.
    #[error("the journal at {path} failed: {why}")]
    Failed {
        /// Where it is.
        path: String,
        /// What happened.
        why: String,
    },
}

/// Why something could not be read.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ReadError {
    /// A row is not what was written.
    #[error(
        "the journal at {path} is damaged ({what}): stop the gateway, keep a copy of the directory, and restore the \
         last backup with `switchboard restore`"
    )]
    Damaged {
        /// Where it is.
        path: String,
        /// Which row of which table.
        what: String,
    },
    /// The storage failed.
    #[error("the journal at {path} cannot be read: {why}")]
    Failed {
        /// Where it is.
        path: String,
        /// What happened.
        why: String,
    },
}

/// What a driver starts from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recovered {
    /// Random, made with the journal, renewed by a restore.
    pub journal_id: u64,
    /// How many times it has been opened for writing, this time included; durable before `open` returned.
    pub boot: u32,
    /// The newest sequence ever given out; 0 if none.
    pub last_sequence: Sequence,
    /// The oldest stored update; `None` if there is none.
    pub first_stored: Option<Sequence>,
    /// The newest stored time: new ones must not be earlier.
    pub last_time: UnixMillis,
    /// The highest group number ever given out; 0 if none.
    pub last_group: GroupId,
    /// The groups.
    pub groups: Vec<RecoveredGroup>,
    /// Names of deleted groups.
    pub deleted: Vec<GroupName>,
    /// The remembered update ids.
    pub ids: Vec<IdRange>,
    /// The webhook URL that this gateway had set at Telegram.
    pub own_webhook: Option<Box<str>>,
    /// How full it is.
    pub usage: Usage,
}

/// One group's progress.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecoveredGroup {
    /// The group.
    pub record: GroupRecord,
    /// Everything at or below is settled; 0 if no commit said so yet.
    pub cursor: Sequence,
    /// Settled positions above the cursor.
    pub settled: Vec<SettledBlock>,
    /// What is remembered of deliveries of updates that are not settled or are replayed, ascending.
    pub attempts: Vec<(Sequence, AttemptRecord)>,
    /// Updates that it gets again though it is done with them, with the generations of their replays, ascending.
    pub replays: Vec<(Head, u32)>,
}

/// Which of the 4,096 sequences from `number * 4096` on are settled: bit `i % 64` of word `i / 64`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SettledBlock {
    /// `sequence / 4096`.
    pub number: u64,
    /// The bits.
    pub words: Box<[u64; 64]>,
}
