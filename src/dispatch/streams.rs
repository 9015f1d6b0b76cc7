//! Consumers that come, go, get lost, come back, or stay silent.

use std::collections::HashSet;
use std::sync::Arc;

use super::command::{Command, Ended, StreamId};
use super::failures::LOSSES_BEFORE_ALONE;
use super::group::Group;
use super::members::{Loss, Member, MemberId, Presence};
use super::outstanding::{Phase, Undo};
use super::settle::Located;
use crate::model::{ConsumerSettings, FailureKind, Now, SHARDS, Sequence, Shard, StreamEnd, Token};

impl Group {
    /// A consumer opens a stream. Returns those of the tokens it says to hold that are leased to it from now on;
    /// whatever else it had out is taken for lost with its old stream.
    pub(super) fn subscribe(
        &mut self,
        now: Now,
        stream: StreamId,
        consumer_id: &str,
        settings: ConsumerSettings,
        held_tokens: &[Token],
    ) -> Vec<Token> {
        let id = match self.by_consumer.get(consumer_id) {
            Some(&id) => {
                self.take_over(now, id, stream, settings);
                id
            }
            None => {
                let id = MemberId(self.next_member);
                self.next_member += 1;
                let name: Arc<str> = consumer_id.into();
                self.members.insert(id, Member::new(Arc::clone(&name), settings, stream, now.unix));
                self.by_consumer.insert(name, id);
                id
            }
        };
        let kept = self.keep_leases(now, id, settings.lease_ms, held_tokens);
        self.rebalance();
        self.to_pump.insert(id);
        kept
    }

    fn take_over(&mut self, now: Now, id: MemberId, stream: StreamId, settings: ConsumerSettings) {
        let Some(member) = self.members.get_mut(&id) else { return };
        if let Some(old) = member.stream() {
            self.commands.push_back(Command::Close { stream: old, end: StreamEnd::Replaced });
            self.note_loss(id);
        }
        let Some(member) = self.members.get_mut(&id) else { return };
        if let Presence::Lost { until } = member.presence {
            self.outstanding.end_grace(until, id);
        }
        member.presence = Presence::Open(stream);
        member.unnamed = false;
        member.connected = now.unix;
        member.settings = settings;
        member.note_settlement();
        self.tell_shards(id, stream);
    }

    /// Tells a new stream of its consumer's shards: whoever opened it may know nothing of an earlier one.
    fn tell_shards(&mut self, id: MemberId, stream: StreamId) {
        let is_owned = |shard: &Shard| self.owners[usize::from(shard.number())] == Some(id);
        let gained: Vec<_> = Shard::all().filter(is_owned).collect();
        if !gained.is_empty() {
            let generation = self.assignments;
            self.commands.push_back(Command::Assign { stream, gained, lost: Vec::new(), generation });
        }
    }

    fn keep_leases(&mut self, now: Now, id: MemberId, lease_ms: u64, tokens: &[Token]) -> Vec<Token> {
        let mut kept = Vec::new();
        let mut keep = HashSet::new();
        for token in tokens {
            let ours = match self.locate(now, token) {
                Located::Live => self
                    .outstanding
                    .held
                    .get(&token.sequence)
                    .is_some_and(|held| held.member == id || !self.members.contains_key(&held.member)),
                Located::Lapsed => true,
                Located::Gone(_) => false,
            };
            if ours && keep.insert(token.sequence) {
                self.lease(now, token.sequence, id, lease_ms);
                kept.push(*token);
            }
        }
        for sequence in self.leased_to(id) {
            if !keep.contains(&sequence) {
                self.lose(now, sequence, id);
            }
        }
        kept
    }

    /// What is leased to a member, ascending.
    fn leased_to(&self, id: MemberId) -> Vec<Sequence> {
        let mut sequences: Vec<_> = self
            .outstanding
            .held
            .iter()
            .filter(|(_, held)| held.member == id && matches!(held.phase, Phase::Outstanding { .. }))
            .map(|(&sequence, _)| sequence)
            .collect();
        sequences.sort_unstable();
        sequences
    }

