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

#[test]
fn p6_a_full_journal_without_a_group_lets_the_first_one_in_since_nothing_else_can_empty_it() {
    let mut bench = Bench::new(Settings::default());
    bench.append(&[(1, "chat:1")]);
    bench.settle_down();
    bench.full_for_updates = true;
    let refused = bench.append(&[(2, "chat:1")]);
    bench.settle_down();
    drop(refused);
    let mut stream = bench.subscribed("a");
    let out = deliveries(&mut stream);
    let mut acked = bench.settle("a", &[out[0].token], Settlement::Ack);
    bench.settle_down();
    assert_eq!(acked.try_recv().unwrap().unwrap(), [SettledResult::Applied { deadline: None }]);
    let mut second = bench.subscribe("b", "c", false);
    bench.settle_down();
    assert!(matches!(second.try_recv().unwrap(), Err(SubscribeError::NoRoom { .. })));
}

#[test]
fn a_shutdown_does_not_wait_for_trimming() {
    let settings = Settings { retention_max_age_ms: 60_000, ..Settings::default() };
    let mut bench = Bench::new(settings);
    let mut stream = bench.subscribed("a");
    for id in 0..500 {
        bench.append(&[(id + 1, "chat:1")]);
    }
    for _ in 0..500 {
        bench.settle_down();
        let out = deliveries(&mut stream);
        bench.settle("a", &[out[0].token], Settlement::Ack);
    }
    bench.settle_down();
    drop(stream);
    bench.settle_down();
    let commits = bench.commits;
    bench.now.mono = bench.now.mono.plus(61_000);
    bench.now.unix = bench.now.unix.plus(61_000);
    bench.core.handle(bench.now, Input::Shutdown { grace_ms: 0 });
    bench.settle_down();
    assert!(bench.core.is_finished(bench.now));
    // What the lost consumer's grace and the shutdown itself leave to record may take one.
    assert!(bench.commits <= commits + 1, "{} commits", bench.commits - commits);
}

#[test]
fn settled_updates_are_trimmed_after_their_retention_and_unsettled_ones_stay() {
    let settings = Settings { retention_max_age_ms: 60_000, ..Settings::default() };
    let mut bench = Bench::new(settings);
    let mut stream = bench.subscribed("a");
    bench.append(&[(1, "chat:1"), (2, "chat:2")]);
    bench.settle_down();
    let out = deliveries(&mut stream);
    let first = out.iter().find(|delivery| delivery.sequence().0 == 1).unwrap();
    bench.settle("a", &[first.token], Settlement::Ack);
    bench.pass(50_000);
    assert_eq!(bench.stored(), [1, 2]);
    bench.pass(10_000);
    assert_eq!(bench.stored(), [2]);
}

#[test]
fn p2_an_unsettled_update_expires_at_its_age_also_where_settled_ones_stay_longer() {
    const DAY: u64 = 24 * 3_600_000;
    let settings = Settings { retention_max_age_ms: 30 * DAY, ..Settings::default() };
    let mut bench = Bench::new(settings);
    drop(bench.subscribed("a"));
    bench.append(&[(1, "chat:1")]);
    bench.settle_down();
    let id = bench.group("a");
    bench.pass(6 * DAY);
    bench.pass(10_000);
    assert!(!bench.is_settled(id, 1));
    bench.pass(DAY);
    bench.pass(10_000);
    assert!(bench.is_settled(id, 1));
    // Below the cursor now, and retained: a pass goes on behind it.
    bench.append(&[(2, "chat:1")]);
    bench.pass(8 * DAY);
    bench.pass(10_000);
    assert!(bench.is_settled(id, 2));
    assert_eq!(bench.stored(), [1, 2]);
    bench.pass(16 * DAY);
    bench.pass(10_000);
    assert_eq!(bench.stored(), [2]);
}

#[test]
fn p2_an_update_expires_only_for_the_groups_whose_age_it_has_reached() {
    const DAY: u64 = 24 * 3_600_000;
    let settings = GroupSettings { max_unsettled_age_ms: 20 * DAY, ..GroupSettings::default() };
    let patient = GroupRecord::new(GroupId(1), group("patient"), Sequence(1), settings, UnixMillis(1));
    let mut bench = Bench::with_groups(Settings::default(), vec![patient]);
    drop(bench.subscribed("a"));
    bench.append(&[(1, "chat:1")]);
    bench.settle_down();
    let id = bench.group("a");
    bench.pass(8 * DAY);
    bench.pass(10_000);
    assert!(bench.is_settled(id, 1));
    assert!(!bench.is_settled(GroupId(1), 1));
}

