//! The groups that there are: by name, durable or ephemeral, and how far their progress is written.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::handle::{SubscribeError, Subscription};
use super::steering::{NewGroup, SteerError};
use crate::dispatch::Dispatcher;
use crate::model::{Filter, GroupId, GroupName, GroupRecord, GroupSettings, Head, Now, Sequence};

/// Groups of one bot: each costs memory for its window and work for every update.
pub(super) const MAX_GROUPS: usize = 256;
/// Consumers of one group, those included that may come back: beyond the number of shards they only stand by, and each
/// one that comes or goes shares the shards out anew.
pub(super) const MAX_CONSUMERS: usize = 2048;
/// Ephemeral groups are numbered from here on, so that they never meet a durable one's number.
const FIRST_EPHEMERAL: u32 = 1 << 31;

/// What became of a subscription's group.
#[derive(Debug)]
pub(super) enum Created {
    /// It is to be made durable.
    New(GroupRecord),
    /// It is there from now on.
    Ephemeral(GroupRecord),
    /// It was there.
    Exists,
}

/// A group that an operator wants, with the sequence where it begins.
#[derive(Debug)]
pub(super) struct Planned {
    pub(super) group: NewGroup,
    pub(super) start: Sequence,
}

#[derive(Debug)]
struct Entry {
    record: GroupRecord,
    /// The cursor that is durable.
    written: Sequence,
}

/// The groups of one bot.
#[derive(Debug)]
pub(super) struct Groups {
    entries: BTreeMap<GroupId, Entry>,
    by_name: HashMap<GroupName, GroupId>,
    /// Names that only an operator may give again.
    deleted: BTreeSet<GroupName>,
    last_durable: GroupId,
    last_ephemeral: GroupId,
    /// What new groups get.
    settings: GroupSettings,
}

impl Groups {
    pub(super) fn new(last_durable: GroupId, settings: GroupSettings, deleted: Vec<GroupName>) -> Self {
        Self {
            entries: BTreeMap::new(),
            by_name: HashMap::new(),
            deleted: deleted.into_iter().collect(),
            last_durable,
            last_ephemeral: GroupId(FIRST_EPHEMERAL - 1),
            settings,
        }
    }

    /// A group from the journal.
    pub(super) fn recovered(&mut self, record: &GroupRecord, cursor: Sequence) {
        self.insert(record, cursor);
    }

    /// A group that exists from now on.
    pub(super) fn added(&mut self, record: &GroupRecord) {
        self.insert(record, Sequence(record.start.0.saturating_sub(1)));
    }

    fn insert(&mut self, record: &GroupRecord, written: Sequence) {
        self.by_name.insert(record.name.clone(), record.id);
        self.deleted.remove(&record.name);
        self.entries.insert(record.id, Entry { record: record.clone(), written });
    }

    /// Makes the group that a subscription asks for, unless it exists.
    pub(super) fn create(
        &mut self,
        now: Now,
        subscription: &Subscription,
        start: Sequence,
    ) -> Result<Created, SubscribeError> {
        let name = &subscription.group;
        if let Some(&id) = self.by_name.get(name) {
            let durable = !self.is_ephemeral(id);
            if durable == subscription.ephemeral {
                return Err(SubscribeError::OtherDurability { group: name.clone(), durable });
            }
            // One that is only about to exist, or to change, is asked again when it does and has.
            if let Some(entry) = self.entries.get(&id) {
                check_filter(&entry.record, subscription.filter.as_ref())?;
            }
            return Ok(Created::Exists);
        }
        if self.deleted.contains(name) {
            return Err(SubscribeError::Deleted(name.clone()));
        }
        if self.by_name.len() >= MAX_GROUPS {
            return Err(SubscribeError::TooManyGroups { limit: MAX_GROUPS });
        }
        let last = if subscription.ephemeral { &mut self.last_ephemeral } else { &mut self.last_durable };
        last.0 += 1;
        let record = GroupRecord {
            filters: subscription.filter.clone().map(|filter| (start, Some(filter))).into_iter().collect(),
            ..GroupRecord::new(*last, name.clone(), start, self.settings, now.unix)
        };
        // Others may ask for it before it is durable: they wait for the same commit.
        self.by_name.insert(name.clone(), record.id);
        Ok(if subscription.ephemeral { Created::Ephemeral(record) } else { Created::New(record) })
    }

    /// Makes the durable group that an operator wants.
    pub(super) fn create_durable(&mut self, now: Now, planned: Planned) -> Result<GroupRecord, SteerError> {
        let Planned { group, start } = planned;
        if self.by_name.contains_key(&group.name) {
            return Err(SteerError::Exists(group.name));
        }
        if self.by_name.len() >= MAX_GROUPS {
            return Err(SteerError::TooManyGroups { limit: MAX_GROUPS });
        }
        self.last_durable.0 += 1;
        let settings = group.settings.unwrap_or(self.settings);
        let record = GroupRecord {
            filters: group.filter.map(|filter| (start, Some(filter))).into_iter().collect(),
            fallback: group.fallback,
            ordering: group.ordering,
            max_ages: group.max_ages,
            ..GroupRecord::new(self.last_durable, group.name, start, settings, now.unix)
        };
        self.by_name.insert(record.name.clone(), record.id);
        Ok(record)
    }

