//! Read-only views over the journal and the live state.
