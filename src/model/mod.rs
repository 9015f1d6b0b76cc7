//! The shared vocabulary: small types that the journal, the dispatcher, the driver and the doors to the outside speak.
//! Nothing here does IO or knows the time.

mod attempt;
mod batch;
mod group;
mod head;
mod settlement;
mod stream;
mod time;
mod token;
mod trace;

pub use attempt::{AttemptRecord, FailureKind, FailureRecord, MAX_REASON_BYTES, clip_reason};
pub use batch::{Batch, DeadLetter, IdRange, Quarantined, SettledAs, StoredUpdate};
pub use group::{GroupId, GroupName, GroupRecord, GroupSettings, InvalidGroupName, SHARDS, Shard, Start};
pub use head::{Head, KeyHash, Payload, Sequence};
pub use settlement::{Outcome, SettledResult, Settlement};
pub use stream::{
    ConsumerSettings, Delivery, DrainReason, MAX_CONSUMER_ID_BYTES, MAX_LEASE_MS, MIN_LEASE_MS, Opened,
    StreamEnd, StreamEvent,
};
pub use time::{Monotonic, Now, UnixMillis};
pub use token::{MalformedToken, Token};
pub use trace::{TraceContext, delivery_span_id, receive_span_id, trace_id};
