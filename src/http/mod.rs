//! The HTTP listeners: the public one for webhooks, the one for operators.

pub mod ops;
pub mod public;
