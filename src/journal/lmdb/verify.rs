//! Looks through a whole journal for damage: every row of every table, and whether the rows fit together.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use heed::{Env, WithoutTls};

use super::codec::{
    decode_attempts, decode_dead_letter, decode_dead_letter_count, decode_event, decode_group,
    decode_group_key, decode_head, decode_ids, decode_payload, decode_position_key, decode_quarantined,
    decode_sequence_key, decode_words,
};
use super::environment::{self, DATA_FILE, Found};
use super::fault::Fault;
use super::meta;
use super::open::{OpenError, RESTORE_DIR, claim};
use super::tables::{ALL_KEYS, Read, Table, Tables};
use crate::model::{GroupName, Sequence, UnixMillis};

/// Room of the map beyond the file: nothing is written.
const MAP_SLACK_BYTES: u64 = 1 << 20;
/// Damage that is named; beyond that it is only counted.
const NAMED: usize = 20;

/// What was found in a journal.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verified {
    /// The bot whose journal it is; 0 if that cannot be read.
    pub bot_id: i64,
    /// Commits since it was made. One that is missing at the end is not noticed.
    pub commits: u64,
    /// Rows that were read.
    pub rows: u64,
    /// Updates.
    pub updates: u64,
    /// Dead letters.
    pub dead_letters: u64,
    /// What is wrong, the first of it.
    pub damage: Vec<String>,
    /// How much is wrong.
    pub damaged: u64,
}

impl Verified {
    fn found(&mut self, what: String) {
        self.damaged += 1;
        if self.damage.len() < NAMED {
            self.damage.push(what);
        }
    }

    fn fault(&mut self, fault: Fault) {
        self.found(match fault {
            Fault::Damaged(what) => what,
            other => other.to_string(),
        });
    }
}

/// Reads every row of the journal in `dir`, which nobody may have open, and changes nothing. Damage to LMDB's inner pages
/// can end the process: do it in one of its own.
///
/// # Errors
/// [`OpenError`] where it cannot be looked at, or where the damage is so large that it cannot even be opened.
pub fn verify(dir: &Path) -> Result<Verified, OpenError> {
    if !dir.join(DATA_FILE).exists() {
        return Err(OpenError::Lost { dir: dir.to_owned() });
    }
    let (dir, _lock): (PathBuf, _) = claim(dir)?;
    if dir.join(RESTORE_DIR).exists() {
        return Err(OpenError::UnfinishedRestore { dir });
    }
    let length = std::fs::metadata(dir.join(DATA_FILE))
        .map_err(|source| OpenError::Access { dir: dir.clone(), source })?
        .len();
    match environment::open(&dir, length + MAP_SLACK_BYTES) {
        Ok(Found::Journal(env, tables)) => look(&env, &tables).map_err(|fault| OpenError::fault(&dir, fault)),
        Ok(Found::Nothing(_)) => Err(OpenError::Lost { dir }),
        Err(unusable) => Err(OpenError::unusable(&dir, unusable)),
    }
}

/// Reads everything.
pub(super) fn look(env: &Env<WithoutTls>, tables: &Tables) -> Result<Verified, Fault> {
    let txn = env.read_txn()?;
    let mut found = Verified::default();
    for table in Table::ALL {
        look_through(&mut found, tables, &txn, table);
    }
    // What does not decode is named already; whether the rest fits together would be guessing.
    if found.damaged == 0
        && let Err(fault) = fit_together(&mut found, tables, &txn)
    {
        found.fault(fault);
    }
    Ok(found)
}

fn look_through(found: &mut Verified, tables: &Tables, txn: &Read<'_>, table: Table) {
    let rows = match tables.scan_whole(txn, table) {
        Ok(rows) => rows,
        Err(fault) => return found.fault(fault),
    };
    for row in rows {
        found.rows += 1;
        match row {
            Ok((key, value)) if is_readable(table, key, value) => {}
            Ok((key, _)) => found.fault(table.damaged(key)),
            // A row whose checksum is wrong; those behind it can be read.
            Err(fault @ Fault::Damaged(_)) => found.fault(fault),
            // LMDB cannot go on.
            Err(fault) => return found.fault(fault),
        }
        if found.damaged > u64::from(u16::MAX) {
            return;
        }
    }
}

