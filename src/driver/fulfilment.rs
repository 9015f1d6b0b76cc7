//! Operators' changes: from the durable batch, or the refused one, to the answer.

use std::collections::HashSet;

use super::core::Core;
use super::gathering::answer;
use super::handle::Reply;
use super::steering::SteerError;
use crate::dispatch::Command;
use crate::journal::JournalReader;
use crate::model::{GroupId, GroupName, GroupRecord, GroupView, Head, Now, Sequence, StreamEnd, StreamEvent};

/// A wish that is in the batch, and what is left to do when that is durable.
#[derive(Debug)]
pub(super) enum Granted {
    Created { record: GroupRecord, reply: Reply<Result<GroupView, SteerError>> },
    Changed { record: GroupRecord, reply: Reply<Result<GroupView, SteerError>> },
    Sought { record: GroupRecord, cursor: Sequence, reply: Reply<Result<GroupView, SteerError>> },
    Deleted { group: GroupId, unsettled: u64, reply: Reply<Result<u64, SteerError>> },
    Replayed { record: GroupRecord, heads: Vec<Head>, reply: Reply<Result<u64, SteerError>> },
    DeadLettersPurged { group: GroupId, count: usize, reply: Reply<Result<(), SteerError>> },
    Purged { sequences: HashSet<Sequence>, heads: Vec<Head>, reply: Reply<Result<(), SteerError>> },
}

impl<R: JournalReader> Core<R> {
    /// The batch is durable: what was wished for holds from now on.
    pub(super) fn fulfil(&mut self, now: Now, granted: Vec<Granted>) {
        let regrouped = granted.iter().any(Granted::is_about_a_group);
        for granted in granted {
            match granted {
                Granted::Created { record, reply } => {
                    answer(reply, self.view(now, record.id));
                }
                Granted::Changed { record, reply } => {
                    let id = record.id;
                    self.groups.replace(record.clone());
                    self.dispatcher.update_group(record);
                    answer(reply, self.view(now, id));
                }
                Granted::Sought { record, cursor, reply } => {
                    let (bot, id) = (self.tally.bot(), record.id);
                    let before = self.dispatcher.cursor(id).unwrap_or_default();
                    tracing::warn!(bot, group = %record.name, from = before.0, to = record.start.0, "a group was sought");
                    self.groups.sought(record.clone(), cursor);
                    self.dispatcher.handle_seek(now, record, cursor);
                    self.flights.sought(now, id);
                    answer(reply, self.view(now, id));
                }
                Granted::Deleted { group, unsettled, reply } => {
                    self.delete(group, unsettled);
                    answer(reply, Ok(unsettled));
                }
                Granted::Replayed { record, heads, reply } => {
                    self.groups.replace(record.clone());
                    let (id, generation) = (record.id, record.generation);
                    self.dispatcher.update_group(record);
                    if !heads.is_empty() {
                        self.dispatcher.handle_replay(id, &heads, generation);
                    }
                    answer(reply, Ok(heads.len() as u64));
                }
                Granted::DeadLettersPurged { group, count, reply } => {
                    let (bot, group) = (self.tally.bot(), self.groups.name(group).map(GroupName::as_str));
                    tracing::warn!(bot, group, count, "dead letters were removed for good");
                    answer(reply, Ok(()));
                }
                Granted::Purged { sequences, heads, reply } => {
                    tracing::warn!(
                        bot = self.tally.bot(),
                        count = sequences.len(),
                        "updates were removed for good"
                    );
                    self.tally.purged(&self.groups, &self.dispatcher, &heads);
                    self.cache.forget(&sequences);
                    // What was still to be recorded of them is not to be kept anywhere.
                    self.gathering.records.retain(|record| !sequences.contains(&record.sequence));
                    self.dispatcher.handle_purged(now, &heads);
                    self.flights.purged(now, &sequences);
                    answer(reply, Ok(()));
                }
            }
        }
        if regrouped {
            self.announce_wanted();
        }
    }

    fn delete(&mut self, group: GroupId, unsettled: u64) {
        let name = self.groups.name(group).map(GroupName::as_str);
        tracing::warn!(bot = self.tally.bot(), group = name, unsettled, "a group was deleted");
        for command in self.dispatcher.remove_group(group, StreamEnd::GroupDeleted) {
            if let Command::Close { stream, end } = command {
                self.streams.send(stream, StreamEvent::End(end));
                self.streams.remove(stream);
            }
        }
        self.tally.forget(&self.groups, group);
        self.flights.forget(group);
        self.history.forget(group);
        self.groups.deleted(group);
    }

    /// The batch was refused for want of room.
    pub(super) fn deny(&mut self, granted: Vec<Granted>) {
        for granted in granted {
            match granted {
                Granted::Created { reply, .. }
                | Granted::Changed { reply, .. }
                | Granted::Sought { reply, .. } => {
                    answer(reply, Err(SteerError::NoRoom));
                }
                Granted::Deleted { reply, .. } | Granted::Replayed { reply, .. } => {
                    answer(reply, Err(SteerError::NoRoom));
                }
                Granted::DeadLettersPurged { reply, .. } | Granted::Purged { reply, .. } => {
                    answer(reply, Err(SteerError::NoRoom));
                }
            }
        }
    }
}

impl Granted {
    fn is_about_a_group(&self) -> bool {
        !matches!(self, Self::Replayed { .. } | Self::DeadLettersPurged { .. } | Self::Purged { .. })
    }
}
