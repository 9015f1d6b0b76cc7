//! The promises while operators seek, replay and purge, one test each; the transcripts show the details.

use super::script::Script;
use super::steering::Steer;
use super::world::{GROUP, World, key, record};
use crate::dispatch::{Command, Handout};
use crate::model::{
    ConsumerSettings, Filter, FilterParts, GroupId, GroupRecord, GroupSettings, KeyHash, Sequence,
    SettledResult, Settlement, UpdateStanding,
};
use crate::update::KindCode;

/// Carries out the lines and returns all that came out.
fn all(lines: &[&str]) -> String {
    let mut script = Script::new();
    lines.iter().map(|line| script.line(line)).collect()
}

fn handouts(commands: &[Command]) -> Vec<Handout> {
    let delivered = commands.iter().filter_map(|command| match command {
        Command::Deliver { handouts, .. } => Some(handouts.clone()),
        _ => None,
    });
    delivered.flatten().collect()
}

#[test]
fn p2_a_replayed_update_is_delivered_until_it_is_settled_also_after_a_crash() {
    let start = ["append a", "subscribe c1 lease=5s", "ack 1", "replay 1"];
    for lost in
        [&["time 5s", "time 2s"][..], &["nack 1", "time 2s"], &["close c1", "subscribe c1", "time 2s"]]
    {
        let came = all(&[&start[..], lost].concat());
        assert!(came.contains("1@2%2 (a"), "{lost:?}: {came}");
    }
    for crash in
        [&["restart"][..], &["commits by-hand", "ack 1", "commit", "restart"], &["restart", "restart"]]
    {
        let came = all(&[&start[..], crash, &["subscribe c1"]].concat());
        assert!(
            came.contains("1@1#2%2 (a, again)") || came.contains("1@1#3%2 (a, again)"),
            "{crash:?}: {came}"
        );
    }
}

#[test]
fn p2_after_a_seek_back_everything_comes_again_and_is_delivered_until_it_is_settled() {
    let start = ["append a a b", "subscribe c1 lease=5s", "ack 1 3", "ack 2", "seek 1"];
    let came = all(&start);
    assert!(came.contains("2@1%2 (a, again) 3@1%2 (b, again)") && !came.contains("1@1%2"), "{came}");
    let came = all(&[&start[..], &["restart", "subscribe c1", "ack 2 3", "status"]].concat());
    assert!(came.contains("2@1#2%2 (a)") && came.ends_with("cursor 3, lag 0\n"), "{came}");
}

#[test]
fn p3_a_replay_waits_for_its_key_and_its_key_for_it() {
    for disturbance in [
        &["nack 2 delay=1h"][..],
        &["time 5s"],
        &["subscribe c2", "leave c1"],
        &["commits by-hand", "ack 2", "commit"],
        &["restart", "subscribe c2 held=2"],
        &["nack 2 delay=1h", "restart", "subscribe c2"],
    ] {
        let start = ["append a a", "subscribe c1 lease=5s", "ack 1", "replay 1"];
        let came = all(&[&start[..], disturbance].concat());
        assert!(!came.contains(", again)"), "{disturbance:?}: {came}");
    }
    for disturbance in [&["nack 1 delay=1h"][..], &["time 5s"], &["restart", "subscribe c2 held=1"]] {
        let start = ["append a a a", "subscribe c1 lease=5s", "ack 1", "replay 1", "ack 2"];
        let came = all(&[&start[..], disturbance].concat());
        assert!(!came.contains("3@1"), "{disturbance:?}: {came}");
    }
}

#[test]
fn p4_a_replay_that_was_settled_durably_does_not_come_back_with_a_crash() {
    let came = all(&["append a", "subscribe c1", "ack 1", "replay 1", "ack 1", "restart", "subscribe c1"]);
    assert!(!came.contains("#2"), "{came}");
}

#[test]
fn p5_no_delivery_of_before_a_replay_or_a_seek_settles_it() {
    for again in ["replay 1", "seek 0"] {
        for late in ["ack 1@1%1", "nack 1@1%1", "reject 1@1%1", "extend 1@1%1"] {
            let start = ["append a", "subscribe c1", "ack 1", again];
            let came = all(&[&start[..], &[late, "status"]].concat());
            assert!(came.contains("1@1: superseded") && came.contains("1 outstanding"), "{came}");
            let came = all(&[&start[..], &["restart", late]].concat());
            assert!(came.ends_with("1@1: superseded\n"), "{came}");
        }
    }
}

#[test]
fn p9_a_replayed_dead_letter_that_fails_again_goes_back_and_its_chat_moves_on() {
    let failing = ["nack 1 delay=0s", "nack 1 delay=0s"];
    let start = ["group max-failures=2 span=0s", "append a a a", "subscribe c1"];
    let came = all(&[&start[..], &failing, &["replay 1", "ack 2"], &failing, &["status"]].concat());
    assert_eq!(came.matches("1 DeadLettered").count(), 2, "{came}");
    assert!(came.contains("3@1 (a)") && came.ends_with("cursor 2, lag 1\n"), "{came}");
}

