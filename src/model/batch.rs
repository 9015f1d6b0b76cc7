//! What one commit makes durable.

use bytes::Bytes;

use super::attempt::AttemptRecord;
use super::event::Event;
use super::group::{GroupId, GroupRecord};
use super::head::{Head, Payload, Sequence};
use super::time::UnixMillis;

/// All that one commit makes durable. Applied in the order of its fields; idempotent by (group, sequence).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Batch {
    /// Groups that are new.
    pub groups: Vec<GroupRecord>,
    /// Whether the new groups are the only ones: then they may take of the reserve, since without a group nothing is
    /// ever settled and a full journal stays full.
    pub first_groups: bool,
    /// Groups that have changed.
    pub changed_groups: Vec<GroupRecord>,
    /// Groups that go, with all that is kept about them. Their names are remembered until a group has them again.
    pub deleted_groups: Vec<GroupId>,
    /// Groups whose progress starts anew: everything up to the sequence counts as settled, nothing above does, and
    /// nothing is remembered of deliveries and replays. Their dead letters stay.
    pub sought: Vec<(GroupId, Sequence)>,
    /// New updates, their sequences ascending and above all stored ones.
    pub updates: Vec<StoredUpdate>,
    /// The remembered update ids as ranges, those that this batch changed: a range replaces the one with the same
    /// `hour` and `first`; an empty one (`last` below `first`) removes it.
    pub ids: Vec<IdRange>,
    /// Id ranges first seen before this hour are forgotten. 0 forgets none.
    pub forget_ids_before_hour: u32,
    /// Polled elements that could not be read.
    pub quarantined: Vec<Quarantined>,
    /// Deliveries that ended without settling their update: the state that it is in now.
    pub attempts: Vec<(GroupId, Sequence, AttemptRecord)>,
    /// Updates that a group is done with. Removes their attempt records and their replays.
    pub settled: Vec<(GroupId, Sequence, SettledAs)>,
    /// Dead letters, with a copy of the payload taken by the journal; they are also in `settled`, but for those of before a
    /// seek.
    pub dead_letters: Vec<(GroupId, Sequence, DeadLetter)>,
    /// What happened to updates, for their timelines. Those of updates before the first stored one go with the next
    /// ones that are trimmed or purged.
    pub events: Vec<(GroupId, Sequence, Event)>,
    /// Updates that a group gets again though it is done with them, with the generation of that replay: their attempt
    /// records begin anew. One that was trimmed is put back from the group's dead letter; one that is in neither place is
    /// passed over.
    pub replays: Vec<(GroupId, Sequence, u32)>,
    /// Dead letters that are removed.
    pub removed_dead_letters: Vec<(GroupId, Sequence)>,
    /// Everything at or below the sequence is settled for the group: settled positions there may be forgotten.
    pub cursors: Vec<(GroupId, Sequence)>,
    /// Updates whose payload, head and events are removed; but not those that a replay waits for.
    pub trimmed: Vec<Sequence>,
    /// Updates of which nothing is left: as `trimmed`, and settled for every group, their attempt records, replays and
    /// dead letters removed.
    pub purged: Vec<Sequence>,
    /// Quarantined elements up to this number are removed. 0 removes none.
    pub forget_quarantined_to: u64,
    /// The webhook URL that this gateway has set at Telegram; empty for none. `None` leaves it as it is.
    pub own_webhook: Option<Box<str>>,
}

impl Batch {
    /// Whether there is nothing to make durable.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Whether it stores anything that takes room for long: what is refused when the journal is full. Settlements with
    /// their dead letters and events are not.
    #[must_use]
    pub fn appends(&self) -> bool {
        !self.updates.is_empty()
            || !self.quarantined.is_empty()
            || !self.groups.is_empty() && !self.first_groups
            || !self.replays.is_empty()
    }
}

/// An update to store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredUpdate {
    /// Its routing part, with its sequence.
    pub head: Head,
    /// Its content.
    pub payload: Payload,
}

/// How an update left a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SettledAs {
    /// A handler handled it.
    Acked,
    /// A handler rejected it; it is among the dead letters.
    Rejected,
    /// It failed too often; it is among the dead letters.
    DeadLettered,
    /// It got too old.
    Expired,
    /// An operator removed it.
    Purged,
}

/// A dead letter with the update that it keeps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredDeadLetter {
    /// The update's routing part.
    pub head: Head,
    /// Why and when.
    pub letter: DeadLetter,
    /// The update's content.
    pub payload: Payload,
}

/// Why and when an update became a dead letter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadLetter {
    /// When.
    pub time: UnixMillis,
    /// Rejected, or dead-lettered.
    pub settled: SettledAs,
    /// Its attempts, with the newest failures.
    pub attempts: AttemptRecord,
}

/// A range of update ids, remembered against repeats.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IdRange {
    /// Hours since 1970: when its ids were first seen.
    pub hour: u32,
    /// The first id.
    pub first: i64,
    /// The last id, inclusive.
    pub last: i64,
}

/// A polled element that is no readable update.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quarantined {
    /// When it came.
    pub received: UnixMillis,
    /// Why it could not be read.
    pub reason: Box<str>,
    /// Its bytes.
    pub bytes: Bytes,
}
