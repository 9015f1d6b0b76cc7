//! The gRPC side. Generated types and tonic stay in here.

pub mod proto;
