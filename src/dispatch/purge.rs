//! Purge: updates of which nothing is left, in any group.

use std::collections::HashSet;

use super::command::Command;
use super::dispatcher::Dispatcher;
use super::group::Group;
use crate::model::{Head, Now, Sequence};

impl Dispatcher {
    /// Stored updates have been purged, durably: every group is done with them, whatever it was about to do.
    pub fn handle_purged(&mut self, now: Now, heads: &[Head]) {
        let purged: HashSet<Sequence> = heads.iter().map(|head| head.sequence).collect();
        for (&id, group) in &mut self.groups {
            self.touched.insert(id);
            // What was decided and not yet taken away is not to be kept anywhere.
            group.commands.retain(|command| match command {
                Command::Record(record) => !purged.contains(&record.sequence),
                _ => true,
            });
            group.tell_leases_lost(heads.iter().map(|head| head.sequence).collect());
            for head in heads {
                group.purge(now, head);
            }
        }
    }
}

impl Group {
    fn purge(&mut self, now: Now, head: &Head) {
        let sequence = head.sequence;
        let hash = self.record.ordering.key_of(head);
        let concerns = self.concerns(head);
        self.recovered.remove(&sequence);
        self.expiring.remove(&sequence);
        let replayed = self.end_replay(hash, sequence);
        if !concerns && !replayed {
            return;
        }
        if concerns {
            self.mark_settled(sequence);
        } else {
            self.settled.insert(sequence);
        }
        self.discharge(now, sequence);
        if self.outstanding.remove(sequence).is_some() {
            self.free_key(hash, sequence);
        } else {
            self.unqueue(hash, sequence);
        }
        self.list(hash);
        self.keys.close_if_gone(hash);
        self.pump_owner(hash);
    }
}
