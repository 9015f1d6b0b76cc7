//! Opens LMDB itself: the memory map and the tables.

use std::fs::File;
use std::path::Path;

use heed::types::Bytes;
use heed::{CommitOrAbort, Env, EnvOpenOptions, MdbError, WithoutTls};

use super::fault::Fault;
use super::meta;
use super::space::Extent;
use super::tables::{Read, Rows, Table, Tables};

/// The data file's name, which LMDB gives.
pub(super) const DATA_FILE: &str = "data.mdb";
/// The name of the file where LMDB keeps its readers.
const READERS_FILE: &str = "lock.mdb";
/// Its size: enough for 1,000 readers at the same time, of 64 bytes each.
const READERS_FILE_BYTES: u64 = 64 << 10;
/// LMDB's meta pages, which belong to no table.
const META_PAGES: u64 = 2;

/// What is in a directory.
#[expect(clippy::large_enum_variant, reason = "there is one for each open, and it is taken apart at once")]
pub(super) enum Found {
    /// No tables yet.
    Nothing(Env<WithoutTls>),
    /// A journal of the current format, or of an older one that is still to be migrated.
    Journal(Env<WithoutTls>, Tables),
}

/// Why what is in a directory is not used.
pub(super) enum Unusable {
    /// It is no journal of this program.
    NotAJournal(String),
    /// It is cut or changed.
    Damaged(String),
    /// A newer version of this program has written it.
    NewerFormat(u32),
    /// It cannot be read.
    Failed(heed::Error),
}

impl From<heed::Error> for Unusable {
    fn from(error: heed::Error) -> Self {
        match error {
            heed::Error::Mdb(MdbError::Invalid | MdbError::VersionMismatch | MdbError::Incompatible) => {
                Self::NotAJournal(format!("{DATA_FILE} is no LMDB file that can be read here"))
            }
            heed::Error::Mdb(damage @ (MdbError::Corrupted | MdbError::PageNotFound)) => {
                Self::Damaged(format!("LMDB says: {damage}"))
            }
            error => Self::Failed(error),
        }
    }
}

impl From<Fault> for Unusable {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Damaged(what) | Fault::Misuse(what) => Self::Damaged(what),
            Fault::Storage(error) => error.into(),
        }
    }
}

impl From<std::io::Error> for Unusable {
    fn from(error: std::io::Error) -> Self {
        heed::Error::Io(error).into()
    }
}

/// Opens the LMDB files in `dir`, with a map of `map_bytes`, and says what they are.
pub(super) fn open(dir: &Path, map_bytes: u64) -> Result<Found, Unusable> {
    allocate_readers(dir)?;
    let env = map(dir, map_bytes)?;
    // What the map lacks of the file would be met as a signal, not as an error.
    let extent = extent(&env, 0);
    if env.real_disk_size()? < extent.end {
        return Err(Unusable::Damaged(format!("{DATA_FILE} is shorter than its {} bytes", extent.end)));
    }
    if env.unnamed_database_stat().entries == 0 {
        return Ok(Found::Nothing(env));
    }
    // Without it the format is unknown, and of another format the other tables are.
    let Some([meta]) = open_tables(&env, [Table::Meta])? else {
        return Err(Unusable::NotAJournal(format!("{DATA_FILE} is another program's")));
    };
    let format = meta::format(&meta, &*env.read_txn()?)?;
    match format {
        Some(meta::FORMAT) => {}
        // Some tables came later. Without rows in them nothing has changed yet.
        Some(meta::OLDEST_FORMAT..meta::FORMAT) => {
            let tables = create_tables(&env)?;
            return Ok(Found::Journal(env, tables));
        }
        // Its creation ended after the first of its two commits, the one that makes the tables.
        None if env.info().last_txn_id <= 1 => return Ok(Found::Nothing(env)),
        Some(newer) if newer > meta::FORMAT => return Err(Unusable::NewerFormat(newer)),
        other => return Err(Unusable::Damaged(format!("its format is {other:?}, which never was"))),
    }
    match open_tables(&env, Table::ALL)? {
        Some(tables) => Ok(Found::Journal(env, Tables(tables))),
        None => Err(Unusable::Damaged("a table is missing".to_owned())),
    }
}

