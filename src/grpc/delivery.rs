//! `DeliveryService`, method by method.

use tonic::{Request, Response, Status};

use super::bots::Bots;
use super::consumer::ConsumerBody;
use super::fields;
use super::proto::server as pb;
use super::settle::settle;
use super::streams::Streams;
use super::subscribe::subscribe;
use crate::model::{Settlement, clip_reason};

/// The service.
#[derive(Debug)]
pub(super) struct Delivery {
    pub(super) bots: Bots,
    pub(super) streams: Streams,
}

#[tonic::async_trait]
impl pb::delivery_service_server::DeliveryService for Delivery {
    type SubscribeStream = ConsumerBody;

    async fn subscribe(
        &self,
        request: Request<pb::SubscribeRequest>,
    ) -> Result<Response<ConsumerBody>, Status> {
        Ok(Response::new(subscribe(&self.bots, &self.streams, request.into_inner()).await?))
    }

    async fn ack(&self, request: Request<pb::AckRequest>) -> Result<Response<pb::AckResponse>, Status> {
        let pb::AckRequest { bot, group, tokens } = request.into_inner();
        let results = settle(&self.bots, &bot, &group, tokens, Settlement::Ack).await?;
        Ok(Response::new(pb::AckResponse { results }))
    }

    async fn nack(&self, request: Request<pb::NackRequest>) -> Result<Response<pb::NackResponse>, Status> {
        let pb::NackRequest { bot, group, tokens, delay, outcome, reason } = request.into_inner();
        let settlement = Settlement::Nack {
            outcome: fields::nack_outcome(outcome)?,
            delay_ms: fields::nack_delay_ms(delay)?,
            reason: clip_reason(&reason),
        };
        let results = settle(&self.bots, &bot, &group, tokens, settlement).await?;
        Ok(Response::new(pb::NackResponse { results }))
    }

    async fn extend(
        &self,
        request: Request<pb::ExtendRequest>,
    ) -> Result<Response<pb::ExtendResponse>, Status> {
        let pb::ExtendRequest { bot, group, tokens, duration } = request.into_inner();
        let settlement = Settlement::Extend { duration_ms: fields::extend_duration_ms(duration)? };
        let results = settle(&self.bots, &bot, &group, tokens, settlement).await?;
        Ok(Response::new(pb::ExtendResponse { results }))
    }

    async fn reject(
        &self,
        request: Request<pb::RejectRequest>,
    ) -> Result<Response<pb::RejectResponse>, Status> {
        let pb::RejectRequest { bot, group, tokens, reason } = request.into_inner();
        let settlement = Settlement::Reject { reason: clip_reason(&reason) };
        let results = settle(&self.bots, &bot, &group, tokens, settlement).await?;
        Ok(Response::new(pb::RejectResponse { results }))
    }

    async fn leave(&self, request: Request<pb::LeaveRequest>) -> Result<Response<pb::LeaveResponse>, Status> {
        let pb::LeaveRequest { bot, group, consumer_id } = request.into_inner();
        let bot = self.bots.find(&bot)?;
        let (group, consumer_id) = (fields::group(&group)?, fields::consumer_id(&consumer_id)?);
        let outstanding = bot.handle.leave(group, consumer_id).await?;
        let outstanding = i32::try_from(outstanding).unwrap_or(i32::MAX);
        Ok(Response::new(pb::LeaveResponse { outstanding }))
    }
}
