//! Makes a journal from a backup, checking every row of it.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use heed::{Env, WithoutTls};

use super::environment::{self, DATA_FILE, Found, Unusable};
use super::fault::Fault;
use super::filesystem::sync_directory;
use super::meta;
use super::migration;
use super::open::{LOCK_FILE, OpenError, RESTORE_DIR, claim};
use super::reader::groups;
use super::tables::{Read, Table, Tables, Writer};
use super::verify;
use crate::model::{GroupName, Sequence};

/// Room of the map beyond twice the backup, for the pages that the new id takes; a migration may write all others anew.
const MAP_SLACK_BYTES: u64 = 16 << 20;

/// What a restored journal holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Restored {
    /// The bot whose journal it is.
    pub bot_id: i64,
    /// The newest sequence ever given out.
    pub last_sequence: Sequence,
    /// How many updates are stored.
    pub updates: u64,
    /// The groups' names.
    pub groups: Vec<GroupName>,
}

/// Why a backup was not restored. Nothing is left in the directory then.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    /// There is something in the directory.
    #[error(
        "{dir} is not empty, and a backup is restored into an empty or new directory only: stop the gateway, move what \
         is there away (mv {dir} {dir}.old), and restore again"
    )]
    NotEmpty {
        /// The directory.
        dir: PathBuf,
    },
    /// The directory cannot be used.
    #[error(transparent)]
    Target(#[from] OpenError),
    /// The backup cannot be read, or copied.
    #[error("the backup {file} cannot be copied: {source}")]
    Copy {
        /// The backup.
        file: PathBuf,
        /// What happened.
        source: io::Error,
    },
    /// The backup is not a whole journal of a known format.
    #[error("the backup {file} cannot be restored: {why}")]
    Backup {
        /// The backup.
        file: PathBuf,
        /// What is wrong with it.
        why: String,
    },
}

/// Makes a journal in `dir`, which must be empty or not exist, from a file that
/// [`copy_to`](crate::journal::JournalReader::copy_to) wrote. Every row is checked first. The journal gets a new id,
/// so that tokens of deliveries made after the backup are not taken for its own.
///
/// # Errors
/// [`RestoreError`].
pub fn restore(backup_file: &Path, dir: &Path) -> Result<Restored, RestoreError> {
    let existed = dir.exists();
    if existed && !is_empty(dir).map_err(|source| OpenError::Access { dir: dir.to_owned(), source })? {
        return Err(RestoreError::NotEmpty { dir: dir.to_owned() });
    }
    let (dir, lock) = claim(dir)?;
    let result = restore_into(backup_file, &dir);
    if result.is_err() {
        // The first error is the one to report; what cannot be removed makes the next attempt say so.
        let _ = fs::remove_dir_all(dir.join(RESTORE_DIR));
        let _ = fs::remove_file(dir.join(LOCK_FILE));
        if !existed {
            let _ = fs::remove_dir(&dir);
        }
    }
    drop(lock);
    result
}

/// Whether nothing is there but what a restore that was broken off left.
fn is_empty(dir: &Path) -> io::Result<bool> {
    for entry in fs::read_dir(dir)? {
        let name = entry?.file_name();
        if name != LOCK_FILE && name != RESTORE_DIR {
            return Ok(false);
        }
    }
    Ok(true)
}

fn restore_into(backup_file: &Path, dir: &Path) -> Result<Restored, RestoreError> {
    let partial = dir.join(RESTORE_DIR);
    let copied = || -> io::Result<u64> {
        if partial.exists() {
            fs::remove_dir_all(&partial)?;
        }
        fs::create_dir(&partial)?;
        let mut from = File::open(backup_file)?;
        // As LMDB makes it: what people wrote to a bot is nobody else's business.
        let mut to =
            File::options().write(true).create_new(true).mode(0o600).open(partial.join(DATA_FILE))?;
        let length = io::copy(&mut from, &mut to)?;
        to.sync_all()?;
        Ok(length)
    };
    let failed = |source| RestoreError::Copy { file: backup_file.to_owned(), source };
    let length = copied().map_err(failed)?;
    let restored = adopt(&partial, length).map_err(|unusable| RestoreError::Backup {
        file: backup_file.to_owned(),
        why: match unusable {
            Unusable::NotAJournal(_) => "it is no backup of a journal".to_owned(),
            Unusable::Damaged(what) => format!("it is damaged ({what})"),
            Unusable::NewerFormat(found) => {
                format!(
                    "it has format {found}, and this version of switchboard reads format {}",
                    meta::FORMAT
                )
            }
            Unusable::Failed(error) => error.to_string(),
        },
    })?;
    let moved = || {
        fs::rename(partial.join(DATA_FILE), dir.join(DATA_FILE))?;
        sync_directory(dir)?;
        fs::remove_dir_all(&partial)?;
        sync_directory(dir)
    };
    moved().map_err(failed)?;
    Ok(restored)
}

/// Migrates the journal in `dir`, renews its id and checks it.
fn adopt(dir: &Path, length: u64) -> Result<Restored, Unusable> {
    let map_bytes = length.saturating_mul(2).saturating_add(MAP_SLACK_BYTES);
    let Found::Journal(env, tables) = environment::open(dir, map_bytes)? else {
        return Err(Unusable::NotAJournal("it is empty".to_owned()));
    };
    let txn = env.write_txn()?;
    let chain = meta::commit_row(&tables, &txn)?.chain;
    let mut writer = Writer::new(tables, txn, chain, Vec::new());
    migration::migrate(&mut writer)?;
    meta::write_journal_id(&mut writer, meta::random_id()?)?;
    writer.commit()?;
    Ok(check(&env, &tables)?)
}

/// Reads every row, and says what there is.
fn check(env: &Env<WithoutTls>, tables: &Tables) -> Result<Restored, Fault> {
    match verify::look(env, tables)?.damage.into_iter().next() {
        Some(what) => Err(Fault::Damaged(what)),
        None => contents(tables, &*env.read_txn()?),
    }
}

fn contents(tables: &Tables, txn: &Read<'_>) -> Result<Restored, Fault> {
    meta::webhook(tables, txn)?;
    Ok(Restored {
        bot_id: meta::identity(tables, txn)?.bot_id,
        last_sequence: meta::commit_row(tables, txn)?.last_sequence,
        updates: tables.rows(Table::Heads).len(txn)?,
        groups: groups(tables, txn)?.into_iter().map(|group| group.name).collect(),
    })
}
