//! The tables and their rows. Every row ends in a checksum over its table, its key and its value, which every read
//! verifies: LMDB's pages have none.

use std::ops::Bound;

use heed::types::Bytes;
use heed::{AnyTls, Database, PutFlags, RoTxn, RwTxn};
use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

use super::fault::Fault;

/// The longest part of a key that is shown: no key of numbers is longer.
const MAX_KEY: usize = 32;
/// Bytes of a row's checksum.
const CHECKSUM: usize = 8;
/// Spreads the tables' numbers over the checksum's seed; any large odd number does.
const TABLE_SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;

/// A table. The numbers are part of the stored format: they are in every row's checksum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Table {
    /// Name → what the journal is, and its last commit.
    Meta = 1,
    /// Sequence → head.
    Heads = 2,
    /// Sequence → payload.
    Payloads = 3,
    /// Group → its record.
    Groups = 4,
    /// Group → its cursor.
    Cursors = 5,
    /// (group, sequence / 4096) → which of them are settled.
    Settled = 6,
    /// (group, sequence) → what is remembered of its deliveries.
    Attempts = 7,
    /// (group, sequence) → why it is dead, and a copy of its payload.
    DeadLetters = 8,
    /// (hour, first id) → last id.
    Ids = 9,
    /// Own counter → an element that could not be read.
    Quarantine = 10,
    /// (sequence, group, time, attempt, settled) → what happened.
    Events = 11,
    /// (group, sequence) → the generation of its replay.
    Replays = 12,
    /// Name → nothing: groups that were deleted.
    Deleted = 13,
    /// Group → how many dead letters it has, and their bytes.
    DeadLetterCounts = 14,
}

impl Table {
    pub(super) const ALL: [Self; 14] = [
        Self::Meta,
        Self::Heads,
        Self::Payloads,
        Self::Groups,
        Self::Cursors,
        Self::Settled,
        Self::Attempts,
        Self::DeadLetters,
        Self::Ids,
        Self::Quarantine,
        Self::Events,
        Self::Replays,
        Self::Deleted,
        Self::DeadLetterCounts,
    ];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Meta => "meta",
            Self::Heads => "heads",
            Self::Payloads => "payloads",
            Self::Groups => "groups",
            Self::Cursors => "cursors",
            Self::Settled => "settled",
            Self::Attempts => "attempts",
            Self::DeadLetters => "dead_letters",
            Self::Ids => "ids",
            Self::Quarantine => "quarantine",
            Self::Events => "events",
            Self::Replays => "replays",
            Self::Deleted => "deleted",
            Self::DeadLetterCounts => "dead_letter_counts",
        }
    }

    /// Whether so many rows were found as the table is said to have.
    pub(super) fn expect_rows(self, found: u64, expected: u64) -> Result<(), Fault> {
        if found == expected {
            return Ok(());
        }
        let name = self.name();
        Err(Fault::Damaged(format!("the table {name} has {found} rows in the place of {expected}")))
    }

    /// The fault that a row of this table is.
    pub(super) fn damaged(self, key: &[u8]) -> Fault {
        // A damaged page can give a key of any length.
        let key = key.get(..MAX_KEY).unwrap_or(key);
        let key: String = match self {
            Self::Meta | Self::Deleted => key.escape_ascii().to_string(),
            _ => key.iter().map(|byte| format!("{byte:02x}")).collect(),
        };
        Fault::Damaged(format!("the row with the key {key} of the table {}", self.name()))
    }
}

pub(super) type Rows = Database<'static, Bytes, Bytes>;
pub(super) type Read<'t> = RoTxn<'t, AnyTls>;

/// A row's key and value.
pub(super) type Row<'t> = (&'t [u8], &'t [u8]);

/// LMDB's handles of all tables.
#[derive(Clone, Copy)]
pub(super) struct Tables(pub(super) [Rows; Table::ALL.len()]);

/// A range of keys, both ends included.
pub(super) type Keys<'k> = (Bound<&'k [u8]>, Bound<&'k [u8]>);

