//! Operators' changes: from the wish to the batch.

use std::collections::HashSet;

use super::core::Core;
use super::fulfilment::Granted;
use super::gathering::{Gathering, answer};
use super::groups::Planned as NewRecord;
use super::handle::Reply;
use super::steering::{GroupChange, NewGroup, Steer, SteerError};
use crate::journal::{JournalReader, ReadError, Room};
use crate::model::{
    AttemptOutcome, Batch, EndedAttempt, Event, GroupId, GroupName, GroupRecord, GroupView, Head, HeldState,
    Now, Sequence, Start,
};

/// Replayed updates of one group that may be pending: they are all in memory.
pub(super) const MAX_REPLAYS: usize = 10_000;
/// Deliveries that a seek takes back and whose timelines say so; more are out only with very many consumers.
const MAX_REVOKED: usize = 10_000;
/// Filters of one group whose time is kept; older ones go when everything of their time is settled.
const MAX_FILTERS: usize = 32;

impl<R: JournalReader> Core<R> {
    /// Puts what operators wish for into the batch. Of each group one wish is granted in a batch, and the others with
    /// the next ones, so that each is made on what the one before it left.
    pub(super) fn grant_wishes(
        &mut self,
        now: Now,
        end: Sequence,
        waiting: &mut Gathering,
        batch: &mut Batch,
    ) -> Result<Vec<Granted>, ReadError> {
        let mut granted = Vec::new();
        let mut touched: HashSet<GroupName> = HashSet::new();
        for wish in std::mem::take(&mut waiting.wishes) {
            let first = match wish.group() {
                // A purge goes through all groups.
                None => touched.is_empty(),
                Some(group) => touched.insert(group.clone()),
            };
            if !first || granted.iter().any(|granted| matches!(granted, Granted::Purged { .. })) {
                self.gathering.wishes.push(wish);
                continue;
            }
            granted.extend(self.grant(now, end, wish, batch)?);
        }
        Ok(granted)
    }

    fn grant(
        &mut self,
        now: Now,
        end: Sequence,
        wish: Steer,
        batch: &mut Batch,
    ) -> Result<Option<Granted>, ReadError> {
        Ok(match wish {
            Steer::CreateGroup { group, reply } => {
                let created = self.grant_group(now, end, group, batch)?;
                created.map_or_refuse(reply, |record, reply| Granted::Created { record, reply })
            }
            Steer::ChangeGroup { group, change, reply } => match self.durable_group(&group) {
                Err(error) => refuse(reply, error),
                Ok(record) => Some(self.grant_change(now, end, record, change, batch, reply)),
            },
            Steer::DeleteGroup { group, force, reply } => {
                let deleted = self.grant_deletion(&group, force)?;
                deleted.map_or_refuse(reply, |(group, unsettled), reply| {
                    batch.deleted_groups.push(group);
                    Granted::Deleted { group, unsettled, reply }
                })
            }
            Steer::Replay { group, sequences, from_dead_letters, reply } => {
                let replayed = self.grant_replay(&group, &sequences, from_dead_letters, batch)?;
                replayed.map_or_refuse(reply, |(record, heads), reply| Granted::Replayed {
                    record,
                    heads,
                    reply,
                })
            }
            Steer::PurgeDeadLetters { group, sequences, reply } => match self.durable_group(&group) {
                Err(error) => refuse(reply, error),
                Ok(GroupRecord { id: group, .. }) => {
                    let count = sequences.len();
                    batch.removed_dead_letters.extend(sequences.into_iter().map(|at| (group, at)));
                    Some(Granted::DeadLettersPurged { group, count, reply })
                }
            },
            Steer::Purge { sequences, reply } => {
                let mut heads = Vec::new();
                for at in &sequences {
                    heads.extend(self.stored_head(*at)?);
                }
                batch.purged.extend(&sequences);
                Some(Granted::Purged { sequences: sequences.into_iter().collect(), heads, reply })
            }
            // Views are answered when they come in.
            Steer::Groups { .. } | Steer::Held { .. } | Steer::Standing { .. } => None,
        })
    }

    fn durable_group(&self, name: &GroupName) -> Result<GroupRecord, SteerError> {
        let record = self.groups.find(name).ok_or_else(|| SteerError::UnknownGroup(name.clone()))?;
        if self.groups.is_ephemeral(record.id) {
            return Err(SteerError::Ephemeral(name.clone()));
        }
        Ok(record.clone())
    }

