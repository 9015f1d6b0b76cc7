//! From a seed to a history.
//!
//! Each seed has a taste of its own: most kinds of operations are rare or missing in it, and a few are frequent. So
//! some runs are full of crashes, others of seeks or of lies, which an even mixture would never be.

use crate::history::History;
use crate::op::{By, CommitFate, DiskState, Fate, From, How, Kind, LastCommit, Lie, Mood, Op, Which};
use crate::rng::Rng;
use crate::scene::Scene;

/// Consumers that there are.
pub const CONSUMERS: u64 = 5;

/// How often each operation comes, in the mean.
const WEIGHTS: &[(fn(&mut Rng) -> Op, u64)] = &[
    (pass, 30),
    (stall, 1),
    (set_clock, 1),
    (quiet, 1),
    (|_| Op::Rest {}, 5),
    (|_| Op::Start {}, 1),
    (kill, 3),
    (stop, 1),
    (turn, 14),
    (commit, 10),
    (disk, 2),
    (write, 22),
    (garble, 1),
    (|rng| Op::Mode { webhook: rng.once_in(2) }, 1),
    (network, 12),
    (join, 8),
    (mood, 4),
    (|rng| Op::Die { consumer: rng.below(CONSUMERS), forgets: rng.once_in(2) }, 3),
    (|rng| Op::Leave { consumer: rng.below(CONSUMERS) }, 1),
    (|rng| Op::Drain { consumer: rng.below(CONSUMERS) }, 1),
    (settle, 14),
    (|rng| Op::SettleAll { consumer: rng.below(CONSUMERS), how: how(rng) }, 8),
    (lie, 6),
    (create, 2),
    (change, 2),
    (|rng| Op::Pause { group: rng.below(4), on: rng.once_in(2) }, 1),
    (|rng| Op::Seek { group: rng.below(4), to: rng.below(100) }, 1),
    (|rng| Op::Delete { group: rng.below(4), force: rng.once_in(2) }, 1),
    (replay, 2),
    (|rng| Op::Bury { group: rng.below(4), from: rng.below(100), count: rng.between(1, 4) }, 1),
    (|rng| Op::Purge { from: rng.below(100), count: rng.between(1, 3) }, 1),
];

/// The history of a seed.
pub fn history(seed: u64) -> History {
    let mut rng = Rng::new(seed);
    let scene = Scene::of(&mut rng);
    let mut taste = || *rng.pick(&[0, 1, 1, 1, 1, 4]);
    let weights: Vec<u64> = WEIGHTS
        .iter()
        .enumerate()
        // Time passes in every run.
        .map(|(at, (_, weight))| if at == 0 { *weight } else { weight * taste() })
        .collect();
    let length = *rng.pick(&[60, 150, 150, 300, 500]);
    let mut ops = vec![Op::Start {}];
    // Most runs begin with somebody there.
    for consumer in 0..rng.below(3) {
        let group = consumer % 2;
        ops.push(Op::Join {
            consumer,
            group,
            gateway: 0,
            credit: 16,
            bytes: 1 << 20,
            lease_ms: 5_000,
            holds: 0,
        });
        ops.push(Op::Pass { ms: 100 });
    }
    ops.extend((0..length).map(|_| WEIGHTS[rng.weighed(&weights)].0(&mut rng)));
    History { scene, ops }
}

fn pass(rng: &mut Rng) -> Op {
    let most = *rng.pick(&[20, 300, 1_500, 1_500, 6_000, 40_000]);
    Op::Pass { ms: rng.between(1, most) }
}

fn stall(rng: &mut Rng) -> Op {
    let most = *rng.pick(&[900, 5_000, 60_000]);
    Op::Stall { ms: rng.between(1, most) }
}

fn set_clock(rng: &mut Rng) -> Op {
    let most = *rng.pick(&[2_000, 120_000, 3_600_000, 12 * 3_600_000]);
    let by = rng.between(1, most) as i64;
    Op::SetClock { by_ms: if rng.once_in(2) { by } else { -by } }
}

