//! Switchboard under trouble: the built binary over real sockets, against the simulator.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod client;
mod consumers;
mod disk;
mod faults;
mod gateway;
mod requests;
