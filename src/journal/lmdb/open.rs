//! Opens a journal for writing, or says why not.

use std::fs::{self, File, TryLockError};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use super::environment::{self, DATA_FILE, Found, Unusable};
use super::fault::{Fault, is_no_space};
use super::filesystem::{network_filesystem, sync_directory};
use super::meta::{self, Identity};
use super::migration;
use super::reader::Shared;
use super::space::Space;
use super::tables::{Tables, Writer};
use super::{LmdbJournal, Options};
use crate::journal::{Room, Usage};

/// The file that the gateway that has a journal open holds a lock on.
pub(super) const LOCK_FILE: &str = "journal.lock";
/// What that file says once a journal was made beside it: a data file that is missing then is lost, not still to be made.
const MARK: &[u8] =
    b"A journal was made in this directory. This file stays empty until then, and is locked while in use.\n";
/// Where a restore works until it is done.
pub(super) const RESTORE_DIR: &str = "restore.partial";
/// Room of the map beyond the limit and the reserve: a quarter of the limit, for pages that are free but scattered or
/// still pinned by a reader, and this for the smallest journals. Addresses, not memory and not disk.
const LEAST_SLACK_BYTES: u64 = 16 << 20;

/// Why a journal cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The options make no sense.
    #[error(
        "max_bytes is {max_bytes} and reserve_bytes {reserve_bytes}: the limit must be at least 4 MiB, and the \
             reserve at least 256 KiB and at most half of it"
    )]
    Options {
        /// The limit.
        max_bytes: u64,
        /// The reserve.
        reserve_bytes: u64,
    },
    /// Another process, or this one, has it open.
    #[error(
        "the journal in {dir} is in use by another gateway: stop that one, or give this one a data directory of \
             its own"
    )]
    Locked {
        /// The directory.
        dir: PathBuf,
    },
    /// The directory is on a network file system.
    #[error(
        "the journal's directory {dir} is on a network file system ({kind}), where its locks and its memory map \
             do not work: choose one on a local disk"
    )]
    Network {
        /// The directory.
        dir: PathBuf,
        /// Which file system.
        kind: String,
    },
    /// The directory or a file in it cannot be made, read or written.
    #[error(
        "the journal's directory {dir} cannot be used ({source}): it must be readable and writable by the user \
             that the gateway runs as"
    )]
    Access {
        /// The directory.
        dir: PathBuf,
        /// The first failure.
        source: std::io::Error,
    },
    /// The disk is full.
    #[error(
        "the disk under the journal's directory {dir} is full ({source}): free some space and start again"
    )]
    DiskFull {
        /// The directory.
        dir: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// The files are not a journal.
    #[error("there is no journal in {dir} ({why}): choose an empty directory, or the right one")]
    NotAJournal {
        /// The directory.
        dir: PathBuf,
        /// What was found.
        why: String,
    },
    /// The data file of a journal is gone.
    #[error(
        "the data file {dir}/data.mdb is missing or empty, though a journal was made there: put it back, or move the \
         directory away and restore the last backup with `switchboard restore`; to begin an empty journal, which \
         loses all updates and progress, remove the directory"
    )]
    Lost {
        /// The directory.
        dir: PathBuf,
    },
    /// A restore was broken off.
    #[error(
        "a restore into {dir} was broken off: run it again, or remove {dir}/restore.partial to begin an empty \
             journal"
    )]
    UnfinishedRestore {
        /// The directory.
        dir: PathBuf,
    },
    /// It was written by a newer version.
    #[error(
        "the journal in {dir} has format {found}, and this version of switchboard reads format {known}: start \
             the version that wrote it, or a newer one"
    )]
    NewerFormat {
        /// The directory.
        dir: PathBuf,
        /// The format found.
        found: u32,
        /// The newest known format.
        known: u32,
    },
    /// It belongs to another bot.
    #[error(
        "the journal in {dir} belongs to the bot with id {found}, and the token is that of the bot with id \
             {expected}: use that bot's token, or another data directory"
    )]
    OtherBot {
        /// The directory.
        dir: PathBuf,
        /// Whose it is.
        found: i64,
        /// Whose was asked for.
        expected: i64,
    },
    /// A row is not what was written.
    #[error(
        "the journal in {dir} is damaged ({what}): keep a copy of the directory, and restore the last backup \
             with `switchboard restore`"
    )]
    Damaged {
        /// The directory.
        dir: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// Anything else.
    #[error("the journal in {dir} cannot be opened: {why}")]
    Failed {
        /// The directory.
        dir: PathBuf,
        /// What happened.
        why: String,
    },
}

impl OpenError {
    fn io(dir: &Path, source: std::io::Error) -> Self {
        let dir = dir.to_owned();
        if is_no_space(&source) { Self::DiskFull { dir, source } } else { Self::Access { dir, source } }
    }

    pub(super) fn fault(dir: &Path, fault: Fault) -> Self {
        Self::unusable(dir, fault.into())
    }

    pub(super) fn unusable(dir: &Path, unusable: Unusable) -> Self {
        let owned = dir.to_owned();
        match unusable {
            Unusable::NotAJournal(why) => Self::NotAJournal { dir: owned, why },
            Unusable::Damaged(what) => Self::Damaged { dir: owned, what },
            Unusable::NewerFormat(found) => Self::NewerFormat { dir: owned, found, known: meta::FORMAT },
            Unusable::Failed(heed::Error::Io(error)) if error.raw_os_error().is_some() => {
                Self::io(dir, error)
            }
            Unusable::Failed(error) => Self::Failed { dir: owned, why: error.to_string() },
        }
    }
}

