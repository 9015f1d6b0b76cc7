//! What each living gateway has handed out, to whom, and what it was told about it: as its clients see it.

use std::collections::BTreeMap;

use switchboard::model::{Batch, ConsumerSettings, GroupId, GroupName, Now, Sequence, Token};

use super::shards::Shards;
use super::tally::Tally;

/// What operators have asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wish {
    Create(GroupName),
    Change(GroupName),
    Pause(GroupName, bool),
    Seek(GroupName, u64),
    Delete(GroupName, bool),
    Replay(GroupName, Vec<Sequence>, bool),
    Bury(GroupName, Vec<Sequence>),
    Purge(Vec<Sequence>),
}

/// What has become of an update's newest delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It is leased: until `certain` surely, after `possible` surely not. By the monotonic clock.
    Out { certain: u64, possible: u64 },
    /// It has ended, and the update is not settled.
    Ended,
    /// It is settled, as soon as that is durable.
    Settling,
    /// Any of these.
    Unsure,
}

/// Whether a handler has nacked a delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Nacked {
    No,
    Maybe,
    Yes,
}

/// The newest delivery of an update that is not settled.
#[derive(Clone, Debug)]
pub struct Newest {
    pub token: Token,
    pub consumer: String,
    pub stream: u64,
    pub state: State,
    pub nacked: Nacked,
    /// Whether its last failure may have made a dead letter of it, and whether it must have.
    pub may_be_buried: bool,
    pub must_be_buried: bool,
    /// When it was handed out, by the monotonic clock.
    pub delivered: u64,
    pub lease_ms: u64,
    /// When it ended, and how long it surely waits from then on.
    pub ended: u64,
    pub waits_ms: u64,
    pub size: u64,
    /// Whether it counts against its consumer's credit.
    pub charged: bool,
    /// How handlers have asked to settle it, while that is not durable.
    pub acked: bool,
    pub rejected: bool,
    /// What it was before its handler's last word, while that is not durable.
    pub before: Option<(State, Nacked, Tally)>,
    /// Whether it was leased again after its end: a record of that end may still be on its way.
    pub again: bool,
    /// Whether its end is durable.
    pub end_recorded: bool,
}

/// A stream, from the gateway's side.
#[derive(Clone, Debug)]
pub struct Stream {
    pub group: GroupId,
    pub consumer: String,
    pub settings: ConsumerSettings,
    pub open: bool,
    /// Whether it may get new deliveries.
    pub takes_new: bool,
    /// Whether it did when this turn began: what it is told may be older than its end.
    pub took_new: bool,
    pub shards: Shards,
    /// Those that it has lost in this turn.
    pub just_lost: Shards,
    /// Leases of it that ran out, one after another.
    pub expiries: u32,
}

/// A subscription that waits to be opened.
#[derive(Clone, Debug)]
pub struct Claim {
    pub group: GroupName,
    pub consumer: String,
    pub named: Vec<Token>,
    /// Which of the named tokens it must get and may get, as it was before this turn.
    pub must: Vec<Token>,
    pub may: Vec<Token>,
}

/// What one group has out.
#[derive(Clone, Debug, Default)]
pub struct Out {
    pub newest: BTreeMap<Sequence, Newest>,
    pub tallies: BTreeMap<Sequence, Tally>,
    /// Consumers that were lost, and until when they may still be waited for.
    pub lost: BTreeMap<String, u64>,
}

/// One living gateway.
#[derive(Debug)]
pub struct Live {
    pub boot: u32,
    pub clock: Now,
    pub deposed: bool,
    pub stopping: bool,
    pub groups: BTreeMap<GroupId, Out>,
    pub streams: BTreeMap<u64, Stream>,
    pub claims: Vec<Claim>,
    pub wishes: Vec<Wish>,
    /// What is on its way to the disk, and since when.
    pub batch: Option<Batch>,
    pub began: u64,
    /// Whether the last commit was refused, of which the next turn hears.
    pub refused: bool,
    /// Settlements that it knows to be durable, by group and outcome.
    pub settled: BTreeMap<(String, &'static str), u64>,
}

impl Live {
    pub fn new(boot: u32, clock: Now) -> Self {
        Self {
            boot,
            clock,
            deposed: false,
            stopping: false,
            groups: BTreeMap::new(),
            streams: BTreeMap::new(),
            claims: Vec::new(),
            wishes: Vec::new(),
            batch: None,
            began: 0,
            refused: false,
            settled: BTreeMap::new(),
        }
    }

    pub fn out(&mut self, group: GroupId) -> &mut Out {
        self.groups.entry(group).or_default()
    }

    /// Whether a delivery's stream is there.
    pub fn is_there(&self, newest: &Newest) -> bool {
        self.streams.get(&newest.stream).is_some_and(|stream| stream.open)
    }

    /// Whether a delivery is surely leased now.
    pub fn is_surely_out(&self, newest: &Newest) -> bool {
        let early = matches!(newest.state, State::Out { certain, .. } if self.clock.mono.0 < certain);
        let contested = self.claims.iter().any(|claim| {
            claim.consumer == newest.consumer
                || claim.named.iter().any(|named| named.sequence == newest.token.sequence)
        });
        early && self.is_there(newest) && !contested
    }

    /// The open stream of a consumer.
    pub fn stream_of(&self, group: GroupId, consumer: &str) -> Option<u64> {
        let of = |stream: &Stream| stream.open && stream.group == group && stream.consumer == consumer;
        self.streams.iter().rev().find(|(_, stream)| of(stream)).map(|(id, _)| *id)
    }
}

impl Newest {
    /// A delivery that has ended, of which only its token is known.
    pub fn of(token: Token, now: u64) -> Self {
        Self {
            token,
            consumer: String::new(),
            stream: 0,
            state: State::Ended,
            nacked: Nacked::No,
            may_be_buried: false,
            must_be_buried: false,
            delivered: now,
            lease_ms: 0,
            ended: now,
            waits_ms: 0,
            size: 0,
            charged: false,
            acked: false,
            rejected: false,
            before: None,
            again: false,
            end_recorded: false,
        }
    }
}
