//! P4: once an ack was answered APPLIED, the update never comes back to that group, whatever crashes; only a replay or a
//! seek brings it.

use switchboard::model::{Delivery, GroupName, Token};

use super::{Checker, books};
use crate::violation::{Kept, demand};

impl Checker {
    /// An ack or a rejection was answered with success.
    pub fn p4_what_is_answered_is_durable(&mut self, gateway: u32, name: &GroupName, token: &Token) -> Kept {
        let at = token.sequence;
        demand!("P7", !self.live(gateway).deposed, "a deposed gateway has settled {at:?}");
        let Some(group) = self.books.group(name).and_then(|id| self.books.groups.get_mut(&id)) else {
            return Ok(());
        };
        // With the very commit that made it durable, a seek or a replay may have taken it back.
        let again = token.generation < group.generation(at) || token.group != group.record.id;
        demand!("P4", again || group.is_settled(at), "{name}: {at:?} was answered and is not durable");
        if !again && !group.replays.contains_key(&at) {
            group.acked.insert(at);
        }
        Ok(())
    }

    pub(super) fn p4_settled_stays_settled(&self, group: &books::Group, delivery: &Delivery) -> Kept {
        let at = delivery.sequence();
        demand!("P4", !group.acked.contains(&at), "{at:?} comes back to {} after its ack", group.record.name);
        let settled = group.is_settled(at) && !group.replays.contains_key(&at);
        demand!("P2", !settled, "{at:?} is settled and delivered to {}", group.record.name);
        Ok(())
    }
}
