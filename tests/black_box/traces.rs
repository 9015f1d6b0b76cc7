//! One update as a trace, at a collector: from Telegram to the ack.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use switchboard::grpc::proto::client::{NackOutcome, SettleCode};
use tokio::time::Instant;

use crate::POLL_INTERVAL;
use crate::collector::{Collector, Span};
use crate::gateway::{Mode, Setup, own_address, telegram};
use crate::steps::{Hands, write};

fn named<'a>(spans: &'a [Span], name: &str) -> Vec<&'a Span> {
    spans.iter().filter(|span| span.name == name).collect()
}

fn has(span: &Span, expected: &[(&str, &str)]) {
    for (name, value) in expected {
        assert_eq!(span.attributes.get(*name).map(String::as_str), Some(*value), "{name} of {span:#?}");
    }
}

#[expect(clippy::disallowed_methods, reason = "compared with what the spans say")]
fn unix_nanos() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    u64::try_from(since.as_nanos()).unwrap()
}

#[tokio::test]
async fn every_delivery_is_a_span_of_its_updates_trace_and_handlers_are_told_which() {
    let (telegram, collector) = (telegram().await, Collector::start().await);
    let data = tempfile::tempdir().unwrap();
    let setup = Setup::new(data.path(), &telegram, Mode::Polling)
        .with("SWITCHBOARD_GROUP_BACKOFF_INITIAL", "10ms")
        .with("OTEL_EXPORTER_OTLP_ENDPOINT", &collector.url())
        .with("OTEL_SERVICE_NAME", "bots");
    let before = unix_nanos();
    let gateway = setup.start().await;
    let mut hands = Hands::join(gateway.grpc, "orders").await;
    let ids = write(&telegram, 271_828_182, &["hello"]).await;

    let first = hands.deliveries(1).await;
    assert_eq!(hands.nack(&first[0], NackOutcome::Failed).await, SettleCode::Applied);
    let second = hands.deliveries(1).await;
    assert_eq!(hands.ack(&second).await, [SettleCode::Applied]);

    let spans = collector.spans(3).await;
    let after = unix_nanos();
    let (received, delivered) = (named(&spans, "receive"), named(&spans, "deliver"));
    assert_eq!((received.len(), delivered.len()), (1, 2), "{spans:#?}");
    let update_id = ids[0].to_string();
    let of_update = [
        ("messaging.system", "switchboard"),
        ("messaging.destination.name", "default"),
        ("messaging.message.id", update_id.as_str()),
        ("switchboard.kind", "message"),
        ("switchboard.sequence", "1"),
    ];
    let root = received[0];
    assert_eq!((root.parent.as_str(), root.failed, root.service.as_str()), ("", false, "bots"));
    has(root, &of_update);
    let told = [(&first[0], "1", "nacked", None), (&second[0], "2", "acked", Some("acked"))];
    for (span, (delivery, attempt, outcome, settled)) in delivered.iter().zip(told) {
        assert_eq!(delivery.trace_parent, format!("00-{}-{}-01", root.trace, span.id));
        assert_eq!((&span.trace, &span.parent), (&root.trace, &root.id));
        assert!(root.end <= span.start && span.start <= span.end, "{spans:#?}");
        assert_eq!(span.failed, outcome == "nacked");
        has(span, &of_update);
        has(
            span,
            &[
                ("messaging.consumer.group.name", "orders"),
                ("messaging.client.id", "consumer-1"),
                ("switchboard.attempt", attempt),
                ("switchboard.outcome", outcome),
            ],
        );
        assert_eq!(span.attributes.get("switchboard.settled").map(String::as_str), settled);
    }
    assert!(delivered[0].end <= delivered[1].start, "one after the other: {delivered:#?}");
    // Stored times are whole milliseconds.
    assert!(before / 1_000_000 <= root.start / 1_000_000 && delivered[1].end <= after, "{spans:#?}");
    assert!(!format!("{spans:?}").contains("271828182"), "a chat's id is a personal datum: {spans:#?}");
    drop(hands);
    gateway.stop().await;
}

