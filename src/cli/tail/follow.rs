//! Stays in the group: opens a stream, hands on what comes, opens the next one when it is lost.

use std::time::Duration;

use tonic::{Code, Status, Streaming};

use super::TailError;
use super::forward::Forward;
use super::print::Printer;
use crate::cli::client::{self, Backoff, Client, Fault};
use crate::cli::note;
use crate::cli::signals::Stops;
use crate::grpc::proto::client::subscribe_response::Event;
use crate::grpc::proto::client::{
    Deliveries, LeaveRequest, NackOutcome, NackRequest, Opened, SettleResult, SubscribeRequest,
    SubscribeResponse,
};

/// Whoever gets the updates.
pub(super) enum Hands {
    Print(Printer),
    Forward(Forward),
}

impl Hands {
    fn opened(&mut self, opened: &Opened) {
        if let Self::Forward(forward) = self {
            forward.opened(opened);
        }
    }

    /// Answers why an update could not be settled, if so.
    async fn take(
        &mut self,
        deliveries: Deliveries,
        settler: &mut Settler,
    ) -> Result<Result<(), Status>, TailError> {
        match self {
            Self::Print(printer) => printer.take(deliveries, settler).await,
            Self::Forward(forward) => Ok(forward.take(deliveries, settler).await),
        }
    }

    /// Waits until something that was taken is done; for ever if that is never later. Safe to cancel.
    async fn done_with_one(&mut self) -> Result<(), TailError> {
        match self {
            Self::Print(_) => std::future::pending().await,
            Self::Forward(forward) => forward.done_with_one().await,
        }
    }

    fn is_done(&self) -> bool {
        match self {
            Self::Print(printer) => printer.is_done(),
            Self::Forward(forward) => forward.is_done(),
        }
    }

    /// What was taken and is not done with.
    fn held_tokens(&self) -> Vec<String> {
        match self {
            Self::Print(_) => Vec::new(),
            Self::Forward(forward) => forward.held_tokens(),
        }
    }

    async fn finish(&mut self, settler: &mut Settler) -> Result<(), TailError> {
        match self {
            Self::Print(_) => Ok(()),
            Self::Forward(forward) => forward.finish(settler).await,
        }
    }
}

/// A consumer that follows its group.
pub(super) struct Tail {
    pub(super) client: Client,
    pub(super) address: String,
    /// Asks for the same consumer at every reconnect, once the gateway has named it.
    pub(super) request: SubscribeRequest,
    pub(super) hands: Hands,
}

/// Why one stream ended.
enum Ended {
    /// Enough was done, or somebody wants it to end. The stream is still open.
    Done(Box<Streaming<SubscribeResponse>>),
    /// A new stream may work.
    Lost(Status),
}

impl Tail {
    /// Until the hands are done, a signal comes, or the gateway refuses.
    pub(super) async fn follow(mut self) -> Result<(), TailError> {
        let mut stops = Stops::listen().map_err(TailError::Signal)?;
        let ended = self.streams(&mut stops).await;
        self.leave().await;
        let mut settler = self.settler();
        match ended {
            // Until the end of the block the stream is open, and with it the leases hold.
            Ok(_stream) => tokio::select! {
                finished = self.hands.finish(&mut settler) => finished,
                _ = stops.next() => Ok(()),
            },
            Err(error) => Err(error),
        }
    }

    /// One stream after another; answers the last, if one is open.
    async fn streams(
        &mut self,
        stops: &mut Stops,
    ) -> Result<Option<Box<Streaming<SubscribeResponse>>>, TailError> {
        let mut backoff = Backoff::default();
        // The last ones can be done with while no stream is open.
        while !self.hands.is_done() {
            self.request.held_tokens = self.hands.held_tokens();
            let subscribed = tokio::select! {
                subscribed = self.client.subscribe(self.request.clone()) => subscribed,
                _ = stops.next() => return Ok(None),
            };
            let (lost, why) = match subscribed {
                Ok(stream) => match self.stream(stream.into_inner(), &mut backoff, stops).await? {
                    Ended::Done(stream) => return Ok(Some(stream)),
                    Ended::Lost(status) => {
                        let why = format!("{}: {}", self.address, client::describe(&status));
                        (status, why)
                    }
                },
                Err(status) => {
                    let why = self.unopened(&status);
                    (status, why)
                }
            };
            if !client::is_transient(&lost) {
                return Err(TailError::Refused(lost));
            }
            let wait = backoff.after_failure();
            note(&format!("{why}; trying again in {wait:?}"));
            let again = tokio::time::sleep(wait);
            tokio::pin!(again);
            loop {
                tokio::select! {
                    () = &mut again => break,
                    _ = stops.next() => return Ok(None),
                    done = self.hands.done_with_one() => done?,
                }
            }
        }
        Ok(None)
    }

