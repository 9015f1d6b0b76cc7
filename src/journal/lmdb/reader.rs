//! Reads what is durable, each call in a short transaction of its own.

use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use heed::{CompactionOption, Env, WithoutTls};

use super::codec::{
    decode_attempts, decode_dead_letter, decode_dead_letter_count, decode_event, decode_group,
    decode_group_key, decode_head, decode_ids, decode_payload, decode_position_key, decode_quarantined,
    decode_sequence_key, decode_words, event_keys, group_key, position_key, sequence_key,
};
use super::fault::Fault;
use super::filesystem::sync_directory;
use super::meta;
use super::progress::BLOCK;
use super::tables::{Read, Table, Tables, between, from};
use crate::journal::{Counts, JournalReader, ReadError, Recovered, RecoveredGroup, SettledBlock, Usage};
use crate::model::{
    AttemptRecord, Event, GroupId, GroupName, GroupRecord, Head, Payload, Quarantined, Sequence,
    StoredDeadLetter, UnixMillis,
};

/// What the writer and all readers share.
pub(super) struct Shared {
    /// Closed before the lock file, which is below it here, is released.
    pub(super) env: Env<WithoutTls>,
    pub(super) tables: Tables,
    pub(super) dir: Box<Path>,
    /// What the writer saw last.
    pub(super) usage: Mutex<Usage>,
    /// Held as long as the journal is open.
    pub(super) _lock: std::fs::File,
}

impl Shared {
    pub(super) fn usage(&self) -> Usage {
        *self.usage.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Reads a journal. The journal's directory stays locked until the last reader is gone.
#[derive(Clone)]
pub struct LmdbReader {
    pub(super) shared: Arc<Shared>,
}

impl std::fmt::Debug for LmdbReader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LmdbReader").field("dir", &self.shared.dir).finish_non_exhaustive()
    }
}

impl LmdbReader {
    fn read_in<T>(&self, read: impl FnOnce(&Tables, &Read<'_>) -> Result<T, Fault>) -> Result<T, ReadError> {
        let result =
            self.shared.env.read_txn().map_err(Fault::from).and_then(|txn| read(&self.shared.tables, &txn));
        result.map_err(|fault| fault.into_read_error(&self.shared.dir))
    }
}

impl JournalReader for LmdbReader {
    fn heads(&self, from: Sequence, limit: usize) -> Result<Vec<Head>, ReadError> {
        self.read_in(|tables, txn| {
            let first = sequence_key(from);
            let rows = tables.scan(txn, Table::Heads, super::tables::from(&first))?;
            rows.take(limit).map(|row| row.and_then(|(key, value)| head(key, value))).collect()
        })
    }

    fn heads_back(&self, from: Sequence, limit: usize) -> Result<Vec<Head>, ReadError> {
        self.read_in(|tables, txn| {
            let last = sequence_key(from);
            let rows = tables.scan_back(txn, Table::Heads, between(&sequence_key(Sequence(0)), &last))?;
            rows.take(limit).map(|row| row.and_then(|(key, value)| head(key, value))).collect()
        })
    }

    fn read(&self, sequences: &[Sequence]) -> Result<Vec<Option<Payload>>, ReadError> {
        self.read_in(|tables, txn| {
            let payload = |sequence: &Sequence| {
                let key = sequence_key(*sequence);
                let Some(value) = tables.get(txn, Table::Payloads, &key)? else {
                    // A page whose order is damaged hides rows from those who look for them.
                    let is_lost = tables.get(txn, Table::Heads, &key)?.is_some();
                    return if is_lost { Err(Table::Payloads.damaged(&key)) } else { Ok(None) };
                };
                decode_payload(value).map(Some).ok_or_else(|| Table::Payloads.damaged(&key))
            };
            sequences.iter().map(payload).collect()
        })
    }

