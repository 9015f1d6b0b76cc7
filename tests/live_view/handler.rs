//! A handler with a fault: it rejects `/reject`, fails at `/fail`, and acks the rest.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use switchboard::grpc::proto::client::delivery_service_client::DeliveryServiceClient;
use switchboard::grpc::proto::client::subscribe_request::Start;
use switchboard::grpc::proto::client::subscribe_response::Event;
use switchboard::grpc::proto::client::{AckRequest, Delivery, NackRequest, RejectRequest, SubscribeRequest};
use tokio::task::JoinHandle;
use tonic::Status;
use tonic::metadata::AsciiMetadataValue;
use tonic::service::Interceptor;
use tonic::transport::Channel;

use crate::POLL_INTERVAL;
use crate::rig::Rig;

/// What a browser must not take for markup.
pub const REASON: &str = "no such order: <img src=x onerror=\"document.title='owned'\">";

/// A handler at work. Dropping it ends it.
pub struct Handler {
    task: JoinHandle<()>,
    mended: Arc<AtomicBool>,
}

impl Handler {
    pub fn start(rig: &Rig, group: &str) -> Self {
        let mended = Arc::new(AtomicBool::new(false));
        let work = Work {
            address: format!("http://{}", rig.grpc),
            token: rig.access_token.map(str::to_owned),
            group: group.to_owned(),
            mended: mended.clone(),
        };
        let task = tokio::spawn(async move {
            loop {
                // The gateway is killed now and then.
                let _ = work.session().await;
                tokio::time::sleep(POLL_INTERVAL).await;
            }
        });
        Self { task, mended }
    }

    /// From now on it acks everything.
    pub fn mend(&self) {
        self.mended.store(true, Ordering::Relaxed);
    }
}

impl Drop for Handler {
    fn drop(&mut self) {
        self.task.abort();
    }
}

struct Work {
    address: String,
    token: Option<String>,
    group: String,
    mended: Arc<AtomicBool>,
}

#[derive(Clone)]
struct Bearer(Option<AsciiMetadataValue>);

impl Interceptor for Bearer {
    fn call(&mut self, mut request: tonic::Request<()>) -> Result<tonic::Request<()>, Status> {
        if let Some(value) = &self.0 {
            request.metadata_mut().insert("authorization", value.clone());
        }
        Ok(request)
    }
}

impl Work {
    async fn session(&self) -> Result<(), Status> {
        let gone = |_| Status::unavailable("the gateway is gone");
        let channel = Channel::from_shared(self.address.clone()).unwrap().connect().await.map_err(gone)?;
        let bearer = Bearer(self.token.as_ref().map(|token| format!("Bearer {token}").parse().unwrap()));
        let mut client = DeliveryServiceClient::with_interceptor(channel, bearer);
        let request = SubscribeRequest {
            group: self.group.clone(),
            consumer_id: format!("{}-1", self.group),
            start: Some(Start::StartEarliest(true)),
            ..SubscribeRequest::default()
        };
        let mut stream = client.subscribe(request).await?.into_inner();
        while let Some(response) = stream.message().await? {
            let Some(Event::Deliveries(deliveries)) = response.event else { continue };
            for delivery in deliveries.deliveries {
                let (group, tokens) = (self.group.clone(), vec![delivery.token.clone()]);
                match self.fault(&delivery) {
                    Some("/reject") => {
                        let reason = REASON.to_owned();
                        client
                            .reject(RejectRequest { group, tokens, reason, ..Default::default() })
                            .await
                            .map(drop)
                    }
                    Some(_) => {
                        let reason = "the database is away".to_owned();
                        client
                            .nack(NackRequest { group, tokens, reason, ..Default::default() })
                            .await
                            .map(drop)
                    }
                    None => client.ack(AckRequest { group, tokens, ..Default::default() }).await.map(drop),
                }?;
            }
        }
        Ok(())
    }

    fn fault(&self, delivery: &Delivery) -> Option<&'static str> {
        let json = &delivery.update.as_ref()?.json;
        let faults = ["/reject", "/fail"].into_iter();
        faults.filter(|_| !self.mended.load(Ordering::Relaxed)).find(|fault| json.contains(*fault))
    }
}
