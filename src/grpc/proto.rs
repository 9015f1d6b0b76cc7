//! Generated from `proto/`.

/// The file descriptors, for reflection.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/switchboard.bin"));

/// The API as clients see it.
#[allow(missing_docs, clippy::all, unused_qualifications, reason = "generated")]
pub mod client {
    include!(concat!(env!("OUT_DIR"), "/client/switchboard.v1.rs"));
}

/// The API as the server speaks it: the same on the wire, with `Delivery.update` as the bytes of an `Update`.
#[allow(missing_docs, clippy::all, unused_qualifications, reason = "generated")]
pub(crate) mod server {
    include!(concat!(env!("OUT_DIR"), "/server/switchboard.v1.rs"));
}
