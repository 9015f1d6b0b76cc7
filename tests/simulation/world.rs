//! The world: Telegram, a network, gateways on one journal, handlers, operators, and a checker that sees all that can be
//! seen from outside. Everything in it happens because of an operation or a time that has come.

mod chaos;
mod end;
mod operators;
mod people;
mod time;
mod turn;

use crate::checker::Checker;
use crate::clock;
use crate::consumers::Consumer;
use crate::disk::Place;
use crate::gateway::Gateway;
use crate::generate::CONSUMERS;
use crate::network::Network;
use crate::op::{DiskState, Op};
use crate::rng::Rng;
use crate::scene::{GROUPS, Scene};
use crate::telegram::Telegram;
use crate::trace::Trace;
use crate::updates;
use crate::violation::Kept;
use switchboard::model::{Monotonic, Now, Token, UnixMillis};

/// When the world begins, by both clocks.
const BEGIN_MONO: u64 = 1_000_000;
const BEGIN_WALL: u64 = 1_700_000_000_000;
/// The wall clock is never wrong by more.
const MAX_WRONG_MS: i64 = 36 * 3_600_000;

pub struct World {
    pub scene: Scene,
    pub trace: Trace,
    rng: Rng,
    /// True time.
    mono: u64,
    /// How wrong the wall clock is.
    wrong_ms: i64,
    chats: Vec<i64>,
    serial: u64,
    telegram: Telegram,
    network: Network,
    place: Place,
    gateways: Vec<Gateway>,
    last_gateway: u32,
    /// When a gateway is started, if there is none.
    restarts: u64,
    disk: DiskState,
    consumers: Vec<Consumer>,
    /// Tokens that were given to anybody, the newest last.
    tokens: Vec<Token>,
    checker: Checker,
    commits: u64,
}

impl World {
    pub fn new(scene: Scene, trace: Trace) -> Self {
        let world = Self {
            trace,
            rng: Rng::new(scene.seed),
            mono: BEGIN_MONO,
            wrong_ms: 0,
            chats: updates::chats(scene.chats, scene.one_shard),
            serial: 0,
            telegram: Telegram::new(scene.seed, scene.webhook),
            network: Network::default(),
            place: Place::of(&scene),
            gateways: Vec::new(),
            last_gateway: 0,
            restarts: BEGIN_MONO,
            disk: DiskState::Fine,
            consumers: (0..CONSUMERS + 2 * GROUPS).map(Consumer::new).collect(),
            tokens: Vec::new(),
            checker: Checker::new(scene.settings()),
            commits: 0,
            scene,
        };
        world.tell_time();
        world
    }

    fn wall(&self) -> u64 {
        (BEGIN_WALL + self.mono - BEGIN_MONO).saturating_add_signed(self.wrong_ms)
    }

    fn now(&self) -> Now {
        Now { mono: Monotonic(self.mono), unix: UnixMillis(self.wall()) }
    }

    /// The intake reads the wall clock.
    fn tell_time(&self) {
        clock::set_wall(self.wall());
    }

    fn line(&mut self, line: std::fmt::Arguments<'_>) {
        let mono = self.mono - BEGIN_MONO;
        self.trace.line(format_args!("{mono:>9} {line}"));
    }

    /// One operation happens.
    pub fn step(&mut self, op: &Op) -> Kept {
        self.trace.line(format_args!("--- {op}"));
        match *op {
            Op::Pass { ms } => self.pass(ms),
            Op::Stall { ms } => self.stall(ms),
            Op::SetClock { by_ms } => {
                self.wrong_ms = (self.wrong_ms + by_ms).clamp(-MAX_WRONG_MS, MAX_WRONG_MS);
                self.tell_time();
                Ok(())
            }
            Op::Quiet { hours } => self.pass(hours * 3_600_000),
            Op::Rest {} => self.rest(),
            Op::Start {} => self.start(),
            Op::Kill { gateway, commit } => self.kill(gateway, commit),
            Op::Stop { gateway, grace_ms } => self.stop(gateway, grace_ms),
            Op::Turn { gateway } => match self.gateway(gateway) {
                Some(at) => self.turn(at),
                None => Ok(()),
            },
            Op::Commit { gateway, fate } => match self.gateway(gateway) {
                Some(at) => self.commit(at, fate),
                None => Ok(()),
            },
            Op::Disk { state } => {
                self.disk = state;
                Ok(())
            }
            Op::Write { chat, kind, count } => {
                self.write(chat, kind, count);
                Ok(())
            }
            Op::Garble { how } => {
                self.garble(how);
                Ok(())
            }
            Op::Mode { webhook } => {
                self.telegram.set_mode(webhook);
                Ok(())
            }
            Op::Network { packet, fate } => self.disturb(packet, fate),
            _ => self.people_do(op),
        }
    }

    /// One of the gateways, if there is any.
    fn gateway(&self, which: u64) -> Option<usize> {
        let count = self.gateways.len() as u64;
        (count > 0).then(|| (which % count) as usize)
    }
}
