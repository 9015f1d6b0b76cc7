//! What is told of an update for its timeline, with the record of what changed.

use std::sync::Arc;

use super::command::Ended;
use super::group::Group;
use crate::model::{AttemptOutcome, EndedAttempt, Event, Now, Sequence, SettledAs};

impl From<Ended> for AttemptOutcome {
    fn from(how: Ended) -> Self {
        match how {
            Ended::Nacked => Self::Nacked,
            Ended::Released => Self::Released,
            Ended::Expired => Self::Expired,
            Ended::Lost => Self::Lost,
        }
    }
}

impl Group {
    /// The newest delivery of a held update has ended, and maybe the group is done with the update by that.
    pub(super) fn ended_event(
        &self,
        now: Now,
        sequence: Sequence,
        outcome: AttemptOutcome,
        reason: &str,
        settled: Option<SettledAs>,
    ) -> Box<Event> {
        let attempt = self.outstanding.held.get(&sequence).map(|held| EndedAttempt {
            generation: self.generation_of(sequence),
            attempt: held.attempt,
            consumer: Arc::clone(&held.consumer),
            delivered: held.delivered_unix,
            replayed: self.is_again(sequence),
            outcome,
            reason: reason.into(),
        });
        Box::new(Event { time: now.unix, attempt, settled })
    }

    /// The group is done with an update by itself; no delivery of it was out.
    pub(super) fn settled_event(&self, now: Now, settled: SettledAs) -> Box<Event> {
        Box::new(Event { time: now.unix, attempt: None, settled: Some(settled) })
    }
}
