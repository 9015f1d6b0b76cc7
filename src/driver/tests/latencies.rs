//! How long each part of an update's way takes, as the metrics tell it.

use tokio::sync::oneshot;

use super::bench::{Bench, deliveries};
use super::rig::{group, update};
use crate::driver::{GroupChange, Input, NewUpdate, Reply, Settings, Steer};
use crate::model::{Outcome, Payload, Sequence, Settlement, UnixMillis};
use crate::observe::spans::{Operation, Recorder, Span};
use crate::update::parse;
use crate::wire::encode_update;

/// An update as the intake makes it.
fn received_at(received: UnixMillis, id: i64) -> NewUpdate {
    let json = format!(r#"{{"update_id":{id},"message":{{"chat":{{"id":7}}}}}}"#);
    let encoded = encode_update("bot", &parse(json.as_bytes()).unwrap(), received);
    let payload = Payload { key: "chat:7".into(), update: encoded };
    NewUpdate { received, payload, ..update(id, "chat:7") }
}

fn append(bench: &mut Bench, updates: Vec<NewUpdate>) {
    let (reply, _answer) = oneshot::channel();
    bench.core.handle(bench.now, Input::Append { updates, quarantined: vec![], reply });
}

/// Count and sum in milliseconds: until durable, until delivered, from then until settled, and of it all.
fn latencies(bench: &Bench) -> [(u64, u64); 4] {
    let text = bench.metrics.encode().unwrap();
    ["durable", "delivery", "handling", "settled"].map(|part| {
        let value = |of: &str| -> f64 {
            let name = format!("switchboard_{part}_latency_seconds_{of}{{");
            let line = text.lines().find(|line| line.starts_with(&name));
            line.map_or(0.0, |line| line.rsplit_once(' ').unwrap().1.parse().unwrap())
        };
        (value("count") as u64, (value("sum") * 1_000.0).round() as u64)
    })
}

#[test]
fn each_part_of_an_updates_way_is_measured_once_whatever_the_attempts() {
    let mut bench = Bench::new(Settings::default());
    let received = bench.now.unix;
    append(&mut bench, vec![received_at(received, 1)]);
    let commit = bench.next_work().unwrap();
    bench.now = crate::model::Now { mono: bench.now.mono.plus(3), unix: bench.now.unix.plus(3) };
    bench.carry_out(commit, std::time::Duration::from_millis(3));
    assert_eq!(latencies(&bench), [(1, 3), (0, 0), (0, 0), (0, 0)]);

    bench.pass(40);
    let mut stream = bench.subscribed("orders");
    let first = deliveries(&mut stream).remove(0);
    assert_eq!(latencies(&bench)[1], (1, 40));

    bench.pass(100);
    let nack = Settlement::Nack { outcome: Outcome::Failed, delay_ms: Some(1_000), reason: "".into() };
    let _answer = bench.settle("orders", &[first.token], nack);
    bench.settle_down();
    bench.pass(1_000);
    let second = deliveries(&mut stream).remove(0);
    assert_eq!(second.token.attempt, 2);
    bench.pass(50);
    let _answer = bench.settle("orders", &[second.token], Settlement::Ack);
    bench.settle_down();
    assert_eq!(latencies(&bench), [(1, 3), (1, 40), (1, 1_150), (1, 1_193)]);
}

#[test]
fn without_tracing_no_delivery_has_a_place_in_a_trace() {
    let mut bench = Bench::new(Settings::default());
    let received = bench.now.unix;
    append(&mut bench, vec![received_at(received, 1)]);
    let mut stream = bench.subscribed("orders");
    assert_eq!(deliveries(&mut stream).remove(0).trace, None);
}

fn steer<T>(bench: &mut Bench, steer: impl FnOnce(Reply<T>) -> Steer) -> T {
    let (reply, mut answer) = oneshot::channel();
    bench.core.handle(bench.now, Input::Steer(steer(reply)));
    bench.settle_down();
    answer.try_recv().unwrap()
}

/// What the spans of deliveries say: the update, how they ended, and how the group was done with it.
fn delivered(recorder: &Recorder) -> Vec<(u64, &'static str, Option<&'static str>)> {
    let told = |span: Span| match span.operation {
        Operation::Deliver(delivery) => Some((span.sequence, delivery.outcome, delivery.settled)),
        Operation::Receive { .. } | Operation::Settle(_) => None,
    };
    recorder.taken().into_iter().filter_map(told).collect()
}

#[test]
fn what_a_seek_or_a_purge_takes_back_ends_its_spans_and_is_not_measured_again() {
    let recorder = Recorder::without_exporter();
    let mut bench = Bench::new(Settings { spans: Some(recorder.clone()), ..Settings::default() });
    let received = bench.now.unix;
    append(&mut bench, vec![received_at(received, 1), received_at(received, 2)]);
    let mut stream = bench.subscribed("orders");
    let first = deliveries(&mut stream).remove(0);
    let _answer = bench.settle("orders", &[first.token], Settlement::Ack);
    bench.settle_down();
    let second = deliveries(&mut stream).remove(0);
    assert_eq!(delivered(&recorder), [(1, "acked", Some("acked"))]);
    assert_eq!(latencies(&bench)[1..].iter().map(|part| part.0).collect::<Vec<_>>(), [2, 1, 1]);

    bench.pass(10_000);
    let change = GroupChange::Seek(Sequence(1));
    steer(&mut bench, |reply| Steer::ChangeGroup { group: group("orders"), change, reply }).unwrap();
    assert_eq!(delivered(&recorder), [(2, "revoked", None)]);
    let again = deliveries(&mut stream).remove(0);
    assert_eq!((again.token.sequence, again.token.attempt), (first.token.sequence, 1));
    assert_eq!(again.trace.unwrap().trace_id, first.trace.unwrap().trace_id);
    assert_ne!(again.trace.unwrap().span_id, first.trace.unwrap().span_id);
    let _answer = bench.settle("orders", &[again.token], Settlement::Ack);
    bench.settle_down();
    assert_eq!(delivered(&recorder), [(1, "acked", Some("acked"))]);
    assert_eq!(deliveries(&mut stream).remove(0).token.sequence, second.token.sequence);

    let sequences = vec![second.token.sequence];
    steer(&mut bench, |reply| Steer::Purge { sequences, reply }).unwrap();
    assert_eq!(delivered(&recorder), [(2, "revoked", Some("purged"))]);
    assert_eq!(latencies(&bench)[1..].iter().map(|part| part.0).collect::<Vec<_>>(), [2, 1, 1]);
}
