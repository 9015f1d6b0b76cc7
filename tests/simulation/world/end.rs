//! The end: faults stop, two healthy handlers work for each group, and everything must be settled.

use switchboard::model::ConsumerSettings;

use super::World;
use crate::consumers::Asks;
use crate::generate::CONSUMERS;
use crate::op::{DiskState, LastCommit, Mood, Op};
use crate::scene::{GROUPS, group_name};
use crate::violation::{Kept, demand};

/// Steps of healthy time in which everything must be settled, each longer than the one before: an hour in all.
const STEPS: u64 = 60;
/// What a healthy handler asks for.
const HEALTHY: ConsumerSettings =
    ConsumerSettings { max_outstanding: 64, max_outstanding_bytes: 1 << 20, lease_ms: 30_000 };

impl World {
    /// Lets everything come to its good end, and looks whether it has.
    pub fn finish(&mut self) -> Kept {
        self.trace.line(format_args!("=== the end"));
        self.disk = DiskState::Fine;
        while self.gateways.len() > 1 {
            self.kill(0, LastCommit::Lost)?;
        }
        if self.gateways.iter().any(|gateway| gateway.stopping) {
            self.pass(30_000)?;
        }
        self.pass(1_000)?;
        for group in 0..GROUPS {
            if self.checker.books.group(&group_name(group)).is_some() {
                self.operate(&Op::Pause { group, on: false });
                self.pass(200)?;
            }
        }
        for at in 0..self.consumers.len() {
            self.people_do(&Op::Die { consumer: at as u64, forgets: true })?;
        }
        self.pass(500)?;
        for step in 0..STEPS {
            for group in 0..GROUPS {
                self.employ(group);
            }
            self.pass(1_000 + step * 2_000)?;
            if self.is_done() {
                break;
            }
        }
        self.rest()?;
        demand!("P2", !self.gateways.is_empty(), "there is no gateway at the end");
        let uid = self.gateways[0].uid;
        self.checker.p2_everything_is_settled(uid)?;
        let unconfirmed = self.unconfirmed();
        demand!("P6", unconfirmed == 0, "{unconfirmed} updates still wait at Telegram");
        self.checker.the_journal_holds_it(&self.gateways[0].driver.reader(), true)
    }

    /// Two healthy handlers for a group, if it exists.
    fn employ(&mut self, group: u64) {
        for at in [CONSUMERS + 2 * group, CONSUMERS + 2 * group + 1] {
            let exists = self.checker.books.group(&group_name(group)).is_some();
            let own = &mut self.consumers[at as usize];
            if !exists || own.asks.is_some() {
                continue;
            }
            own.mood = Mood::Good;
            own.asks = Some(Asks { group, settings: HEALTHY, holds: u64::MAX });
            own.rejoins = Some(self.mono);
        }
    }

    fn is_done(&self) -> bool {
        let uid = self.gateways.first().map(|gateway| gateway.uid);
        uid.is_some_and(|uid| self.checker.p2_everything_is_settled(uid).is_ok()) && self.unconfirmed() == 0
    }

    /// Updates that wait at Telegram. What has no id goes with the next one that has.
    fn unconfirmed(&self) -> usize {
        self.telegram.pending.iter().filter(|event| event.sent.is_some()).count()
    }
}