#[tokio::test]
async fn a_restart_stays_in_the_trace_and_a_stop_sends_what_is_out() {
    let (telegram, collector) = (telegram().await, Collector::start().await);
    let data = tempfile::tempdir().unwrap();
    let setup = Setup::new(data.path(), &telegram, Mode::Polling)
        .with("SWITCHBOARD_SHUTDOWN_GRACE", "100ms")
        .with("SWITCHBOARD_TRACING_OTLP_ENDPOINT", &collector.url());
    let gateway = setup.start().await;
    let mut hands = Hands::join(gateway.grpc, "orders").await;
    write(&telegram, 1, &["hello"]).await;
    let first = hands.deliveries(1).await;
    gateway.terminate();
    assert_eq!(gateway.ended().await.0, Some(0));

    let spans = collector.spans(2).await;
    has(named(&spans, "deliver")[0], &[("switchboard.outcome", "unsettled")]);
    let gateway = setup.start().await;
    let mut hands = Hands::join(gateway.grpc, "orders").await;
    let again = hands.deliveries(1).await;
    hands.ack(&again).await;
    let spans = collector.spans(3).await;
    let delivered = named(&spans, "deliver");
    assert_eq!(delivered[0].trace, delivered[1].trace);
    for (span, delivery) in delivered.iter().zip([&first[0], &again[0]]) {
        assert_eq!(delivery.trace_parent, format!("00-{}-{}-01", span.trace, span.id));
    }
    assert_ne!(delivered[0].id, delivered[1].id);
    drop(hands);
    gateway.stop().await;
}

#[tokio::test]
async fn what_is_not_sampled_is_not_sent_and_without_an_endpoint_there_is_no_tracing() {
    let (telegram, collector) = (telegram().await, Collector::start().await);
    let data = tempfile::tempdir().unwrap();
    let setup = Setup::new(data.path(), &telegram, Mode::Polling)
        .with("SWITCHBOARD_TRACING_OTLP_ENDPOINT", &collector.url())
        .with("SWITCHBOARD_TRACING_SAMPLE_RATIO", "0");
    let gateway = setup.start().await;
    let mut hands = Hands::join(gateway.grpc, "orders").await;
    write(&telegram, 1, &["hello"]).await;
    let got = hands.deliveries(1).await;
    assert!(got[0].trace_parent.ends_with("-00"), "{:?}", got[0].trace_parent);
    hands.ack(&got).await;
    drop(hands);
    gateway.stop().await;
    assert!(collector.spans(0).await.is_empty());

    let gateway = Setup::new(data.path(), &telegram, Mode::Polling).start().await;
    let mut hands = Hands::join(gateway.grpc, "orders").await;
    write(&telegram, 1, &["again"]).await;
    let got = hands.deliveries(1).await;
    assert_eq!(got[0].trace_parent, "");
    hands.ack(&got).await;
    drop(hands);
    gateway.stop().await;
}

#[tokio::test]
async fn a_dead_collector_is_said_once_and_holds_nothing_up() {
    let telegram = telegram().await;
    let data = tempfile::tempdir().unwrap();
    let nobody = own_address();
    let setup = Setup::new(data.path(), &telegram, Mode::Polling)
        .with("SWITCHBOARD_TRACING_OTLP_ENDPOINT", &format!("http://{nobody}"));
    let gateway = setup.start().await;
    let mut hands = Hands::join(gateway.grpc, "orders").await;
    for round in 0..3 {
        let begin = Instant::now();
        write(&telegram, 1, &["hello"]).await;
        let got = hands.deliveries(1).await;
        assert_eq!(hands.ack(&got).await, [SettleCode::Applied]);
        assert!(begin.elapsed() < Duration::from_secs(5), "round {round} took {:?}", begin.elapsed());
        let dropped = 2.0 * f64::from(round + 1);
        while gateway.metric("switchboard_spans_dropped_total", "").await < dropped {
            tokio::time::sleep(POLL_INTERVAL).await;
        }
    }
    let said = gateway.log().iter().filter(|line| line.contains("traces cannot be exported")).count();
    assert_eq!(said, 1, "{:#?}", gateway.log());
    assert_eq!(gateway.metric("switchboard_spans_exported_total", "").await, 0.0);
    drop(hands);
    gateway.stop().await;
}
