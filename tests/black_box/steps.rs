//! Single steps, for tests that look at each of them: what Telegram gets, what a handler takes and answers.

use std::net::SocketAddr;

use serde_json::{Value, json};
use switchboard::grpc::proto::client::delivery_service_client::DeliveryServiceClient;
use switchboard::grpc::proto::client::subscribe_response::Event;
use switchboard::grpc::proto::client::{
    AckRequest, Delivery, NackOutcome, NackRequest, SettleCode, SubscribeRequest, SubscribeResponse,
};
use switchboard::simulator::Running;
use tonic::transport::Channel;
use tonic::{Status, Streaming};

use crate::{BOT, PATIENCE};

/// An HTTP client that goes straight there.
pub fn http() -> reqwest::Client {
    reqwest::Client::builder().no_proxy().build().unwrap()
}

/// Sends this to the simulator's control interface, below the bot.
pub async fn control(telegram: &Running, what: &str, body: String) -> Value {
    let url = format!("{}/simulator/bots/{BOT}/{what}", telegram.url());
    let answer = http().post(url).body(body).send().await.unwrap();
    let (status, text) = (answer.status(), answer.text().await.unwrap());
    assert!(status.is_success(), "{status}: {text}");
    serde_json::from_str(&text).unwrap()
}

/// Somebody writes these texts, one after another, in one chat; the ids of the updates.
pub async fn write(telegram: &Running, chat: i64, texts: &[&str]) -> Vec<i64> {
    let update = |text: &&str| {
        let chat = json!({"id": chat, "type": "private"});
        json!({"message": {"message_id": 1, "date": 1, "chat": chat, "text": text}}).to_string()
    };
    let body: Vec<String> = texts.iter().map(update).collect();
    let queued = control(telegram, "updates", body.join("\n")).await;
    queued["update_ids"].as_array().unwrap().iter().map(|id| id.as_i64().unwrap()).collect()
}

/// Calls a method of the Bot API as somebody else who has the token.
pub async fn call(telegram: &Running, method: &str) -> Value {
    let url = format!("{}/bot{BOT}:theirs/{method}", telegram.url());
    let text = http().get(url).send().await.unwrap().text().await.unwrap();
    let mut answer: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(answer["ok"], true, "{answer}");
    answer["result"].take()
}

/// A handler that does what the test says.
pub struct Hands {
    pub client: DeliveryServiceClient<Channel>,
    stream: Streaming<SubscribeResponse>,
    group: String,
}

impl Hands {
    /// Joins a group, on a connection of its own.
    pub async fn join(grpc: SocketAddr, group: &str) -> Self {
        Self::subscribe(grpc, SubscribeRequest { group: group.to_owned(), ..SubscribeRequest::default() })
            .await
    }

    /// Joins a group in just this way.
    pub async fn subscribe(grpc: SocketAddr, request: SubscribeRequest) -> Self {
        let mut client = DeliveryServiceClient::connect(format!("http://{grpc}")).await.unwrap();
        let group = request.group.clone();
        let stream = client.subscribe(request).await.unwrap().into_inner();
        Self { client, stream, group }
    }

    /// The next event, or how the stream ended.
    pub async fn next(&mut self) -> Result<Event, Status> {
        let message = tokio::time::timeout(PATIENCE, self.stream.message()).await.expect("nothing came");
        let event = message?.expect("the stream ended without a status").event;
        Ok(event.expect("an event that this client knows"))
    }

    /// The next so many deliveries.
    pub async fn deliveries(&mut self, count: usize) -> Vec<Delivery> {
        let mut got = Vec::new();
        while got.len() < count {
            if let Event::Deliveries(more) = self.next().await.unwrap() {
                got.extend(more.deliveries);
            }
        }
        assert_eq!(got.len(), count, "more than {count}: {:?}", texts(&got));
        got
    }

    /// Acks; what became of each.
    pub async fn ack(&mut self, deliveries: &[Delivery]) -> Vec<SettleCode> {
        let (group, tokens) = (self.group.clone(), tokens(deliveries));
        let request = AckRequest { group, tokens, ..AckRequest::default() };
        let results = self.client.ack(request).await.unwrap().into_inner().results;
        results.iter().map(|result| result.code()).collect()
    }

    /// Nacks one.
    pub async fn nack(&mut self, delivery: &Delivery, outcome: NackOutcome) -> SettleCode {
        let request = NackRequest {
            group: self.group.clone(),
            tokens: vec![delivery.token.clone()],
            outcome: outcome.into(),
            reason: "it does not suit".to_owned(),
            ..NackRequest::default()
        };
        self.client.nack(request).await.unwrap().into_inner().results[0].code()
    }
}

pub fn tokens(deliveries: &[Delivery]) -> Vec<String> {
    deliveries.iter().map(|delivery| delivery.token.clone()).collect()
}

/// The texts of the messages, sorted: what is ready at the same time comes in any order.
pub fn texts(deliveries: &[Delivery]) -> Vec<String> {
    let text = |delivery: &Delivery| {
        let json: Value = serde_json::from_str(&delivery.update.as_ref().unwrap().json).unwrap();
        json["message"]["text"].as_str().unwrap_or_default().to_owned()
    };
    let mut texts: Vec<_> = deliveries.iter().map(text).collect();
    texts.sort();
    texts
}
