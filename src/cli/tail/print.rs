//! Prints what was delivered, then acks it.

use std::io::Write;

use tonic::Status;

use super::TailError;
use super::follow::Settler;
use super::line;
use crate::grpc::proto::client::{Deliveries, Delivery, NackOutcome};

/// What is printed, and how much of it still.
pub(super) struct Printer {
    json: bool,
    /// How many updates are still to be printed, where that is limited.
    left: Option<u64>,
}

impl Printer {
    pub(super) fn new(json: bool, left: Option<u64>) -> Self {
        Self { json, left }
    }

    pub(super) fn is_done(&self) -> bool {
        self.left == Some(0)
    }

    /// Prints what was delivered and acks it; what is beyond `--count` goes back unprinted. Answers the gateway's
    /// refusal of that, if there is one.
    pub(super) async fn take(
        &mut self,
        mut deliveries: Deliveries,
        settler: &mut Settler,
    ) -> Result<Result<(), Status>, TailError> {
        let wanted = self.left.map_or(usize::MAX, |left| usize::try_from(left).unwrap_or(usize::MAX));
        let keep = wanted.min(deliveries.deliveries.len());
        let surplus = deliveries.deliveries.split_off(keep);
        {
            let mut out = std::io::stdout().lock();
            for delivery in &deliveries.deliveries {
                let line = if self.json { line::json(delivery) } else { line::pretty(delivery) };
                writeln!(out, "{line}")?;
            }
            out.flush()?;
        }
        self.left = self.left.map(|left| left.saturating_sub(keep as u64));
        let tokens =
            |deliveries: Vec<Delivery>| deliveries.into_iter().map(|delivery| delivery.token).collect();
        if let Err(status) = settler.ack(tokens(deliveries.deliveries)).await {
            return Ok(Err(status));
        }
        Ok(settler.nack(tokens(surplus), NackOutcome::Released, String::new(), None).await)
    }
}
