//! The commands.

pub mod bench;
pub(crate) mod client;
mod clock;
pub mod demo;
mod processes;
mod simulation;
pub mod tail;
