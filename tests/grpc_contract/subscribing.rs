//! What comes on a stream.

use std::sync::Arc;

use prost_types::{Duration, Timestamp};
use switchboard::driver::{Input, SubscribeError};
use switchboard::grpc::Settings;
use switchboard::grpc::proto::client::subscribe_response::Event;
use switchboard::grpc::proto::client::{self, SubscribeRequest, SubscribeResponse};
use switchboard::model::{
    Delivery, DrainReason, FailureKind, FailureRecord, GroupName, Sequence, Shard, Start, StreamEnd,
    StreamEvent, UnixMillis,
};
use tokio::sync::mpsc::UnboundedSender;
use tonic::{Code, Status, Streaming};

use super::reason;
use super::support::{FakeDriver, Gateway, delivery, token};

/// An open stream whose `opened` has been read.
pub async fn open(
    gateway: &Gateway,
    driver: &mut FakeDriver,
) -> (Streaming<SubscribeResponse>, UnboundedSender<StreamEvent>) {
    let mut client = gateway.client().await;
    let asked = SubscribeRequest { group: "orders".into(), ..SubscribeRequest::default() };
    let (stream, (_, events)) = tokio::join!(client.subscribe(asked), driver.accept(1));
    let mut stream = stream.unwrap().into_inner();
    assert!(matches!(next(&mut stream).await, Event::Opened(_)));
    (stream, events)
}

pub async fn next(stream: &mut Streaming<SubscribeResponse>) -> Event {
    stream.message().await.unwrap().expect("the stream goes on").event.expect("an event is set")
}

async fn deliveries(stream: &mut Streaming<SubscribeResponse>) -> Vec<client::Delivery> {
    match next(stream).await {
        Event::Deliveries(deliveries) => deliveries.deliveries,
        other => panic!("not deliveries: {other:?}"),
    }
}

#[tokio::test]
async fn opened_comes_first_and_at_once_with_what_is_in_effect() {
    let (gateway, mut driver) = Gateway::with_one_bot(Settings::default()).await;
    let mut client = gateway.client().await;
    let asked = SubscribeRequest {
        group: "orders".into(),
        consumer_id: "pod-1".into(),
        max_outstanding: Some(10),
        max_outstanding_bytes: Some(1 << 30),
        lease_duration: Some(Duration { seconds: 1, nanos: 500_000_000 }),
        start: Some(client::subscribe_request::Start::StartSequence(9)),
        held_tokens: vec![token(3).encode(), "no token".into()],
        ..SubscribeRequest::default()
    };
    let (stream, (subscription, _events)) = tokio::join!(client.subscribe(asked), driver.accept(1));
    assert_eq!(&*subscription.consumer_id, "pod-1");
    assert_eq!(subscription.settings.max_outstanding, 10);
    assert_eq!(subscription.settings.max_outstanding_bytes, 1 << 30);
    assert_eq!(subscription.settings.lease_ms, 1_500);
    assert_eq!(subscription.start, Start::Sequence(Sequence(9)));
    assert_eq!(subscription.held_tokens, [token(3)]);
    let Event::Opened(opened) = next(&mut stream.unwrap().into_inner()).await else { panic!("not opened") };
    let expected = client::Opened {
        consumer_id: "pod-1".into(),
        bot: "default".into(),
        group: "orders".into(),
        max_outstanding: 10,
        max_outstanding_bytes: 1 << 30,
        lease_duration: Some(Duration { seconds: 1, nanos: 500_000_000 }),
        max_lease: Some(Duration { seconds: 600, nanos: 0 }),
        max_failures: 5,
        min_failure_span: Some(Duration { seconds: 300, nanos: 0 }),
        held_tokens: vec![token(3).encode()],
        filter: None,
        paused: false,
    };
    assert_eq!(opened, expected);
}

