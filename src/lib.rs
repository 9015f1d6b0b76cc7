//! Switchboard: the gateway that owns a Telegram bot's connection.
//!
//! ```text
//! Telegram ──getUpdates──▶ telegram::polling ─┐                                      ┌─▶ grpc::subscribe ─▶ handler
//!          ──POST────────▶ telegram::webhook ─┴▶ intake ─▶ driver ─▶ dispatch ───────┤
//!                 ▲                              (parse)    │   ▲   (sans-IO)        └◀─ grpc::settle  ◀── Ack/Nack/…
//!                 └── confirmed only after ◀── commit ──────┘   │
//!                                               journal ────────┘   (LMDB)
//! ```
//!
//! One [`driver`] per bot owns that bot's journal writer, its dispatcher and the clock. Updates and settlements that
//! arrive while a commit is on its way to the disk make up the next one.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

pub mod cli;
pub mod config;
pub mod connections;
pub mod dispatch;
pub mod driver;
#[cfg(feature = "fuzzing")]
pub mod fuzz;
pub mod gateway;
pub mod grpc;
pub mod http;
pub mod inspect;
pub mod intake;
pub mod journal;
pub mod model;
pub mod observe;
pub mod simulator;
pub mod telegram;
pub mod update;
pub mod wire;
