use std::sync::Arc;
use std::sync::mpsc;

use tokio::sync::mpsc::UnboundedSender;
use tokio_stream::StreamExt;
use tonic::Code;

use super::*;
use crate::driver::{Input, IntakeState, WantedKinds};
use crate::grpc::proto::server::subscribe_response::Event;
use crate::grpc::streams::{Lifetime, Streams};
use crate::model::{
    ConsumerSettings, DrainReason, GroupId, GroupName, GroupSettings, KeyHash, Opened, Payload, Sequence,
    Shard, UnixMillis,
};

const HOUR: Duration = Duration::from_secs(3_600);
const GRACE: Duration = Duration::from_secs(20);
const HEARTBEAT: Duration = Duration::from_secs(30);

struct Fixture {
    body: ConsumerBody,
    events: UnboundedSender<StreamEvent>,
    inputs: mpsc::Receiver<Input>,
    streams: Streams,
}

/// A stream whose `opened` has been read.
async fn open() -> Fixture {
    let (sender, inputs) = mpsc::channel();
    let (_, intake) = watch::channel(IntakeState::Open);
    let (_, own_webhook) = watch::channel(None);
    let (_, wanted) = watch::channel(WantedKinds::default());
    let handle = BotHandle::new("default", sender.clone(), intake, own_webhook, wanted);
    let opened = Opened {
        group: GroupName::parse("orders").unwrap(),
        consumer_id: "pod-1".into(),
        settings: ConsumerSettings::DEFAULT,
        group_settings: GroupSettings::default(),
        filter: None,
        ordering: Ordering::Chat,
        paused: false,
        held: Vec::new(),
    };
    let (stream, events) = ConsumerStream::new(1, opened, sender);
    let lifetime = Lifetime { max_age: HOUR, drain_grace: GRACE, heartbeat: HEARTBEAT, jitter_seed: 1 };
    let streams = Streams::new(lifetime);
    let mut body = ConsumerBody::new(&handle, stream, streams.open());
    assert!(matches!(next(&mut body).await, Event::Opened(_)));
    Fixture { body, events, inputs, streams }
}

async fn next(body: &mut ConsumerBody) -> Event {
    body.next().await.unwrap().unwrap().event.unwrap()
}

fn token(sequence: u64) -> Token {
    let key = KeyHash::of("chat:1");
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

fn deliveries(sequences: impl IntoIterator<Item = u64>) -> StreamEvent {
    let delivery = |sequence| Delivery {
        token: token(sequence),
        failures: 0,
        lease_ms: 30_000,
        deadline: UnixMillis(0),
        shard: Shard::default(),
        first_delivered: UnixMillis(0),
        last_failure: None,
        replayed: false,
        trace: None,
        payload: Arc::new(Payload { key: "chat:1".into(), update: vec![0; 1_000].into() }),
    };
    StreamEvent::Deliveries(sequences.into_iter().map(delivery).collect())
}

#[tokio::test(start_paused = true)]
async fn a_heartbeat_comes_after_each_half_minute_of_silence() {
    let Fixture { mut body, events, .. } = open().await;
    let started = Instant::now();
    assert_eq!(next(&mut body).await, Event::Heartbeat(Default::default()));
    assert_eq!(started.elapsed().as_secs(), 30);
    assert_eq!(next(&mut body).await, Event::Heartbeat(Default::default()));
    assert_eq!(started.elapsed().as_secs(), 60);

    tokio::spawn(async move {
        tokio::time::sleep_until(started + Duration::from_secs(80)).await;
        events.send(deliveries([1])).unwrap();
        events.closed().await;
    });
    assert!(matches!(next(&mut body).await, Event::Deliveries(_)));
    assert_eq!(started.elapsed().as_secs(), 80);
    // The silence is counted from what was sent last.
    assert_eq!(next(&mut body).await, Event::Heartbeat(Default::default()));
    assert_eq!(started.elapsed().as_secs(), 110);
}

#[tokio::test(start_paused = true)]
async fn a_stream_is_told_to_drain_at_its_age_and_cut_after_the_grace() {
    let Fixture { mut body, events, inputs, streams } = open().await;
    let started = Instant::now();
    let mut heartbeats = 0;
    let status = loop {
        match body.next().await.unwrap() {
            Ok(_) => heartbeats += 1,
            Err(status) => break status,
        }
    };
    assert_eq!(status.code(), Code::Unavailable);
    assert!(heartbeats >= 108);
    let age = started.elapsed() - GRACE;
    assert!((HOUR.mul_f64(0.9)..=HOUR.mul_f64(1.1)).contains(&age), "{age:?}");
    assert!(matches!(inputs.try_recv(), Ok(Input::Drain { stream: 1 })));
    assert!(matches!(inputs.try_recv(), Ok(Input::Closed { stream: 1 })));
    assert!(events.is_closed());
    assert!(body.next().await.is_none());
    drop(body);
    streams.ended().await;
}

#[tokio::test(start_paused = true)]
async fn a_stopping_server_cuts_after_the_grace_without_a_drain_of_its_own() {
    let Fixture { mut body, events, inputs, streams } = open().await;
    let started = Instant::now();
    streams.stop();
    let draining = StreamEvent::Draining { reason: DrainReason::Shutdown, deadline: UnixMillis(0) };
    events.send(draining).unwrap();
    assert!(matches!(next(&mut body).await, Event::Draining(_)));
    assert_eq!(body.next().await.unwrap().unwrap_err().code(), Code::Unavailable);
    assert_eq!(started.elapsed().as_secs(), GRACE.as_secs());
    assert!(matches!(inputs.try_recv(), Ok(Input::Closed { stream: 1 })));
}

#[tokio::test(start_paused = true)]
async fn what_is_lost_before_it_was_sent_is_forgotten_and_not_told() {
    let Fixture { mut body, events, .. } = open().await;
    // More than a message: the rest is taken from the driver, but not sent.
    events.send(deliveries(1..=2_000)).unwrap();
    let Event::Deliveries(first) = next(&mut body).await else { panic!("not deliveries") };
    let sent = first.deliveries.len() as u64;
    assert!((900..1_100).contains(&sent), "{sent}");
    // The client stops reading; the driver gives it up, and goes on, and gives that up too but for one.
    events.send(StreamEvent::LeaseLost((1..=2_000).map(token).collect())).unwrap();
    events.send(deliveries(3_001..=3_100)).unwrap();
    events.send(StreamEvent::LeaseLost((3_001..3_100).map(token).collect())).unwrap();
    let state = Arc::clone(&body.state);
    let held = || {
        let state = lock(&state);
        let queued = state.queue.iter().map(|event| match event {
            StreamEvent::Deliveries(deliveries) => deliveries.len(),
            _ => 0,
        });
        state.sending.len() + queued.sum::<usize>()
    };
    assert!(held() > 900);
    // Within a lease's time the stream's own task looks after it.
    tokio::time::sleep(Duration::from_secs(31)).await;
    assert_eq!(held(), 1);
    // The client reads on: it hears of what it was sent, and gets what is still its own.
    let Event::LeaseLost(lost) = next(&mut body).await else { panic!("not lease_lost") };
    assert_eq!(lost.tokens.len() as u64, sent);
    let Event::Deliveries(rest) = next(&mut body).await else { panic!("not deliveries") };
    assert_eq!(rest.deliveries.iter().map(|delivery| delivery.sequence).collect::<Vec<_>>(), [3_100]);
}