/// Makes the tables that are not there yet.
pub(super) fn create_tables(env: &Env<WithoutTls>) -> Result<Tables, heed::Error> {
    let created = env.create_databases_and_commit(env.write_txn()?, |opener, txn| {
        let mut create = |table: Table| opener.create_database::<Bytes, Bytes>(txn, Some(table.name()));
        let [a, b, c, d, e, f, g, h, i, j, k, l, m, n] = Table::ALL.map(&mut create);
        let tables = [a?, b?, c?, d?, e?, f?, g?, h?, i?, j?, k?, l?, m?, n?];
        Ok::<_, heed::Error>(CommitOrAbort::<_, ()>::Commit(tables))
    })?;
    created.commit().map(Tables).ok_or_else(|| std::io::Error::other("the tables were not made").into())
}

fn open_tables<const N: usize>(
    env: &Env<WithoutTls>,
    tables: [Table; N],
) -> Result<Option<[Rows; N]>, heed::Error> {
    let opened = env.open_databases_and_commit(env.read_txn()?, |opener, txn| {
        let mut opened = Vec::with_capacity(N);
        for table in tables {
            match opener.open_database::<Bytes, Bytes>(txn, Some(table.name()))? {
                Some(rows) => opened.push(rows),
                None => return Ok(CommitOrAbort::Abort(())),
            }
        }
        let opened = <[_; N]>::try_from(opened);
        Ok::<_, heed::Error>(opened.map_or(CommitOrAbort::Abort(()), CommitOrAbort::Commit))
    })?;
    Ok(opened.commit())
}

/// LMDB writes its readers' file through a map: without blocks of its own that would be a signal on a full disk.
fn allocate_readers(dir: &Path) -> std::io::Result<()> {
    let path = dir.join(READERS_FILE);
    let file = File::options().write(true).create(true).truncate(false).open(path)?;
    let flags = rustix::fs::FallocateFlags::empty();
    match rustix::fs::fallocate(&file, flags, 0, READERS_FILE_BYTES) {
        Ok(()) => Ok(()),
        Err(errno) if super::fault::is_no_space(&errno.into()) => Err(errno.into()),
        // A file system without allocation ahead: zeroes do it too.
        Err(_) => {
            use std::os::unix::fs::FileExt as _;
            file.write_all_at(&vec![0; READERS_FILE_BYTES as usize], 0)
        }
    }
}

#[expect(unsafe_code, reason = "a memory map is only as sound as the file under it")]
fn map(dir: &Path, map_bytes: u64) -> Result<Env<WithoutTls>, heed::Error> {
    let mut options = EnvOpenOptions::new().read_txn_without_tls();
    // Page sizes are powers of two, of 64 KiB at most.
    let map_bytes = map_bytes.next_multiple_of(64 << 10);
    options.map_size(usize::try_from(map_bytes).unwrap_or(usize::MAX)).max_dbs(Table::ALL.len() as u32);
    // SAFETY: the file must not be changed but through this map. The caller holds the directory's lock file, which
    // keeps every other gateway out, on a local file system, where LMDB's own locks work too; and no other code of
    // this program writes to the file.
    unsafe { options.open(dir) }
}

/// What of the data file is in use; `table_pages` is what the tables take of it.
pub(super) fn extent(env: &Env<WithoutTls>, table_pages: u64) -> Extent {
    let main = env.unnamed_database_stat();
    let main_pages = (main.branch_pages + main.leaf_pages + main.overflow_pages) as u64;
    let page = u64::from(main.page_size);
    let end = env.info().last_page_number as u64 + 1;
    let used = table_pages + main_pages + META_PAGES;
    // The list of free pages takes pages as well: eight bytes for each.
    let list = end.saturating_sub(used) * 8 / page + 1;
    Extent { end: end * page, used: (used + list).min(end) * page }
}

/// What of the data file is in use, counted in a transaction.
pub(super) fn extent_in(env: &Env<WithoutTls>, tables: &Tables, txn: &Read<'_>) -> Result<Extent, Fault> {
    Ok(extent(env, tables.pages(txn)?))
}
