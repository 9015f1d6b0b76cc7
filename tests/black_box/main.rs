//! Switchboard from outside: the built gateway between a simulated Telegram and real gRPC clients.
//!
//! The test with SIGKILL has a long form, 20 kills in 100,000 updates for each mode:
//!
//! ```sh
//! SWITCHBOARD_LONG=1 cargo test --release --test black_box kills -- --nocapture --test-threads 1
//! ```
//!
//! `SWITCHBOARD_SEED=7` in front of it changes the moments of the kills.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod backup;
mod checker;
mod collector;
mod commands;
mod consumer;
mod corpus;
mod forward;
mod gateway;
mod kills;
mod kinds;
mod moods;
mod operator;
mod places;
mod poison;
mod program;
mod steps;
mod stops;
mod takeover;
mod traces;
mod web;

use std::time::Duration;

/// The bot, as Telegram numbers it.
const BOT: i64 = 42;
/// Nothing stands still for so long; a test that waits for more has failed.
const PATIENCE: Duration = Duration::from_secs(60);
/// How often something is looked at that cannot say when it is ready.
const POLL_INTERVAL: Duration = Duration::from_millis(10);