    fn grant_group(
        &mut self,
        now: Now,
        end: Sequence,
        group: NewGroup,
        batch: &mut Batch,
    ) -> Result<Result<GroupRecord, SteerError>, ReadError> {
        let start = self.first_of(group.start, false, end)?;
        let is_first = !self.groups.any_durable();
        if self.usage.room != Room::Open && !is_first {
            return Ok(Err(SteerError::NoRoom));
        }
        let planned = NewRecord { group, start };
        let created = self.groups.create_durable(now, planned);
        if let Ok(record) = &created {
            batch.groups.push(record.clone());
            batch.first_groups = is_first;
        }
        Ok(created)
    }

    /// Where a new group begins, as a sequence; at most the one after the newest.
    pub(super) fn first_of(
        &self,
        start: Start,
        ephemeral: bool,
        end: Sequence,
    ) -> Result<Sequence, ReadError> {
        let start = match start {
            Start::Default if ephemeral || self.groups.has_durable() => end.next(),
            Start::Latest => end.next(),
            Start::Default | Start::Earliest => Sequence(1),
            Start::Sequence(sequence) => sequence.max(Sequence(1)),
            Start::Time(time) => self.reader.first_at(Sequence(1), time)?.unwrap_or(end.next()),
        };
        Ok(start.min(end.next()))
    }

    fn grant_change(
        &self,
        now: Now,
        end: Sequence,
        mut record: GroupRecord,
        change: GroupChange,
        batch: &mut Batch,
        reply: Reply<Result<GroupView, SteerError>>,
    ) -> Granted {
        match change {
            GroupChange::Settings { filter, settings, max_ages } => {
                if let Some(filter) = filter
                    && filter.as_ref() != record.filter()
                {
                    let cursor = self.dispatcher.cursor(record.id).unwrap_or_default();
                    // One that no update has come under is forgotten.
                    record.filters.retain(|(from, _)| *from <= end);
                    record.filters.push((end.next(), filter));
                    while record.filters.len() > MAX_FILTERS
                        && record.filters.get(1).is_some_and(|(from, _)| *from <= cursor)
                    {
                        record.filters.remove(0);
                    }
                }
                record.settings = settings.unwrap_or(record.settings);
                record.max_ages = max_ages.unwrap_or(record.max_ages);
            }
            GroupChange::Paused(false) => record.paused = None,
            GroupChange::Paused(true) => record.paused = record.paused.or(Some(now.unix)),
            GroupChange::Seek(to) => {
                let start = to.clamp(Sequence(1), end.next());
                batch.events.extend(self.revoked(now, &record));
                let cursor = Sequence(start.0 - 1);
                record.generation += 1;
                record.base_generation = record.generation;
                record.start = start;
                // What is sought is matched by the current filter, whenever it came.
                record.filters =
                    record.filters.pop().map(|(_, filter)| (Sequence(0), filter)).into_iter().collect();
                batch.changed_groups.push(record.clone());
                batch.sought.push((record.id, cursor));
                return Granted::Sought { record, cursor, reply };
            }
        }
        batch.changed_groups.push(record.clone());
        Granted::Changed { record, reply }
    }

    /// What a seek takes back, for the timelines.
    fn revoked(&self, now: Now, record: &GroupRecord) -> Vec<(GroupId, Sequence, Event)> {
        let held = self.dispatcher.held(now, record.id, None, Sequence(0), MAX_REVOKED);
        let out = held.into_iter().filter(|held| matches!(held.state, HeldState::Outstanding { .. }));
        out.map(|held| {
            let attempt = EndedAttempt {
                generation: record.base_generation,
                attempt: held.attempt,
                consumer: held.consumer,
                delivered: held.delivered,
                replayed: held.replayed,
                outcome: AttemptOutcome::Revoked,
                reason: Box::default(),
            };
            let event = Event { time: now.unix, attempt: Some(attempt), settled: None };
            (record.id, held.sequence, event)
        })
        .collect()
    }

