//! The commands.

pub mod bench;
pub(crate) mod client;
mod clock;
pub mod demo;
mod processes;
pub mod simulate;
mod simulation;
pub mod tail;
