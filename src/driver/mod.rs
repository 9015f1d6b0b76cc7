//! Owns one bot's journal writer, its dispatcher and the clock: gathers what arrives into commits, one in flight at a
//! time, and carries out what the dispatcher decides.

mod clock;
mod commit;
mod core;
mod gathering;
mod groups;
mod handle;
mod history;
mod ids;
mod payload_cache;
mod run;
mod settings;
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

pub use handle::{
    AppendError, Appended, BotHandle, ConsumerStream, Input, IntakeState, LeaveError, NewUpdate, PauseReason,
    Reply, SettleError, SubscribeError, Subscription,
};
pub use run::{Failure, Running, StartError, start};
pub use settings::Settings;
pub use steering::{GroupChange, NewGroup, Steer, SteerError};
pub use wanted::WantedKinds;
