//! Opening a stream.

use tonic::Status;

use super::bots::Bots;
use super::consumer::ConsumerBody;
use super::fields::{self, InvalidField};
use super::filters;
use super::proto::server::SubscribeRequest;
use super::streams::Streams;
use crate::driver::Subscription;

/// Opens the stream that a request asks for.
pub(super) async fn subscribe(
    bots: &Bots,
    streams: &Streams,
    request: SubscribeRequest,
) -> Result<ConsumerBody, Status> {
    let bot = bots.find(&request.bot)?;
    let stream = bot.handle.subscribe(subscription(request)?).await?;
    Ok(ConsumerBody::new(&bot.handle, stream, streams.open()))
}

fn subscription(request: SubscribeRequest) -> Result<Subscription, InvalidField> {
    Ok(Subscription {
        group: fields::group(&request.group)?,
        consumer_id: fields::optional_consumer_id(&request.consumer_id)?,
        settings: fields::consumer_settings(
            request.max_outstanding,
            request.max_outstanding_bytes,
            request.lease_duration,
        )?,
        start: fields::start(request.start)?,
        filter: match &request.filter {
            Some(filter) => filters::parse("filter", filter)?,
            None => None,
        },
        held_tokens: fields::held_tokens(&request.held_tokens)?,
        ephemeral: request.ephemeral,
    })
}
