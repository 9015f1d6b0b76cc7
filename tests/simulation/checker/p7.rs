//! P7: of one journal there is one writer. What a deposed one commits never becomes durable.

use switchboard::model::Now;

use super::Checker;
use super::live::Live;
use crate::violation::{Kept, demand};

impl Checker {
    /// A gateway has opened the journal.
    pub fn started(&mut self, gateway: u32, boot: u32, clock: Now) -> Kept {
        demand!("P7", boot > self.books.boot, "boot {boot} comes after {}", self.books.boot);
        self.books.boot = boot;
        for live in self.gateways.values_mut() {
            live.deposed = true;
        }
        let mut live = Live::new(boot, clock);
        for (id, group) in &self.books.groups {
            live.out(*id).tallies.clone_from(&group.tallies);
        }
        self.gateways.insert(gateway, live);
        Ok(())
    }

    pub(super) fn p7_only_the_newest_writer_writes(&self, gateway: u32) -> Kept {
        let live = self.live(gateway);
        demand!("P7", !live.deposed, "boot {} has committed after boot {} began", live.boot, self.books.boot);
        Ok(())
    }
}