fn quiet(rng: &mut Rng) -> Op {
    Op::Quiet { hours: *rng.pick(&[1, 3, 25, 50, 24 * 8]) }
}

fn kill(rng: &mut Rng) -> Op {
    Op::Kill { gateway: rng.below(2), commit: *rng.pick(LastCommit::ALL) }
}

fn stop(rng: &mut Rng) -> Op {
    Op::Stop { gateway: rng.below(2), grace_ms: *rng.pick(&[0, 2_000, 20_000]) }
}

fn turn(rng: &mut Rng) -> Op {
    Op::Turn { gateway: rng.below(2) }
}

fn commit(rng: &mut Rng) -> Op {
    let fate = match rng.below(20) {
        0 => CommitFate::FailedDurable,
        1 => CommitFate::FailedLost,
        2 | 3 => CommitFate::NoRoom,
        _ => CommitFate::Durable,
    };
    Op::Commit { gateway: rng.below(2), fate }
}

fn disk(rng: &mut Rng) -> Op {
    let state = if rng.once_in(2) { DiskState::Fine } else { *rng.pick(DiskState::ALL) };
    Op::Disk { state }
}

fn write(rng: &mut Rng) -> Op {
    let count = *rng.pick(&[1, 1, 1, 2, 2, 4, 8, 30]);
    let kind = if rng.once_in(2) { Kind::Message } else { *rng.pick(Kind::ALL) };
    Op::Write { chat: rng.below(100), kind, count }
}

fn garble(rng: &mut Rng) -> Op {
    Op::Garble { how: rng.below(4) }
}

fn network(rng: &mut Rng) -> Op {
    let fate = if rng.once_in(2) { Fate::Arrives } else { *rng.pick(Fate::ALL) };
    Op::Network { packet: rng.below(20), fate }
}

fn join(rng: &mut Rng) -> Op {
    Op::Join {
        consumer: rng.below(CONSUMERS),
        group: *rng.pick(&[0, 0, 1, 1, 2, 3]),
        gateway: rng.below(2),
        credit: *rng.pick(&[1, 2, 8, 200]),
        bytes: *rng.pick(&[200, 2_000, 1 << 20, 1 << 20]),
        lease_ms: *rng.pick(&[1_000, 2_000, 5_000, 30_000]),
        holds: *rng.pick(&[0, u64::MAX, rng.clone().number()]),
    }
}

fn mood(rng: &mut Rng) -> Op {
    Op::Mood { consumer: rng.below(CONSUMERS), mood: *rng.pick(Mood::ALL) }
}

fn how(rng: &mut Rng) -> How {
    if rng.once_in(2) { How::Ack } else { *rng.pick(How::ALL) }
}

fn settle(rng: &mut Rng) -> Op {
    Op::Settle {
        consumer: rng.below(CONSUMERS),
        which: rng.below(100),
        how: how(rng),
        hears: !rng.once_in(4),
    }
}

fn lie(rng: &mut Rng) -> Op {
    let lie = if rng.once_in(2) { Lie::Another } else { *rng.pick(Lie::ALL) };
    Op::Lie { which: rng.below(200), lie, how: how(rng) }
}

fn create(rng: &mut Rng) -> Op {
    Op::Create {
        group: rng.below(4),
        which: *rng.pick(Which::ALL),
        by: *rng.pick(By::ALL),
        fallback: rng.once_in(4),
        from: *rng.pick(From::ALL),
    }
}

fn change(rng: &mut Rng) -> Op {
    Op::Change { group: rng.below(4), which: *rng.pick(Which::ALL), settings: rng.below(4) }
}

fn replay(rng: &mut Rng) -> Op {
    Op::Replay { group: rng.below(4), from: rng.below(100), count: rng.between(1, 6), dead: rng.once_in(2) }
}
