//! A gRPC server on a loopback port, with a driver and a journal that the test plays itself.

use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc;

use switchboard::driver::{BotHandle, ConsumerStream, Input, IntakeState, Subscription, WantedKinds};
use switchboard::grpc::proto::client;
use switchboard::grpc::proto::client::delivery_service_client::DeliveryServiceClient;
use switchboard::grpc::{Bot, ServeError, Settings, serve};
use switchboard::inspect::Inspector;
use switchboard::journal::{Counts, JournalReader, ReadError, Recovered, Room, Usage};
use switchboard::model::{
    Delivery, Event, GroupId, GroupSettings, Head, KeyHash, Opened, Ordering, Payload, Quarantined, Sequence,
    Shard, StoredDeadLetter, StreamEvent, Token, UnixMillis,
};
use tokio::net::TcpListener;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;
use tonic::transport::{Channel, Endpoint};

/// A driver whose answers the test gives.
pub struct FakeDriver {
    pub handle: BotHandle,
    inputs: UnboundedReceiver<Input>,
    sender: mpsc::Sender<Input>,
    /// Held as a driver holds it: its end is the driver's.
    _intake: watch::Sender<IntakeState>,
}

impl FakeDriver {
    pub fn new(bot: &str) -> Self {
        let (sender, receiver) = mpsc::channel();
        let (forward, inputs) = unbounded_channel();
        std::thread::spawn(move || {
            while let Ok(input) = receiver.recv() {
                if forward.send(input).is_err() {
                    return;
                }
            }
        });
        let (intake, intake_seen) = watch::channel(IntakeState::Open);
        let (_, own_webhook) = watch::channel(None);
        let (_, wanted) = watch::channel(WantedKinds::default());
        let handle = BotHandle::new(bot, sender.clone(), intake_seen, own_webhook, wanted);
        Self { handle, inputs, sender, _intake: intake }
    }

    /// What the driver is asked next.
    pub async fn next(&mut self) -> Input {
        self.inputs.recv().await.expect("the handle is alive")
    }

    /// Opens the next stream that is asked for, and returns where its events go.
    pub async fn accept(&mut self, stream: u64) -> (Subscription, UnboundedSender<StreamEvent>) {
        self.accept_with(stream, Vec::new()).await
    }

    /// The same, with events that are ready before the stream is open.
    pub async fn accept_with(
        &mut self,
        stream: u64,
        ready: Vec<StreamEvent>,
    ) -> (Subscription, UnboundedSender<StreamEvent>) {
        let Input::Subscribe { subscription, reply } = self.next().await else {
            panic!("not a Subscribe");
        };
        let opened = Opened {
            group: subscription.group.clone(),
            consumer_id: subscription.consumer_id.clone(),
            settings: subscription.settings,
            group_settings: GroupSettings::default(),
            filter: None,
            ordering: Ordering::Chat,
            paused: false,
            held: subscription.held_tokens.clone(),
        };
        let (consumer, events) = ConsumerStream::new(stream, opened, self.sender.clone());
        for event in ready {
            events.send(event).expect("the stream is held here");
        }
        reply.send(Ok(consumer)).expect("the caller waits");
        (subscription, events)
    }
}

/// A journal that can only be copied, by this.
#[derive(Clone)]
pub struct FakeReader(pub Arc<CopyTo>);

type CopyTo = dyn Fn(&Path) -> Result<(), ReadError> + Send + Sync;

impl JournalReader for FakeReader {
    fn heads(&self, _: Sequence, _: usize) -> Result<Vec<Head>, ReadError> {
        Ok(Vec::new())
    }

    fn read(&self, sequences: &[Sequence]) -> Result<Vec<Option<Payload>>, ReadError> {
        Ok(vec![None; sequences.len()])
    }

    fn first_at(&self, _: Sequence, _: UnixMillis) -> Result<Option<Sequence>, ReadError> {
        Ok(None)
    }

    fn recover(&self) -> Result<Recovered, ReadError> {
        Err(ReadError::Failed { path: "nowhere".into(), why: "it is a fake".into() })
    }

