//! Owns one bot's journal writer, its dispatcher and the clock: gathers what arrives into commits, one in flight at a
//! time, and carries out what the dispatcher decides.

mod carry_out;
mod clock;
mod commit;
mod consumer_stream;
mod core;
mod flights;
mod fulfilment;
mod gathering;
mod groups;
mod handle;
mod history;
mod ids;
mod last_words;
mod payload_cache;
mod run;
mod settings;
mod spans;
mod steering;
mod streams;
mod sweep;
mod tally;
#[cfg(test)]
mod tests;
mod trim;
mod views;
mod wanted;
mod wishes;

pub use consumer_stream::ConsumerStream;
pub use handle::{
    AppendError, Appended, BotHandle, Input, IntakeState, LeaveError, NewUpdate, PauseReason, Reply,
    SettleError, SubscribeError, Subscription,
};
pub use run::{Failure, Running, StartError, start};
pub use settings::Settings;
pub use steering::{GroupChange, NewGroup, Steer, SteerError};
pub use wanted::WantedKinds;
