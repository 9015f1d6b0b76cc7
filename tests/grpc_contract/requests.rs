//! What requests must be.

use prost_types::{Duration, Timestamp};
use switchboard::grpc::proto::client::subscribe_request::Start;
use switchboard::grpc::proto::client::{
    AckRequest, ExtendRequest, LeaveRequest, NackRequest, RejectRequest, SubscribeRequest,
};
use switchboard::grpc::{Bot, Settings};
use tonic::Code;

use super::support::{FakeDriver, Gateway, inspector, token};
use super::{reason, refused_for};

fn subscribe() -> SubscribeRequest {
    SubscribeRequest { group: "orders".into(), ..SubscribeRequest::default() }
}

fn seconds(seconds: i64) -> Option<Duration> {
    Some(Duration { seconds, nanos: 0 })
}

#[tokio::test]
async fn a_wrong_field_of_subscribe_is_named() {
    let (gateway, _driver) = Gateway::with_one_bot(Settings::default()).await;
    let mut client = gateway.client().await;
    let starts = |start| SubscribeRequest { start: Some(start), ..subscribe() };
    let leases = |lease| SubscribeRequest { lease_duration: Some(lease), ..subscribe() };
    let cases = [
        ("group", SubscribeRequest { group: String::new(), ..subscribe() }),
        ("group", SubscribeRequest { group: "Orders".into(), ..subscribe() }),
        ("group", SubscribeRequest { group: "a".repeat(64), ..subscribe() }),
        ("consumer_id", SubscribeRequest { consumer_id: "x".repeat(129), ..subscribe() }),
        ("max_outstanding", SubscribeRequest { max_outstanding: Some(0), ..subscribe() }),
        ("max_outstanding", SubscribeRequest { max_outstanding: Some(-1), ..subscribe() }),
        ("max_outstanding", SubscribeRequest { max_outstanding: Some(100_001), ..subscribe() }),
        ("max_outstanding_bytes", SubscribeRequest { max_outstanding_bytes: Some(0), ..subscribe() }),
        (
            "max_outstanding_bytes",
            SubscribeRequest { max_outstanding_bytes: Some((1 << 30) + 1), ..subscribe() },
        ),
        ("lease_duration", leases(Duration { seconds: 0, nanos: 999_000_000 })),
        ("lease_duration", leases(Duration { seconds: 600, nanos: 1 })),
        ("lease_duration", leases(Duration { seconds: -1, nanos: 0 })),
        ("start_earliest", starts(Start::StartEarliest(false))),
        ("start_latest", starts(Start::StartLatest(false))),
        ("start_sequence", starts(Start::StartSequence(-1))),
        ("start_time", starts(Start::StartTime(Timestamp { seconds: 0, nanos: -1 }))),
        ("held_tokens", SubscribeRequest { held_tokens: vec![String::new(); 100_001], ..subscribe() }),
    ];
    for (field, request) in cases {
        refused_for(field, client.subscribe(request).await);
    }
}

#[tokio::test]
async fn a_wrong_field_of_a_settlement_is_named() {
    let (gateway, _driver) = Gateway::with_one_bot(Settings::default()).await;
    let mut client = gateway.client().await;
    let group = || "orders".to_owned();
    let tokens = || vec![token(1).encode()];
    for tokens in [Vec::new(), vec![String::new(); 1_001]] {
        let ack = AckRequest { group: group(), tokens: tokens.clone(), ..AckRequest::default() };
        refused_for("tokens", client.ack(ack).await);
        let nack = NackRequest { group: group(), tokens: tokens.clone(), ..NackRequest::default() };
        refused_for("tokens", client.nack(nack).await);
        let extend = ExtendRequest { group: group(), tokens: tokens.clone(), ..ExtendRequest::default() };
        refused_for("tokens", client.extend(extend).await);
        let reject = RejectRequest { group: group(), tokens, ..RejectRequest::default() };
        refused_for("tokens", client.reject(reject).await);
    }
    refused_for("group", client.ack(AckRequest { tokens: tokens(), ..AckRequest::default() }).await);
    let nack = || NackRequest { group: group(), tokens: tokens(), ..NackRequest::default() };
    refused_for("delay", client.nack(NackRequest { delay: seconds(-1), ..nack() }).await);
    refused_for("delay", client.nack(NackRequest { delay: seconds(3_601), ..nack() }).await);
    refused_for("outcome", client.nack(NackRequest { outcome: 9, ..nack() }).await);
    let extend = || ExtendRequest { group: group(), tokens: tokens(), ..ExtendRequest::default() };
    refused_for("duration", client.extend(ExtendRequest { duration: seconds(0), ..extend() }).await);
    refused_for("duration", client.extend(ExtendRequest { duration: seconds(601), ..extend() }).await);
    refused_for(
        "consumer_id",
        client.leave(LeaveRequest { group: group(), ..LeaveRequest::default() }).await,
    );
}

#[tokio::test]
async fn an_unknown_bot_is_not_found_and_the_known_ones_are_named() {
    let drivers = ["shop", "support"].map(FakeDriver::new);
    let bots = drivers
        .iter()
        .map(|driver| Bot { handle: driver.handle.clone(), inspector: inspector(b"") })
        .collect();
    let gateway = Gateway::start(bots, Settings::default()).await;
    let mut client = gateway.client().await;

    refused_for("bot", client.subscribe(subscribe()).await);
    let unknown = client.subscribe(SubscribeRequest { bot: "shpo".into(), ..subscribe() }).await.unwrap_err();
    assert_eq!(reason(&unknown, Code::NotFound), "BOT_NOT_FOUND");
    assert_eq!(
        unknown.message(),
        "there is no bot `shpo`; did you mean `shop`? This gateway has `shop`, `support`"
    );

    let ack = AckRequest { bot: "x".repeat(1 << 20), ..AckRequest::default() };
    let unknown = client.ack(ack).await.unwrap_err();
    assert!(reason(&unknown, Code::NotFound) == "BOT_NOT_FOUND" && unknown.message().len() < 200);
}

#[tokio::test]
async fn requests_reach_the_driver_of_the_bot_they_name() {
    let mut drivers = ["shop", "support"].map(FakeDriver::new);
    let bots = drivers
        .iter()
        .map(|driver| Bot { handle: driver.handle.clone(), inspector: inspector(b"") })
        .collect();
    let gateway = Gateway::start(bots, Settings::default()).await;
    let mut client = gateway.client().await;
    let asked = SubscribeRequest { bot: "support".into(), ..subscribe() };
    let (answer, (subscription, _events)) = tokio::join!(client.subscribe(asked), drivers[1].accept(1));
    assert_eq!(subscription.group.as_str(), "orders");
    let opened = answer.unwrap().into_inner().message().await.unwrap();
    assert!(format!("{opened:?}").contains(r#"bot: "support""#), "{opened:?}");
}
