//! The bytes of the wire Update message, encoded once.
