//! What can go wrong below the contract, and how the contract says it.

use std::path::Path;

use heed::MdbError;
use rustix::io::Errno;

use crate::journal::ReadError;

/// What went wrong, before it is known who asked.
#[derive(Debug)]
pub(super) enum Fault {
    /// A row is not what was written.
    Damaged(String),
    /// LMDB or the file system failed.
    Storage(heed::Error),
    /// The caller broke the contract.
    Misuse(String),
}

impl From<heed::Error> for Fault {
    fn from(error: heed::Error) -> Self {
        match error {
            // LMDB's own pages: trying again, or starting again, meets the same.
            heed::Error::Mdb(damage @ (MdbError::Corrupted | MdbError::PageNotFound)) => {
                Self::Damaged(format!("LMDB says: {damage}"))
            }
            error => Self::Storage(error),
        }
    }
}

impl From<std::io::Error> for Fault {
    fn from(error: std::io::Error) -> Self {
        Self::Storage(heed::Error::Io(error))
    }
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Damaged(what) => write!(f, "damaged: {what}"),
            Self::Storage(error) => error.fmt(f),
            Self::Misuse(what) => write!(f, "the batch breaks the journal's contract: {what}"),
        }
    }
}

/// What a failed commit says about room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shortage {
    /// It was for want of room.
    Certain,
    /// LMDB reports a short write, which a full disk causes, as EIO, which a broken one reports too.
    Possible,
    /// It was something else.
    None,
}

impl Fault {
    pub(super) fn shortage(&self) -> Shortage {
        match self {
            Self::Storage(heed::Error::Mdb(MdbError::MapFull | MdbError::TxnFull)) => Shortage::Certain,
            Self::Storage(heed::Error::Io(error)) if is_no_space(error) => Shortage::Certain,
            Self::Storage(heed::Error::Io(error)) if errno(error) == Some(Errno::IO) => Shortage::Possible,
            _ => Shortage::None,
        }
    }

    pub(super) fn into_read_error(self, path: &Path) -> ReadError {
        let path = path.display().to_string();
        match self {
            Self::Damaged(what) => ReadError::Damaged { path, what },
            other => ReadError::Failed { path, why: other.to_string() },
        }
    }
}

fn errno(error: &std::io::Error) -> Option<Errno> {
    error.raw_os_error().map(Errno::from_raw_os_error)
}

/// Whether the error says that the disk, the quota or the file's size limit ended.
pub(super) fn is_no_space(error: &std::io::Error) -> bool {
    matches!(errno(error), Some(Errno::NOSPC | Errno::DQUOT | Errno::FBIG))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn damage_that_lmdb_finds_itself_is_damage_with_the_way_out() {
        for damage in [MdbError::Corrupted, MdbError::PageNotFound] {
            let error = Fault::from(heed::Error::Mdb(damage)).into_read_error(Path::new("data/shop"));
            assert!(matches!(error, ReadError::Damaged { .. }), "{error}");
            assert!(error.to_string().contains("restore the last backup"), "{error}");
        }
        let full = Fault::from(heed::Error::Mdb(MdbError::MapFull));
        assert_eq!(full.shortage(), Shortage::Certain);
    }
}
