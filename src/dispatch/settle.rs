//! Settlements: what a token still is good for, and what it does.

use super::command::{Change, Ended, Record};
use super::failures::{add_failure, backoff_ms, is_poison};
use super::group::Group;
use super::keys::Queued;
use super::outstanding::{Held, Phase, Undo};
use crate::model::{
    AttemptOutcome, FailureKind, FailureRecord, KeyHash, MIN_LEASE_MS, Now, Outcome, Sequence, SettledAs,
    SettledResult, Settlement, Token,
};

/// The longest wait that a nack can ask for.
pub(super) const MAX_NACK_DELAY_MS: u64 = 3_600_000;

/// What a token names now.
pub(super) enum Located {
    /// The newest delivery of its update, leased.
    Live,
    /// The newest delivery of its update; it has ended, and the update was not handed out again.
    Lapsed,
    /// Something that can no longer be settled by it.
    Gone(SettledResult),
}

impl Group {
    /// Finds out what a token of this journal and group names. A delivery of the boot before this one that was not
    /// handed out again is taken over.
    ///
    /// That is known only of a delivery whose end was not recorded: once it was, the update may have been handed out
    /// again without a trace. And only of that one boot, since one in between may have done so, too.
    pub(super) fn locate(&mut self, now: Now, token: &Token) -> Located {
        let sequence = token.sequence;
        let generation = self.generation_of(sequence);
        if token.generation < generation {
            return Located::Gone(SettledResult::Superseded);
        }
        // With a newer generation it is of a replay that is over.
        let is_done = token.generation > generation || self.settled.contains(sequence);
        if is_done && !self.replays.contains(sequence) || self.expiring.contains_key(&sequence) {
            return Located::Gone(SettledResult::AlreadySettled);
        }
        if token.generation > generation {
            return Located::Gone(SettledResult::Superseded);
        }
        if sequence > self.backlog.tail || token.boot > self.identity.boot {
            return Located::Gone(SettledResult::Unknown);
        }
        if let Some(held) = self.outstanding.held.get_mut(&sequence) {
            let previous_boot = token.boot + 1 == self.identity.boot;
            if held.boot == 0 && previous_boot && token.attempt > held.attempt {
                held.boot = token.boot;
                held.attempt = token.attempt;
            }
            if (held.boot, held.attempt) != (token.boot, token.attempt) {
                return Located::Gone(SettledResult::Superseded);
            }
            return match held.phase {
                Phase::Outstanding { .. } => Located::Live,
                Phase::Settling { .. } => Located::Gone(SettledResult::AlreadySettled),
                Phase::Ending { .. } | Phase::Backoff { .. } | Phase::Waiting => Located::Lapsed,
            };
        }
        if token.boot == self.identity.boot {
            return Located::Gone(SettledResult::Unknown);
        }
        if token.boot + 1 == self.identity.boot && self.adopt(now, token) {
            return Located::Lapsed;
        }
        Located::Gone(SettledResult::Superseded)
    }

    /// Takes over a delivery of the boot before this one, of which nothing was recorded since.
    fn adopt(&mut self, now: Now, token: &Token) -> bool {
        let recorded = self.recovered.get(&token.sequence).map_or(0, |state| state.attempt);
        if token.attempt <= recorded {
            return false;
        }
        if self.replays.contains(token.sequence) {
            return self.adopt_replay(now, token);
        }
        let key = self.keys.open(token.key);
        if key.held.is_some() || key.queue.front().is_some_and(|front| front.sequence < token.sequence) {
            // An earlier update of the key is unsettled: this one cannot have been handed out.
            self.keys.close_if_gone(token.key);
            return false;
        }
        let is_read = key.queue.front().is_some_and(|front| front.sequence == token.sequence);
        let read = if is_read { key.queue.pop_front() } else { None };
        if read.is_none() {
            // Its size will be known when it is read.
            self.open.insert(token.sequence);
        }
        let (size, born) =
            read.map_or((0, None), |read: Queued| (read.size, Some((read.kind, read.received))));
        self.keys.open(token.key).held = Some(token.sequence);
        self.keys.count(token.key);
        let state = self.recovered.remove(&token.sequence);
        let first_delivered = state.as_ref().map_or(now.unix, |state| state.first_delivered);
        let held = Held {
            born,
            first_delivered,
            state: state.map(Box::new),
            ..Held::new(token.key, size, token.boot, token.attempt, now)
        };
        self.outstanding.insert(token.sequence, held);
        self.list(token.key);
        true
    }

    /// Carries out a settlement, as far as that can be done before it is durable.
    pub(super) fn settle(&mut self, now: Now, token: &Token, settlement: &Settlement) -> SettledResult {
        match self.locate(now, token) {
            Located::Gone(result) => result,
            Located::Live => {
                self.note_sign_of_life(token.sequence);
                self.settle_live(now, token.sequence, settlement)
            }
            Located::Lapsed => {
                self.note_sign_of_life(token.sequence);
                self.settle_lapsed(now, token.sequence, settlement)
            }
        }
    }

