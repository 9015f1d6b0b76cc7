//! What became of every update: the truth that tests hold a gateway against.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};

use super::kind::Kind;
use super::queue::Fate;

/// The record of an update that is only counted, since the list is full.
pub(super) const UNLISTED: u32 = u32::MAX;

/// One update's life in 32 bytes, so that a million of them fit.
#[derive(Clone, Copy, Debug)]
struct Record {
    id: i64,
    accepted_us: i64,
    /// Microseconds from acceptance, saturating at 71 minutes.
    first_sent_after_us: u32,
    settled_after_us: u32,
    /// How often it was put into a response or a webhook request, saturating.
    sends: u16,
    kind: Kind,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Pending,
    Left(Fate),
}

impl State {
    fn name(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Left(Fate::Confirmed) => "confirmed",
            Self::Left(Fate::Expired) => "expired",
            Self::Left(Fate::Cleared) => "cleared",
        }
    }
}

/// How many updates met each fate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counts {
    /// Taken into the queue.
    pub accepted: u64,
    /// Deliveries in getUpdates pages and webhook requests; a repeat counts again.
    pub sent: u64,
    /// Deliveries of an update that had been delivered before.
    pub resent: u64,
    /// Confirmed by an offset or a webhook's 2xx.
    pub confirmed: u64,
    /// Left the queue because their time ran out.
    pub expired: u64,
    /// Left the queue by a negative offset or `drop_pending_updates`.
    pub cleared: u64,
    /// Not taken, since the queue was full.
    pub dropped: u64,
    /// Not taken, since `allowed_updates` leaves their kind out.
    pub filtered: u64,
}

impl Counts {
    /// How many are still in the queue.
    #[must_use]
    pub fn pending(&self) -> u64 {
        self.accepted - self.confirmed - self.expired - self.cleared
    }

    pub(super) fn to_json(self) -> Value {
        json!({
            "accepted": self.accepted, "sent": self.sent, "resent": self.resent, "confirmed": self.confirmed,
            "expired": self.expired, "cleared": self.cleared, "dropped": self.dropped, "filtered": self.filtered,
            "pending": self.pending(),
        })
    }
}

/// Calls of one method.
#[derive(Clone, Copy, Debug, Default)]
struct Calls {
    requests: u64,
    webhook_replies: u64,
}

/// One bot's ledger.
#[derive(Debug)]
pub(super) struct Ledger {
    pub counts: Counts,
    records: Vec<Record>,
    max_records: usize,
    calls: BTreeMap<String, Calls>,
}

impl Ledger {
    pub(super) fn new(max_records: usize) -> Self {
        let max_records = max_records.min(UNLISTED as usize);
        Self { counts: Counts::default(), records: Vec::new(), max_records, calls: BTreeMap::new() }
    }

    /// Notes a new update and says where, for the calls that follow.
    pub(super) fn accepted(&mut self, id: i64, kind: Kind, unix_us: i64) -> u32 {
        self.counts.accepted += 1;
        if self.records.len() >= self.max_records {
            return UNLISTED;
        }
        let index = u32::try_from(self.records.len()).unwrap_or(UNLISTED);
        self.records.push(Record {
            id,
            accepted_us: unix_us,
            first_sent_after_us: 0,
            settled_after_us: 0,
            sends: 0,
            kind,
            state: State::Pending,
        });
        index
    }

    /// Takes the newest acceptance back: the queue was full.
    pub(super) fn refused(&mut self, record: u32) {
        self.counts.accepted -= 1;
        self.counts.dropped += 1;
        if record != UNLISTED {
            self.records.pop();
        }
    }

    pub(super) fn sent(&mut self, record: u32, unix_us: i64) {
        self.counts.sent += 1;
        let Some(record) = self.records.get_mut(record as usize) else { return };
        if record.sends == 0 {
            record.first_sent_after_us = elapsed_us(record.accepted_us, unix_us);
        } else {
            self.counts.resent += 1;
        }
        record.sends = record.sends.saturating_add(1);
    }

    /// Takes the newest delivery back: it did not leave.
    pub(super) fn not_sent(&mut self, record: u32) {
        self.counts.sent -= 1;
        let Some(record) = self.records.get_mut(record as usize) else { return };
        record.sends = record.sends.saturating_sub(1);
        if record.sends > 0 {
            self.counts.resent -= 1;
        }
    }

