//! The rows that say what the journal is, and the row of its last commit.

use super::codec::{Decoder, put_text};
use super::fault::Fault;
use super::tables::{Read, Rows, Table, Tables, Writer, get};
use crate::model::{GroupId, Sequence, UnixMillis};

/// The version of the stored format that is written. Raised by every change that an older binary cannot read.
pub(super) const FORMAT: u32 = 2;
/// The oldest version that is still read, and brought up to date.
pub(super) const OLDEST_FORMAT: u32 = 1;

const FORMAT_KEY: &[u8] = b"format";
const BOT_KEY: &[u8] = b"bot";
const JOURNAL_KEY: &[u8] = b"journal";
const BOOT_KEY: &[u8] = b"boot";
const COMMIT_KEY: &[u8] = b"commit";
const WEBHOOK_KEY: &[u8] = b"webhook";

/// What the journal is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Identity {
    /// The bot whose journal it is.
    pub(super) bot_id: i64,
    /// Random.
    pub(super) journal_id: u64,
    /// How many times it was opened for writing.
    pub(super) boot: u32,
}

/// The state after the last commit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct CommitRow {
    /// Counts the commits.
    pub(super) number: u64,
    /// A hash over the previous chain and all that this commit wrote.
    pub(super) chain: u64,
    /// The newest sequence ever given out.
    pub(super) last_sequence: Sequence,
    /// The newest stored time.
    pub(super) last_time: UnixMillis,
    /// The highest group number ever given out.
    pub(super) last_group: GroupId,
}

/// The stored format's version; `None` in a file that is no journal.
pub(super) fn format(meta: &Rows, txn: &Read<'_>) -> Result<Option<u32>, Fault> {
    let Some(value) = get(meta, txn, Table::Meta, FORMAT_KEY)? else { return Ok(None) };
    let version = value.try_into().map(u32::from_be_bytes);
    version.map(Some).map_err(|_| Table::Meta.damaged(FORMAT_KEY))
}

/// Reads what the journal is.
pub(super) fn identity(tables: &Tables, txn: &Read<'_>) -> Result<Identity, Fault> {
    Ok(Identity {
        bot_id: field(tables, txn, BOT_KEY, Decoder::i64)?,
        journal_id: field(tables, txn, JOURNAL_KEY, Decoder::u64)?,
        boot: field(tables, txn, BOOT_KEY, Decoder::u32)?,
    })
}

/// Reads the state after the last commit.
pub(super) fn commit_row(tables: &Tables, txn: &Read<'_>) -> Result<CommitRow, Fault> {
    field(tables, txn, COMMIT_KEY, |decoder| {
        Some(CommitRow {
            number: decoder.u64()?,
            chain: decoder.u64()?,
            last_sequence: Sequence(decoder.u64()?),
            last_time: decoder.time()?,
            last_group: GroupId(decoder.u32()?),
        })
    })
}

/// The webhook URL that was set; `None` if there is none.
pub(super) fn webhook(tables: &Tables, txn: &Read<'_>) -> Result<Option<Box<str>>, Fault> {
    let url = field(tables, txn, WEBHOOK_KEY, |decoder| decoder.text().map(Box::<str>::from))?;
    Ok((!url.is_empty()).then_some(url))
}

/// Writes the rows of a new journal.
pub(super) fn create(writer: &mut Writer<'_>, identity: Identity) -> Result<(), Fault> {
    write_format(writer)?;
    writer.put(Table::Meta, BOT_KEY, |out| out.extend_from_slice(&identity.bot_id.to_be_bytes()))?;
    write_journal_id(writer, identity.journal_id)?;
    write_boot(writer, identity.boot)?;
    write_webhook(writer, "")?;
    write_commit(writer, CommitRow::default())
}

pub(super) fn write_format(writer: &mut Writer<'_>) -> Result<(), Fault> {
    writer.put(Table::Meta, FORMAT_KEY, |out| out.extend_from_slice(&FORMAT.to_be_bytes()))
}

pub(super) fn write_journal_id(writer: &mut Writer<'_>, id: u64) -> Result<(), Fault> {
    writer.put(Table::Meta, JOURNAL_KEY, |out| out.extend_from_slice(&id.to_be_bytes()))
}

pub(super) fn write_boot(writer: &mut Writer<'_>, boot: u32) -> Result<(), Fault> {
    writer.put(Table::Meta, BOOT_KEY, |out| out.extend_from_slice(&boot.to_be_bytes()))
}

pub(super) fn write_webhook(writer: &mut Writer<'_>, url: &str) -> Result<(), Fault> {
    writer.put(Table::Meta, WEBHOOK_KEY, |out| put_text(out, url))
}

pub(super) fn write_commit(writer: &mut Writer<'_>, row: CommitRow) -> Result<(), Fault> {
    writer.put(Table::Meta, COMMIT_KEY, |out| {
        for number in [row.number, row.chain, row.last_sequence.0, row.last_time.0] {
            out.extend_from_slice(&number.to_be_bytes());
        }
        out.extend_from_slice(&row.last_group.0.to_be_bytes());
    })
}

/// A random journal id.
pub(super) fn random_id() -> Result<u64, Fault> {
    let mut bytes = [0; 8];
    getrandom::fill(&mut bytes).map_err(|error| std::io::Error::other(error.to_string()))?;
    Ok(u64::from_be_bytes(bytes))
}

/// Every row of a journal is there from its creation on.
fn field<'t, T>(
    tables: &Tables,
    txn: &'t Read<'_>,
    key: &[u8],
    decode: impl FnOnce(&mut Decoder<'t>) -> Option<T>,
) -> Result<T, Fault> {
    let decoded = tables.get(txn, Table::Meta, key)?.and_then(|value| {
        let mut decoder = Decoder::new(value);
        let field = decode(&mut decoder)?;
        decoder.end(field)
    });
    decoded.ok_or_else(|| Table::Meta.damaged(key))
}
