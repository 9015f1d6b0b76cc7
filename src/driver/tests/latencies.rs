//! How long each part of an update's way takes, as the metrics tell it.

use tokio::sync::oneshot;

use super::bench::{Bench, deliveries};
use super::rig::update;
use crate::driver::{Input, NewUpdate, Settings};
use crate::model::{Outcome, Payload, Settlement, UnixMillis};
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