    fn first_at(&self, from: Sequence, time: UnixMillis) -> Result<Option<Sequence>, ReadError> {
        self.read_in(|tables, txn| {
            let Some((key, value)) = tables.last(txn, Table::Heads)? else { return Ok(None) };
            let last = head(key, value)?;
            if from > last.sequence || time > last.received {
                return Ok(None);
            }
            // The times of heads never decrease, so that whether one is late enough changes once. Looked for is the
            // lowest position whose next head is late enough; the last head's is.
            let (mut low, mut high) = (from, last.sequence);
            while low < high {
                let middle = Sequence(low.0 + (high.0 - low.0) / 2);
                match first_head(tables, txn, middle)? {
                    Some(head) if head.received < time => low = head.sequence.next(),
                    _ => high = middle,
                }
            }
            Ok(first_head(tables, txn, low)?.map(|head| head.sequence))
        })
    }

    fn recover(&self) -> Result<Recovered, ReadError> {
        self.read_in(|tables, txn| {
            let identity = meta::identity(tables, txn)?;
            let last = meta::commit_row(tables, txn)?;
            Ok(Recovered {
                journal_id: identity.journal_id,
                boot: identity.boot,
                last_sequence: last.last_sequence,
                first_stored: first_head(tables, txn, Sequence(0))?.map(|head| head.sequence),
                last_time: last.last_time,
                last_group: last.last_group,
                groups: recovered_groups(tables, txn)?,
                ids: tables
                    .scan_whole(txn, Table::Ids)?
                    .map(|row| {
                        let (key, value) = row?;
                        decode_ids(key, value).ok_or_else(|| Table::Ids.damaged(key))
                    })
                    .collect::<Result<_, _>>()?,
                deleted: tables
                    .scan_whole(txn, Table::Deleted)?
                    .map(|row| {
                        let (key, _) = row?;
                        let name = std::str::from_utf8(key).ok().and_then(|name| GroupName::parse(name).ok());
                        name.ok_or_else(|| Table::Deleted.damaged(key))
                    })
                    .collect::<Result<_, _>>()?,
                own_webhook: meta::webhook(tables, txn)?,
                usage: self.shared.usage(),
            })
        })
    }

    fn dead_letters(
        &self,
        group: GroupId,
        from: Sequence,
        limit: usize,
    ) -> Result<Vec<StoredDeadLetter>, ReadError> {
        self.read_in(|tables, txn| {
            let (first, last) = (position_key(group, from.0), position_key(group, u64::MAX));
            let rows = tables.scan(txn, Table::DeadLetters, between(&first, &last))?;
            let found: Vec<_> =
                rows.take(limit).map(|row| row.and_then(dead_letter)).collect::<Result<_, _>>()?;
            if from.0 == 0 && found.len() < limit {
                let key = group_key(group);
                let counted = tables.get(txn, Table::DeadLetterCounts, &key)?.map(decode_dead_letter_count);
                let counted = counted.map_or(Some(0), |count| count.map(|count| count.count));
                let counted = counted.ok_or_else(|| Table::DeadLetterCounts.damaged(&key))?;
                Table::DeadLetters.expect_rows(found.len() as u64, counted)?;
            }
            Ok(found)
        })
    }

    fn dead_letters_back(
        &self,
        group: GroupId,
        from: Sequence,
        limit: usize,
    ) -> Result<Vec<StoredDeadLetter>, ReadError> {
        self.read_in(|tables, txn| {
            let (first, last) = (position_key(group, 0), position_key(group, from.0));
            let rows = tables.scan_back(txn, Table::DeadLetters, between(&first, &last))?;
            rows.take(limit).map(|row| row.and_then(dead_letter)).collect()
        })
    }

    fn events(&self, sequence: Sequence) -> Result<Vec<(GroupId, Event)>, ReadError> {
        self.read_in(|tables, txn| {
            let (first, last) = event_keys(sequence, sequence);
            let rows = tables.scan(txn, Table::Events, between(&first, &last))?;
            let event = |(key, value)| decode_event(key, value).ok_or_else(|| Table::Events.damaged(key));
            rows.map(|row| row.and_then(event)).collect()
        })
    }

