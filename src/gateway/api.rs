//! The ops listener's API is gRPC's `AdminService`; neither side knows the other.

use bytes::Bytes;
use http::Request;

use crate::grpc::JsonDoor;
use crate::http::ops::{Answering, Api};

impl Api for JsonDoor {
    fn answer(&self, request: Request<Bytes>) -> Answering<'_> {
        Box::pin(Self::answer(self, request))
    }
}
