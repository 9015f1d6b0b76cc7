//! The shared vocabulary: small types that the journal, the dispatcher, the driver and the doors to the outside speak.
//! Nothing here does IO or knows the time.

mod attempt;
pub mod base64url;
mod batch;
mod event;
mod filter;
mod group;
mod head;
mod settlement;
mod stream;
mod time;
mod token;
mod trace;
mod view;

pub use attempt::{AttemptRecord, FailureKind, FailureRecord, MAX_REASON_BYTES, clip_reason};
pub use batch::{Batch, DeadLetter, IdRange, Quarantined, SettledAs, StoredDeadLetter, StoredUpdate};
pub use event::{AttemptOutcome, EndedAttempt, Event};
pub use filter::{Filter, FilterParts, InvalidFilter};
pub use group::{
    GroupId, GroupName, GroupRecord, GroupSettings, InvalidGroupName, MAX_FAILURES, MAX_SETTING_MS, Ordering,
    SHARDS, Shard, Start,
};
pub use head::{Head, KeyHash, Label, MAX_LABEL_BYTES, Payload, Sequence};
pub use settlement::{Outcome, SettledResult, Settlement};
pub use stream::{
    ConsumerSettings, Delivery, DrainReason, MAX_CONSUMER_ID_BYTES, MAX_LEASE_MS, MIN_LEASE_MS, Opened,
    StreamEnd, StreamEvent,
};
pub use time::{Monotonic, Now, UnixMillis};
pub use token::{MalformedToken, Token};
pub use trace::{TraceContext, delivery_span_id, receive_span_id, trace_id};
pub use view::{
    BlockedKey, ConsumerState, ConsumerView, GroupRates, GroupSample, GroupStatus, GroupView, HeldState,
    HeldView, UpdateInGroup, UpdateStanding,
};