    fn quarantined(&self, from: u64, limit: usize) -> Result<Vec<(u64, Quarantined)>, ReadError> {
        self.read_in(|tables, txn| {
            let rows = tables.scan(txn, Table::Quarantine, super::tables::from(&from.to_be_bytes()))?;
            let found: Vec<_> =
                rows.take(limit).map(|row| row.and_then(quarantined)).collect::<Result<_, _>>()?;
            if from <= 1 && found.len() < limit {
                Table::Quarantine
                    .expect_rows(found.len() as u64, tables.rows(Table::Quarantine).len(txn)?)?;
            }
            Ok(found)
        })
    }

    fn quarantined_back(&self, from: u64, limit: usize) -> Result<Vec<(u64, Quarantined)>, ReadError> {
        self.read_in(|tables, txn| {
            let (first, last) = (0u64.to_be_bytes(), from.to_be_bytes());
            let rows = tables.scan_back(txn, Table::Quarantine, between(&first, &last))?;
            rows.take(limit).map(|row| row.and_then(quarantined)).collect()
        })
    }

    fn newest(&self) -> Result<Sequence, ReadError> {
        self.read_in(|tables, txn| Ok(meta::commit_row(tables, txn)?.last_sequence))
    }

    fn usage(&self) -> Usage {
        self.shared.usage()
    }

    fn counts(&self) -> Result<Counts, ReadError> {
        self.read_in(|tables, txn| {
            let count = |(key, value)| {
                let decoded = decode_group_key(key).zip(decode_dead_letter_count(value));
                decoded.ok_or_else(|| Table::DeadLetterCounts.damaged(key))
            };
            let rows = tables.scan_whole(txn, Table::DeadLetterCounts)?;
            Ok(Counts {
                updates: tables.rows(Table::Heads).len(txn)?,
                first: first_head(tables, txn, Sequence(0))?.map(|head| (head.sequence, head.received)),
                dead_letters: rows.map(|row| row.and_then(count)).collect::<Result<_, _>>()?,
                quarantined: tables.rows(Table::Quarantine).len(txn)?,
            })
        })
    }

