//! Owns one bot's journal writer, its dispatcher and the clock: gathers what arrives into commits, one in flight at a
//! time, and carries out what the dispatcher decides.

mod handle;

pub use handle::{
    AppendError, Appended, BotHandle, ConsumerStream, Input, IntakeState, LeaveError, NewUpdate, PauseReason,
    Reply, SettleError, SubscribeError, Subscription,
};