    fn settle_live(&mut self, now: Now, sequence: Sequence, settlement: &Settlement) -> SettledResult {
        let max_lease_ms = self.record.settings.max_lease_ms;
        let Some(held) = self.outstanding.held.get_mut(&sequence) else { return SettledResult::Unknown };
        let Phase::Outstanding { deadline } = held.phase else { return SettledResult::Unknown };
        let mut lease_end = None;
        match settlement {
            Settlement::Ack => {
                let undo = Undo::Lease { deadline, state: held.state.clone() };
                self.begin_settling(now, sequence, SettledAs::Acked, (AttemptOutcome::Acked, ""), undo);
            }
            Settlement::Reject { reason } => {
                let undo = Undo::Lease { deadline, state: held.state.clone() };
                self.fail(now, sequence, FailureKind::Rejected, reason);
                let end = (AttemptOutcome::Rejected, &**reason);
                self.begin_settling(now, sequence, SettledAs::Rejected, end, undo);
            }
            Settlement::Nack { outcome: Outcome::Released, delay_ms, reason } => {
                let undo = Undo::Lease { deadline, state: held.state.clone() };
                held.nacked = true;
                let wait = delay_ms.unwrap_or(0).min(MAX_NACK_DELAY_MS);
                self.begin_ending(now, sequence, Ended::Released, reason, wait, undo);
            }
            Settlement::Nack { outcome: Outcome::Failed, delay_ms, reason } => {
                let undo = Undo::Lease { deadline, state: held.state.clone() };
                held.nacked = true;
                self.fail(now, sequence, FailureKind::Nacked, reason);
                self.back_off_or_bury(now, sequence, Ended::Nacked, reason, *delay_ms, undo);
            }
            Settlement::Extend { duration_ms } => {
                // A refused settlement may have prolonged it beyond.
                let latest = held.delivered.plus(max_lease_ms.max(held.lease_ms)).max(deadline);
                let deadline = now.mono.plus(duration_ms.unwrap_or(held.lease_ms)).min(latest);
                self.outstanding.enter(sequence, Phase::Outstanding { deadline });
                lease_end = Some((deadline, now.unix.plus(deadline.since(now.mono))));
            }
        }
        SettledResult::Applied { deadline: lease_end }
    }

    fn settle_lapsed(&mut self, now: Now, sequence: Sequence, settlement: &Settlement) -> SettledResult {
        let max_lease_ms = self.record.settings.max_lease_ms;
        let Some(held) = self.outstanding.held.get_mut(&sequence) else { return SettledResult::Unknown };
        let mut lease_end = None;
        match settlement {
            Settlement::Ack => {
                let undo = held.lapsed(now);
                self.begin_settling(now, sequence, SettledAs::Acked, (AttemptOutcome::Acked, ""), undo);
            }
            Settlement::Reject { reason } => {
                let undo = held.lapsed(now);
                self.fail(now, sequence, FailureKind::Rejected, reason);
                let end = (AttemptOutcome::Rejected, &**reason);
                self.begin_settling(now, sequence, SettledAs::Rejected, end, undo);
            }
            Settlement::Nack { .. } if held.nacked => return SettledResult::AlreadySettled,
            Settlement::Nack { outcome, delay_ms, reason } => {
                held.nacked = true;
                self.nack_lapsed(now, sequence, *outcome, *delay_ms, reason);
            }
            Settlement::Extend { duration_ms } => {
                let longest = max_lease_ms.max(held.lease_ms).max(MIN_LEASE_MS);
                let lease_ms = duration_ms.unwrap_or(held.lease_ms).clamp(MIN_LEASE_MS, longest);
                let member = held.member;
                self.lease(now, sequence, member, lease_ms);
                let deadline = now.mono.plus(lease_ms);
                lease_end = Some((deadline, now.unix.plus(lease_ms)));
            }
        }
        SettledResult::AppliedLate { deadline: lease_end }
    }

    /// A late nack: what it says is taken, but an attempt fails only once.
    fn nack_lapsed(
        &mut self,
        now: Now,
        sequence: Sequence,
        outcome: Outcome,
        delay_ms: Option<u64>,
        reason: &str,
    ) {
        let Some(held) = self.outstanding.held.get_mut(&sequence) else { return };
        let rest_ms = held.backs_off_until(now).since(now.mono);
        let attempt = held.attempt;
        let last = held.state.as_mut().and_then(|state| state.history.last_mut());
        let (how, wait) = match (last.filter(|last| last.attempt == attempt), outcome) {
            (Some(failure), _) => {
                if !reason.is_empty() {
                    failure.reason = reason.into();
                }
                (Ended::Nacked, delay_ms.unwrap_or(rest_ms))
            }
            (None, Outcome::Released) => (Ended::Released, delay_ms.unwrap_or(rest_ms)),
            (None, Outcome::Failed) => {
                // It was lost together with others, or with the gateway: this is the first word about it.
                self.fail(now, sequence, FailureKind::Nacked, reason);
                self.back_off_or_bury(now, sequence, Ended::Nacked, reason, delay_ms, Undo::Again);
                return;
            }
        };
        self.begin_ending(now, sequence, how, reason, wait.min(MAX_NACK_DELAY_MS), Undo::Again);
    }