#[test]
fn a_purge_reaches_every_group_and_a_seek_or_a_replay_only_its_own() {
    let mut world = World::new(GroupSettings::default());
    let other = GroupId(2);
    world.append(["a", "a", "b"].map(|name| (key(name), 100)));
    world.add_group(other, Sequence(1), GroupSettings::default());
    for group in [GROUP, other] {
        let stream = world.next_stream();
        world.dispatcher.handle_subscribe(world.now, group, stream, "c1", ConsumerSettings::DEFAULT, &[]);
    }
    let first = handouts(&world.turn());
    assert_eq!(first.len(), 4);
    for handout in &first {
        world.settle(&handout.token, &Settlement::Ack);
    }
    assert_eq!(handouts(&world.turn()).len(), 2);
    world.steer(Steer::Replay(GROUP, vec![Sequence(3)]));
    assert_eq!(handouts(&world.turn()).len(), 1);
    assert_eq!((world.dispatcher.replays_pending(GROUP), world.dispatcher.replays_pending(other)), (1, 0));
    world.steer(Steer::Purge(vec![Sequence(2), Sequence(3)]));
    world.turn();
    for group in [GROUP, other] {
        assert_eq!(world.dispatcher.cursor(group), Some(Sequence(3)));
        assert_eq!(world.dispatcher.stats(group).unwrap().outstanding, 0);
    }
    world.steer(Steer::Seek(other, Sequence(0)));
    let again = handouts(&world.turn());
    assert_eq!(again.iter().map(|handout| handout.token.sequence).collect::<Vec<_>>(), [Sequence(1)]);
    assert_eq!(world.dispatcher.cursor(GROUP), Some(Sequence(3)));
}

#[test]
fn a_replay_brings_what_the_filter_does_not_match_once_and_takes_no_part_in_the_lag() {
    let callbacks = FilterParts { kinds: vec![KindCode::CALLBACK_QUERY], ..FilterParts::default() };
    let filters = vec![(Sequence(1), Some(Filter::new(callbacks).unwrap()))];
    let mut world =
        World::of(GroupRecord { filters, ..record(GROUP, Sequence(1), GroupSettings::default()) });
    world.vary = |head| {
        head.kind = if head.sequence == Sequence(1) { KindCode::CALLBACK_QUERY } else { KindCode::UNKNOWN };
    };
    world.append(["a", "a", "a"].map(|name| (key(name), 100)));
    world.subscribe("c1", ConsumerSettings::DEFAULT, &[]);
    let first = handouts(&world.turn());
    assert_eq!(first.len(), 1);
    let standing = |world: &World, at| {
        world.dispatcher.standing(world.now, GROUP, world.head(Sequence(at))).unwrap().standing
    };
    assert_eq!(standing(&world, 2), UpdateStanding::NotMatched);
    world.steer(Steer::Replay(GROUP, vec![Sequence(1), Sequence(2)]));
    assert_eq!(handouts(&world.turn()), []);
    assert_eq!(standing(&world, 2), UpdateStanding::Pending { behind: Some(Sequence(1)) });
    assert_eq!(world.dispatcher.stats(GROUP).unwrap().lag, 2);
    world.settle(&first[0].token, &Settlement::Ack);
    let again = handouts(&world.turn());
    assert_eq!(again.iter().map(|handout| handout.token.sequence).collect::<Vec<_>>(), [Sequence(2)]);
    for expected in [SettledResult::Applied { deadline: None }, SettledResult::AlreadySettled] {
        assert_eq!(world.settle(&again[0].token, &Settlement::Ack), expected);
        assert_eq!(handouts(&world.turn()), []);
    }
    let stats = world.dispatcher.stats(GROUP).unwrap();
    assert_eq!((stats.lag, stats.lag_exact, stats.replaying, stats.cursor), (0, true, 0, Sequence(3)));
    assert_eq!(standing(&world, 2), UpdateStanding::NotMatched);
}

#[test]
fn p6_ten_thousand_replays_of_one_shard_take_no_room_from_what_is_pending() {
    let mut world = World::new(GroupSettings::default());
    world.checks = false;
    let many = 10_000;
    world.append((0..many).map(|i| (KeyHash(i * 1024), 100)));
    world.steer(Steer::Seek(GROUP, Sequence(many)));
    world.turn();
    world.steer(Steer::Replay(GROUP, (1..=many).map(Sequence).collect()));
    world.append((0..100).map(|i| (KeyHash((many + i) * 1024), 100)));
    let settings = ConsumerSettings { max_outstanding: 500, ..ConsumerSettings::DEFAULT };
    world.subscribe("c1", settings, &[]);
    let mut out = handouts(&world.turn());
    world.checks = true;
    world.turn();
    world.checks = false;
    let mut done = 0;
    while !out.is_empty() {
        assert!(out.len() <= 500);
        done += out.len() as u64;
        for handout in &out {
            world.settle(&handout.token, &Settlement::Ack);
        }
        out = handouts(&world.turn());
    }
    assert_eq!(done, many + 100);
    assert_eq!(world.dispatcher.replays_pending(GROUP), 0);
}
