//! What became of one update in one group.

use std::sync::Arc;

use crate::model::{
    AttemptOutcome, DeadLetter, Event, FailureKind, GroupName, HeldState, HeldView, Sequence, SettledAs,
    UnixMillis, UpdateInGroup, UpdateStanding,
};

/// What became of one update in one group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Timeline {
    /// The group.
    pub group: GroupName,
    /// What it is at.
    pub state: UpdateState,
    /// Its deliveries, oldest first.
    pub attempts: Vec<Attempt>,
    /// When the group was done with it, if it is and that is known.
    pub settled: Option<UnixMillis>,
    /// If it waits after a delivery: until when.
    pub next_attempt: Option<UnixMillis>,
    /// If it waits for an earlier update of its key: for which.
    pub blocked_by: Option<Sequence>,
    /// The consumer who has its shard.
    pub owner: Option<Arc<str>>,
}

/// What an update is at in a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UpdateState {
    /// The group's filter does not match it.
    NotMatched,
    /// It came before the group's start.
    BeforeStart,
    /// It waits to be delivered.
    Pending,
    /// It waits for an earlier one of its key.
    Blocked,
    /// It is out.
    Outstanding,
    /// It waits after a delivery.
    BackingOff,
    /// The group is done with it: how, if that is known.
    Settled(Option<SettledAs>),
}

/// One delivery.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// Its number.
    pub number: u32,
    /// Who got it; empty if that is not known any more.
    pub consumer: Arc<str>,
    /// When it was made, if that is known.
    pub delivered: Option<UnixMillis>,
    /// When it ended, and how; `None` while it is out.
    pub end: Option<(UnixMillis, AttemptOutcome)>,
    /// The handler's words.
    pub reason: Box<str>,
    /// Whether a replay asked for it.
    pub replayed: bool,
    /// The end of its lease, while it is out.
    pub deadline: Option<UnixMillis>,
}

/// What became of an update in a group, by what it is at there, its trail, and its dead letter if it is one.
#[must_use]
pub fn timeline(here: &UpdateInGroup, events: &[Event], letter: Option<&DeadLetter>) -> Timeline {
    let mut attempts = ended(events);
    if attempts.is_empty()
        && let Some(letter) = letter
    {
        attempts = remembered(letter);
    }
    let settlement = settlement(events, letter);
    let mut timeline = Timeline {
        group: here.group.name.clone(),
        state: UpdateState::Settled(None),
        attempts,
        settled: None,
        next_attempt: None,
        blocked_by: None,
        owner: here.owner.clone(),
    };
    match &here.standing {
        UpdateStanding::Held(held) => timeline.hold(held),
        UpdateStanding::Pending { behind: None } => timeline.state = UpdateState::Pending,
        UpdateStanding::Pending { behind } => {
            timeline.state = UpdateState::Blocked;
            timeline.blocked_by = *behind;
        }
        // A replay hands over what is none of the group's business, too: then it has a trail.
        standing => match (settlement, standing) {
            (Some((time, how)), _) => {
                timeline.settled = Some(time);
                timeline.state = UpdateState::Settled(Some(how));
            }
            (None, UpdateStanding::BeforeStart) => timeline.state = UpdateState::BeforeStart,
            (None, UpdateStanding::NotMatched) => timeline.state = UpdateState::NotMatched,
            (None, _) => {}
        },
    }
    timeline
}

impl Timeline {
    fn hold(&mut self, held: &HeldView) {
        let deadline = match held.state {
            HeldState::Outstanding { deadline } => Some(deadline),
            HeldState::Settling => None,
            HeldState::BackingOff { until } => {
                self.state = UpdateState::BackingOff;
                self.next_attempt = Some(until);
                return;
            }
            HeldState::Waiting => {
                self.state = UpdateState::Pending;
                return;
            }
        };
        self.state = UpdateState::Outstanding;
        self.attempts.push(Attempt {
            number: held.attempt,
            consumer: Arc::clone(&held.consumer),
            delivered: Some(held.delivered),
            end: None,
            reason: "".into(),
            replayed: held.replayed,
            deadline,
        });
    }
}

/// How and when the group was done with it last.
fn settlement(events: &[Event], letter: Option<&DeadLetter>) -> Option<(UnixMillis, SettledAs)> {
    let last = events.iter().rev().find_map(|event| Some((event.time, event.settled?)));
    last.or(letter.map(|letter| (letter.time, letter.settled)))
}