    fn grant_deletion(
        &self,
        name: &GroupName,
        force: bool,
    ) -> Result<Result<(GroupId, u64), SteerError>, ReadError> {
        let record = match self.durable_group(name) {
            Ok(record) => record,
            Err(error) => return Ok(Err(error)),
        };
        let unsettled = self.dispatcher.stats(record.id).map_or(0, |stats| stats.lag);
        let dead_letters = self.dead_letter_count(record.id)?;
        if !force && (unsettled > 0 || dead_letters > 0) {
            return Ok(Err(SteerError::NotEmpty { group: record.name, unsettled, dead_letters }));
        }
        Ok(Ok((record.id, unsettled)))
    }

    fn grant_replay(
        &self,
        name: &GroupName,
        sequences: &[Sequence],
        from_dead_letters: bool,
        batch: &mut Batch,
    ) -> Result<Result<(GroupRecord, Vec<Head>), SteerError>, ReadError> {
        let mut record = match self.durable_group(name) {
            Ok(record) => record,
            Err(error) => return Ok(Err(error)),
        };
        let pending = self.dispatcher.replays_pending(record.id);
        if pending > 0 && pending + sequences.len() > MAX_REPLAYS || sequences.len() > MAX_REPLAYS {
            return Ok(Err(SteerError::TooManyReplays { group: record.name, limit: MAX_REPLAYS }));
        }
        if self.usage.room != Room::Open {
            return Ok(Err(SteerError::NoRoom));
        }
        let mut heads = Vec::with_capacity(sequences.len());
        for at in sequences {
            let head = match self.stored_head(*at)? {
                None if from_dead_letters => self.dead_letter_head(record.id, *at)?,
                head => head,
            };
            let Some(head) = head.filter(|head| self.dispatcher.is_settled(record.id, head)) else {
                continue;
            };
            heads.push(head);
        }
        heads.sort_unstable_by_key(|head| head.sequence);
        heads.dedup_by_key(|head| head.sequence);
        if !heads.is_empty() {
            record.generation += 1;
            batch.changed_groups.push(record.clone());
            batch.replays.extend(heads.iter().map(|head| (record.id, head.sequence, record.generation)));
            if from_dead_letters {
                batch.removed_dead_letters.extend(heads.iter().map(|head| (record.id, head.sequence)));
            }
        }
        Ok(Ok((record, heads)))
    }

    fn stored_head(&self, at: Sequence) -> Result<Option<Head>, ReadError> {
        Ok(self.reader.heads(at, 1)?.into_iter().find(|head| head.sequence == at))
    }

    fn dead_letter_head(&self, group: GroupId, at: Sequence) -> Result<Option<Head>, ReadError> {
        let letters = self.reader.dead_letters(group, at, 1)?;
        Ok(letters.into_iter().map(|letter| letter.head).find(|head| head.sequence == at))
    }

    pub(super) fn dead_letter_count(&self, group: GroupId) -> Result<u64, ReadError> {
        let counts = self.reader.counts()?.dead_letters;
        Ok(counts.iter().find(|(id, _)| *id == group).map_or(0, |(_, count)| count.count))
    }
}

impl Steer {
    fn group(&self) -> Option<&GroupName> {
        match self {
            Self::CreateGroup { group, .. } => Some(&group.name),
            Self::ChangeGroup { group, .. }
            | Self::DeleteGroup { group, .. }
            | Self::Replay { group, .. }
            | Self::PurgeDeadLetters { group, .. }
            | Self::Held { group, .. } => Some(group),
            Self::Purge { .. } | Self::Groups { .. } | Self::Standing { .. } => None,
        }
    }
}

fn refuse<T>(reply: Reply<Result<T, SteerError>>, error: SteerError) -> Option<Granted> {
    answer(reply, Err(error));
    None
}

/// Grants a wish, or answers why not.
trait OrRefuse<G> {
    fn map_or_refuse<T>(
        self,
        reply: Reply<Result<T, SteerError>>,
        grant: impl FnOnce(G, Reply<Result<T, SteerError>>) -> Granted,
    ) -> Option<Granted>;
}

impl<G> OrRefuse<G> for Result<G, SteerError> {
    fn map_or_refuse<T>(
        self,
        reply: Reply<Result<T, SteerError>>,
        grant: impl FnOnce(G, Reply<Result<T, SteerError>>) -> Granted,
    ) -> Option<Granted> {
        match self {
            Ok(granted) => Some(grant(granted, reply)),
            Err(error) => refuse(reply, error),
        }
    }
}