/// Whether the row's key and value can be decoded. The rows of the table meta are read singly.
fn is_readable(table: Table, key: &[u8], value: &[u8]) -> bool {
    match table {
        Table::Meta => true,
        Table::Heads => decode_head(key, value).is_some(),
        Table::Payloads => decode_sequence_key(key).is_some() && decode_payload(value).is_some(),
        Table::Groups => decode_group(key, value).is_some(),
        Table::Cursors => key.len() == 4 && decode_sequence_key(value).is_some(),
        Table::Settled => decode_position_key(key).is_some() && decode_words(value).is_some(),
        Table::Attempts => decode_position_key(key).is_some() && decode_attempts(value).is_some(),
        Table::DeadLetters => decode_position_key(key)
            .is_some_and(|(_, sequence)| decode_dead_letter(Sequence(sequence), value).is_some()),
        Table::Ids => decode_ids(key, value).is_some(),
        Table::Quarantine => decode_sequence_key(key).is_some() && decode_quarantined(value).is_some(),
        Table::Events => decode_event(key, value).is_some(),
        Table::Replays => decode_position_key(key).is_some() && value.len() == 4,
        Table::Deleted => std::str::from_utf8(key).is_ok_and(|name| GroupName::parse(name).is_ok()),
        Table::DeadLetterCounts => {
            decode_group_key(key).is_some() && decode_dead_letter_count(value).is_some()
        }
    }
}

/// Whether what one table says agrees with the others.
fn fit_together(found: &mut Verified, tables: &Tables, txn: &Read<'_>) -> Result<(), Fault> {
    found.bot_id = meta::identity(tables, txn)?.bot_id;
    meta::webhook(tables, txn)?;
    let last = meta::commit_row(tables, txn)?;
    found.commits = last.number;
    let groups = keys(tables, txn, Table::Groups, 4)?;
    for table in [Table::Cursors, Table::Settled, Table::Attempts, Table::DeadLetters, Table::Replays] {
        for group in keys(tables, txn, table, 4)?.difference(&groups) {
            found.found(format!(
                "the table {} has rows of a group {group:02x?} that there is not",
                table.name()
            ));
        }
    }
    heads(found, tables, txn, &last)?;
    for row in tables.scan(txn, Table::Cursors, ALL_KEYS)? {
        let (group, cursor) = row?;
        if decode_sequence_key(cursor).is_none_or(|cursor| cursor > last.last_sequence) {
            found.found(format!("the cursor of the group {group:02x?} is beyond the last sequence"));
        }
    }
    dead_letters(found, tables, txn)
}

/// The first `length` bytes of a table's keys.
fn keys<'t>(
    tables: &Tables,
    txn: &'t Read<'_>,
    table: Table,
    length: usize,
) -> Result<BTreeSet<&'t [u8]>, Fault> {
    let rows = tables.scan(txn, table, ALL_KEYS)?;
    rows.map(|row| row.map(|(key, _)| key.get(..length).unwrap_or(key))).collect()
}

/// Each head has its payload and each payload its head; times do not decrease; nothing is beyond the last commit.
fn heads(found: &mut Verified, tables: &Tables, txn: &Read<'_>, last: &meta::CommitRow) -> Result<(), Fault> {
    let mut payloads = tables.scan(txn, Table::Payloads, ALL_KEYS)?;
    let mut before = UnixMillis(0);
    for row in tables.scan(txn, Table::Heads, ALL_KEYS)? {
        let (key, value) = row?;
        let head = decode_head(key, value).ok_or_else(|| Table::Heads.damaged(key))?;
        found.updates += 1;
        if payloads.next().transpose()?.is_none_or(|(payload, _)| payload != key) {
            found.found(format!("the update {} and its payload do not belong together", head.sequence.0));
            return Ok(());
        }
        if head.received < before || head.received > last.last_time {
            found.found(format!("the update {} is of another time than those around it", head.sequence.0));
        }
        if head.sequence > last.last_sequence {
            found.found(format!("the update {} is beyond the last commit", head.sequence.0));
        }
        before = head.received;
    }
    if payloads.next().transpose()?.is_some() {
        found.found("there are payloads without an update".to_owned());
    }
    Ok(())
}

/// The counts of dead letters are those of the dead letters.
fn dead_letters(found: &mut Verified, tables: &Tables, txn: &Read<'_>) -> Result<(), Fault> {
    let mut counted = 0;
    for row in tables.scan(txn, Table::DeadLetterCounts, ALL_KEYS)? {
        let (key, value) = row?;
        let count = decode_dead_letter_count(value).ok_or_else(|| Table::DeadLetterCounts.damaged(key))?;
        counted += count.count;
    }
    found.dead_letters = tables.rows(Table::DeadLetters).len(txn)?;
    if counted != found.dead_letters {
        let letters = found.dead_letters;
        found.found(format!("there are {letters} dead letters, and {counted} are counted"));
    }
    Ok(())
}