    fn copy_to(&self, path: &Path) -> Result<(), ReadError> {
        copy(&self.shared.env, path).map_err(|fault| fault.into_read_error(&self.shared.dir))
    }
}

/// A compact copy, durable when this returns; nothing is left of a failed one.
fn copy(env: &Env<WithoutTls>, path: &Path) -> Result<(), Fault> {
    let mut options = std::fs::File::options();
    // Readable for the gateway's user only, like the journal itself.
    let made = options.read(true).write(true).create_new(true).mode(0o600).open(path);
    let mut file = made.map_err(|error| {
        std::io::Error::new(error.kind(), format!("the copy {} cannot be made: {error}", path.display()))
    })?;
    let copied = env.copy_to_file(&mut file, CompactionOption::Enabled).map_err(Fault::from).and_then(|()| {
        file.sync_all()?;
        Ok(sync_directory(path.parent().unwrap_or(Path::new(".")))?)
    });
    if copied.is_err() {
        // The first error is the one to report.
        let _ = std::fs::remove_file(path);
    }
    copied
}

fn dead_letter((key, value): (&[u8], &[u8])) -> Result<StoredDeadLetter, Fault> {
    decode_position_key(key)
        .and_then(|(_, sequence)| decode_dead_letter(Sequence(sequence), value))
        .ok_or_else(|| Table::DeadLetters.damaged(key))
}

fn quarantined((key, value): (&[u8], &[u8])) -> Result<(u64, Quarantined), Fault> {
    let number = key.try_into().ok().map(u64::from_be_bytes);
    number.zip(decode_quarantined(value)).ok_or_else(|| Table::Quarantine.damaged(key))
}

fn head(key: &[u8], value: &[u8]) -> Result<Head, Fault> {
    decode_head(key, value).ok_or_else(|| Table::Heads.damaged(key))
}

/// The first head at or after `at`.
fn first_head(tables: &Tables, txn: &Read<'_>, at: Sequence) -> Result<Option<Head>, Fault> {
    let first = sequence_key(at);
    let mut rows = tables.scan(txn, Table::Heads, from(&first))?;
    rows.next().map(|row| row.and_then(|(key, value)| head(key, value))).transpose()
}

/// All groups.
pub(super) fn groups(tables: &Tables, txn: &Read<'_>) -> Result<Vec<GroupRecord>, Fault> {
    let rows = tables.scan_whole(txn, Table::Groups)?;
    let group = |(key, value)| decode_group(key, value).ok_or_else(|| Table::Groups.damaged(key));
    rows.map(|row| row.and_then(group)).collect()
}

/// All groups with their progress. Together they have all rows of four tables.
fn recovered_groups(tables: &Tables, txn: &Read<'_>) -> Result<Vec<RecoveredGroup>, Fault> {
    let mut found = Found::default();
    let groups = groups(tables, txn)?;
    let groups = groups
        .into_iter()
        .map(|record| recovered_group(tables, txn, record, &mut found))
        .collect::<Result<_, _>>()?;
    let Found { cursors, settled, attempts, replays } = found;
    for (table, count) in [
        (Table::Cursors, cursors),
        (Table::Settled, settled),
        (Table::Attempts, attempts),
        (Table::Replays, replays),
    ] {
        table.expect_rows(count, tables.rows(table).len(txn)?)?;
    }
    Ok(groups)
}

/// How many rows of each table were read.
#[derive(Default)]
struct Found {
    cursors: u64,
    settled: u64,
    attempts: u64,
    replays: u64,
}

fn recovered_group(
    tables: &Tables,
    txn: &Read<'_>,
    record: GroupRecord,
    found: &mut Found,
) -> Result<RecoveredGroup, Fault> {
    let key = group_key(record.id);
    let cursor = match tables.get(txn, Table::Cursors, &key)? {
        Some(value) => {
            found.cursors += 1;
            decode_sequence_key(value).ok_or_else(|| Table::Cursors.damaged(&key))?
        }
        None => Sequence(0),
    };
    let (first, last) = (position_key(record.id, 0), position_key(record.id, u64::MAX));
    let mut settled = Vec::new();
    for row in tables.scan(txn, Table::Settled, between(&first, &last))? {
        let (key, value) = row?;
        found.settled += 1;
        let decoded = decode_position_key(key).zip(decode_words(value));
        let ((_, number), mut words) = decoded.ok_or_else(|| Table::Settled.damaged(key))?;
        clear_to(cursor, number, &mut words);
        if words.iter().any(|word| *word != 0) {
            settled.push(SettledBlock { number, words });
        }
    }
    let mut attempts: Vec<(Sequence, AttemptRecord)> = Vec::new();
    for row in tables.scan(txn, Table::Attempts, between(&first, &last))? {
        let (key, value) = row?;
        found.attempts += 1;
        let decoded = decode_position_key(key).zip(decode_attempts(value));
        let ((_, sequence), record) = decoded.ok_or_else(|| Table::Attempts.damaged(key))?;
        attempts.push((Sequence(sequence), record));
    }
    let mut replays = Vec::new();
    for row in tables.scan(txn, Table::Replays, between(&first, &last))? {
        let (key, value) = row?;
        found.replays += 1;
        let decoded = decode_position_key(key).zip(value.try_into().ok().map(u32::from_be_bytes));
        let ((_, sequence), generation) = decoded.ok_or_else(|| Table::Replays.damaged(key))?;
        let at = sequence_key(Sequence(sequence));
        // A replayed update is not trimmed.
        let row = tables.get(txn, Table::Heads, &at)?.ok_or_else(|| Table::Replays.damaged(key))?;
        replays.push((head(&at, row)?, generation));
    }
    Ok(RecoveredGroup { record, cursor, settled, attempts, replays })
}

/// Clears the bits at and below the cursor: they say nothing that it does not.
fn clear_to(cursor: Sequence, number: u64, words: &mut [u64; 64]) {
    for (index, word) in (0u64..).zip(words.iter_mut()) {
        let first = number.saturating_mul(BLOCK).saturating_add(index * 64);
        *word &= match cursor.0.checked_sub(first) {
            None => u64::MAX,
            Some(below) if below < 63 => u64::MAX << (below + 1),
            Some(_) => 0,
        };
    }
}
