//! Backlogs far larger than the window: nobody starves, memory stays bounded, everything comes in order.

use std::collections::HashMap;

use super::world::{GROUP, World, key};
use crate::dispatch::window::{KEY_ROOM, SHARD_KEYS};
use crate::dispatch::{Command, Handout, StreamId};
use crate::model::{
    ConsumerSettings, GroupId, GroupSettings, KeyHash, SHARDS, Sequence, SettledAs, Settlement, Token,
};

const MOST_KEYS: usize = SHARD_KEYS * SHARDS as usize;

fn world(keys: impl IntoIterator<Item = KeyHash>) -> World {
    let mut world = World::new(GroupSettings::default());
    world.checks = false;
    world.append(keys.into_iter().map(|key| (key, 100)));
    world
}

fn settings(max_outstanding: u32) -> ConsumerSettings {
    ConsumerSettings { max_outstanding, ..ConsumerSettings::DEFAULT }
}

fn handouts(commands: &[Command], of: StreamId) -> Vec<Handout> {
    let of_stream = |command: &Command| match command {
        Command::Deliver { stream, handouts } if *stream == of => handouts.clone(),
        _ => Vec::new(),
    };
    commands.iter().flat_map(of_stream).collect()
}

/// How many keys are in the window, and how many updates.
fn loaded(world: &World) -> (usize, usize) {
    let group = &world.dispatcher.groups[&GROUP];
    (group.keys.iter().count(), group.keys.iter().map(|(_, key)| key.loaded()).sum())
}

/// Acks whatever comes on the stream, `at_once` a turn, until nothing comes any more; returns it in order.
fn work_off(world: &mut World, stream: StreamId, first: Vec<Handout>) -> Vec<Token> {
    let mut done = Vec::new();
    let mut out = first;
    while !out.is_empty() {
        for handout in out.drain(..) {
            world.settle(&handout.token, &Settlement::Ack);
            done.push(handout.token);
        }
        let (keys, updates) = loaded(world);
        assert!(keys <= MOST_KEYS && updates <= keys * KEY_ROOM);
        out = handouts(&world.turn(), stream);
    }
    done
}

/// That nothing is missing, and that each key's updates came in order.
fn assert_complete(world: &World, done: &[Token]) {
    assert_eq!(done.len(), world.heads.len());
    let mut last = HashMap::<KeyHash, Sequence>::new();
    for token in done {
        let before = last.insert(token.key, token.sequence);
        assert!(before.is_none_or(|before| before < token.sequence));
    }
    assert_eq!(world.dispatcher.cursor(GROUP), Some(world.tail()));
}

#[test]
fn a_backlog_of_many_shards_is_worked_off_in_order_after_a_restart() {
    let mut world = world((0..20_000u64).map(|i| KeyHash(i * i % 3_001)));
    world.restart();
    let (stream, _) = world.subscribe("c1", settings(500), &[]);
    let first = world.turn();
    world.checks = true;
    super::invariants::check(&world);
    world.checks = false;
    let done = work_off(&mut world, stream, handouts(&first, stream));
    assert_complete(&world, &done);
}

#[test]
fn one_chat_with_a_hundred_thousand_updates_starves_neither_its_shard_nor_others() {
    let long = key("5/long");
    let mut world = world(std::iter::repeat_n(long, 100_000).chain([key("5/short"), key("6/other"), long]));
    for restarts in [false, true] {
        if restarts {
            world.restart();
        }
        let (stream, _) = world.subscribe("c1", settings(10), &[]);
        let mut got = handouts(&world.turn(), stream);
        got.sort_by_key(|handout| handout.token.sequence);
        let got: Vec<_> = got.iter().map(|handout| handout.token.sequence.0).collect();
        assert_eq!(got, [1, 100_001, 100_002]);
        assert_eq!(loaded(&world), (3, KEY_ROOM + 2));
    }
}

#[test]
fn more_long_chats_in_one_shard_than_have_room_are_all_worked_off_in_order() {
    let keys: Vec<_> = (0..80).map(|i| key(&format!("5/{i}"))).collect();
    let blocks = keys.iter().flat_map(|key| std::iter::repeat_n(*key, 60));
    let mixed = (0..2_000).map(|i| keys[i * i % 80]);
    let mut world = world(blocks.chain(mixed));
    world.checks = true;
    let (stream, _) = world.subscribe("c1", settings(7), &[]);
    let first = handouts(&world.turn(), stream);
    let done = work_off(&mut world, stream, first);
    assert_complete(&world, &done);
}

