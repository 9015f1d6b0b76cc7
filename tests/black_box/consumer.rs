//! A handler on the generated client: takes, acks in batches, reconnects when the gateway is gone.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use switchboard::grpc::proto::client::delivery_service_client::DeliveryServiceClient;
use switchboard::grpc::proto::client::subscribe_request::Start;
use switchboard::grpc::proto::client::subscribe_response::Event;
use switchboard::grpc::proto::client::{AckRequest, SettleCode, SubscribeRequest};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tonic::transport::Channel;
use tonic::{Code, Status};

use crate::checker::Group;
use crate::{PATIENCE, POLL_INTERVAL};

/// With nothing new for so long, what is in hand is acked.
const LULL: Duration = Duration::from_millis(3);

/// What a consumer does with unfinished work when its stream is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Memory {
    /// It goes on with it and names it in `held_tokens`.
    Holds,
    /// It has forgotten it.
    Forgets,
}

/// A consumer at work. Dropping it ends it.
pub struct Consumer {
    task: JoinHandle<()>,
    opened: watch::Receiver<bool>,
}

impl Consumer {
    /// `boots` counts the gateway's starts: it moves before each new one.
    pub fn start(
        group: &Arc<Group>,
        id: &str,
        grpc: SocketAddr,
        memory: Memory,
        batch: usize,
        boots: watch::Receiver<u64>,
    ) -> Self {
        let (is_open, opened) = watch::channel(false);
        let work = Work { group: Arc::clone(group), id: id.to_owned(), grpc, memory, batch, boots, is_open };
        Self { task: tokio::spawn(work.run()), opened }
    }

    /// Waits until its first stream is open.
    pub async fn opened(&mut self) {
        tokio::time::timeout(PATIENCE, self.opened.wait_for(|open| *open)).await.unwrap().unwrap();
    }
}

impl Drop for Consumer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

struct Work {
    group: Arc<Group>,
    id: String,
    grpc: SocketAddr,
    memory: Memory,
    /// So many are acked together.
    batch: usize,
    boots: watch::Receiver<u64>,
    is_open: watch::Sender<bool>,
}

/// One delivery in hand.
struct Taken {
    token: String,
    sequence: i64,
    /// The gateway's start since which it is this consumer's again, if it lived through a kill.
    kept_since: Option<u64>,
}

#[derive(Default)]
struct Hands {
    /// Not acked yet.
    open: Vec<Taken>,
    /// Acked, and the answer is not there.
    unanswered: Vec<Taken>,
}

impl Work {
    async fn run(self) {
        let mut hands = Hands::default();
        loop {
            let Err(status) = self.session(&mut hands).await;
            match status.code() {
                // What a killed gateway looks like.
                Code::Unavailable | Code::Unknown | Code::Cancelled | Code::Internal => {}
                _ => self.group.violate(format!("{}: {status}", self.id)),
            }
            if self.memory == Memory::Forgets {
                hands.open.clear();
            }
            tokio::time::sleep(POLL_INTERVAL).await;
        }
    }

    /// One stream, to its end.
    async fn session(&self, hands: &mut Hands) -> Result<std::convert::Infallible, Status> {
        let boot = *self.boots.borrow();
        let gone = || Status::unavailable("the gateway is gone");
        let endpoint = Channel::from_shared(format!("http://{}", self.grpc)).unwrap().tcp_nodelay(true);
        let mut client = DeliveryServiceClient::new(endpoint.connect().await.map_err(|_| gone())?);
        let held = hands.open.iter().chain(&hands.unanswered).map(|taken| taken.token.clone());
        let held_tokens = if self.memory == Memory::Holds { held.collect() } else { Vec::new() };
        let request = SubscribeRequest {
            group: self.group.name.to_owned(),
            consumer_id: self.id.clone(),
            start: Some(Start::StartEarliest(true)),
            held_tokens: held_tokens.clone(),
            ..SubscribeRequest::default()
        };
        let mut stream = client.subscribe(request).await?.into_inner();
        let first = stream.message().await?.and_then(|response| response.event);
        let Some(Event::Opened(opened)) = first else { return Err(gone()) };
        // Otherwise it is not known whose deliveries these would be.
        if *self.boots.borrow() != boot {
            return Err(gone());
        }
        self.is_open.send_replace(true);
        self.group.came_back(held_tokens.len(), opened.held_tokens.len());
        let is_named = opened.held_tokens.iter().all(|kept| held_tokens.contains(kept));
        if !is_named {
            self.group.violate(format!("{} was given tokens that it does not hold", self.id));
        }
        hands.open.retain(|taken| opened.held_tokens.contains(&taken.token));
        for taken in hands.open.iter_mut().chain(&mut hands.unanswered) {
            taken.kept_since = opened.held_tokens.contains(&taken.token).then_some(boot);
        }
        self.ask_again(&mut client, hands).await?;
        loop {
            match tokio::time::timeout(LULL, stream.message()).await {
                Ok(response) => {
                    let event = response?.ok_or_else(gone)?.event;
                    let Some(Event::Deliveries(deliveries)) = event else { continue };
                    for delivery in deliveries.deliveries {
                        if self.group.delivered(&self.id, boot, &delivery) {
                            hands.open.push(Taken {
                                token: delivery.token,
                                sequence: delivery.sequence,
                                kept_since: None,
                            });
                        }
                    }
                    if hands.open.len() < self.batch {
                        continue;
                    }
                }
                Err(_) if hands.open.is_empty() => continue,
                Err(_) => {}
            }
            hands.open.iter().for_each(|taken| self.group.acking(taken.sequence));
            hands.unanswered.append(&mut hands.open);
            self.ask_again(&mut client, hands).await?;
        }
    }

    /// Acks until all is answered: doing so again is safe.
    async fn ask_again(
        &self,
        client: &mut DeliveryServiceClient<Channel>,
        hands: &mut Hands,
    ) -> Result<(), Status> {
        if hands.unanswered.is_empty() {
            return Ok(());
        }
        let tokens: Vec<_> = hands.unanswered.iter().map(|taken| taken.token.clone()).collect();
        let request = AckRequest { group: self.group.name.to_owned(), tokens, ..AckRequest::default() };
        let results = client.ack(request).await?.into_inner().results;
        assert_eq!(results.len(), hands.unanswered.len(), "one result for each token");
        for (taken, result) in hands.unanswered.drain(..).zip(results) {
            self.group.answered(taken.sequence, result.code());
            let is_same_start = taken.kept_since == Some(*self.boots.borrow());
            if is_same_start && result.code() == SettleCode::Superseded {
                self.group.violate(format!("{} held {} and lost it", self.id, taken.sequence));
            }
        }
        Ok(())
    }
}
