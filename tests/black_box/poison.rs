//! An update that always fails, counted attempt by attempt (P9).

use switchboard::grpc::proto::client::subscribe_response::Event;
use switchboard::grpc::proto::client::{FailureKind, NackOutcome, SettleCode};

use crate::gateway::{Mode, Setup, telegram};
use crate::steps::{Hands, texts, write};

#[tokio::test]
async fn p9_an_update_that_always_fails_is_dead_after_its_failures_and_no_crash_brings_it_back() {
    let telegram = telegram().await;
    let data = tempfile::tempdir().unwrap();
    let setup = Setup::new(data.path(), &telegram, Mode::Polling)
        .with("SWITCHBOARD_GROUP_MAX_FAILURES", "3")
        .with("SWITCHBOARD_GROUP_MIN_FAILURE_SPAN", "100ms")
        .with("SWITCHBOARD_GROUP_BACKOFF_INITIAL", "100ms")
        .with("SWITCHBOARD_GROUP_BACKOFF_MAX", "200ms");
    let gateway = setup.start().await;
    let mut hands = Hands::join(gateway.grpc, "orders").await;
    for chat in 1..=3 {
        write(&telegram, chat, &["before", "poison", "after"]).await;
    }
    // Chat 2 fails on it for ever; to the others it is a word like any other.
    let (mut attempts, mut handled) = (Vec::new(), 0);
    while handled < 8 {
        let Event::Deliveries(got) = hands.next().await.unwrap() else { continue };
        for delivery in got.deliveries {
            let one = std::slice::from_ref(&delivery);
            if delivery.ordering_key != "chat:2" || texts(one) != ["poison"] {
                assert_eq!(hands.ack(one).await, [SettleCode::Applied]);
                handled += 1;
                continue;
            }
            attempts.push((delivery.attempt, delivery.failures));
            let last = delivery.last_failure.as_ref().map(|last| (last.kind(), last.reason.as_str()));
            let told = (delivery.failures > 0).then_some((FailureKind::Nacked, "it does not suit"));
            assert_eq!(last, told);
            assert_eq!(hands.nack(&delivery, NackOutcome::Failed).await, SettleCode::Applied);
        }
    }
    assert_eq!(attempts, [(1, 0), (2, 1), (3, 2)]);
    gateway.says("an update left the group without having been handled").await;
    let settled = "switchboard_updates_settled_total";
    assert_eq!(gateway.metric(settled, "outcome=\"dead_lettered\"").await, 1.0);
    assert_eq!(gateway.metric(settled, "outcome=\"acked\"").await, 8.0);

    gateway.kill().await;
    let gateway = setup.start().await;
    let mut hands = Hands::join(gateway.grpc, "orders").await;
    write(&telegram, 2, &["later"]).await;
    assert_eq!(texts(&hands.deliveries(1).await), ["later"]);
    drop(hands);
    gateway.stop().await;
}

#[tokio::test]
async fn p9_however_many_failures_there_are_within_the_span_none_makes_a_dead_letter() {
    let telegram = telegram().await;
    let data = tempfile::tempdir().unwrap();
    let setup = Setup::new(data.path(), &telegram, Mode::Polling)
        .with("SWITCHBOARD_GROUP_MAX_FAILURES", "2")
        .with("SWITCHBOARD_GROUP_BACKOFF_INITIAL", "10ms")
        .with("SWITCHBOARD_GROUP_BACKOFF_MAX", "10ms");
    let gateway = setup.start().await;
    let mut hands = Hands::join(gateway.grpc, "orders").await;
    write(&telegram, 1, &["unlucky", "next"]).await;
    for failures in 0..20 {
        let got = hands.deliveries(1).await;
        assert_eq!((texts(&got), got[0].failures), (vec!["unlucky".to_owned()], failures));
        hands.nack(&got[0], NackOutcome::Failed).await;
    }
    let got = hands.deliveries(1).await;
    hands.ack(&got).await;
    assert_eq!(texts(&hands.deliveries(1).await), ["next"]);
    let dead = gateway.metric("switchboard_updates_settled_total", "outcome=\"dead_lettered\"").await;
    assert_eq!(dead, 0.0);
    drop(hands);
    gateway.stop().await;
}
