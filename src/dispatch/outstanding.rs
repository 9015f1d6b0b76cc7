//! Updates that hold their key: delivered at least once, or taken over from an earlier boot, and not yet settled.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::hash::NumberMap;
use super::members::MemberId;
use crate::model::{AttemptRecord, Event, KeyHash, Monotonic, Now, Sequence, SettledAs, UnixMillis};
use crate::update::KindCode;

/// One update that holds its key.
#[derive(Debug)]
pub(super) struct Held {
    /// The key it holds.
    pub(super) key: KeyHash,
    /// Bytes of its JSON; 0 while it is only known from a token of an earlier boot.
    pub(super) size: u32,
    /// Its kind and when it was received; `None` if it does not expire by that: it is a replay, or not read yet.
    pub(super) born: Option<(KindCode, UnixMillis)>,
    /// Where it is in its life.
    pub(super) phase: Phase,
    /// The boot of its newest delivery; 0 if that is not known (only its record was recovered).
    pub(super) boot: u32,
    /// The number of its newest delivery; the last recorded one while `boot` is 0.
    pub(super) attempt: u32,
    /// Who got the newest delivery.
    pub(super) member: MemberId,
    /// That member's name, which outlives it; empty after a delivery of an earlier boot.
    pub(super) consumer: Arc<str>,
    /// Whether it counts against that member's credit.
    pub(super) charged: bool,
    /// When the newest delivery was made, or its lease taken over: leases extend only so far from here.
    pub(super) delivered: Monotonic,
    /// When the newest delivery was made; 0 if that was under an earlier boot.
    pub(super) delivered_unix: UnixMillis,
    /// The lease that the newest delivery was given.
    pub(super) lease_ms: u64,
    /// When it was first delivered.
    pub(super) first_delivered: UnixMillis,
    /// Whether the newest delivery was ended by its handler's own nack.
    pub(super) nacked: bool,
    /// Its ended attempts; none while its first delivery is out.
    pub(super) state: Option<Box<AttemptRecord>>,
    /// What happened to it according to a record that was refused and meant nothing any more: still to be told.
    pub(super) untold: Option<Box<Event>>,
}

/// Where a held update is in its life.
#[derive(Debug)]
pub(super) enum Phase {
    /// Leased until the deadline, which is among the timers.
    Outstanding { deadline: Monotonic },
    /// A settlement has been accepted and waits for its commit.
    Settling { how: SettledAs, undo: Undo },
    /// Its delivery has ended, which waits for its commit; then it backs off until the time.
    Ending { until: Monotonic, undo: Undo },
    /// Waits for the time, which is among the timers.
    Backoff { until: Monotonic },
    /// To be delivered as soon as its shard's owner can take it.
    Waiting,
}

/// What to do when the commit is refused.
#[derive(Debug)]
pub(super) enum Undo {
    /// The handler is told so: it is outstanding again, as it was.
    Lease { deadline: Monotonic, state: Option<Box<AttemptRecord>> },
    /// It was settled late: it waits again for the rest of its backoff, as it was.
    Lapsed { until: Monotonic, state: Option<Box<AttemptRecord>> },
    /// It was the gateway's own doing: it must be recorded all the same.
    Again,
}

impl Held {
    /// An update that waits to be leased for this delivery.
    pub(super) fn new(key: KeyHash, size: u32, boot: u32, attempt: u32, now: Now) -> Self {
        Self {
            key,
            size,
            born: None,
            phase: Phase::Waiting,
            boot,
            attempt,
            member: MemberId::default(),
            consumer: Arc::default(),
            charged: false,
            delivered: now.mono,
            delivered_unix: UnixMillis(0),
            lease_ms: 0,
            first_delivered: now.unix,
            nacked: false,
            state: None,
            untold: None,
        }
    }

    /// How to undo a late settlement of it.
    pub(super) fn lapsed(&self, now: Now) -> Undo {
        Undo::Lapsed { until: self.backs_off_until(now), state: self.state.clone() }
    }

    pub(super) fn backs_off_until(&self, now: Now) -> Monotonic {
        match self.phase {
            Phase::Ending { until, .. } | Phase::Backoff { until } => until,
            Phase::Outstanding { .. } | Phase::Settling { .. } | Phase::Waiting => now.mono,
        }
    }

    /// What to do now that its commit was refused; from then on it is recorded again and again.
    pub(super) fn take_undo(&mut self) -> Undo {
        match &mut self.phase {
            Phase::Settling { undo, .. } | Phase::Ending { undo, .. } => std::mem::replace(undo, Undo::Again),
            Phase::Outstanding { .. } | Phase::Backoff { .. } | Phase::Waiting => Undo::Again,
        }
    }

    pub(super) fn failures(&self) -> u32 {
        self.state.as_ref().map_or(0, |state| state.failures)
    }

    pub(super) fn losses(&self) -> u32 {
        self.state.as_ref().map_or(0, |state| state.losses)
    }