/// The deliveries of a trail. One that expired and was settled late ended as it was settled.
fn ended(events: &[Event]) -> Vec<Attempt> {
    let mut attempts: Vec<(u32, Attempt)> = Vec::new();
    for event in events {
        let Some(ended) = &event.attempt else { continue };
        let attempt = Attempt {
            number: ended.attempt,
            consumer: Arc::clone(&ended.consumer),
            delivered: Some(ended.delivered).filter(|time| time.0 > 0),
            end: Some((event.time, ended.outcome)),
            reason: ended.reason.clone(),
            replayed: ended.replayed,
            deadline: None,
        };
        let same = attempts
            .iter_mut()
            .find(|(generation, earlier)| (*generation, earlier.number) == (ended.generation, ended.attempt));
        match same {
            Some((_, earlier)) => {
                let delivered = earlier.delivered.or(attempt.delivered);
                *earlier = Attempt { delivered, ..attempt };
            }
            None => attempts.push((ended.generation, attempt)),
        }
    }
    attempts.into_iter().map(|(_, attempt)| attempt).collect()
}

/// The failures that a dead letter keeps when the trail is gone.
fn remembered(letter: &DeadLetter) -> Vec<Attempt> {
    let attempt = |failed: &crate::model::FailureRecord| Attempt {
        number: failed.attempt,
        consumer: (*failed.consumer).into(),
        delivered: None,
        end: Some((
            failed.time,
            match failed.kind {
                FailureKind::Nacked => AttemptOutcome::Nacked,
                FailureKind::Expired => AttemptOutcome::Expired,
                FailureKind::Lost => AttemptOutcome::Lost,
                FailureKind::Rejected => AttemptOutcome::Rejected,
            },
        )),
        reason: failed.reason.clone(),
        replayed: false,
        deadline: None,
    };
    letter.attempts.history.iter().map(attempt).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{EndedAttempt, GroupId, GroupRecord, GroupSettings};

    fn here(standing: UpdateStanding) -> UpdateInGroup {
        let name = GroupName::parse("orders").unwrap();
        let group = GroupRecord::new(GroupId(1), name, Sequence(1), GroupSettings::default(), UnixMillis(0));
        UpdateInGroup { group, standing, owner: None }
    }

    fn event(time: u64, attempt: u32, outcome: AttemptOutcome, settled: Option<SettledAs>) -> Event {
        let attempt = EndedAttempt {
            generation: 1,
            attempt,
            consumer: "pod-1".into(),
            delivered: UnixMillis(time - 1),
            replayed: false,
            outcome,
            reason: "".into(),
        };
        Event { time: UnixMillis(time), attempt: Some(attempt), settled }
    }

    #[test]
    fn a_settled_update_ended_as_its_last_settlement_says() {
        let events = [
            event(10, 1, AttemptOutcome::Nacked, None),
            event(20, 2, AttemptOutcome::Acked, Some(SettledAs::Acked)),
        ];
        let settled = timeline(&here(UpdateStanding::Settled), &events, None);
        assert_eq!(settled.state, UpdateState::Settled(Some(SettledAs::Acked)));
        assert_eq!((settled.settled, settled.attempts.len()), (Some(UnixMillis(20)), 2));
        let replayed = timeline(&here(UpdateStanding::NotMatched), &events, None);
        assert_eq!(replayed.state, UpdateState::Settled(Some(SettledAs::Acked)));
        let again = timeline(&here(UpdateStanding::Pending { behind: Some(Sequence(3)) }), &events, None);
        assert_eq!((again.state, again.settled), (UpdateState::Blocked, None));
        assert_eq!(again.blocked_by, Some(Sequence(3)));
        let unknown = timeline(&here(UpdateStanding::Settled), &[], None);
        assert_eq!(unknown.state, UpdateState::Settled(None));
        assert_eq!(timeline(&here(UpdateStanding::NotMatched), &[], None).state, UpdateState::NotMatched);
    }

    #[test]
    fn a_delivery_that_expired_and_was_acked_late_is_one_delivery() {
        let events = [
            event(10, 1, AttemptOutcome::Expired, None),
            event(12, 1, AttemptOutcome::Acked, Some(SettledAs::Acked)),
        ];
        let late = timeline(&here(UpdateStanding::Settled), &events, None);
        assert_eq!(late.attempts.len(), 1);
        assert_eq!(late.attempts[0].end, Some((UnixMillis(12), AttemptOutcome::Acked)));
        assert_eq!(late.attempts[0].delivered, Some(UnixMillis(9)));
    }
}
