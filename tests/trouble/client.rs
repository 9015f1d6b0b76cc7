//! A handler as its author would write one, and what many of them have seen together.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;

use switchboard::grpc::proto::client::delivery_service_client::DeliveryServiceClient;
use switchboard::grpc::proto::client::subscribe_response::Event;
use switchboard::grpc::proto::client::{
    AckRequest, Delivery, NackRequest, Opened, SettleCode, SubscribeRequest, SubscribeResponse,
};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tonic::transport::Channel;
use tonic::{Status, Streaming};

use super::gateway::PATIENCE;

/// A client on a connection of its own.
pub async fn connect(grpc: SocketAddr) -> DeliveryServiceClient<Channel> {
    DeliveryServiceClient::connect(format!("http://{grpc}")).await.unwrap()
}

/// A request to join the group from its first update on.
pub fn join(group: &str, consumer_id: &str) -> SubscribeRequest {
    SubscribeRequest { group: group.into(), consumer_id: consumer_id.into(), ..SubscribeRequest::default() }
}

/// One consumer on its own connection.
pub struct Consumer {
    /// For settling.
    pub client: DeliveryServiceClient<Channel>,
    /// What came first.
    pub opened: Opened,
    stream: Streaming<SubscribeResponse>,
}

impl Consumer {
    /// Joins, and reads `opened`.
    pub async fn join(grpc: SocketAddr, request: SubscribeRequest) -> Self {
        let mut client = connect(grpc).await;
        let mut stream = client.subscribe(request).await.unwrap().into_inner();
        let first = tokio::time::timeout(PATIENCE, stream.message()).await.unwrap().unwrap().unwrap();
        let Some(Event::Opened(opened)) = first.event else { panic!("not opened first: {first:?}") };
        Self { client, opened, stream }
    }

    /// The next event, or how the stream ended.
    pub async fn next(&mut self) -> Result<Event, Status> {
        let next = tokio::time::timeout(PATIENCE, self.stream.message()).await.expect("nothing came");
        next?.and_then(|response| response.event).ok_or_else(|| Status::ok("the stream ended"))
    }

    /// The next deliveries, whatever comes between.
    pub async fn deliveries(&mut self) -> Vec<Delivery> {
        loop {
            if let Event::Deliveries(deliveries) = self.next().await.unwrap() {
                return deliveries.deliveries;
            }
        }
    }

    /// Acks, and returns what became of each.
    pub async fn ack(&mut self, tokens: Vec<String>) -> Vec<SettleCode> {
        let request = AckRequest { group: self.opened.group.clone(), tokens, ..AckRequest::default() };
        let results = self.client.ack(request).await.unwrap().into_inner().results;
        results.iter().map(|result| result.code()).collect()
    }

    /// Nacks as a failure, with the group's backoff.
    pub async fn nack(&mut self, tokens: Vec<String>) {
        let request = NackRequest { group: self.opened.group.clone(), tokens, ..NackRequest::default() };
        self.client.nack(request).await.unwrap();
    }

    /// Handles whatever comes, in the background, until the stream ends: nacks what `bad` says, acks the rest.
    pub fn work(
        mut self,
        seen: &Seen,
        bad: impl Fn(&Delivery) -> bool + Send + 'static,
    ) -> JoinHandle<Status> {
        let seen = seen.clone();
        tokio::spawn(async move {
            loop {
                let deliveries = match self.next().await {
                    Ok(Event::Deliveries(deliveries)) => deliveries.deliveries,
                    Ok(_) => continue,
                    Err(status) => return status,
                };
                let (bad, good): (Vec<_>, Vec<_>) = deliveries.into_iter().partition(&bad);
                if !bad.is_empty() {
                    self.nack(bad.iter().map(|delivery| delivery.token.clone()).collect()).await;
                    seen.note(|all| all.nacked.extend(bad.iter().map(id_of)));
                }
                if !good.is_empty() {
                    let codes = self.ack(good.iter().map(|delivery| delivery.token.clone()).collect()).await;
                    seen.note(|all| {
                        for (delivery, code) in good.into_iter().zip(codes) {
                            all.handled(&self.opened.consumer_id, &delivery, code);
                        }
                    });
                }
            }
        })
    }
}

/// The update's id.
pub fn id_of(delivery: &Delivery) -> i64 {
    delivery.update.as_ref().unwrap().update_id
}

/// The update's chat; 0 where it has none.
pub fn chat_of(delivery: &Delivery) -> i64 {
    delivery.update.as_ref().unwrap().chat_id.unwrap_or_default()
}

/// What a group's handlers have seen, all together.
#[derive(Clone)]
pub struct Seen(Arc<watch::Sender<All>>);

/// What was seen.
#[derive(Debug, Default)]
pub struct All {
    /// How often each update was acked with success.
    pub acked: BTreeMap<i64, u32>,
    /// The acked updates of each key, in the order of their acks.
    pub by_key: BTreeMap<String, Vec<i64>>,
    /// The shard of each key.
    pub shards: BTreeMap<String, i32>,
    /// Who acked updates of each key.
    pub by_consumer: BTreeMap<String, BTreeSet<String>>,
    /// The nacked ones, in order.
    pub nacked: Vec<i64>,
    /// Acks that came too late to count.
    pub in_vain: u32,
    /// The largest attempt.
    pub max_attempt: i32,
}

impl All {
    fn handled(&mut self, consumer: &str, delivery: &Delivery, code: SettleCode) {
        self.max_attempt = self.max_attempt.max(delivery.attempt);
        if !matches!(code, SettleCode::Applied | SettleCode::AppliedLate) {
            self.in_vain += 1;
            return;
        }
        *self.acked.entry(id_of(delivery)).or_default() += 1;
        let key = || delivery.ordering_key.clone();
        self.by_key.entry(key()).or_default().push(id_of(delivery));
        self.shards.insert(key(), delivery.shard);
        self.by_consumer.entry(key()).or_default().insert(consumer.to_owned());
    }

    /// Whether each chat's updates were acked in the order of their ids, which is that of the simulator.
    pub fn assert_in_order(&self) {
        for (key, ids) in &self.by_key {
            assert!(ids.is_sorted(), "{key} out of order: {ids:?}");
        }
    }
}

impl Seen {
    pub fn new() -> Self {
        Self(Arc::new(watch::Sender::new(All::default())))
    }

    fn note(&self, change: impl FnOnce(&mut All)) {
        self.0.send_modify(change);
    }

    /// Looks at it.
    pub fn look<T>(&self, at: impl FnOnce(&All) -> T) -> T {
        at(&self.0.borrow())
    }

    /// Waits until it is so; `what` says for what.
    pub async fn until(&self, what: &str, mut so: impl FnMut(&All) -> bool) {
        let mut changes = self.0.subscribe();
        if tokio::time::timeout(PATIENCE, changes.wait_for(|all| so(all))).await.is_err() {
            let all = self.0.borrow();
            let (acked, nacked, vain) = (all.acked.len(), all.nacked.len(), all.in_vain);
            panic!("waited in vain until {what}: {acked} acked, {nacked} nacks, {vain} acks in vain");
        }
    }
}
