//! What of an update's state is to be made durable, and what is told with it for the update's timeline.

use std::sync::Arc;

use super::command::{Change, Command, Ended, Record, Since};
use super::group::Group;
use super::outstanding::{Phase, Undo};
use crate::model::{AttemptOutcome, DeadLetter, EndedAttempt, Event, Now, Sequence, SettledAs};

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
    pub(super) fn emit_record(&mut self, sequence: Sequence, change: Change, event: Option<Box<Event>>) {
        let since = match change {
            Change::Ended { .. } => None,
            Change::Settled { .. } => self.since(sequence),
        };
        self.commands.push_back(Command::Record(Record {
            group: self.record.id,
            base_generation: self.record.base_generation,
            sequence,
            change,
            event,
            since,
        }));
    }

    fn since(&self, sequence: Sequence) -> Option<Since> {
        let held = self.outstanding.held.get(&sequence)?;
        let (_, received) = held.born?;
        let known = held.boot == self.identity.boot && !self.is_again(sequence);
        known.then_some(Since { received, first_delivered: held.first_delivered })
    }

    /// Accepts that the group will be done with a held update, as soon as that is durable. `outcome` and `reason` are
    /// those of its newest delivery.
    pub(super) fn begin_settling(
        &mut self,
        now: Now,
        sequence: Sequence,
        how: SettledAs,
        (outcome, reason): (AttemptOutcome, &str),
        undo: Undo,
    ) {
        let Some(held) = self.outstanding.held.get_mut(&sequence) else { return };
        let dead = match how {
            SettledAs::Rejected | SettledAs::DeadLettered => {
                Some(Box::new(DeadLetter { time: now.unix, settled: how, attempts: held.record().clone() }))
            }
            SettledAs::Acked | SettledAs::Expired | SettledAs::Purged => None,
        };
        self.outstanding.enter(sequence, Phase::Settling { how, undo });
        let event = self.ended_event(now, sequence, outcome, reason, Some(how));
        self.emit_record(sequence, Change::Settled { how, dead }, Some(event));
    }

    /// Ends a held update's delivery; it backs off once that is durable. The held record must be up to date.
    pub(super) fn begin_ending(
        &mut self,
        now: Now,
        sequence: Sequence,
        how: Ended,
        reason: &str,
        wait_ms: u64,
        undo: Undo,
    ) {
        let event = self.ended_event(now, sequence, how.into(), reason, None);
        self.record_ending(now, sequence, how, Some(event), wait_ms, undo);
    }

    /// As [`begin_ending`](Self::begin_ending), with what is told of it, if it was not told before.
    pub(super) fn record_ending(
        &mut self,
        now: Now,
        sequence: Sequence,
        how: Ended,
        event: Option<Box<Event>>,
        wait_ms: u64,
        undo: Undo,
    ) {
        let Some(held) = self.outstanding.held.get_mut(&sequence) else { return };
        let state = held.record();
        state.not_before = now.unix.plus(wait_ms);
        let state = Box::new(state.clone());
        self.outstanding.enter(sequence, Phase::Ending { until: now.mono.plus(wait_ms), undo });
        self.emit_record(sequence, Change::Ended { how, state }, event);
    }

    /// The newest delivery of a held update has ended, and maybe the group is done with the update by that.
    fn ended_event(
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
