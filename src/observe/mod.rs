//! What is seen from outside: metrics and logs.

pub mod logging;
pub mod metrics;
