//! Read-only views over the journal and the live state.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use crate::journal::{JournalReader, ReadError};

/// Looks into one bot's journal. Cheap to clone; every call sees the newest commit and blocks.
#[derive(Clone)]
pub struct Inspector {
    copy_to: Arc<CopyTo>,
}

/// [`JournalReader::copy_to`] of whatever reader there is, so that no one else needs to know its type.
type CopyTo = dyn Fn(&Path) -> Result<(), ReadError> + Send + Sync;

/// Why a journal could not be copied.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CopyError {
    /// A row is not what was written.
    #[error("{0}")]
    Damaged(String),
    /// The copy could not be read or written.
    #[error("{0}")]
    Failed(String),
}

impl Inspector {
    /// An inspector of the journal that `reader` reads.
    pub fn new(reader: impl JournalReader) -> Self {
        Self { copy_to: Arc::new(move |path| reader.copy_to(path)) }
    }

    /// Writes a consistent, compact copy of the whole journal to `path`, which must not exist.
    ///
    /// # Errors
    /// [`CopyError`]; a part of the copy may be there then.
    pub fn copy_to(&self, path: &Path) -> Result<(), CopyError> {
        (self.copy_to)(path).map_err(|error| match error {
            ReadError::Damaged { .. } => CopyError::Damaged(error.to_string()),
            ReadError::Failed { .. } => CopyError::Failed(error.to_string()),
        })
    }
}

impl fmt::Debug for Inspector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Inspector")
    }
}