/// The range of keys from `first` on.
pub(super) fn from(first: &[u8]) -> Keys<'_> {
    (Bound::Included(first), Bound::Unbounded)
}

/// The range of keys from `first` to `last`.
pub(super) fn between<'k>(first: &'k [u8], last: &'k [u8]) -> Keys<'k> {
    (Bound::Included(first), Bound::Included(last))
}

/// All keys.
pub(super) const ALL_KEYS: Keys<'static> = (Bound::Unbounded, Bound::Unbounded);

impl Tables {
    pub(super) fn rows(&self, table: Table) -> &Rows {
        // Numbered from 1 on, in the order of `ALL`.
        &self.0[table as usize - 1]
    }

    /// The value of a row, verified.
    pub(super) fn get<'t>(
        &self,
        txn: &'t Read<'_>,
        table: Table,
        key: &[u8],
    ) -> Result<Option<&'t [u8]>, Fault> {
        get(self.rows(table), txn, table, key)
    }

    /// The keys and values of the rows in a range, ascending, verified.
    pub(super) fn scan<'t>(
        &self,
        txn: &'t Read<'_>,
        table: Table,
        keys: Keys<'_>,
    ) -> Result<impl Iterator<Item = Result<Row<'t>, Fault>> + use<'t>, Fault> {
        let rows = self.rows(table).range(txn, &keys)?;
        Ok(rows.map(move |row| {
            let (key, row) = row?;
            Ok((key, verified(table, key, row)?))
        }))
    }

    /// The same, descending.
    pub(super) fn scan_back<'t>(
        &self,
        txn: &'t Read<'_>,
        table: Table,
        keys: Keys<'_>,
    ) -> Result<impl Iterator<Item = Result<Row<'t>, Fault>> + use<'t>, Fault> {
        let rows = self.rows(table).rev_range(txn, &keys)?;
        Ok(rows.map(move |row| {
            let (key, row) = row?;
            Ok((key, verified(table, key, row)?))
        }))
    }

    /// All rows of a table, ascending, verified. It ends in a fault if they are fewer or more than the table is said to
    /// have: damage to LMDB's inner pages, which have no checksums, can hide whole pages.
    pub(super) fn scan_whole<'t>(
        &self,
        txn: &'t Read<'_>,
        table: Table,
    ) -> Result<impl Iterator<Item = Result<Row<'t>, Fault>> + use<'t>, Fault> {
        let expected = self.rows(table).len(txn)?;
        let mut rows = self.scan(txn, table, ALL_KEYS)?;
        let mut count = 0;
        let mut ended = false;
        Ok(std::iter::from_fn(move || match rows.next() {
            Some(row) => {
                count += 1;
                Some(row)
            }
            None if std::mem::replace(&mut ended, true) => None,
            None => table.expect_rows(count, expected).err().map(Err),
        }))
    }

    /// The first row of a table, verified.
    pub(super) fn first<'t>(&self, txn: &'t Read<'_>, table: Table) -> Result<Option<Row<'t>>, Fault> {
        match self.rows(table).first(txn)? {
            Some((key, row)) => Ok(Some((key, verified(table, key, row)?))),
            None => Ok(None),
        }
    }

    /// The last row of a table, verified.
    pub(super) fn last<'t>(&self, txn: &'t Read<'_>, table: Table) -> Result<Option<Row<'t>>, Fault> {
        match self.rows(table).last(txn)? {
            Some((key, row)) => Ok(Some((key, verified(table, key, row)?))),
            None => Ok(None),
        }
    }

    /// Pages that the tables take.
    pub(super) fn pages(&self, txn: &Read<'_>) -> Result<u64, Fault> {
        let mut pages = 0;
        for rows in &self.0 {
            let stat = rows.stat(txn)?;
            pages += stat.branch_pages + stat.leaf_pages + stat.overflow_pages;
        }
        Ok(pages as u64)
    }
}

