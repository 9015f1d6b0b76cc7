//! The commands.

pub(crate) mod client;
pub mod tail;