    /// Adds a failure to a held update's record.
    pub(super) fn fail(&mut self, now: Now, sequence: Sequence, kind: FailureKind, reason: &str) {
        let Some(held) = self.outstanding.held.get_mut(&sequence) else { return };
        let consumer = Box::from(&*held.consumer);
        let failure =
            FailureRecord { kind, reason: reason.into(), time: now.unix, attempt: held.attempt, consumer };
        add_failure(held.record(), failure);
    }

    /// After a failure: the update waits, or it goes to the dead letters.
    pub(super) fn back_off_or_bury(
        &mut self,
        now: Now,
        sequence: Sequence,
        how: Ended,
        reason: &str,
        delay_ms: Option<u64>,
        undo: Undo,
    ) {
        let Some(held) = self.outstanding.held.get_mut(&sequence) else { return };
        let settings = &self.record.settings;
        if is_poison(settings, held.record(), now.unix) {
            self.begin_settling(now, sequence, SettledAs::DeadLettered, (how.into(), reason), undo);
            return;
        }
        let wait = match delay_ms {
            Some(delay) => delay.min(MAX_NACK_DELAY_MS),
            None => backoff_ms(settings, held.failures(), &mut self.jitter),
        };
        self.begin_ending(now, sequence, how, reason, wait, undo);
    }

    fn note_sign_of_life(&mut self, sequence: Sequence) {
        let Some(held) = self.outstanding.held.get(&sequence) else { return };
        let Some(member) = self.members.get_mut(&held.member) else { return };
        if member.note_settlement() {
            self.to_pump.insert(held.member);
            self.rebalance();
        }
    }

    /// A record has become durable.
    pub(super) fn durable(&mut self, now: Now, record: &Record) {
        if record.base_generation != self.record.base_generation {
            // Decided before a seek.
            return;
        }
        let sequence = record.sequence;
        match &record.change {
            Change::Settled { .. } => {
                if self.replays.contains(sequence) {
                    // It is not among the lag, and may be none that matches.
                    self.settled.insert(sequence);
                } else {
                    self.mark_settled(sequence);
                }
                if let Some(hash) = self.expiring.remove(&sequence) {
                    self.expired(hash, sequence);
                    return;
                }
                self.discharge(now, sequence);
                let Some(held) = self.outstanding.remove(sequence) else { return };
                self.end_replay(held.key, sequence);
                self.free_key(held.key, sequence);
                self.list(held.key);
                self.keys.close_if_gone(held.key);
            }
            Change::Ended { state, .. } => {
                let Some(held) = self.outstanding.held.get(&sequence) else { return };
                let Phase::Ending { until, .. } = held.phase else { return };
                if held.state.as_ref() != Some(state) {
                    // The delivery was leased again after this, and that lease has ended too: its own record counts.
                    return;
                }
                let key = held.key;
                self.discharge(now, sequence);
                if until > now.mono {
                    self.outstanding.enter(sequence, Phase::Backoff { until });
                } else {
                    self.outstanding.enter(sequence, Phase::Waiting);
                    self.list(key);
                }
            }
        }
    }

    /// The update that held its key is settled.
    pub(super) fn free_key(&mut self, hash: KeyHash, sequence: Sequence) {
        if let Some(key) = self.keys.get_mut(hash) {
            key.held = None;
            key.replaying = false;
        }
        self.unload(hash, sequence);
    }

    /// A record could not be made durable.
    pub(super) fn refused(&mut self, now: Now, record: Record) {
        if record.base_generation != self.record.base_generation {
            return;
        }
        let sequence = record.sequence;
        if self.expiring.contains_key(&sequence) {
            self.emit_record(sequence, record.change, record.event);
            return;
        }
        let Some(held) = self.outstanding.held.get_mut(&sequence) else { return };
        let same = match (&held.phase, &record.change) {
            (Phase::Settling { how, .. }, Change::Settled { how: recorded, .. }) => how == recorded,
            (Phase::Ending { .. }, Change::Ended { state, .. }) => held.state.as_ref() == Some(state),
            _ => false,
        };
        if !same {
            held.untold = record.event;
            return;
        }
        match held.take_undo() {
            Undo::Lease { deadline, state } => {
                held.state = state;
                held.nacked = false;
                // It may have run out meanwhile; its handler shall have time to try again.
                let deadline = deadline.max(now.mono.plus(MIN_LEASE_MS));
                let id = held.member;
                self.outstanding.enter(sequence, Phase::Outstanding { deadline });
                if !self.members.contains_key(&id) {
                    // Its consumer was given up meanwhile, when this was not out.
                    self.lose(now, sequence, id);
                }
            }
            Undo::Lapsed { until, state } => {
                held.state = state;
                // The end of its delivery may not be durable yet.
                let event = held.untold.take();
                let rest_ms = until.since(now.mono);
                self.record_ending(now, sequence, Ended::Expired, event, rest_ms, Undo::Again);
            }
            Undo::Again => self.emit_record(sequence, record.change, record.event),
        }
    }
}
