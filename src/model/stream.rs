//! What flows between the driver and an open Subscribe stream.

use std::sync::Arc;

use super::attempt::FailureRecord;
use super::filter::Filter;
use super::group::{GroupName, GroupSettings, Ordering, Shard};
use super::head::{Payload, Sequence};
use super::time::UnixMillis;
use super::token::Token;
use super::trace::TraceContext;

/// The shortest lease.
pub const MIN_LEASE_MS: u64 = 1_000;
/// The longest lease.
pub const MAX_LEASE_MS: u64 = 600_000;
/// The longest consumer id.
pub const MAX_CONSUMER_ID_BYTES: usize = 128;

/// What a consumer asks of its deliveries; already checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConsumerSettings {
    /// Most updates out at once; at least 1.
    pub max_outstanding: u32,
    /// Most bytes of JSON out at once; at least 1.
    pub max_outstanding_bytes: u64,
    /// The lease of each delivery, [`MIN_LEASE_MS`] to [`MAX_LEASE_MS`].
    pub lease_ms: u64,
}

impl ConsumerSettings {
    /// What holds where Subscribe says nothing.
    pub const DEFAULT: Self =
        Self { max_outstanding: 256, max_outstanding_bytes: 16 << 20, lease_ms: 30_000 };
}

/// The stream is open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opened {
    /// The group's name.
    pub group: GroupName,
    /// The consumer's name.
    pub consumer_id: Box<str>,
    /// Its settings.
    pub settings: ConsumerSettings,
    /// The group's.
    pub group_settings: GroupSettings,
    /// The group's filter; `None` if it gets everything.
    pub filter: Option<Filter>,
    /// What the group's order is kept by.
    pub ordering: Ordering,
    /// Whether the group is paused.
    pub paused: bool,
    /// The named tokens that are leased to it again.
    pub held: Vec<Token>,
}

/// One hand-over, complete with its payload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// Its name.
    pub token: Token,
    /// Failed attempts before it.
    pub failures: u32,
    /// The lease.
    pub lease_ms: u64,
    /// The lease's end by the wall clock.
    pub deadline: UnixMillis,
    /// The key's shard.
    pub shard: Shard,
    /// When the update was first delivered to this group.
    pub first_delivered: UnixMillis,
    /// The newest failure.
    pub last_failure: Option<FailureRecord>,
    /// Whether a replay asked for it.
    pub replayed: bool,
    /// Its span; `None` where there is no tracing.
    pub trace: Option<TraceContext>,
    /// The key's text and the wire `Update` message; shared by all groups.
    pub payload: Arc<Payload>,
}

/// What an open stream is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StreamEvent {
    /// Updates that became ready together; the receiver splits them into messages.
    Deliveries(Vec<Delivery>),
    /// Its shards changed.
    Assignment {
        /// New ones.
        gained: Vec<Shard>,
        /// Those that went.
        lost: Vec<Shard>,
        /// Counts the group's assignments since the start.
        generation: u64,
    },
    /// Deliveries that are no longer its own.
    LeaseLost(Vec<Token>),
    /// The stream will end.
    Draining {
        /// Why.
        reason: DrainReason,
        /// At the latest.
        deadline: UnixMillis,
    },
    /// The stream ends now.
    End(StreamEnd),
}

/// Why a stream is about to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DrainReason {
    /// The gateway stops.
    Shutdown,
    /// The stream has its maximum age.
    MaxAge,
}

/// Why a stream ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StreamEnd {
    /// Another stream with the same consumer id took over.
    Replaced,
    /// The group was deleted.
    GroupDeleted,
    /// The gateway stops, or the stream's age is reached.
    Drained,
    /// The consumer called Leave and has nothing out any more.
    Left,
    /// The driver failed; the gateway is going down.
    Failed,
}

impl Delivery {
    /// The update's position.
    #[must_use]
    pub fn sequence(&self) -> Sequence {
        self.token.sequence
    }
}
