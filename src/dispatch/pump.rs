//! Handing updates out.

use super::command::{Command, Handout};
use super::failures::LOSSES_BEFORE_ALONE;
use super::group::Group;
use super::keys::Queued;
use super::members::{MemberId, Presence};
use super::outstanding::{Held, Phase};
use super::settle::MAX_NACK_DELAY_MS;
use crate::model::{KeyHash, Now, Sequence, UnixMillis};
use crate::update::KindCode;

/// While so many updates of a group back off, no key that is not held yet is opened: an outage of what is behind the
/// handlers shall not fail the whole backlog, nor hold the reasons of all its failures in memory.
pub(super) const MAX_BACKING_OFF: usize = 4096;

/// The next update of a key.
pub(super) struct Next {
    pub(super) sequence: Sequence,
    pub(super) size: u32,
    /// See [`Held::born`].
    pub(super) born: Option<(KindCode, UnixMillis)>,
    /// Whether it does not hold its key yet.
    pub(super) fresh: bool,
    /// Whether nothing else may be out beside it.
    pub(super) alone: bool,
}

impl Group {
    /// Hands out all that members have credit for: one command for each. A paused group hands out nothing; who could
    /// get something stays noted.
    pub(super) fn pump(&mut self, now: Now) {
        if self.record.paused.is_some() {
            return;
        }
        while let Some(id) = self.to_pump.pop_first() {
            let handouts = self.pump_member(now, id);
            self.to_pump.remove(&id);
            let stream = self.members.get(&id).and_then(super::members::Member::stream);
            if let Some(stream) = stream
                && !handouts.is_empty()
            {
                self.commands.push_back(Command::Deliver { stream, handouts });
            }
        }
    }

    fn pump_member(&mut self, now: Now, id: MemberId) -> Vec<Handout> {
        let mut handouts = Vec::new();
        while let Some(member) = self.members.get_mut(&id) {
            if !matches!(member.presence, Presence::Open(_)) {
                break;
            }
            let Some(shard) = member.ready.pop_front() else { break };
            let state = self.keys.shard_mut(shard);
            state.listed = false;
            let Some(hash) = state.ready.pop_front() else { continue };
            match self.next_of(hash) {
                None => {
                    self.unlist(hash);
                    self.keys.close_if_gone(hash);
                }
                Some(next) if !next.fresh && self.backs_off_still(now, &next) => self.unlist(hash),
                Some(next) if self.expire_next(now, hash, &next) => {
                    self.unlist(hash);
                    // Behind it may be a replay, which never waits for those that expire.
                    self.list(hash);
                }
                Some(next) if next.fresh && self.outstanding.backing_off >= MAX_BACKING_OFF => {
                    // Stays listed, so that it is parked once.
                    self.parked.push_back(hash);
                }
                Some(next) => {
                    let Some(member) = self.members.get_mut(&id) else { break };
                    if !member.has_credit_for(next.size) || next.alone && member.charged > 0 {
                        member.ready.push_front(shard);
                        let state = self.keys.shard_mut(shard);
                        state.ready.push_front(hash);
                        state.listed = true;
                        break;
                    }
                    self.unlist(hash);
                    handouts.extend(self.hand_out(now, id, hash, &next));
                }
            }
            self.list_shard(shard);
        }
        handouts
    }

    /// Whether the update was recovered from the journal while it backs off: then it goes on doing so.
    fn backs_off_still(&mut self, now: Now, next: &Next) -> bool {
        let Some(held) = self.outstanding.held.get(&next.sequence).filter(|held| held.boot == 0) else {
            return false;
        };
        let rest_ms = held.state.as_ref().map_or(0, |state| state.not_before.since(now.unix));
        if rest_ms > 0 {
            // A wall clock that was set back shall not make it wait for longer than anything may.
            let until = now.mono.plus(rest_ms.min(MAX_NACK_DELAY_MS));
            self.outstanding.enter(next.sequence, Phase::Backoff { until });
        }
        rest_ms > 0
    }

    fn unlist(&mut self, hash: KeyHash) {
        if let Some(key) = self.keys.get_mut(hash) {
            key.listed = false;
        }
    }

    /// Lists parked keys again, as many as may fail: the others would only be parked again.
    pub(super) fn unpark(&mut self) {
        let mut room = MAX_BACKING_OFF.saturating_sub(self.outstanding.backing_off);
        while room > 0 {
            let Some(hash) = self.parked.pop_front() else { break };
            self.unlist(hash);
            self.list(hash);
            self.keys.close_if_gone(hash);
            room -= usize::from(self.keys.get(hash).is_some_and(|key| key.listed));
        }
    }

    pub(super) fn next_of(&self, hash: KeyHash) -> Option<Next> {
        let key = self.keys.get(hash)?;
        let Some(sequence) = key.held else {
            if key.replays > 0 {
                let (sequence, size) = self.replays.first_of(hash)?;
                return Some(Next { sequence, size, born: None, fresh: true, alone: false });
            }
            let &Queued { sequence, received, size, kind } = key.queue.front()?;
            if self.expiring.contains_key(&sequence) {
                return None;
            }
            let born = Some((kind, received));
            return Some(Next { sequence, size, born, fresh: true, alone: false });
        };
        let held = self.outstanding.held.get(&sequence)?;
        let alone = held.losses() >= LOSSES_BEFORE_ALONE;
        matches!(held.phase, Phase::Waiting).then_some(Next {
            sequence,
            size: held.size,
            born: held.born,
            fresh: false,
            alone,
        })
    }

    fn hand_out(&mut self, now: Now, id: MemberId, hash: KeyHash, next: &Next) -> Option<Handout> {
        let sequence = next.sequence;
        if next.fresh {
            let replaying = self.take_waiting(hash, sequence).is_some();
            let key = self.keys.get_mut(hash)?;
            if !replaying {
                key.queue.pop_front();
            }
            key.held = Some(sequence);
            key.replaying = replaying;
            let new = Held::new(hash, next.size, self.identity.boot, 1, now);
            let held = Held { born: next.born, delivered_unix: now.unix, ..new };
            self.outstanding.insert(sequence, held);
        } else {
            let held = self.outstanding.held.get_mut(&sequence)?;
            held.attempt += 1;
            held.boot = self.identity.boot;
            held.delivered_unix = now.unix;
            held.nacked = false;
        }
        let member = self.members.get_mut(&id)?;
        let lease_ms = member.settings.lease_ms;
        if next.alone {
            member.alone = Some(sequence);
        }
        self.lease(now, sequence, id, lease_ms);
        let held = self.outstanding.held.get(&sequence)?;
        let replayed = self.is_again(sequence);
        let received = held.born.filter(|_| !replayed).map(|(_, received)| received);
        Some(Handout {
            token: self.token(sequence, held),
            key: hash,
            failures: held.failures(),
            lease_ms,
            deadline: now.mono.plus(lease_ms),
            deadline_unix: now.unix.plus(lease_ms),
            first_delivered: held.first_delivered,
            received,
            last_failure: held.state.as_ref().and_then(|state| state.history.last().cloned()),
            replayed,
        })
    }
}
