//! Seek: a group begins anew somewhere else.

use std::collections::BTreeMap;

use super::command::{Command, StreamId};
use super::dispatcher::Dispatcher;
use super::group::{Group, GroupStart};
use super::members::{Member, MemberId, Presence};
use super::outstanding::Phase;
use crate::model::{GroupRecord, Now, Sequence, Token};

impl Dispatcher {
    /// A seek has become durable: the group begins anew after `cursor`, as `record` says. Everything up to there counts
    /// as settled and nothing above; leases, attempts and replays are forgotten. Consumers and their shards stay.
    pub fn handle_seek(&mut self, now: Now, record: GroupRecord, cursor: Sequence) {
        self.touched.insert(record.id);
        if let Some(group) = self.groups.get_mut(&record.id) {
            group.seek(now, record, cursor);
        }
    }
}

impl Group {
    fn seek(&mut self, now: Now, record: GroupRecord, cursor: Sequence) {
        let leased: Vec<_> = self.outstanding.held.keys().copied().collect();
        self.tell_leases_lost(leased);
        let tail = self.backlog.tail;
        let start = GroupStart {
            record,
            cursor,
            settled: Vec::new(),
            attempts: Vec::new(),
            replays: Vec::new(),
            tail,
        };
        let before = std::mem::replace(self, Self::new(self.identity, start, self.jitter.clone()));
        self.sought_to = tail;
        self.members = before.members;
        self.by_consumer = before.by_consumer;
        self.owners = before.owners;
        self.next_member = before.next_member;
        self.assignments = before.assignments;
        self.suspects = before.suspects;
        // What was decided and not yet taken away concerns the life before.
        self.commands = before.commands;
        self.commands.retain(|command| !matches!(command, Command::Record(_)));
        let members: Vec<MemberId> = self.members.keys().copied().collect();
        for (&id, member) in &mut self.members {
            member.forget_deliveries();
            if let Presence::Lost { until } = member.presence {
                self.outstanding.start_grace(until, id);
            }
        }
        for id in members {
            self.to_pump.insert(id);
            self.close_if_finished(now, id);
        }
    }

    /// Tells the streams which of these updates are theirs no longer: those that are leased to them.
    pub(super) fn tell_leases_lost(&mut self, mut sequences: Vec<Sequence>) {
        sequences.sort_unstable();
        let mut lost: BTreeMap<StreamId, Vec<Token>> = BTreeMap::new();
        for sequence in sequences {
            let Some(held) = self.outstanding.held.get(&sequence) else { continue };
            let stream = self.members.get(&held.member).and_then(Member::stream);
            if let (Phase::Outstanding { .. }, Some(stream)) = (&held.phase, stream) {
                lost.entry(stream).or_default().push(self.token(sequence, held));
            }
        }
        for (stream, tokens) in lost {
            self.commands.push_back(Command::LeaseLost { stream, tokens });
        }
    }
}