    /// Why no stream was opened.
    fn unopened(&self, status: &Status) -> String {
        match client::fault(status) {
            Some(Fault::Broken(_)) => client::unanswered(&self.address, status),
            // A gateway that is started anew is waited for.
            Some(Fault::Unreachable(_)) | None => None,
        }
        .unwrap_or_else(|| format!("{}: {}", self.address, client::describe(status)))
    }

    async fn stream(
        &mut self,
        mut stream: Streaming<SubscribeResponse>,
        backoff: &mut Backoff,
        stops: &mut Stops,
    ) -> Result<Ended, TailError> {
        while !self.hands.is_done() {
            let message = tokio::select! {
                message = stream.message() => message,
                done = self.hands.done_with_one() => {
                    done?;
                    continue;
                }
                _ = stops.next() => break,
            };
            let response = match message {
                Ok(Some(response)) => response,
                Ok(None) => return Ok(Ended::Lost(Status::unavailable("the gateway ended the stream"))),
                Err(status) => return Ok(Ended::Lost(status)),
            };
            match response.event {
                Some(Event::Opened(opened)) => {
                    backoff.succeeded();
                    note(&format!("{}: group {} of bot {}", self.address, opened.group, opened.bot));
                    if opened.paused {
                        note("the group is paused: nothing comes until it is resumed");
                    }
                    self.hands.opened(&opened);
                    self.request.consumer_id = opened.consumer_id;
                    self.request.bot = opened.bot;
                }
                Some(Event::Deliveries(deliveries)) => {
                    let mut settler = self.settler();
                    if let Err(status) = self.hands.take(deliveries, &mut settler).await? {
                        return Ok(Ended::Lost(status));
                    }
                }
                Some(Event::Draining(_)) => {
                    return Ok(Ended::Lost(Status::unavailable("the gateway asks to reconnect")));
                }
                _ => {}
            }
        }
        Ok(Ended::Done(Box::new(stream)))
    }

    fn settler(&self) -> Settler {
        Settler {
            client: self.client.clone(),
            bot: self.request.bot.clone(),
            group: self.request.group.clone(),
        }
    }

    /// Gives the shards to the group's other consumers at once. Best effort: without it the gateway finds out itself.
    async fn leave(&mut self) {
        if self.request.consumer_id.is_empty() {
            return;
        }
        let request = LeaveRequest {
            bot: self.request.bot.clone(),
            group: self.request.group.clone(),
            consumer_id: self.request.consumer_id.clone(),
        };
        match tokio::time::timeout(LEAVE_TIMEOUT, self.client.leave(request)).await {
            Ok(Err(status)) if status.code() != Code::NotFound => {
                note(&format!("{}: left without saying so: {}", self.address, client::describe(&status)));
            }
            _ => {}
        }
    }
}

/// Settles the group's deliveries, on any connection.
#[derive(Clone)]
pub(super) struct Settler {
    client: Client,
    bot: String,
    group: String,
}

impl Settler {
    pub(super) async fn ack(&mut self, tokens: Vec<String>) -> Result<Vec<SettleResult>, Status> {
        client::ack(&mut self.client, &self.bot, &self.group, tokens).await
    }

    /// Gives back; without a delay, after the one that is usual.
    pub(super) async fn nack(
        &mut self,
        tokens: Vec<String>,
        outcome: NackOutcome,
        reason: String,
        delay: Option<Duration>,
    ) -> Result<(), Status> {
        // What does not fit is no delay that anybody asks for.
        let delay = delay.and_then(|delay| delay.try_into().ok());
        for tokens in tokens.chunks(client::MAX_TOKENS_PER_CALL) {
            let request = NackRequest {
                bot: self.bot.clone(),
                group: self.group.clone(),
                tokens: tokens.to_vec(),
                delay,
                outcome: outcome.into(),
                reason: reason.clone(),
            };
            self.client.nack(request).await?;
        }
        Ok(())
    }
}

const LEAVE_TIMEOUT: Duration = Duration::from_secs(2);