/// The value of a row of a table that alone is open, verified.
pub(super) fn get<'t>(
    rows: &Rows,
    txn: &'t Read<'_>,
    table: Table,
    key: &[u8],
) -> Result<Option<&'t [u8]>, Fault> {
    rows.get(txn, key)?.map(|row| verified(table, key, row)).transpose()
}

fn verified<'t>(table: Table, key: &[u8], row: &'t [u8]) -> Result<&'t [u8], Fault> {
    match row.split_last_chunk::<CHECKSUM>() {
        Some((value, sum)) if checksum(table, key, value) == u64::from_be_bytes(*sum) => Ok(value),
        _ => Err(table.damaged(key)),
    }
}

/// xxh3 over the key, seeded with the table's number and the value's own xxh3.
fn checksum(table: Table, key: &[u8], value: &[u8]) -> u64 {
    xxh3_64_with_seed(key, xxh3_64(value) ^ (table as u64).wrapping_mul(TABLE_SPREAD))
}

/// One write transaction: writes rows with their checksums and chains all that it does into one number.
pub(super) struct Writer<'e> {
    pub(super) txn: RwTxn<'e>,
    tables: Tables,
    /// The row being written; kept, so that rows need no allocation of their own.
    row: Vec<u8>,
    chain: u64,
}

impl<'e> Writer<'e> {
    /// Writes in `txn`, goes on with `chain`, and uses `row` as its buffer.
    pub(super) fn new(tables: Tables, txn: RwTxn<'e>, chain: u64, row: Vec<u8>) -> Self {
        Self { txn, tables, row, chain }
    }

    /// Writes a row, in the place of the one with its key.
    pub(super) fn put(
        &mut self,
        table: Table,
        key: &[u8],
        encode: impl FnOnce(&mut Vec<u8>),
    ) -> Result<(), Fault> {
        self.write(table, PutFlags::empty(), key, encode)
    }

    /// Writes a row whose key is above all others of its table.
    pub(super) fn append(
        &mut self,
        table: Table,
        key: &[u8],
        encode: impl FnOnce(&mut Vec<u8>),
    ) -> Result<(), Fault> {
        self.write(table, PutFlags::APPEND, key, encode)
    }

    fn write(
        &mut self,
        table: Table,
        flags: PutFlags,
        key: &[u8],
        encode: impl FnOnce(&mut Vec<u8>),
    ) -> Result<(), Fault> {
        self.row.clear();
        encode(&mut self.row);
        let sum = checksum(table, key, &self.row);
        self.row.extend_from_slice(&sum.to_be_bytes());
        self.chain = xxh3_64_with_seed(&sum.to_be_bytes(), self.chain);
        Ok(self.tables.rows(table).put_with_flags(&mut self.txn, flags, key, &self.row)?)
    }

    /// Removes a row, if it is there.
    pub(super) fn delete(&mut self, table: Table, key: &[u8]) -> Result<(), Fault> {
        if self.tables.rows(table).delete(&mut self.txn, key)? {
            self.chain = xxh3_64_with_seed(key, self.chain ^ table as u64);
        }
        Ok(())
    }

    /// Removes all rows in a range.
    pub(super) fn delete_range(&mut self, table: Table, keys: Keys<'_>) -> Result<(), Fault> {
        let count = self.tables.rows(table).delete_range(&mut self.txn, &keys)?;
        if count > 0 {
            self.chain = xxh3_64_with_seed(&count.to_be_bytes(), self.chain ^ table as u64);
        }
        Ok(())
    }

    pub(super) fn get(&self, table: Table, key: &[u8]) -> Result<Option<&[u8]>, Fault> {
        self.tables.get(&self.txn, table, key)
    }

    pub(super) fn tables(&self) -> &Tables {
        &self.tables
    }

    /// A number over all that has been done, in order, on top of the number that it began with.
    pub(super) fn chain(&self) -> u64 {
        self.chain
    }

    /// Makes it durable, and gives the buffer back.
    pub(super) fn commit(self) -> Result<Vec<u8>, Fault> {
        self.txn.commit()?;
        Ok(self.row)
    }
}
