//! How streams and the server end.

use std::time::Duration;

use switchboard::driver::Input;
use switchboard::grpc::Settings;
use switchboard::grpc::proto::client::subscribe_response::Event;
use switchboard::grpc::proto::client::{self, AckRequest, SettleCode, SubscribeRequest};
use switchboard::model::{DrainReason, SettledResult, StreamEnd, StreamEvent, UnixMillis};
use tonic::Code;

use super::reason;
use super::subscribing::{next, open};
use super::support::{Gateway, delivery, token};

#[tokio::test]
async fn at_its_age_a_stream_drains_and_ends_when_the_driver_says_so() {
    let settings = Settings { max_stream_age: Duration::from_millis(50), ..Settings::default() };
    let (gateway, mut driver) = Gateway::with_one_bot(settings).await;
    let (mut stream, events) = open(&gateway, &mut driver).await;
    assert!(matches!(driver.next().await, Input::Drain { stream: 1 }));
    events.send(StreamEvent::Draining { reason: DrainReason::MaxAge, deadline: UnixMillis(1) }).unwrap();
    let Event::Draining(draining) = next(&mut stream).await else { panic!("not draining") };
    assert_eq!(draining.reason(), client::DrainReason::MaxAge);
    events.send(StreamEvent::End(StreamEnd::Drained)).unwrap();
    assert_eq!(reason(&stream.message().await.unwrap_err(), Code::Unavailable), "STREAM_DRAINED");
}

#[tokio::test]
async fn a_stream_that_does_not_finish_draining_is_ended_after_the_grace() {
    let settings = Settings {
        max_stream_age: Duration::from_millis(20),
        drain_grace: Duration::from_millis(20),
        ..Settings::default()
    };
    let (gateway, mut driver) = Gateway::with_one_bot(settings).await;
    let (mut stream, _events) = open(&gateway, &mut driver).await;
    assert_eq!(reason(&stream.message().await.unwrap_err(), Code::Unavailable), "STREAM_DRAINED");
    assert!(matches!(driver.next().await, Input::Drain { stream: 1 }));
    assert!(matches!(driver.next().await, Input::Closed { stream: 1 }));
}

#[tokio::test]
async fn while_the_server_drains_settlements_are_taken_on_old_and_new_connections() {
    let (gateway, mut driver) = Gateway::with_one_bot(Settings::default()).await;
    let (mut stream, events) = open(&gateway, &mut driver).await;
    let mut old = gateway.client().await;
    gateway.shutdown.send(()).unwrap();
    events.send(StreamEvent::Draining { reason: DrainReason::Shutdown, deadline: UnixMillis(1) }).unwrap();
    assert!(matches!(next(&mut stream).await, Event::Draining(_)));
    let mut new = client::delivery_service_client::DeliveryServiceClient::new(
        gateway.endpoint.connect().await.unwrap(),
    );
    for client in [&mut old, &mut new] {
        let ack =
            AckRequest { group: "orders".into(), tokens: vec![token(1).encode()], ..AckRequest::default() };
        let settling = async {
            let Input::Settle { reply, .. } = driver.next().await else { panic!("not a Settle") };
            reply.send(Ok(vec![SettledResult::Applied { deadline: None }])).unwrap();
        };
        let (answer, ()) = tokio::join!(client.ack(ack), settling);
        assert_eq!(answer.unwrap().into_inner().results[0].code(), SettleCode::Applied);
    }
    events.send(StreamEvent::End(StreamEnd::Drained)).unwrap();
    assert_eq!(reason(&stream.message().await.unwrap_err(), Code::Unavailable), "STREAM_DRAINED");
    // The server ends once the drivers have ended, well before its grace of 20 s.
    drop(driver);
    gateway.served.await.unwrap().unwrap();
    assert!(gateway.endpoint.connect().await.is_err());
}

#[tokio::test]
async fn a_shutdown_ends_open_streams_within_the_grace() {
    let settings = Settings { drain_grace: Duration::from_millis(50), ..Settings::default() };
    let (gateway, mut driver) = Gateway::with_one_bot(settings).await;
    let (mut stream, _events) = open(&gateway, &mut driver).await;
    gateway.shutdown.send(()).unwrap();
    assert_eq!(reason(&stream.message().await.unwrap_err(), Code::Unavailable), "STREAM_DRAINED");
    gateway.served.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_client_that_never_reads_cannot_keep_the_server_up() {
    let settings = Settings { drain_grace: Duration::from_millis(10), ..Settings::default() };
    let (gateway, mut driver) = Gateway::with_one_bot(settings).await;
    let mut client = gateway.client().await;
    let asked = SubscribeRequest { group: "orders".into(), ..SubscribeRequest::default() };
    let (stream, (_, events)) = tokio::join!(client.subscribe(asked), driver.accept(1));
    let json = format!(r#"{{"text":"{}"}}"#, "x".repeat(1 << 20));
    for sequence in 1..=64 {
        events.send(StreamEvent::Deliveries(vec![delivery(sequence, &json)])).unwrap();
    }
    gateway.shutdown.send(()).unwrap();
    // The driver has its deliveries back at once, although the client has not even read `opened`.
    assert!(matches!(driver.next().await, Input::Closed { stream: 1 }));
    assert!(events.is_closed());
    gateway.served.await.unwrap().unwrap();
    drop(stream);
}
