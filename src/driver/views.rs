//! What operators are shown of the live state.

use super::core::Core;
use super::gathering::answer;
use super::steering::{Steer, SteerError};
use crate::journal::{Counts, JournalReader, ReadError};
use crate::model::{GroupId, GroupStatus, GroupView, Head, Now, UpdateInGroup};

impl<R: JournalReader> Core<R> {
    /// Answers what only looks, and puts the rest with what waits for the next commit.
    pub(super) fn steer(&mut self, now: Now, steer: Steer) {
        match steer {
            Steer::Groups { only, reply } => {
                let mut ids: Vec<_> = match only {
                    Some(name) => self.groups.find(&name).map(|record| record.id).into_iter().collect(),
                    None => self.groups.all().map(|(id, _)| id).collect(),
                };
                ids.sort_by_key(|id| self.groups.name(*id).cloned());
                let counts = self.reader.counts();
                let counts = self.readable(counts);
                let views = ids.into_iter().filter_map(|id| self.view_with(now, id, &counts)).collect();
                answer(reply, views);
            }
            Steer::Held { group, key, after, limit, reply } => {
                let held = match self.groups.id_of(&group) {
                    Some(id) => Ok(self.dispatcher.held(now, id, key, after, limit)),
                    None => Err(SteerError::UnknownGroup(group)),
                };
                answer(reply, held);
            }
            Steer::Standing { heads, only, reply } => {
                answer(reply, heads.iter().map(|head| self.standing(now, head, only)).collect());
            }
            wish => self.gathering.wishes.push(wish),
        }
    }

    fn standing(&self, now: Now, head: &Head, only: Option<GroupId>) -> Vec<UpdateInGroup> {
        let wanted = self.groups.durable().map(|(id, _)| id).filter(|id| only.is_none_or(|only| *id == only));
        wanted.filter_map(|id| self.dispatcher.standing(now, id, head)).collect()
    }

    /// A group as it is now.
    pub(super) fn view(&self, now: Now, id: GroupId) -> Result<GroupView, SteerError> {
        let counts = self.reader.counts().map_err(|error| SteerError::Unreadable(error.to_string()))?;
        self.view_with(now, id, &counts).ok_or(SteerError::Stopped)
    }

    fn view_with(&self, now: Now, id: GroupId, counts: &Counts) -> Option<GroupView> {
        let record = self.groups.record(id)?.clone();
        let status = self.status(now, id)?;
        let dead_letters = counts.dead_letters.iter().find(|(group, _)| *group == id);
        Some(GroupView {
            ephemeral: self.groups.is_ephemeral(id),
            dead_letters: dead_letters.map_or(0, |(_, count)| count.count),
            rates: self.history.rates(now, id, status.lag),
            samples: self.history.samples(id),
            record,
            status,
        })
    }

    /// How a group is doing, with the time of its oldest update.
    fn status(&self, now: Now, id: GroupId) -> Option<GroupStatus> {
        let mut status = self.dispatcher.status(id, now)?;
        status.oldest_time = status.oldest.and_then(|oldest| {
            let heads = self.reader.heads(oldest, 1);
            self.readable(heads).first().map(|head| head.received)
        });
        Some(status)
    }

    /// What was read; nothing, where that failed: whoever reads it for more than showing it will say so.
    fn readable<T: Default>(&self, read: Result<T, ReadError>) -> T {
        read.unwrap_or_else(|error| {
            tracing::error!(bot = self.tally.bot(), %error, "the journal cannot be read");
            T::default()
        })
    }

    /// Brings the gauges up to date, and takes samples when it is time.
    pub(super) fn take_stock(&mut self, now: Now) {
        let samples = self.history.is_due(now);
        let ids: Vec<_> = self.groups.all().map(|(id, _)| id).collect();
        for id in ids {
            let Some(stats) = self.dispatcher.stats(id) else { continue };
            if samples {
                self.history.sample(now, id, stats.lag, stats.outstanding);
            }
            let oldest = stats.oldest.and_then(|oldest| {
                let heads = self.reader.heads(oldest, 1);
                self.readable(heads).first().map(|head| head.received)
            });
            self.tally.group(&self.groups, id, &stats, oldest);
        }
        let counts = self.reader.counts();
        let counts = self.readable(counts);
        self.tally.counts(&self.groups, &counts);
        self.tally.usage(&self.usage);
    }

    /// Tells Telegram's side which kinds the groups want.
    pub(super) fn announce_wanted(&self) {
        let wanted = super::wanted::WantedKinds::of(self.groups.durable_records());
        self.told.wanted.send_if_modified(|before| std::mem::replace(before, wanted.clone()) != wanted);
    }
}