    /// Its record, brought up to its newest attempt.
    pub(super) fn record(&mut self) -> &mut AttemptRecord {
        let (attempt, first_delivered) = (self.attempt, self.first_delivered);
        let state = self.state.get_or_insert_with(|| {
            Box::new(AttemptRecord {
                attempt,
                failures: 0,
                losses: 0,
                first_delivered,
                first_failed: UnixMillis(0),
                not_before: UnixMillis(0),
                history: Vec::new(),
            })
        });
        state.attempt = attempt;
        state
    }
}

/// What a timer is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Timer {
    /// A lease or a backoff of this update.
    Update(Sequence),
    /// The grace of this lost member.
    Member(MemberId),
}

/// All held updates and all timers of a group.
#[derive(Debug, Default)]
pub(super) struct Outstanding {
    pub(super) held: NumberMap<Sequence, Held>,
    /// Exactly the deadlines of outstanding updates, the ends of backoffs, and the graces of lost members.
    pub(super) timers: BTreeSet<(Monotonic, Timer)>,
    /// How many are in [`Phase::Outstanding`] or [`Phase::Settling`].
    pub(super) leased: usize,
    /// How many are in [`Phase::Ending`] or [`Phase::Backoff`].
    pub(super) backing_off: usize,
}

impl Outstanding {
    /// Moves an update to a phase, keeping timers and counts right. Nothing happens if it is not held.
    pub(super) fn enter(&mut self, sequence: Sequence, phase: Phase) -> Option<Phase> {
        let held = self.held.get_mut(&sequence)?;
        let before = std::mem::replace(&mut held.phase, phase);
        if let Some(at) = before.timer() {
            self.timers.remove(&(at, Timer::Update(sequence)));
        }
        self.leased -= usize::from(before.is_leased());
        self.backing_off -= usize::from(before.is_backing_off());
        self.count_in(sequence);
        Some(before)
    }

    pub(super) fn insert(&mut self, sequence: Sequence, held: Held) {
        let before = self.held.insert(sequence, held);
        assert!(before.is_none(), "{sequence:?} is held twice");
        self.count_in(sequence);
    }

    pub(super) fn remove(&mut self, sequence: Sequence) -> Option<Held> {
        self.enter(sequence, Phase::Waiting)?;
        self.held.remove(&sequence)
    }

    fn count_in(&mut self, sequence: Sequence) {
        let Some(held) = self.held.get(&sequence) else { return };
        if let Some(at) = held.phase.timer() {
            self.timers.insert((at, Timer::Update(sequence)));
        }
        self.leased += usize::from(held.phase.is_leased());
        self.backing_off += usize::from(held.phase.is_backing_off());
    }

    pub(super) fn start_grace(&mut self, until: Monotonic, member: MemberId) {
        self.timers.insert((until, Timer::Member(member)));
    }

    pub(super) fn end_grace(&mut self, until: Monotonic, member: MemberId) {
        self.timers.remove(&(until, Timer::Member(member)));
    }

    pub(super) fn next_timer(&self) -> Option<Monotonic> {
        self.timers.first().map(|(at, _)| *at)
    }

    /// Takes the next timer that is due.
    pub(super) fn pop_due(&mut self, now: Monotonic) -> Option<Timer> {
        let &(at, timer) = self.timers.first()?;
        if at > now {
            return None;
        }
        self.timers.pop_first();
        Some(timer)
    }

    /// Moves every deadline, and the graces, by `ms`: the gateway itself stood still for so long.
    pub(super) fn shift_leases(&mut self, ms: u64) {
        for held in self.held.values_mut() {
            match &mut held.phase {
                Phase::Outstanding { deadline }
                | Phase::Settling { undo: Undo::Lease { deadline, .. }, .. }
                | Phase::Ending { undo: Undo::Lease { deadline, .. }, .. } => {
                    *deadline = deadline.plus(ms);
                    held.delivered = held.delivered.plus(ms);
                }
                Phase::Settling { .. } | Phase::Ending { .. } | Phase::Backoff { .. } | Phase::Waiting => {}
            }
        }
        let timers = std::mem::take(&mut self.timers);
        let held = &self.held;
        self.timers = timers
            .into_iter()
            .map(|(at, timer)| match timer {
                Timer::Update(sequence)
                    if held
                        .get(&sequence)
                        .is_some_and(|held| matches!(held.phase, Phase::Backoff { .. })) =>
                {
                    (at, timer)
                }
                _ => (at.plus(ms), timer),
            })
            .collect();
    }
}

impl Phase {
    fn timer(&self) -> Option<Monotonic> {
        match self {
            Self::Outstanding { deadline } => Some(*deadline),
            Self::Backoff { until } => Some(*until),
            Self::Settling { .. } | Self::Ending { .. } | Self::Waiting => None,
        }
    }

    fn is_leased(&self) -> bool {
        matches!(self, Self::Outstanding { .. } | Self::Settling { .. })
    }

    fn is_backing_off(&self) -> bool {
        matches!(self, Self::Ending { .. } | Self::Backoff { .. })
    }
}
