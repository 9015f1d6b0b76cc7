//! What a driver says at its end, so that nothing it leaves behind goes unreported.

use super::core::Core;
use crate::journal::JournalReader;
use crate::model::{GroupId, HeldState, Now, Sequence};

/// Sequences that are named; beyond that they are only counted.
const NAMED: usize = 20;

impl<R: JournalReader> Core<R> {
    /// For each group: what its handlers still have, and what waits for them.
    pub(super) fn say_what_is_left(&self, now: Now) {
        for (group, _) in self.groups.durable() {
            let unsettled = self.dispatcher.stats(group).map_or(0, |stats| stats.lag);
            let bot = self.tally.bot();
            let name = self.groups.name(group).map_or("", |name| name.as_str());
            let out = self.out(now, group);
            if out.is_empty() {
                tracing::info!(
                    bot,
                    group = name,
                    unsettled,
                    "stopped; no handler has anything of this group"
                );
                continue;
            }
            let named: Vec<_> = out.iter().take(NAMED).map(|sequence| sequence.0.to_string()).collect();
            tracing::warn!(
                bot,
                group = name,
                unsettled,
                outstanding = out.len(),
                sequences = named.join(" "),
                "stopped while handlers have updates of this group: they come again after the next start, unless their \
                 handlers settle them before that"
            );
        }
    }

    /// What is delivered and neither settled nor given back.
    fn out(&self, now: Now, group: GroupId) -> Vec<Sequence> {
        let held = self.dispatcher.held(now, group, None, Sequence(0), usize::MAX);
        let out = |state| matches!(state, HeldState::Outstanding { .. } | HeldState::Settling);
        held.into_iter().filter(|held| out(held.state)).map(|held| held.sequence).collect()
    }
}