/// Opens the journal of the bot `bot_id` in `dir` for writing, and makes both where they are not there yet. One of an
/// older format is migrated. When it returns, the raised boot counter is durable.
///
/// # Errors
/// [`OpenError`] says what is in the way.
pub fn open(dir: &Path, bot_id: i64, options: &Options) -> Result<LmdbJournal, OpenError> {
    let Options { max_bytes, reserve_bytes } = *options;
    if max_bytes < 4 << 20 || reserve_bytes < 256 << 10 || reserve_bytes > max_bytes / 2 {
        return Err(OpenError::Options { max_bytes, reserve_bytes });
    }
    let (dir, lock) = claim(dir)?;
    if dir.join(RESTORE_DIR).exists() {
        return Err(OpenError::UnfinishedRestore { dir });
    }
    let marked = lock.metadata().map_err(|error| OpenError::io(&dir, error))?.len() > 0;
    if marked && is_missing_or_empty(&dir.join(DATA_FILE)).map_err(|error| OpenError::io(&dir, error))? {
        return Err(OpenError::Lost { dir });
    }
    let slack = (max_bytes / 4).max(LEAST_SLACK_BYTES);
    let map_bytes = max_bytes.saturating_add(reserve_bytes).saturating_add(slack);
    let found = environment::open(&dir, map_bytes).map_err(|error| OpenError::unusable(&dir, error))?;
    let (env, tables) = match found {
        Found::Nothing(_) if marked => return Err(OpenError::Lost { dir }),
        Found::Nothing(env) => {
            let tables = create(&env, bot_id).map_err(|fault| OpenError::fault(&dir, fault))?;
            sync_directory(&dir).map_err(|error| OpenError::io(&dir, error))?;
            (env, tables)
        }
        Found::Journal(env, tables) => (env, tables),
    };
    let begin = || -> Result<_, Fault> {
        let txn = env.write_txn()?;
        let identity = meta::identity(&tables, &txn)?;
        if identity.bot_id != bot_id {
            return Ok(Err(identity.bot_id));
        }
        let state = meta::commit_row(&tables, &txn)?;
        let mut writer = Writer::new(tables, txn, state.chain, Vec::new());
        migration::migrate(&mut writer)?;
        meta::write_boot(&mut writer, identity.boot.saturating_add(1))?;
        writer.commit()?;
        Ok(Ok((state, env.try_clone_inner_file()?)))
    };
    let (state, file) = match begin().map_err(|fault| OpenError::fault(&dir, fault))? {
        Ok(begun) => begun,
        Err(found) => return Err(OpenError::OtherBot { dir, found, expected: bot_id }),
    };
    if !marked {
        mark(&lock).map_err(|error| OpenError::io(&dir, error))?;
    }
    // Replaced by the first look, below.
    let usage = Usage { used_bytes: 0, max_bytes, room: Room::Open };
    let shared = Shared { env, tables, dir: dir.clone().into(), usage: Mutex::new(usage), _lock: lock };
    let mut journal = LmdbJournal {
        shared: Arc::new(shared),
        space: Space::new(file, reserve_bytes),
        extent: super::space::Extent::default(),
        state,
        options: *options,
        buffers: super::commit::Buffers::default(),
        last_trail: super::commit::Trail::Kept,
        failed: None,
    };
    journal.look().map_err(|fault| OpenError::fault(&dir, fault))?;
    Ok(journal)
}

fn is_missing_or_empty(file: &Path) -> std::io::Result<bool> {
    match fs::metadata(file) {
        Ok(metadata) => Ok(metadata.len() == 0),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(true),
        Err(error) => Err(error),
    }
}

/// Marks the lock file. A disk that is full does not keep a journal from being opened: the next open marks it.
fn mark(mut lock: &File) -> std::io::Result<()> {
    match lock.write_all(MARK).and_then(|()| lock.sync_all()) {
        Err(error) if is_no_space(&error) => Ok(()),
        result => result,
    }
}

/// Makes the directory, checks what it is on, and locks it.
pub(super) fn claim(dir: &Path) -> Result<(PathBuf, File), OpenError> {
    let io = |error| OpenError::io(dir, error);
    if !dir.exists() {
        fs::create_dir_all(dir).map_err(io)?;
        sync_directory(dir.parent().unwrap_or(dir)).map_err(io)?;
    }
    let dir = dir.canonicalize().map_err(io)?;
    let io = |error| OpenError::io(&dir, error);
    if let Some(kind) = network_filesystem(&dir).map_err(io)? {
        return Err(OpenError::Network { dir, kind });
    }
    let path = dir.join(LOCK_FILE);
    let lock = File::options().write(true).create(true).truncate(false).open(path).map_err(io)?;
    match lock.try_lock() {
        Ok(()) => Ok((dir, lock)),
        Err(TryLockError::WouldBlock) => Err(OpenError::Locked { dir }),
        Err(TryLockError::Error(error)) => Err(io(error)),
    }
}

/// Makes the tables and the rows that every journal has. A crash between the two leaves tables without rows, which are
/// filled here as well.
fn create(env: &heed::Env<heed::WithoutTls>, bot_id: i64) -> Result<Tables, Fault> {
    let tables = environment::create_tables(env)?;
    let mut writer = Writer::new(tables, env.write_txn()?, 0, Vec::new());
    meta::create(&mut writer, Identity { bot_id, journal_id: meta::random_id()?, boot: 0 })?;
    writer.commit()?;
    Ok(tables)
}