#[test]
fn chats_that_hang_leave_the_rest_of_their_shard_its_room() {
    let keys: Vec<_> = (0..10).map(|i| key(&format!("5/{i}"))).collect();
    let mut world = world((0..6_000).map(|i| keys[i % 10]));
    world.checks = true;
    let (stream, _) = world.subscribe("c1", settings(100), &[]);
    let mut out = handouts(&world.turn(), stream);
    let mut done = 0;
    while !out.is_empty() {
        for handout in std::mem::take(&mut out) {
            // Six of the ten hang from their hundredth update on.
            if keys[..6].contains(&handout.key) && handout.token.sequence.0 > 1_000 {
                continue;
            }
            world.settle(&handout.token, &Settlement::Ack);
            done += 1;
        }
        out = handouts(&world.turn(), stream);
    }
    assert_eq!(done, 4 * 600 + 6 * 100);
}

#[test]
fn p6_a_stalled_consumer_delays_only_its_own_shards_and_memory_stays_bounded() {
    let mut world = world([]);
    let (stalled, _) = world.subscribe("c1", settings(50), &[]);
    let (healthy, _) = world.subscribe("c2", settings(50), &[]);
    world.turn();
    world.append((0..200_000u64).map(|i| (KeyHash(i * 7 % 5_003), 100)));
    let first = world.turn();
    assert_eq!(handouts(&first, stalled).len(), 50);
    let done = work_off(&mut world, healthy, handouts(&first, healthy));
    // Shards move from the top: the second consumer has one half of them, whichever.
    let owners = &world.dispatcher.groups[&GROUP].owners;
    let owner = |key: KeyHash| owners[usize::from(key.shard().number())];
    let second = owner(done[0].key);
    let due = world.heads.iter().filter(|head| owner(head.key) == second).count();
    assert_eq!(done.len(), due);
    assert!(done.iter().all(|token| owner(token.key) == second));
}

#[test]
fn p6_the_window_holds_only_part_of_a_backlog_of_many_chats() {
    let mut world = world((0..200_000u64).map(KeyHash));
    assert_eq!(loaded(&world), (MOST_KEYS, MOST_KEYS));
    world.restart();
    let (stream, _) = world.subscribe("c1", settings(1_000), &[]);
    let first = handouts(&world.turn(), stream);
    let (keys, updates) = loaded(&world);
    assert!((MOST_KEYS / 2..=MOST_KEYS).contains(&keys) && keys == updates, "{keys} {updates}");
    let done = work_off(&mut world, stream, first);
    assert_complete(&world, &done);
}

#[test]
fn p2_every_group_gets_every_update_however_far_behind_another_is() {
    let mut world = world((0..30_000u64).map(|i| KeyHash(i % 777)));
    let other = GroupId(2);
    world.add_group(other, Sequence(10_001), GroupSettings::default());
    let (first, _) = world.subscribe("c1", settings(100), &[]);
    let second = world.next_stream();
    world.dispatcher.handle_subscribe(world.now, other, second, "c1", settings(100), &[]);
    let commands = world.turn();
    let theirs = work_off(&mut world, second, handouts(&commands, second));
    assert_eq!(theirs.len(), 20_000);
    let ours = work_off(&mut world, first, handouts(&commands, first));
    assert_complete(&world, &ours);
    assert_eq!(world.dispatcher.cursor(other), Some(world.tail()));
}

/// One chunk of heads, if any are wanted; whose, and how many.
fn read(world: &mut World) -> Option<(u32, usize)> {
    let wanted = world.dispatcher.heads_wanted()?;
    let from = world.heads.partition_point(|head| head.sequence < wanted.from);
    let heads = &world.heads[from..world.heads.len().min(from + wanted.limit)];
    world.dispatcher.handle_heads(wanted.group, heads);
    Some((wanted.group.0, heads.len()))
}

#[test]
fn groups_read_their_backlogs_in_turn() {
    let mut world = world((0..10_000u64).map(KeyHash));
    world.add_group(GroupId(2), Sequence(1), GroupSettings::default());
    world.restart();
    let groups: Vec<_> = std::iter::from_fn(|| read(&mut world)).map(|(group, _)| group).collect();
    assert_eq!(groups[..6], [1, 2, 1, 2, 1, 2]);
}

#[test]
fn the_cursor_moves_when_reading_finds_nothing_unsettled() {
    let mut world = world((0..500u64).map(KeyHash));
    let settled = world.heads.iter().map(|head| (head.sequence, SettledAs::Acked)).collect();
    world.groups.get_mut(&GROUP).unwrap().settled = settled;
    world.restart();
    while read(&mut world).is_some() {}
    assert_eq!(world.dispatcher.cursor(GROUP), Some(world.tail()));
}
