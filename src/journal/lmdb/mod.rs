//! The journal in LMDB.
