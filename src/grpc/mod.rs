//! The gRPC side. Generated types and tonic stay in here.
//!
//! [`serve`] is the whole of it: it answers on a listener until it is told to stop, and ends every open stream with a
//! status that says why.

mod access;
mod admin;
mod bots;
mod consumer;
mod delivery;
mod fields;
mod filters;
mod incoming;
mod json;
mod messages;
mod nearest;
pub mod proto;
mod server;
mod settle;
mod status;
mod streams;
mod subscribe;

pub use access::{AccessToken, InvalidAccessToken};
#[cfg(feature = "fuzzing")]
pub use admin::fuzz_page_token;
pub use bots::Bot;
pub use json::JsonDoor;
pub use server::{ServeError, Settings, serve};
