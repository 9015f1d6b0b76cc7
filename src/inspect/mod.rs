//! Read-only views over the journal and the live state.

mod connection;
mod dead_letters;
mod explanation;
mod reader;
mod scan;
mod selection;
mod timeline;

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use crate::journal::{Counts, JournalReader, ReadError, Usage};
use crate::model::{Event, GroupId, Head, Payload, Quarantined, Sequence, UnixMillis};

pub use connection::{Configured, Connection, ConnectionMode, Webhook};
pub use dead_letters::DeadLetterPage;
pub use explanation::{Question, settled};
use reader::AnyReader;
pub use scan::{Direction, UpdatePage, UpdateQuery};
pub use selection::Selection;
pub use timeline::{Attempt, Timeline, UpdateState, timeline};

/// Looks into one bot's journal, and at its connection. Cheap to clone; every call sees the newest commit. Those that
/// read the journal block.
#[derive(Clone)]
pub struct Inspector {
    journal: Arc<dyn AnyReader>,
    connection: Arc<dyn Fn() -> Connection + Send + Sync>,
    configured: Configured,
}

/// Why a journal could not be looked into.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InspectError {
    /// A row is not what was written.
    #[error("{0}")]
    Damaged(String),
    /// It could not be read, or its copy not be written.
    #[error("{0}")]
    Failed(String),
}

impl From<ReadError> for InspectError {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Damaged { .. } => Self::Damaged(error.to_string()),
            ReadError::Failed { .. } => Self::Failed(error.to_string()),
        }
    }
}

/// How much a journal holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holdings {
    /// How full it is.
    pub usage: Usage,
    /// The newest sequence ever given out; 0 if none.
    pub newest: Sequence,
    /// How much there is of everything.
    pub counts: Counts,
}

impl Inspector {
    /// An inspector of the journal that `reader` reads.
    pub fn new(reader: impl JournalReader) -> Self {
        Self {
            journal: Arc::new(reader),
            connection: Arc::new(Connection::default),
            configured: Configured::default(),
        }
    }

    /// One that also knows how the bot is connected to Telegram.
    #[must_use]
    pub fn with_connection(self, connection: impl Fn() -> Connection + Send + Sync + 'static) -> Self {
        Self { connection: Arc::new(connection), ..self }
    }

    /// One that also knows what the configuration says.
    #[must_use]
    pub fn with_configured(self, configured: Configured) -> Self {
        Self { configured, ..self }
    }

    /// How the bot is connected to Telegram at the moment.
    #[must_use]
    pub fn connection(&self) -> Connection {
        (self.connection)()
    }

    /// What the configuration says.
    #[must_use]
    pub fn configured(&self) -> &Configured {
        &self.configured
    }

    /// How much the journal holds.
    ///
    /// # Errors
    /// [`InspectError`].
    pub fn holdings(&self) -> Result<Holdings, InspectError> {
        Ok(Holdings {
            usage: self.journal.usage(),
            newest: self.journal.newest()?,
            counts: self.journal.counts()?,
        })
    }

    /// The first stored sequence at or after `from`, received at or after `time`.
    ///
    /// # Errors
    /// [`InspectError`].
    pub fn first_at(&self, from: Sequence, time: UnixMillis) -> Result<Option<Sequence>, InspectError> {
        Ok(self.journal.first_at(from, time)?)
    }

    /// Up to `limit` heads from `from` on, ascending.
    ///
    /// # Errors
    /// [`InspectError`].
    pub fn heads(&self, from: Sequence, limit: usize) -> Result<Vec<Head>, InspectError> {
        Ok(self.journal.heads(from, limit)?)
    }

    /// The head of this update, if it is stored.
    ///
    /// # Errors
    /// [`InspectError`].
    pub fn head(&self, sequence: Sequence) -> Result<Option<Head>, InspectError> {
        let found = self.journal.heads(sequence, 1)?.into_iter().next();
        Ok(found.filter(|head| head.sequence == sequence))
    }

    /// The payloads of these updates; `None` where one is not stored.
    ///
    /// # Errors
    /// [`InspectError`].
    pub fn payloads(&self, sequences: &[Sequence]) -> Result<Vec<Option<Payload>>, InspectError> {
        Ok(self.journal.read(sequences)?)
    }

    /// What happened to an update, by group, in the order of time.
    ///
    /// # Errors
    /// [`InspectError`].
    pub fn events(&self, sequence: Sequence) -> Result<Vec<(GroupId, Event)>, InspectError> {
        Ok(self.journal.events(sequence)?)
    }

    /// Up to `limit` quarantined elements with their numbers, from number `from` on downwards.
    ///
    /// # Errors
    /// [`InspectError`].
    pub fn quarantined(&self, from: u64, limit: usize) -> Result<Vec<(u64, Quarantined)>, InspectError> {
        Ok(self.journal.quarantined_back(from, limit)?)
    }

    /// Writes a consistent, compact copy of the whole journal to `path`, which must not exist.
    ///
    /// # Errors
    /// [`InspectError`]; a part of the copy may be there then.
    pub fn copy_to(&self, path: &Path) -> Result<(), InspectError> {
        Ok(self.journal.copy_to(path)?)
    }
}

impl fmt::Debug for Inspector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Inspector")
    }
}
