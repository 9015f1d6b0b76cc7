//! What settlements become.

use prost_types::{Duration, Timestamp};
use switchboard::driver::{Input, LeaveError, SettleError};
use switchboard::grpc::Settings;
use switchboard::grpc::proto::client::{
    AckRequest, ExtendRequest, LeaveRequest, NackOutcome, NackRequest, RejectRequest, SettleCode,
    SettleResult,
};
use switchboard::model::{GroupName, Monotonic, Outcome, SettledResult, Settlement, Token, UnixMillis};
use tonic::Code;

use super::reason;
use super::support::{FakeDriver, Gateway, token};

const APPLIED: SettledResult = SettledResult::Applied { deadline: None };

/// Answers the next settle call, and returns what it asked for.
async fn settle(
    driver: &mut FakeDriver,
    answer: Result<Vec<SettledResult>, SettleError>,
) -> (GroupName, Vec<Token>, Settlement) {
    let Input::Settle { group, tokens, settlement, reply } = driver.next().await else {
        panic!("not a Settle");
    };
    reply.send(answer).unwrap();
    (group, tokens, settlement)
}

fn codes(results: &[SettleResult]) -> Vec<SettleCode> {
    results.iter().map(|result| result.code()).collect()
}

#[tokio::test]
async fn a_malformed_token_in_the_middle_fails_alone_and_in_its_place() {
    let (gateway, mut driver) = Gateway::with_one_bot(Settings::default()).await;
    let mut client = gateway.client().await;
    let tokens =
        vec![token(1).encode(), "no token".into(), token(2).encode(), token(3).encode(), String::new()];
    let ack = AckRequest { group: "orders".into(), tokens: tokens.clone(), ..AckRequest::default() };
    let answer = vec![APPLIED, SettledResult::AlreadySettled, SettledResult::Superseded];
    let (answer, asked) = tokio::join!(client.ack(ack), settle(&mut driver, Ok(answer)));
    assert_eq!(
        asked,
        (GroupName::parse("orders").unwrap(), vec![token(1), token(2), token(3)], Settlement::Ack)
    );
    let results = answer.unwrap().into_inner().results;
    assert_eq!(results.iter().map(|result| result.token.clone()).collect::<Vec<_>>(), tokens);
    assert_eq!(
        codes(&results),
        [
            SettleCode::Applied,
            SettleCode::Malformed,
            SettleCode::AlreadySettled,
            SettleCode::Superseded,
            SettleCode::Malformed
        ]
    );
}

#[tokio::test]
async fn a_thousand_tokens_go_in_one_call() {
    let (gateway, mut driver) = Gateway::with_one_bot(Settings::default()).await;
    let mut client = gateway.client().await;
    let tokens = (1..=1_000).map(|sequence| token(sequence).encode()).collect();
    let ack = AckRequest { group: "orders".into(), tokens, ..AckRequest::default() };
    let (answer, _) = tokio::join!(client.ack(ack), settle(&mut driver, Ok(vec![APPLIED; 1_000])));
    assert_eq!(codes(&answer.unwrap().into_inner().results), [SettleCode::Applied; 1_000]);
}