#[tokio::test]
async fn a_delivery_arrives_field_by_field_and_its_json_byte_for_byte() {
    let (gateway, mut driver) = Gateway::with_one_bot(Settings::default()).await;
    let (mut stream, events) = open(&gateway, &mut driver).await;
    let corpus = include_str!("../fixtures/updates/updates.jsonl");
    let failed = FailureRecord {
        kind: FailureKind::Nacked,
        reason: "no stock".into(),
        time: UnixMillis(1_500),
        attempt: 1,
        consumer: "pod-1".into(),
    };
    let sent: Vec<Delivery> = (1..)
        .zip(corpus.lines())
        .map(|(sequence, json)| {
            let mut delivery = delivery(sequence, json);
            (delivery.failures, delivery.last_failure, delivery.replayed) = (1, Some(failed.clone()), true);
            delivery.token.attempt = 2;
            delivery
        })
        .collect();
    assert!(sent.len() >= 540);
    events.send(StreamEvent::Deliveries(sent.clone())).unwrap();
    let mut got = Vec::new();
    while got.len() < sent.len() {
        got.extend(deliveries(&mut stream).await);
    }
    for ((sent, got), json) in sent.iter().zip(&got).zip(corpus.lines()) {
        assert_eq!(got.update.as_ref().unwrap().json, json);
        let expected = client::Delivery {
            token: sent.token.encode(),
            sequence: i64::try_from(sent.token.sequence.0).unwrap(),
            attempt: 2,
            failures: 1,
            lease_duration: Some(Duration { seconds: 30, nanos: 0 }),
            lease_deadline: Some(Timestamp { seconds: 1_700_000_030, nanos: 500_000_000 }),
            ordering_key: "chat:42".into(),
            shard: 17,
            first_delivered_time: Some(Timestamp { seconds: 1_700_000_000, nanos: 500_000_000 }),
            last_failure: Some(client::Failure {
                kind: client::FailureKind::Nacked.into(),
                reason: "no stock".into(),
                time: Some(Timestamp { seconds: 1, nanos: 500_000_000 }),
            }),
            replayed: true,
            trace_parent: String::new(),
            update: Some(prost::Message::decode(sent.payload.update.clone()).unwrap()),
        };
        assert_eq!(got, &expected);
    }
}

