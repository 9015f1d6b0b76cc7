//! Single turns of the driver, in made-up time.

use std::time::Duration;

use super::bench::{Bench, deliveries};
use super::rig::group;
use crate::driver::{Input, Settings, SubscribeError};
use crate::model::{
    GroupId, GroupRecord, GroupSettings, Now, Sequence, SettledResult, Settlement, UnixMillis,
};

#[test]
fn a_driver_whose_settlements_find_no_room_waits_between_its_tries() {
    let mut bench = Bench::new(Settings::default());
    let mut stream = bench.subscribe("a", "c", false);
    bench.append(&[(1, "chat:1")]);
    bench.settle_down();
    let mut stream = stream.try_recv().unwrap().unwrap();
    assert_eq!(deliveries(&mut stream).len(), 1);
    bench.full = true;
    // The lease runs out. The dispatcher's own records are tried again and again.
    bench.pass(30_000);
    let tries = bench.commits;
    for _ in 0..4 {
        bench.pass(250);
    }
    assert_eq!(bench.commits, tries + 4);
}

#[test]
fn p6_a_new_group_that_finds_no_room_is_refused_and_settlements_go_on() {
    let mut bench = Bench::new(Settings::default());
    let mut stream = bench.subscribed("a");
    bench.append(&[(1, "chat:1")]);
    bench.settle_down();
    let out = deliveries(&mut stream);
    bench.full_for_updates = true;
    let mut refused = bench.subscribe("b", "c", false);
    let mut acked = bench.settle("a", &[out[0].token], Settlement::Ack);
    bench.settle_down();
    assert!(matches!(refused.try_recv().unwrap(), Err(SubscribeError::NoRoom { .. })));
    assert_eq!(acked.try_recv().unwrap().unwrap(), [SettledResult::Applied { deadline: None }]);
    let mut existing = bench.subscribe("a", "d", false);
    bench.settle_down();
    assert!(existing.try_recv().unwrap().is_ok(), "a group that exists needs no room");
    bench.full_for_updates = false;
    bench.pass(1_000);
    bench.subscribed("b");
}