    /// A group has changed.
    pub(super) fn replace(&mut self, record: GroupRecord) {
        if let Some(entry) = self.entries.get_mut(&record.id) {
            entry.record = record;
        }
    }

    /// A group begins anew behind this cursor.
    pub(super) fn sought(&mut self, record: GroupRecord, cursor: Sequence) {
        self.entries.insert(record.id, Entry { record, written: cursor });
    }

    /// A group is gone for good, and its name with it.
    pub(super) fn deleted(&mut self, id: GroupId) {
        if let Some(entry) = self.entries.get(&id) {
            self.deleted.insert(entry.record.name.clone());
        }
        self.remove(id);
    }

    pub(super) fn is_deleted(&self, name: &GroupName) -> bool {
        self.deleted.contains(name)
    }

    pub(super) fn remove(&mut self, id: GroupId) {
        self.entries.remove(&id);
        self.by_name.retain(|_, named| *named != id);
    }

    /// The group of this name, if it exists for settling.
    pub(super) fn id_of(&self, name: &GroupName) -> Option<GroupId> {
        self.by_name.get(name).copied().filter(|id| self.entries.contains_key(id))
    }

    pub(super) fn find(&self, name: &GroupName) -> Option<&GroupRecord> {
        self.entries.get(&self.id_of(name)?).map(|entry| &entry.record)
    }

    /// Whether the filter of some durable group claims an update that is being stored.
    pub(super) fn claims(&self, head: &Head) -> bool {
        self.entries.values().any(|entry| !self.is_ephemeral(entry.record.id) && entry.record.claims(head))
    }

    pub(super) fn name(&self, id: GroupId) -> Option<&GroupName> {
        self.entries.get(&id).map(|entry| &entry.record.name)
    }

    pub(super) fn record(&self, id: GroupId) -> Option<&GroupRecord> {
        self.entries.get(&id).map(|entry| &entry.record)
    }

    /// Whether there is a durable group that is more than planned.
    pub(super) fn any_durable(&self) -> bool {
        self.durable_records().next().is_some()
    }

    /// The records of the durable groups.
    pub(super) fn durable_records(&self) -> impl Iterator<Item = &GroupRecord> {
        self.entries.values().map(|entry| &entry.record).filter(|record| !self.is_ephemeral(record.id))
    }

    pub(super) fn is_ephemeral(&self, id: GroupId) -> bool {
        id.0 >= FIRST_EPHEMERAL
    }

    pub(super) fn has_durable(&self) -> bool {
        self.by_name.values().any(|id| !self.is_ephemeral(*id))
    }

    /// The durable groups, with the age at which each gives up an update.
    pub(super) fn durable(&self) -> impl Iterator<Item = (GroupId, u64)> {
        self.entries
            .iter()
            .filter(|(id, _)| !self.is_ephemeral(**id))
            .map(|(&id, entry)| (id, entry.record.settings.max_unsettled_age_ms))
    }

    pub(super) fn all(&self) -> impl Iterator<Item = (GroupId, &GroupName)> {
        self.entries.iter().map(|(&id, entry)| (id, &entry.record.name))
    }

    /// The cursors of durable groups that have moved since they were last written.
    pub(super) fn moved_cursors(&self, dispatcher: &Dispatcher) -> Vec<(GroupId, Sequence)> {
        self.durable()
            .filter_map(|(id, _)| {
                let cursor = dispatcher.cursor(id)?;
                (self.entries.get(&id)?.written < cursor).then_some((id, cursor))
            })
            .collect()
    }

    /// Cursors have become durable.
    pub(super) fn written(&mut self, cursors: &[(GroupId, Sequence)]) {
        for (id, cursor) in cursors {
            if let Some(entry) = self.entries.get_mut(id) {
                entry.written = *cursor;
            }
        }
    }
}

/// Whether a subscription may ask for this filter.
pub(super) fn check_filter(record: &GroupRecord, asked: Option<&Filter>) -> Result<(), SubscribeError> {
    let (Some(asked), held) = (asked, record.filter()) else { return Ok(()) };
    if held == Some(asked) {
        return Ok(());
    }
    let held = held.map_or_else(|| "lets everything pass".to_owned(), |held| format!("is {held}"));
    let difference = format!(
        "its own {held}, and {asked} was asked for; leave the filter out to take the group's, or change the group's \
         with `switchboard groups update` or UpdateGroup"
    );
    Err(SubscribeError::OtherFilter { group: record.name.clone(), difference })
}