#[tokio::test]
async fn nacks_rejects_and_extends_reach_the_driver_whole() {
    let (gateway, mut driver) = Gateway::with_one_bot(Settings::default()).await;
    let mut client = gateway.client().await;
    let (group, tokens) = (|| "orders".to_owned(), || vec![token(1).encode()]);

    let nack = NackRequest { group: group(), tokens: tokens(), ..NackRequest::default() };
    let (answer, (.., settlement)) = tokio::join!(client.nack(nack), settle(&mut driver, Ok(vec![APPLIED])));
    assert_eq!(codes(&answer.unwrap().into_inner().results), [SettleCode::Applied]);
    let expected = Settlement::Nack { outcome: Outcome::Failed, delay_ms: None, reason: "".into() };
    assert_eq!(settlement, expected);

    let nack = NackRequest {
        group: group(),
        tokens: tokens(),
        delay: Some(Duration { seconds: 3_600, nanos: 0 }),
        outcome: NackOutcome::Released.into(),
        reason: "ж".repeat(1_000),
        ..NackRequest::default()
    };
    let (answer, (.., settlement)) = tokio::join!(client.nack(nack), settle(&mut driver, Ok(vec![APPLIED])));
    answer.unwrap();
    let reason = "ж".repeat(512).into();
    assert_eq!(
        settlement,
        Settlement::Nack { outcome: Outcome::Released, delay_ms: Some(3_600_000), reason }
    );

    let reject =
        RejectRequest { group: group(), tokens: tokens(), reason: "bad".into(), ..RejectRequest::default() };
    let late = SettledResult::AppliedLate { deadline: None };
    let (answer, (.., settlement)) = tokio::join!(client.reject(reject), settle(&mut driver, Ok(vec![late])));
    assert_eq!(codes(&answer.unwrap().into_inner().results), [SettleCode::AppliedLate]);
    assert_eq!(settlement, Settlement::Reject { reason: "bad".into() });

    let extend = ExtendRequest { group: group(), tokens: tokens(), ..ExtendRequest::default() };
    let unknown = SettledResult::Unknown;
    let (answer, (.., settlement)) =
        tokio::join!(client.extend(extend), settle(&mut driver, Ok(vec![unknown])));
    assert_eq!(codes(&answer.unwrap().into_inner().results), [SettleCode::Unknown]);
    assert_eq!(settlement, Settlement::Extend { duration_ms: None });

    let duration = Some(Duration { seconds: 1, nanos: 1 });
    let extend = ExtendRequest { group: group(), tokens: tokens(), duration, ..ExtendRequest::default() };
    let extended = SettledResult::Applied { deadline: Some((Monotonic(5), UnixMillis(61_000))) };
    let (answer, (.., settlement)) =
        tokio::join!(client.extend(extend), settle(&mut driver, Ok(vec![extended])));
    assert_eq!(settlement, Settlement::Extend { duration_ms: Some(1_001) });
    let deadline = Some(Timestamp { seconds: 61, nanos: 0 });
    assert_eq!(answer.unwrap().into_inner().results[0].lease_deadline, deadline);
}

#[tokio::test]
async fn a_settlement_that_cannot_be_made_says_why() {
    let (gateway, mut driver) = Gateway::with_one_bot(Settings::default()).await;
    let mut client = gateway.client().await;
    let ack =
        || AckRequest { group: "orders".into(), tokens: vec![token(1).encode()], ..AckRequest::default() };
    for (error, code, expected) in [
        (SettleError::UnknownGroup(GroupName::parse("orders").unwrap()), Code::NotFound, "GROUP_NOT_FOUND"),
        (SettleError::NoRoom, Code::ResourceExhausted, "JOURNAL_FULL"),
        (SettleError::Stopped, Code::Unavailable, "GATEWAY_STOPPING"),
    ] {
        let (answer, _) = tokio::join!(client.ack(ack()), settle(&mut driver, Err(error)));
        assert_eq!(reason(&answer.unwrap_err(), code), expected);
    }
    let (answer, _) = tokio::join!(client.ack(ack()), settle(&mut driver, Ok(Vec::new())));
    assert_eq!(reason(&answer.unwrap_err(), Code::Internal), "RESULTS_MISSING");
}

#[tokio::test]
async fn a_consumer_leaves_and_hears_what_it_still_has() {
    let (gateway, mut driver) = Gateway::with_one_bot(Settings::default()).await;
    let mut client = gateway.client().await;
    let leave =
        || LeaveRequest { group: "orders".into(), consumer_id: "pod-1".into(), ..LeaveRequest::default() };
    for (answer, expected) in [
        (Ok(3), Ok(3)),
        (Err(LeaveError::UnknownConsumer("pod-1".into())), Err((Code::NotFound, "CONSUMER_NOT_FOUND"))),
        (
            Err(LeaveError::UnknownGroup(GroupName::parse("orders").unwrap())),
            Err((Code::NotFound, "GROUP_NOT_FOUND")),
        ),
        (Err(LeaveError::Stopped), Err((Code::Unavailable, "GATEWAY_STOPPING"))),
    ] {
        let leaving = async {
            let Input::Leave { group, consumer_id, reply } = driver.next().await else {
                panic!("not a Leave")
            };
            assert_eq!((group.as_str(), &*consumer_id), ("orders", "pod-1"));
            reply.send(answer).unwrap();
        };
        let (answer, ()) = tokio::join!(client.leave(leave()), leaving);
        match (answer, expected) {
            (Ok(answer), Ok(outstanding)) => assert_eq!(answer.into_inner().outstanding, outstanding),
            (Err(status), Err((code, expected))) => assert_eq!(reason(&status, code), expected),
            (answer, expected) => panic!("{answer:?} is not {expected:?}"),
        }
    }
}
