//! What is seen from outside: metrics, logs and traces.

pub mod logging;
pub mod metrics;
pub mod spans;
