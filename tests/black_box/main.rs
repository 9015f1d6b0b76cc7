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

mod ages;
mod backup;
mod chart_upgrade;
mod checker;
mod collector;
mod commands;
mod console;
mod consumer;
mod corpus;
mod filters;
mod forward;
mod gateway;
mod group_life;
mod health;
mod kills;
mod kinds;
mod moods;
mod operating;
mod operator;
mod orderings;
mod places;
mod poison;
mod program;
mod refusals;
mod steering;
mod steps;
mod stops;
mod takeover;
mod taker;
mod tokens;
#[path = "../tools/mod.rs"]
mod tools;
mod traces;
mod web;

use std::time::Duration;

/// The bot, as Telegram numbers it.
const BOT: i64 = 42;
/// Nothing stands still for so long; a test that waits for more has failed.
const PATIENCE: Duration = Duration::from_secs(60);
/// How often something is looked at that cannot say when it is ready.
const POLL_INTERVAL: Duration = Duration::from_millis(10);
