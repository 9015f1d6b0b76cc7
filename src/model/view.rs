//! What is shown of the live state: how groups, consumers and single updates are doing.

use std::sync::Arc;

use super::attempt::FailureRecord;
use super::group::GroupRecord;
use super::head::{KeyHash, Sequence};
use super::stream::ConsumerSettings;
use super::time::UnixMillis;

/// A group as it is at the moment.
#[derive(Clone, Debug, PartialEq)]
pub struct GroupView {
    /// The group.
    pub record: GroupRecord,
    /// Whether it lives only as long as it has a stream.
    pub ephemeral: bool,
    /// How it is doing.
    pub status: GroupStatus,
    /// Dead letters that are kept.
    pub dead_letters: u64,
    /// Rates over the last minute.
    pub rates: GroupRates,
    /// The last minutes, oldest first.
    pub samples: Vec<GroupSample>,
}

/// How a group is doing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GroupStatus {
    /// Matching updates that are not settled, replays included.
    pub lag: u64,
    /// Whether they have all been counted.
    pub lag_exact: bool,
    /// The oldest unsettled update.
    pub oldest: Option<Sequence>,
    /// When that one was received.
    pub oldest_time: Option<UnixMillis>,
    /// Everything at or below is settled, replays apart.
    pub cursor: Sequence,
    /// Deliveries out.
    pub outstanding: usize,
    /// Updates that wait after a failure.
    pub backing_off: usize,
    /// Replayed updates that are not settled.
    pub replaying: usize,
    /// Keys held by an update that has failed, those with the most failures.
    pub blocked: Vec<BlockedKey>,
    /// Its consumers, by name.
    pub consumers: Vec<ConsumerView>,
}

/// How fast a group works, per second.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct GroupRates {
    /// Deliveries.
    pub deliveries: f64,
    /// Settlements.
    pub settled: f64,
    /// Attempts that failed or were given back.
    pub failures: f64,
    /// New matching updates.
    pub arrivals: f64,
}

/// A group at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GroupSample {
    /// When.
    pub time: UnixMillis,
    /// See [`GroupStatus::lag`].
    pub lag: u64,
    /// See [`GroupStatus::outstanding`].
    pub outstanding: usize,
    /// Updates settled since the start of the gateway.
    pub settled: u64,
}

/// A key that is held by an update that has failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlockedKey {
    /// The update.
    pub held: HeldView,
    /// Updates known to wait behind it.
    pub waiting: usize,
}

/// One consumer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConsumerView {
    /// Its name.
    pub consumer_id: Arc<str>,
    /// What it is at.
    pub state: ConsumerState,
    /// Since when its stream is open.
    pub connected: Option<UnixMillis>,
    /// Its shards as ranges, both ends included.
    pub shards: Vec<(u16, u16)>,
    /// Deliveries out to it.
    pub outstanding: u32,
    /// Bytes of JSON out to it.
    pub outstanding_bytes: u64,
    /// Its credit and lease.
    pub settings: ConsumerSettings,
}

/// What a consumer is at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConsumerState {
    /// Takes updates.
    Open,
    /// Was told that its stream will end.
    Draining,
    /// Said that it is finishing.
    Leaving,
    /// Its stream is gone; its shards wait for it.
    Lost,
    /// Let leases expire without a word.
    Suspect,
}

/// An update that was delivered and is not settled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeldView {
    /// The update.
    pub sequence: Sequence,
    /// The hash of its ordering key.
    pub key: KeyHash,
    /// What it is at.
    pub state: HeldState,
    /// The number of its newest delivery.
    pub attempt: u32,
    /// How many failed.
    pub failures: u32,
    /// Who got the newest delivery.
    pub consumer: Arc<str>,
    /// When it was first delivered.
    pub first_delivered: UnixMillis,
    /// When the newest delivery was made.
    pub delivered: UnixMillis,
    /// Whether a replay asked for it.
    pub replayed: bool,
    /// The newest failure.
    pub last_failure: Option<FailureRecord>,
}

/// What a held update is at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeldState {
    /// Out until then.
    Outstanding {
        /// The end of its lease.
        deadline: UnixMillis,
    },
    /// Its settlement waits for its commit.
    Settling,
    /// Waits after its last delivery.
    BackingOff {
        /// Until when.
        until: UnixMillis,
    },
    /// Waits to be delivered.
    Waiting,
}

/// What one update is at in one group, apart from its trail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UpdateStanding {
    /// It came before the group's start.
    BeforeStart,
    /// The group's filter does not match it.
    NotMatched,
    /// The group is done with it, and no replay of it is pending.
    Settled,
    /// It was delivered, and is not settled.
    Held(HeldView),
    /// It waits.
    Pending {
        /// The update that holds its key, if one does.
        behind: Option<Sequence>,
    },
}

/// One update in one group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpdateInGroup {
    /// The group.
    pub group: GroupRecord,
    /// What it is at.
    pub standing: UpdateStanding,
    /// The consumer who has its shard.
    pub owner: Option<Arc<str>>,
}