#[test]
fn an_ephemeral_group_whose_last_stream_ends_while_another_is_being_opened_begins_anew() {
    let mut bench = Bench::new(Settings::default());
    let mut first = bench.subscribe("tail", "c", true);
    bench.settle_down();
    let first = first.try_recv().unwrap().unwrap();
    bench.append(&[(1, "chat:1")]);
    let mut second = bench.subscribe("tail", "d", true);
    let work = bench.next_work().unwrap();
    drop(first);
    assert!(bench.next_work().is_none());
    bench.carry_out(work, Duration::from_millis(1));
    bench.settle_down();
    let mut second = second.try_recv().unwrap().unwrap();
    bench.append(&[(2, "chat:1")]);
    bench.settle_down();
    assert_eq!(deliveries(&mut second).len(), 1);
}

#[test]
fn a_stream_that_is_being_opened_when_the_shutdown_begins_is_refused() {
    let mut bench = Bench::new(Settings::default());
    let mut opening = bench.subscribe("a", "c", false);
    let work = bench.next_work().unwrap();
    bench.core.handle(bench.now, Input::Shutdown { grace_ms: 20_000 });
    bench.carry_out(work, Duration::from_millis(1));
    assert_eq!(opening.try_recv().unwrap().unwrap_err(), SubscribeError::Stopped);
    assert!(bench.core.is_finished(bench.now));
}

#[test]
fn a_delivery_that_ended_is_counted_once_however_often_its_record_is_refused() {
    let mut bench = Bench::new(Settings::default());
    let stream = bench.subscribed("a");
    bench.append(&[(1, "chat:1")]);
    bench.settle_down();
    bench.full = true;
    bench.pass(30_000);
    for _ in 0..4 {
        bench.pass(250);
    }
    bench.full = false;
    bench.pass(250);
    let text = bench.metrics.encode().unwrap();
    let expired = |line: &&str| {
        line.starts_with("switchboard_attempts_ended_total{") && line.contains("how=\"expired\"")
    };
    let counted = text.lines().find(expired).unwrap();
    assert!(counted.ends_with(" 1"), "{counted}");
    drop(stream);
}

#[test]
fn an_ephemeral_group_leaves_no_series_behind() {
    let mut bench = Bench::new(Settings::default());
    let mut stream = bench.subscribe("tail", "c", true);
    bench.append(&[(1, "chat:1"), (2, "chat:2")]);
    bench.settle_down();
    let mut stream = stream.try_recv().unwrap().unwrap();
    bench.append(&[(3, "chat:1"), (4, "chat:2")]);
    bench.settle_down();
    let out = deliveries(&mut stream);
    bench.settle("tail", &[out[0].token], Settlement::Ack);
    bench.pass(30_000);
    assert!(bench.metrics.encode().unwrap().contains("tail"));
    drop(stream);
    bench.settle_down();
    let text = bench.metrics.encode().unwrap();
    assert!(!text.contains("tail"), "{text}");
}

#[test]
fn p9_leases_do_not_run_out_while_the_disk_is_blocked() {
    let mut bench = Bench::new(Settings::default());
    let mut stream = bench.subscribed("a");
    bench.append(&[(1, "chat:1")]);
    bench.settle_down();
    let out = deliveries(&mut stream);
    bench.append(&[(2, "chat:2")]);
    let blocked = bench.next_work().unwrap();
    // The driver itself goes on turning.
    for _ in 0..60 {
        bench.now = Now { mono: bench.now.mono.plus(1_000), unix: bench.now.unix.plus(1_000) };
        assert!(bench.next_work().is_none());
    }
    bench.carry_out(blocked, Duration::from_secs(60));
    bench.settle_down();
    let mut acked = bench.settle("a", &[out[0].token], Settlement::Ack);
    bench.settle_down();
    assert_eq!(acked.try_recv().unwrap().unwrap(), [SettledResult::Applied { deadline: None }]);
}
