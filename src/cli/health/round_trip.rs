//! One message from the simulator through the gateway to a consumer, and its settlement.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use serde_json::json;
use tonic::Streaming;

use super::{HealthError, good};
use crate::cli::client::{self, AdminClient, Client};
use crate::cli::clock;
use crate::cli::control::Control;
use crate::grpc::proto::client::subscribe_request::Start;
use crate::grpc::proto::client::subscribe_response::Event;
use crate::grpc::proto::client::{
    Delivery, Filter, ListBotsRequest, SettleCode, SubscribeRequest, SubscribeResponse,
};
use crate::simulator;

/// How long a stream is listened to until the simulator is asked again for bots that have called it meanwhile.
const LOOK_AGAIN: Duration = Duration::from_millis(250);

/// The check of a whole way, for every bot of the gateway.
pub(super) struct RoundTrip {
    delivery: Client,
    admin: AdminClient,
    control: Control,
    /// Nobody else writes here.
    chat: i64,
    /// A group for looking on, which ends with its stream.
    group: String,
    /// Bots of the simulator that have got their message.
    triggered: BTreeSet<i64>,
    /// What they got, byte for byte.
    sent: Vec<String>,
}

/// A bot whose message has not come yet.
struct Waiting {
    bot: String,
    stream: Streaming<SubscribeResponse>,
}

impl RoundTrip {
    pub(super) fn new(delivery: Client, admin: AdminClient, control: Control) -> Result<Self, HealthError> {
        let random = getrandom::u32().map_err(HealthError::Random)?;
        Ok(Self {
            delivery,
            admin,
            control,
            chat: FIRST_CHAT + i64::from(random),
            group: format!("health-{random:08x}"),
            triggered: BTreeSet::new(),
            sent: Vec::new(),
        })
    }

    pub(super) async fn run(mut self) -> Result<(), HealthError> {
        let mut waiting = Vec::new();
        for bot in self.bots().await? {
            let stream = self.subscribe(&bot).await?;
            waiting.push(Waiting { bot, stream });
        }
        let began = clock::now();
        while let Some(next) = waiting.last_mut() {
            // A bot that has just started has not called the simulator yet.
            self.trigger().await?;
            let Ok(arrived) = tokio::time::timeout(LOOK_AGAIN, next.delivery()).await else { continue };
            self.settle(&next.bot, arrived?, began).await?;
            waiting.pop();
        }
        Ok(())
    }

    async fn bots(&mut self) -> Result<Vec<String>, HealthError> {
        let (mut bots, mut page_token) = (Vec::new(), String::new());
        loop {
            let request = ListBotsRequest { page_token, ..ListBotsRequest::default() };
            let page = self.admin.list_bots(request).await?.into_inner();
            bots.extend(page.bots.into_iter().map(|bot| bot.name));
            if page.next_page_token.is_empty() {
                return Ok(bots);
            }
            page_token = page.next_page_token;
        }
    }

    /// Answers when the group is there, and so gets what is sent from now on.
    async fn subscribe(&mut self, bot: &str) -> Result<Streaming<SubscribeResponse>, HealthError> {
        let request = SubscribeRequest {
            bot: bot.to_owned(),
            group: self.group.clone(),
            ephemeral: true,
            start: Some(Start::StartLatest(true)),
            filter: Some(Filter { chat_ids: vec![self.chat], ..Filter::default() }),
            ..SubscribeRequest::default()
        };
        let mut stream = self.delivery.subscribe(request).await?.into_inner();
        while let Some(response) = stream.message().await? {
            if let Some(Event::Opened(_)) = response.event {
                return Ok(stream);
            }
        }
        Err(HealthError::Ended)
    }

    /// Lets every bot that has called the simulator have a message, once.
    async fn trigger(&mut self) -> Result<(), HealthError> {
        for bot_id in self.control.bots().await? {
            if !self.triggered.insert(bot_id) {
                continue;
            }
            let chat = json!({"id": self.chat, "type": "private", "first_name": "Health"});
            let from = json!({"id": self.chat, "is_bot": false, "first_name": "Health"});
            let date = clock::unix_micros() / 1_000_000;
            let message = json!({
                "message_id": 1, "date": date, "chat": chat, "from": from, "text": "switchboard health"
            });
            let body = json!({ "message": message }).to_string();
            // Also where all groups' filters leave messages out: it is the way that is looked at, not the filters.
            let queued = self.control.queue(bot_id, body.clone(), true).await?;
            self.sent.extend(queued.update_ids.into_iter().map(|id| {
                let (_, update) = simulator::numbered(id, body.as_bytes());
                String::from_utf8_lossy(&update).into_owned()
            }));
        }
        Ok(())
    }

    async fn settle(&mut self, bot: &str, delivery: Delivery, began: Instant) -> Result<(), HealthError> {
        let took = clock::now().duration_since(began);
        let got = delivery.update.unwrap_or_default().json;
        if !self.sent.contains(&got) {
            return Err(HealthError::Differs { bot: bot.to_owned(), got, sent: self.sent.clone() });
        }
        let results = client::ack(&mut self.delivery, bot, &self.group, vec![delivery.token]).await?;
        let code = results.first().map_or(SettleCode::Unspecified, |result| result.code());
        if code != SettleCode::Applied {
            return Err(HealthError::NotApplied { bot: bot.to_owned(), code: code.as_str_name() });
        }
        good(&format!(
            "bot {bot}: a message of the simulator came byte for byte in {} ms, and its ack is applied",
            took.as_millis()
        ))
    }
}

/// Telegram's ids have at most 52 bits; there are no users that high.
const FIRST_CHAT: i64 = 1 << 50;

impl Waiting {
    /// The first delivery. Safe to cancel.
    async fn delivery(&mut self) -> Result<Delivery, HealthError> {
        while let Some(response) = self.stream.message().await? {
            if let Some(Event::Deliveries(deliveries)) = response.event
                && let Some(delivery) = deliveries.deliveries.into_iter().next()
            {
                return Ok(delivery);
            }
        }
        Err(HealthError::Ended)
    }
}
