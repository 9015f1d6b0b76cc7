//! Tests of the dispatcher: transcripts that read like a protocol's log, tests named after the promises, and a
//! model-based test that drives it at random and judges every command from outside.

mod backlog;
mod invariants;
mod judge;
mod model;
mod promises;
mod script;
mod steered;
mod steering;
mod transcripts;
mod views;
mod words;
mod world;
