//! What single updates are at in a group.

use std::sync::Arc;

use super::dispatcher::Dispatcher;
use super::group::Group;
use crate::model::{GroupId, Head, HeldView, KeyHash, Now, Sequence, UpdateInGroup, UpdateStanding};

impl Dispatcher {
    /// What an update is at in a group, if there is such a group.
    #[must_use]
    pub fn standing(&self, now: Now, group: GroupId, head: &Head) -> Option<UpdateInGroup> {
        let state = self.groups.get(&group)?;
        let shard = state.record.ordering.key_of(head).shard();
        let owner = state.owners[usize::from(shard.number())].and_then(|id| state.members.get(&id));
        Some(UpdateInGroup {
            group: state.record.clone(),
            standing: state.standing(now, head),
            owner: owner.map(|member| Arc::clone(&member.consumer_id)),
        })
    }

    /// What a group has delivered and not settled, ascending from `after` on, at most `limit`; all of it or that of one
    /// ordering key. Takes time for all that is held.
    #[must_use]
    pub fn held(
        &self,
        now: Now,
        group: GroupId,
        key: Option<KeyHash>,
        after: Sequence,
        limit: usize,
    ) -> Vec<HeldView> {
        let Some(state) = self.groups.get(&group) else { return Vec::new() };
        let mut sequences: Vec<_> = match key {
            Some(key) => state.keys.get(key).and_then(|key| key.held).into_iter().collect(),
            None => state.outstanding.held.keys().copied().collect(),
        };
        sequences.retain(|sequence| *sequence > after);
        sequences.sort_unstable();
        sequences.truncate(limit);
        sequences.into_iter().filter_map(|sequence| state.held_view(now, sequence)).collect()
    }
}

impl Group {
    fn standing(&self, now: Now, head: &Head) -> UpdateStanding {
        let sequence = head.sequence;
        if let Some(view) = self.held_view(now, sequence) {
            return UpdateStanding::Held(view);
        }
        if !self.replays.contains(sequence) {
            if sequence < self.record.start {
                return UpdateStanding::BeforeStart;
            }
            if !self.record.matches(head) {
                return UpdateStanding::NotMatched;
            }
            if self.settled.contains(sequence) {
                return UpdateStanding::Settled;
            }
        }
        let key = self.keys.get(self.record.ordering.key_of(head));
        UpdateStanding::Pending { behind: key.and_then(|key| key.held) }
    }
}
