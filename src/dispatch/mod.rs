//! The dispatcher: which update goes to which consumer when, as a pure state machine.
//!
//! It knows no clock, no IO and no randomness: time comes in as an argument, jitter from a seeded generator. What
//! happens is told to it by `handle_*` calls; what is to be done comes out of [`Dispatcher::poll`]. It holds
//! sequences, key hashes and leases, never payloads.
//!
//! The life of one update inside one group:
//!
//! ```text
//!            (window)            pump                 ack, reject          commit
//!  appended ─────────▶ queued ─────────▶ outstanding ─────────────▶ settling ──────▶ settled
//!                        ▲                    │                        ▲
//!                        │                    │ nack, expiry, loss     │ late ack; failed too often
//!                        │      backoff over  ▼            commit      │
//!                     waiting ◀──────────  ending ──────▶ backoff ─────┘
//! ```
//!
//! An update that is past *queued* holds its key: nothing else of that key is delivered until it is settled.
//!
//! A *replay* gives an update that is settled a second life beside the group's progress: it waits for its key, before the
//! queued ones, and goes the same way from there. A *purge* takes an update out wherever it is. A *seek* forgets all of
//! this, and the group begins anew at another place.

mod assignment;
mod command;
mod dispatcher;
mod expiry;
mod failures;
mod group;
mod hash;
mod keys;
mod lag;
mod members;
mod outstanding;
mod progress;
mod pump;
mod purge;
mod recording;
mod replay;
mod seek;
mod settle;
mod standing;
mod status;
mod streams;
mod window;

#[cfg(test)]
mod tests;

pub use command::{Change, Command, Ended, Handout, Record, Since, StreamId};
pub use dispatcher::{Dispatcher, HeadsWanted};
pub use failures::Jitter;
pub use group::{GroupStart, GroupStats, Identity};