#[tokio::test]
async fn deliveries_are_split_at_a_mebibyte_and_gathered_below_it() {
    let (gateway, mut driver) = Gateway::with_one_bot(Settings::default()).await;
    let mut client = gateway.client().await.max_decoding_message_size(8 << 20);
    let large = format!(r#"{{"text":"{}"}}"#, "x".repeat(300_000));
    let huge = format!(r#"{{"text":"{}"}}"#, "x".repeat(2_000_000));
    let mut sequences = 1..;
    let mut event = |count: usize, json: &str| {
        let sequences = sequences.by_ref().take(count);
        StreamEvent::Deliveries(sequences.map(|sequence| delivery(sequence, json)).collect())
    };
    let mut ready = vec![event(1, &large), event(4, &large), event(1, &huge), event(1, "{}"), event(2, "{}")];
    ready.extend([StreamEvent::LeaseLost(vec![token(1)]), event(1, "{}")]);
    let asked = SubscribeRequest { group: "orders".into(), ..SubscribeRequest::default() };
    let (stream, _events) = tokio::join!(client.subscribe(asked), driver.accept_with(1, ready));
    let mut stream = stream.unwrap().into_inner();
    assert!(matches!(next(&mut stream).await, Event::Opened(_)));
    let mut seen = Vec::new();
    for _ in 0..5 {
        seen.push(match next(&mut stream).await {
            Event::Deliveries(got) => got.deliveries.iter().map(|delivery| delivery.sequence).collect(),
            Event::LeaseLost(lost) => {
                assert_eq!(lost.tokens, [token(1).encode()]);
                Vec::new()
            }
            other => panic!("not expected: {other:?}"),
        });
    }
    assert_eq!(seen, [vec![1, 2, 3], vec![4, 5], vec![6], vec![7, 8, 9], vec![]]);
    assert_eq!(deliveries(&mut stream).await[0].sequence, 10);
}

#[tokio::test]
async fn the_other_events_arrive_as_they_are() {
    let (gateway, mut driver) = Gateway::with_one_bot(Settings::default()).await;
    let (mut stream, events) = open(&gateway, &mut driver).await;
    let shards = |numbers: &[u16]| numbers.iter().map(|&number| Shard::new(number).unwrap()).collect();
    events
        .send(StreamEvent::Assignment { gained: shards(&[1, 1023]), lost: shards(&[5]), generation: 3 })
        .unwrap();
    let expected = client::Assignment { gained: vec![1, 1023], lost: vec![5], generation: 3 };
    assert_eq!(next(&mut stream).await, Event::Assignment(expected));
    let deadline = UnixMillis(2_000);
    for (reason, expected) in [
        (DrainReason::Shutdown, client::DrainReason::Shutdown),
        (DrainReason::MaxAge, client::DrainReason::MaxAge),
    ] {
        events.send(StreamEvent::Draining { reason, deadline }).unwrap();
        let deadline = Some(Timestamp { seconds: 2, nanos: 0 });
        let expected = client::Draining { reason: expected.into(), deadline };
        assert_eq!(next(&mut stream).await, Event::Draining(expected));
    }
    events.send(StreamEvent::LeaseLost((1..=50_000).map(token).collect())).unwrap();
    let mut lost = Vec::new();
    while lost.len() < 50_000 {
        let Event::LeaseLost(message) = next(&mut stream).await else { panic!("not lease_lost") };
        assert!(message.tokens.len() * 62 <= 1 << 20);
        lost.extend(message.tokens);
    }
    assert_eq!(lost[49_999], token(50_000).encode());
}

#[tokio::test]
async fn a_stream_ends_with_a_status_that_says_why() {
    let (gateway, mut driver) = Gateway::with_one_bot(Settings::default()).await;
    for (end, code, expected) in [
        (StreamEnd::Replaced, Code::Aborted, "CONSUMER_REPLACED"),
        (StreamEnd::GroupDeleted, Code::FailedPrecondition, "GROUP_DELETED"),
        (StreamEnd::Drained, Code::Unavailable, "STREAM_DRAINED"),
        (StreamEnd::Failed, Code::Unavailable, "GATEWAY_FAILED"),
    ] {
        let (mut stream, events) = open(&gateway, &mut driver).await;
        // What was sent before still arrives.
        events.send(StreamEvent::Deliveries(vec![delivery(1, "{}")])).unwrap();
        events.send(StreamEvent::End(end)).unwrap();
        assert_eq!(deliveries(&mut stream).await.len(), 1);
        assert_eq!(reason(&stream.message().await.unwrap_err(), code), expected);
        assert!(matches!(driver.next().await, Input::Closed { stream: 1 }));
    }
    let (mut stream, events) = open(&gateway, &mut driver).await;
    events.send(StreamEvent::End(StreamEnd::Left)).unwrap();
    assert_eq!(stream.message().await.unwrap(), None);
    assert!(matches!(driver.next().await, Input::Closed { stream: 1 }));

    let (mut stream, events) = open(&gateway, &mut driver).await;
    drop(events);
    assert_eq!(reason(&stream.message().await.unwrap_err(), Code::Unavailable), "GATEWAY_FAILED");
}

#[tokio::test]
async fn a_client_that_goes_away_is_closed_at_the_driver() {
    let (gateway, mut driver) = Gateway::with_one_bot(Settings::default()).await;
    let (stream, _events) = open(&gateway, &mut driver).await;
    drop(stream);
    assert!(matches!(driver.next().await, Input::Closed { stream: 1 }));
}

#[tokio::test]
async fn a_stream_that_cannot_be_opened_says_why() {
    let (gateway, mut driver) = Gateway::with_one_bot(Settings::default()).await;
    let mut client = gateway.client().await;
    let group = || GroupName::parse("orders").unwrap();
    for (error, code, expected) in [
        (SubscribeError::Stopped, Code::Unavailable, "GATEWAY_STOPPING"),
        (SubscribeError::NoRoom { group: group() }, Code::ResourceExhausted, "JOURNAL_FULL"),
        (SubscribeError::TooManyGroups { limit: 5 }, Code::ResourceExhausted, "TOO_MANY_GROUPS"),
        (
            SubscribeError::TooManyConsumers { group: group(), limit: 5 },
            Code::ResourceExhausted,
            "TOO_MANY_CONSUMERS",
        ),
    ] {
        let asked = SubscribeRequest { group: "orders".into(), ..SubscribeRequest::default() };
        let refusing = async {
            let Input::Subscribe { reply, .. } = driver.next().await else { panic!("not a Subscribe") };
            reply.send(Err(error)).unwrap();
        };
        let (answer, ()) = tokio::join!(client.subscribe(asked), refusing);
        let status: Status = answer.unwrap_err();
        assert_eq!(reason(&status, code), expected);
    }
}

#[tokio::test]
async fn the_payload_is_shared_and_not_copied_for_the_stream() {
    let (gateway, mut driver) = Gateway::with_one_bot(Settings::default()).await;
    let (mut stream, events) = open(&gateway, &mut driver).await;
    let sent = delivery(1, "{}");
    let payload = Arc::clone(&sent.payload);
    events.send(StreamEvent::Deliveries(vec![sent])).unwrap();
    deliveries(&mut stream).await;
    // Once sent, nobody here holds it any more: an unread stream, not a read one, is what keeps memory.
    assert_eq!(Arc::strong_count(&payload), 1);
}