    pub(super) fn left(&mut self, record: u32, fate: Fate, unix_us: i64) {
        match fate {
            Fate::Confirmed => self.counts.confirmed += 1,
            Fate::Expired => self.counts.expired += 1,
            Fate::Cleared => self.counts.cleared += 1,
        }
        let Some(record) = self.records.get_mut(record as usize) else { return };
        record.settled_after_us = elapsed_us(record.accepted_us, unix_us);
        record.state = State::Left(fate);
    }

    pub(super) fn called(&mut self, method: &str) {
        self.calls.entry(method.to_owned()).or_default().requests += 1;
    }

    pub(super) fn called_by_webhook_reply(&mut self, method: &str) {
        self.calls.entry(method.to_owned()).or_default().webhook_replies += 1;
    }

    /// Counts and calls, without the updates.
    pub(super) fn summary(&self) -> Value {
        let calls: serde_json::Map<_, _> = self
            .calls
            .iter()
            .map(|(method, calls)| {
                (
                    method.clone(),
                    json!({"requests": calls.requests, "webhook_replies": calls.webhook_replies}),
                )
            })
            .collect();
        let unlisted = self.counts.accepted - self.records.len() as u64;
        json!({"counts": self.counts.to_json(), "unlisted": unlisted, "calls": calls})
    }

    /// Writes the listed updates as a JSON array, in the order of acceptance.
    pub(super) fn write_updates(&self, out: &mut Vec<u8>) {
        use std::io::Write as _;
        out.push(b'[');
        for (index, record) in self.records.iter().enumerate() {
            let separator = if index == 0 { "" } else { ",\n" };
            let after = |applies: bool, us: u32| if applies { us.to_string() } else { "null".to_owned() };
            // Writing to a Vec cannot fail.
            let _ = write!(
                out,
                "{separator}{{\"update_id\":{},\"kind\":\"{}\",\"state\":\"{}\",\"sends\":{},\"accepted_us\":{},\
                 \"first_sent_after_us\":{},\"settled_after_us\":{}}}",
                record.id,
                record.kind.name(),
                record.state.name(),
                record.sends,
                record.accepted_us,
                after(record.sends > 0, record.first_sent_after_us),
                after(record.state != State::Pending, record.settled_after_us),
            );
        }
        out.push(b']');
    }

    /// The ids of the listed updates that were confirmed, in the order of acceptance.
    pub(super) fn confirmed_ids(&self) -> Vec<i64> {
        let confirmed = |record: &&Record| record.state == State::Left(Fate::Confirmed);
        self.records.iter().filter(confirmed).map(|record| record.id).collect()
    }
}

fn elapsed_us(from_us: i64, to_us: i64) -> u32 {
    u32::try_from(to_us.saturating_sub(from_us).max(0)).unwrap_or(u32::MAX)
}

/// The clock's time and its wall time, read once for one step.
#[derive(Clone, Copy, Debug)]
pub(super) struct Moment {
    pub now: Duration,
    pub unix_us: i64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_update_is_followed_from_acceptance_to_its_end() {
        let mut ledger = Ledger::new(2);
        let first = ledger.accepted(10, Kind::MESSAGE, 1_000);
        let second = ledger.accepted(11, Kind::CALLBACK_QUERY, 1_000);
        let third = ledger.accepted(12, Kind::MESSAGE, 1_000);
        assert_eq!(third, UNLISTED, "beyond its length the list only counts");
        ledger.sent(first, 1_500);
        ledger.sent(first, 1_800);
        ledger.left(first, Fate::Confirmed, 2_000);
        ledger.left(second, Fate::Expired, 3_000);
        let counts = ledger.counts;
        assert_eq!((counts.accepted, counts.sent, counts.resent, counts.pending()), (3, 2, 1, 1));
        assert_eq!(ledger.confirmed_ids(), [10]);
        let mut out = Vec::new();
        ledger.write_updates(&mut out);
        let updates: Value = serde_json::from_slice(&out).unwrap();
        let expected = json!({"update_id": 10, "kind": "message", "state": "confirmed", "sends": 2,
            "accepted_us": 1000, "first_sent_after_us": 500, "settled_after_us": 1000});
        assert_eq!(updates[0], expected);
        assert_eq!(updates[1]["state"], "expired");
        assert_eq!(ledger.summary()["unlisted"], 1);
        assert_eq!(size_of::<Record>(), 32);
    }
}