    /// Notes, while a member's stream ends, what that says about its deliveries.
    fn note_loss(&mut self, id: MemberId) {
        let out = self.leased_to(id).len();
        let Some(member) = self.members.get_mut(&id) else { return };
        member.loss = match member.presence {
            Presence::Draining(_) | Presence::Leaving(_) => Loss::Announced,
            Presence::Open(_) | Presence::Lost { .. } if out == 1 => Loss::Sole,
            Presence::Open(_) | Presence::Lost { .. } => Loss::Shared,
        };
    }

    /// A delivery got lost with its consumer's stream.
    pub(super) fn lose(&mut self, now: Now, sequence: Sequence, id: MemberId) {
        let loss = self.members.get(&id).map_or(Loss::Shared, |member| member.loss);
        let Some(held) = self.outstanding.held.get_mut(&sequence) else { return };
        if loss != Loss::Announced {
            let record = held.record();
            record.losses = (record.losses + 1).min(LOSSES_BEFORE_ALONE);
        }
        if loss == Loss::Sole {
            self.fail(now, sequence, FailureKind::Lost, "");
            self.back_off_or_bury(now, sequence, Ended::Lost, "", None, Undo::Again);
        } else {
            self.begin_ending(now, sequence, Ended::Lost, "", 0, Undo::Again);
        }
    }

    /// A stream will end: its consumer gets nothing new, and keeps its shards for its return.
    pub(super) fn drain(&mut self, now: Now, stream: StreamId) {
        let Some((&id, member)) = self.members.iter_mut().find(|(_, member)| member.stream() == Some(stream))
        else {
            return;
        };
        if member.presence == Presence::Open(stream) {
            member.presence = Presence::Draining(stream);
            self.close_if_finished(now, id);
        }
    }

    /// A stream is gone.
    pub(super) fn closed(&mut self, now: Now, stream: StreamId) {
        let Some((&id, member)) = self.members.iter_mut().find(|(_, member)| member.stream() == Some(stream))
        else {
            return;
        };
        let leaving = member.presence == Presence::Leaving(Some(stream));
        self.note_loss(id);
        if !leaving {
            self.start_grace(now, id);
        } else if let Some(member) = self.members.get_mut(&id) {
            member.presence = Presence::Leaving(None);
            self.close_if_finished(now, id);
        }
    }

    /// The consumer of this stream goes by a name that was made up for it.
    pub(super) fn unnamed(&mut self, stream: StreamId) {
        if let Some(member) = self.members.values_mut().find(|member| member.stream() == Some(stream)) {
            member.unnamed = true;
        }
    }

    fn start_grace(&mut self, now: Now, id: MemberId) {
        if self.members.get(&id).is_some_and(|member| member.unnamed && member.charged == 0) {
            self.remove_member(id);
            return;
        }
        let until = now.mono.plus(self.record.settings.member_grace_ms);
        if let Some(member) = self.members.get_mut(&id) {
            member.presence = Presence::Lost { until };
            self.outstanding.start_grace(until, id);
        }
    }

    /// A consumer says that it is finishing. Returns how many deliveries it has out, if it is there.
    pub(super) fn leave(&mut self, now: Now, consumer_id: &str) -> Option<u32> {
        let id = *self.by_consumer.get(consumer_id)?;
        let member = self.members.get_mut(&id)?;
        let charged = member.charged;
        if let Presence::Lost { until } = member.presence {
            self.outstanding.end_grace(until, id);
        }
        member.presence = Presence::Leaving(member.stream());
        self.rebalance();
        self.close_if_finished(now, id);
        Some(charged)
    }

    /// Ends the stream of a consumer that was about to go and has nothing out any more.
    pub(super) fn close_if_finished(&mut self, now: Now, id: MemberId) {
        let Some(member) = self.members.get(&id) else { return };
        if member.charged > 0 {
            return;
        }
        match member.presence {
            Presence::Draining(stream) => {
                self.commands.push_back(Command::Close { stream, end: StreamEnd::Drained });
                self.start_grace(now, id);
            }
            Presence::Leaving(stream) => {
                if let Some(stream) = stream {
                    self.commands.push_back(Command::Close { stream, end: StreamEnd::Left });
                }
                self.remove_member(id);
            }
            Presence::Lost { until } if member.unnamed => {
                self.outstanding.end_grace(until, id);
                self.remove_member(id);
            }
            Presence::Open(_) | Presence::Lost { .. } => {}
        }
    }

