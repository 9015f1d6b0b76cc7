//! All that a journal serves, as one number.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::Path;
use std::process::ExitCode;

use switchboard::journal::lmdb::{self, Options};
use switchboard::journal::{Journal as _, JournalReader as _};
use switchboard::model::{GroupId, Sequence};

use crate::journal::{BOT, MAX_BYTES};

/// The exit code after an error that says what is damaged.
pub const REFUSED: i32 = 9;

/// Opens the journal as a gateway does, reads all of it, and prints a digest of each thing that it serves.
pub fn print(directory: &Path) -> ExitCode {
    match served(directory) {
        Ok(things) => {
            let digest = |thing: &String| {
                let mut hasher = DefaultHasher::new();
                thing.hash(&mut hasher);
                format!("{:016x}", hasher.finish())
            };
            println!("{}", things.iter().map(digest).collect::<Vec<_>>().join(" "));
            ExitCode::SUCCESS
        }
        Err(why) => {
            println!("{why}");
            ExitCode::from(REFUSED as u8)
        }
    }
}

fn served(directory: &Path) -> Result<Vec<String>, String> {
    let options = Options::with_max_bytes(MAX_BYTES);
    let journal = lmdb::open(directory, BOT, &options).map_err(|why| why.to_string())?;
    let reader = journal.reader();
    let read = || {
        let recovered = reader.recover()?;
        let mut all = Vec::new();
        let mut from = Sequence(1);
        // By chunks, as a driver reads on.
        loop {
            let heads = reader.heads(from, 100)?;
            let Some(last) = heads.last() else { break };
            from = last.sequence.next();
            let sequences: Vec<_> = heads.iter().map(|head| head.sequence).collect();
            for (head, payload) in heads.iter().zip(reader.read(&sequences)?) {
                all.push(format!("{head:?} {payload:?}"));
                let events = reader.events(head.sequence)?;
                all.extend(events.iter().map(|event| format!("{:?} {event:?}", head.sequence)));
            }
        }
        for group in (1..=recovered.last_group.0).map(GroupId) {
            all.push(format!("{:?}", reader.dead_letters(group, Sequence(0), usize::MAX)?));
        }
        all.push(format!("{:?} {:?}", reader.quarantined(0, usize::MAX)?, reader.counts()?));
        // Not the boot, which each opening raises, and not what pages are in use.
        all.push(format!("{:?}", recovered.groups));
        all.push(format!("{:?}", (recovered.last_sequence, recovered.last_time, &recovered.ids)));
        all.push(format!("{:?}", (recovered.journal_id, &recovered.deleted, &recovered.own_webhook)));
        Ok::<_, switchboard::journal::ReadError>(all)
    };
    read().map_err(|why| why.to_string())
}
