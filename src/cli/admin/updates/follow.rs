//! `switchboard updates --follow`: the newest, then those that come.
//!
//! The newest update says, on the gateway's clock, how far a look has seen: the next one asks for what was received
//! from then on, a little overlapping, and leaves out the sequences that were seen.

use std::time::Duration;

use prost_types::Timestamp;
use tonic::Code;

use super::super::failure::Failure;
use super::super::moment;
use super::super::pages::Limit;
use super::super::session::Session;
use super::{ListArgs, list};
use crate::cli::client::{Backoff, describe, is_transient};
use crate::grpc::proto::client::{ListUpdatesRequest, Selection, StoredUpdate};

/// Prints until a signal ends the process, or the gateway refuses.
pub(super) async fn run(args: &ListArgs, session: &mut Session) -> Result<(), Failure> {
    look_every(LOOK_INTERVAL, args, session).await
}

async fn look_every(interval: Duration, args: &ListArgs, session: &mut Session) -> Result<(), Failure> {
    let mut table = args.table(session);
    let mut print = |session: &mut Session, updates: &[StoredUpdate]| {
        session.show_list(updates, &mut table, |times, update| args.row(times, update))?;
        session.console.flush()
    };
    let mut seen = newest(session).await?;
    let mut first = list(session, args.request(session)?, args.limit).await?.items;
    first.reverse();
    seen = seen.max(first.last().map(Seen::of).unwrap_or_default());
    print(session, &first)?;
    let mut backoff = Backoff::default();
    loop {
        tokio::time::sleep(interval).await;
        match look(args, session, &mut seen).await {
            Ok(updates) => {
                backoff.succeeded();
                print(session, &updates)?;
            }
            Err(Failure::Gateway(status)) if is_transient(&status) && status.code() != Code::Unknown => {
                let wait = backoff.after_failure();
                session.console.note(&format!("{}; trying again in {wait:?}", describe(&status)));
                tokio::time::sleep(wait).await;
            }
            Err(failure) => return Err(failure),
        }
    }
}

/// How far a look has seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, PartialOrd)]
struct Seen {
    sequence: i64,
    received: (i64, i32),
}

impl Seen {
    fn of(stored: &StoredUpdate) -> Self {
        let received = stored.update.as_ref().and_then(|update| update.received_time).unwrap_or_default();
        Self { sequence: stored.sequence, received: (received.seconds, received.nanos) }
    }

    fn max(self, other: Self) -> Self {
        if other.sequence > self.sequence { other } else { self }
    }

    /// From when on to look.
    fn overlapping(self) -> Timestamp {
        let (seconds, nanos) = self.received;
        moment::before(Timestamp { seconds, nanos }, OVERLAP)
    }
}

async fn newest(session: &mut Session) -> Result<Seen, Failure> {
    let request = ListUpdatesRequest { bot: session.bot.clone(), ..ListUpdatesRequest::default() };
    let newest = list(session, request, Limit { limit: 1 }).await?;
    Ok(newest.items.first().map(Seen::of).unwrap_or_default())
}

/// What has come since, oldest first.
async fn look(args: &ListArgs, session: &mut Session, seen: &mut Seen) -> Result<Vec<StoredUpdate>, Failure> {
    // Asked first: what comes between the two calls is seen twice rather than never.
    let newest = newest(session).await?;
    if newest.sequence <= seen.sequence {
        return Ok(Vec::new());
    }
    let mut request = args.request(session)?;
    let selection = request.selection.take().unwrap_or_default();
    let start_time = later(selection.start_time, seen.overlapping());
    request.selection = Some(Selection { start_time: Some(start_time), ..selection });
    request.oldest_first = true;
    let mut updates = list(session, request, Limit { limit: u32::MAX }).await?.items;
    updates.retain(|update| update.sequence > seen.sequence);
    *seen = updates.last().map(Seen::of).unwrap_or_default().max(newest);
    Ok(updates)
}

fn later(asked: Option<Timestamp>, seen: Timestamp) -> Timestamp {
    asked.filter(|asked| (asked.seconds, asked.nanos) > (seen.seconds, seen.nanos)).unwrap_or(seen)
}

/// Often enough to read along.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);
/// Updates are received a little before they are stored, and not wholly in the same order.
const OVERLAP: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicI64, Ordering};

    use tonic::Status;

    use super::super::super::AdminCommand;
    use super::super::super::console::Console;
    use super::super::super::tests::{Fake, Written};
    use super::*;
    use crate::cli::exit::Exit;
    use crate::grpc::proto::client::{ListUpdatesResponse, Update};

    fn stored(sequence: i64) -> StoredUpdate {
        let received_time = Some(Timestamp { seconds: 1_000 + sequence, nanos: 0 });
        let update = Some(Update { kind: "message".into(), received_time, ..Update::default() });
        StoredUpdate { sequence, update, ..StoredUpdate::default() }
    }

    /// Two updates come between any two looks, until it is enough. Only odd ones match.
    fn growing() -> Fake {
        let newest = AtomicI64::new(3);
        Fake::default().on("list_updates", move |request: ListUpdatesRequest| {
            let selection = request.selection.clone();
            let newest = match selection.is_none() {
                true => newest.fetch_add(2, Ordering::Relaxed),
                false => newest.load(Ordering::Relaxed),
            };
            if newest > 9 {
                return Err(Status::permission_denied("enough"));
            }
            let from = selection.and_then(|which| which.start_time).map_or(0, |time| time.seconds - 1_000);
            let odd = |sequence: &i64| request.selection.is_none() || sequence % 2 == 1;
            let mut updates: Vec<_> = (from.max(1)..=newest).filter(odd).map(stored).collect();
            if !request.oldest_first {
                updates.reverse();
            }
            Ok(ListUpdatesResponse { updates, ..ListUpdatesResponse::default() })
        })
    }

    #[tokio::test]
    async fn each_update_is_printed_once_oldest_first() {
        let gateway = growing().start().await;
        let AdminCommand::Updates(args) = gateway.command(&["updates", "--follow", "--kind", "message"])
        else {
            panic!("not the command that was typed");
        };
        let out = Written::default();
        let console = Console::new(out.clone(), std::io::sink(), None);
        let mut session = Session::new(&args.target, console).unwrap();
        let ended = look_every(Duration::from_millis(1), &args.list, &mut session).await;
        assert_eq!(ended.unwrap_err().exit(), Exit::Denied);
        let printed: Vec<String> = out
            .text()
            .lines()
            .skip(1)
            .filter_map(|line| Some(line.split_whitespace().next()?.to_owned()))
            .collect();
        assert_eq!(printed, ["1", "3", "5", "7", "9"]);
    }
}