    fn remove_member(&mut self, id: MemberId) {
        if let Some(member) = self.members.remove(&id) {
            self.by_consumer.remove(&member.consumer_id);
            self.to_pump.remove(&id);
            self.rebalance();
        }
    }

    /// A lost consumer has not come back.
    pub(super) fn end_of_grace(&mut self, now: Now, id: MemberId) {
        let over = |member: &Member| matches!(member.presence, Presence::Lost { until } if until <= now.mono);
        if !self.members.get(&id).is_some_and(over) {
            return;
        }
        for sequence in self.leased_to(id) {
            self.lose(now, sequence, id);
        }
        self.remove_member(id);
    }

    /// The gateway stood still for so long: leases and graces last longer by that.
    pub(super) fn stand_still(&mut self, ms: u64) {
        for member in self.members.values_mut() {
            if let Presence::Lost { until } = &mut member.presence {
                *until = until.plus(ms);
            }
        }
        self.outstanding.shift_leases(ms);
    }

    pub(super) fn end_of_backoff(&mut self, sequence: Sequence) {
        self.outstanding.enter(sequence, Phase::Waiting);
        if let Some(held) = self.outstanding.held.get(&sequence) {
            self.list(held.key);
        }
    }

    /// A lease has run out. Returns whom to tell, if anybody is there.
    pub(super) fn end_of_lease(&mut self, now: Now, sequence: Sequence) -> Option<(StreamId, Token)> {
        let held = self.outstanding.held.get(&sequence)?;
        let (id, token) = (held.member, self.token(sequence, held));
        let there = self.members.get(&id).and_then(Member::stream);
        let Some(stream) = there else {
            self.lose(now, sequence, id);
            return None;
        };
        self.fail(now, sequence, FailureKind::Expired, "");
        self.back_off_or_bury(now, sequence, Ended::Expired, "", None, Undo::Again);
        self.note_expiry(id, token.key.shard());
        Some((stream, token))
    }

    /// A consumer that is taken for dead is tried again with another shard, so that no update fails twice by it.
    fn note_expiry(&mut self, id: MemberId, shard: Shard) {
        let Some(member) = self.members.get_mut(&id) else { return };
        member.note_expiry();
        if member.is_suspended() {
            self.suspects.insert(id);
            member.probe = Shard::new((shard.number() + 1) % SHARDS);
            self.rebalance();
        }
    }

    /// Gives consumers that are taken for dead, and have nothing to do in their shard, one that has something ready: to
    /// show that they live they need an update.
    pub(super) fn probe(&mut self) {
        let members = &mut self.members;
        self.suspects.retain(|id| members.get(id).is_some_and(Member::is_suspended));
        let mut given = HashSet::new();
        for &id in &self.suspects {
            let idle = |member: &Member| {
                matches!(member.presence, Presence::Open(_)) && member.charged == 0 && member.ready.is_empty()
            };
            if self.members.get(&id).is_some_and(idle)
                && let Some(shard) =
                    Shard::all().find(|shard| !given.contains(shard) && self.is_ready_for(*shard, id))
                && let Some(member) = self.members.get_mut(&id)
            {
                member.probe = Some(shard);
                given.insert(shard);
            }
        }
        if !given.is_empty() {
            self.rebalance();
        }
    }

    /// Whether a shard has an update ready that did not fail by this member just now.
    fn is_ready_for(&self, shard: Shard, id: MemberId) -> bool {
        let Some(first) = self.keys.shard(shard).ready.front() else { return false };
        let Some(next) = self.next_of(*first) else { return false };
        self.outstanding.held.get(&next.sequence).is_none_or(|held| held.member != id)
    }
}
