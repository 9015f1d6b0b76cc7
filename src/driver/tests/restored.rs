//! Updates that were trimmed, and that the replay of one group's dead letter puts back before the eyes of the others.

use super::bench::{Bench, deliveries};
use super::rig::group;
use super::steering::new_group;
use crate::driver::{GroupChange, Settings, Steer};
use crate::model::{Filter, FilterParts, Sequence, Settlement};

#[test]
fn a_lag_that_was_counted_before_an_update_was_put_back_never_goes_below_zero() {
    let settings = Settings { retention_max_age_ms: 60_000, ..Settings::default() };
    let mut bench = Bench::new(settings);
    let (mut a, mut b) = (bench.subscribed("a"), bench.subscribed("b"));
    // Holds back update 1, and has nothing to do with update 2.
    let chats = FilterParts { chat_ids: vec![1], ..FilterParts::default() };
    let held_back = new_group("c", Filter::new(chats).ok());
    let _created = bench.steer(|reply| Steer::CreateGroup { group: held_back, reply });
    bench.settle_down();
    bench.append(&[(1, "chat:1"), (2, "chat:2")]);
    bench.settle_down();
    for delivery in deliveries(&mut a) {
        bench.settle("a", &[delivery.token], Settlement::Reject { reason: "".into() });
    }
    for delivery in deliveries(&mut b) {
        bench.settle("b", &[delivery.token], Settlement::Ack);
    }
    bench.settle_down();
    bench.pass(61_000);
    bench.pass(10_000);
    assert_eq!(bench.stored(), [1]);
    bench.change("b", GroupChange::Seek(Sequence(1))).unwrap();
    let (name, sequences) = (group("a"), vec![Sequence(2)]);
    let replay = |reply| Steer::Replay { group: name, sequences, from_dead_letters: true, reply };
    let _replayed = bench.steer(replay);
    bench.settle_down();
    assert_eq!(bench.stored(), [1, 2]);
    let sequences = vec![Sequence(2)];
    let _purged = bench.steer(|reply| Steer::Purge { sequences, reply });
    bench.settle_down();
    for delivery in deliveries(&mut b) {
        bench.settle("b", &[delivery.token], Settlement::Ack);
    }
    bench.settle_down();
    assert_eq!(bench.view("b").status.lag, 0);
}