    fn heads_back(&self, _: Sequence, _: usize) -> Result<Vec<Head>, ReadError> {
        Ok(Vec::new())
    }

    fn dead_letters(&self, _: GroupId, _: Sequence, _: usize) -> Result<Vec<StoredDeadLetter>, ReadError> {
        Ok(Vec::new())
    }

    fn dead_letters_back(
        &self,
        _: GroupId,
        _: Sequence,
        _: usize,
    ) -> Result<Vec<StoredDeadLetter>, ReadError> {
        Ok(Vec::new())
    }

    fn events(&self, _: Sequence) -> Result<Vec<(GroupId, Event)>, ReadError> {
        Ok(Vec::new())
    }

    fn quarantined(&self, _: u64, _: usize) -> Result<Vec<(u64, Quarantined)>, ReadError> {
        Ok(Vec::new())
    }

    fn quarantined_back(&self, _: u64, _: usize) -> Result<Vec<(u64, Quarantined)>, ReadError> {
        Ok(Vec::new())
    }

    fn newest(&self) -> Result<Sequence, ReadError> {
        Ok(Sequence(0))
    }

    fn usage(&self) -> Usage {
        Usage { used_bytes: 0, max_bytes: 1 << 30, room: Room::Open }
    }

    fn counts(&self) -> Result<Counts, ReadError> {
        Ok(Counts::default())
    }

    fn copy_to(&self, path: &Path) -> Result<(), ReadError> {
        (self.0)(path)
    }
}

/// An inspector whose journal holds these bytes.
pub fn inspector(bytes: &'static [u8]) -> Inspector {
    Inspector::new(FakeReader(Arc::new(move |path| {
        std::fs::write(path, bytes)
            .map_err(|error| ReadError::Failed { path: path.display().to_string(), why: error.to_string() })
    })))
}

/// A running server.
pub struct Gateway {
    pub endpoint: Endpoint,
    pub shutdown: oneshot::Sender<()>,
    pub served: JoinHandle<Result<(), ServeError>>,
}

impl Gateway {
    pub async fn start(bots: Vec<Bot>, settings: Settings) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (shutdown, shutting_down) = oneshot::channel();
        let served = tokio::spawn(serve(listener, bots, settings, async move {
            let _ = shutting_down.await;
        }));
        let endpoint = Endpoint::from_shared(format!("http://{address}")).unwrap();
        Self { endpoint, shutdown, served }
    }

    /// A server with the one bot `default`, and its driver.
    pub async fn with_one_bot(settings: Settings) -> (Self, FakeDriver) {
        let driver = FakeDriver::new("default");
        let bot = Bot { handle: driver.handle.clone(), inspector: inspector(b"") };
        (Self::start(vec![bot], settings).await, driver)
    }

    pub async fn channel(&self) -> Channel {
        self.endpoint.connect().await.unwrap()
    }

    pub async fn client(&self) -> DeliveryServiceClient<Channel> {
        DeliveryServiceClient::new(self.channel().await)
    }
}

pub fn token(sequence: u64) -> Token {
    let key = KeyHash::of("chat:42");
    Token {
        journal: 7,
        group: GroupId(1),
        generation: 1,
        boot: 1,
        sequence: Sequence(sequence),
        key,
        attempt: 1,
    }
}

/// A first delivery of an update with this JSON.
pub fn delivery(sequence: u64, json: &str) -> Delivery {
    let update = client::Update {
        bot: "default".into(),
        update_id: 731_000_000 + i64::try_from(sequence).unwrap(),
        kind: "message".into(),
        chat_id: Some(42),
        user_id: None,
        received_time: None,
        json: json.into(),
        thread_id: None,
    };
    Delivery {
        token: token(sequence),
        failures: 0,
        lease_ms: 30_000,
        deadline: UnixMillis(1_700_000_030_500),
        shard: Shard::new(17).unwrap(),
        first_delivered: UnixMillis(1_700_000_000_500),
        last_failure: None,
        replayed: false,
        trace: None,
        payload: Arc::new(Payload {
            key: "chat:42".into(),
            update: prost::Message::encode_to_vec(&update).into(),
        }),
    }
}
