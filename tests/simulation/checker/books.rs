//! What the journal must hold: simple books, kept from what was made durable.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use switchboard::model::{
    Batch, FilterParts, GroupId, GroupName, GroupRecord, GroupSettings, Head, Ordering, Sequence, SettledAs,
};

use super::tally::Tally;
use crate::updates::Sent;

/// A key of the order, by its text's number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct KeyId(u64);

/// A stored update.
#[derive(Clone, Debug)]
pub struct Stored {
    /// Which of those that were sent.
    pub sent: usize,
    pub head: Head,
    /// When it was stored, by the gateway's wall clock.
    pub at: u64,
    /// Whether its content is still there: neither trimmed nor purged.
    pub present: bool,
    by_chat: KeyId,
    by_user: KeyId,
    by_topic: KeyId,
}

/// A durable group.
#[derive(Clone, Debug)]
pub struct Group {
    pub record: GroupRecord,
    pub cursor: Sequence,
    pub settled: BTreeMap<Sequence, SettledAs>,
    /// The last attempt whose end is recorded.
    pub attempts: BTreeMap<Sequence, u32>,
    pub tallies: BTreeMap<Sequence, Tally>,
    pub replays: BTreeMap<Sequence, u32>,
    /// Dead letters, with when they became that.
    pub dead: BTreeMap<Sequence, u64>,
    /// Those whose ack was answered.
    pub acked: BTreeSet<Sequence>,
    /// All settings that it ever had: what was decided under earlier ones may come late.
    pub ever: Vec<GroupSettings>,
    pub ages_ever: Vec<(&'static str, u64)>,
}

/// All of it.
#[derive(Debug, Default)]
pub struct Books {
    pub stored: BTreeMap<Sequence, Stored>,
    pub groups: BTreeMap<GroupId, Group>,
    pub deleted: BTreeSet<GroupName>,
    pub quarantined: Vec<Bytes>,
    pub boot: u32,
    pub last_time: u64,
    pub tail: Sequence,
    /// The sequences under which each update was stored.
    pub by_sent: BTreeMap<usize, Vec<Sequence>>,
    texts: BTreeMap<String, KeyId>,
    by_key: BTreeMap<(u8, KeyId), BTreeSet<Sequence>>,
}

impl Stored {
    pub fn key(&self, ordering: Ordering) -> KeyId {
        match ordering {
            Ordering::Chat => self.by_chat,
            Ordering::User => self.by_user,
            Ordering::Topic => self.by_topic,
            Ordering::None => KeyId(self.head.sequence.0 | 1 << 63),
        }
    }
}

impl Group {
    fn new(record: &GroupRecord) -> Self {
        Self {
            record: record.clone(),
            cursor: Sequence(0),
            settled: BTreeMap::new(),
            attempts: BTreeMap::new(),
            tallies: BTreeMap::new(),
            replays: BTreeMap::new(),
            dead: BTreeMap::new(),
            acked: BTreeSet::new(),
            ever: Vec::new(),
            ages_ever: Vec::new(),
        }
    }

    fn set_record(&mut self, record: &GroupRecord) {
        self.record = record.clone();
        if !self.ever.contains(&record.settings) {
            self.ever.push(record.settings);
        }
        self.ages_ever.extend(record.max_ages.iter().map(|(kind, age)| (kind.name(), *age)));
    }

    pub fn is_settled(&self, at: Sequence) -> bool {
        at <= self.cursor || self.settled.contains_key(&at)
    }

    /// The generation that tokens of an update carry now.
    pub fn generation(&self, at: Sequence) -> u32 {
        self.replays.get(&at).copied().unwrap_or(self.record.base_generation)
    }

    /// Whether an update is its business, by its record as it is.
    pub fn matches(&self, sent: &Sent, head: &Head) -> bool {
        if head.sequence < self.record.start || self.record.fallback && head.claimed {
            return false;
        }
        let filters = &self.record.filters;
        let held = filters.iter().rev().find(|(from, _)| *from <= head.sequence);
        held.and_then(|(_, filter)| filter.as_ref()).is_none_or(|filter| passes(filter.parts(), sent))
    }

    /// Whether it claims a new update.
    pub fn claims(&self, sent: &Sent) -> bool {
        let current = self.record.filters.last().and_then(|(_, filter)| filter.as_ref());
        !self.record.fallback && current.is_some_and(|filter| passes(filter.parts(), sent))
    }

    /// The shortest age at which it ever gave up an update of this kind.
    pub fn shortest_age(&self, kind: &str) -> u64 {
        let of_kind = self.ages_ever.iter().filter(|(of, _)| *of == kind).map(|(_, age)| *age);
        let settings = self.ever.iter().map(|settings| settings.max_unsettled_age_ms);
        of_kind.chain(settings).min().unwrap_or(u64::MAX)
    }
}

/// Whether an update passes a filter.
fn passes(parts: &FilterParts, sent: &Sent) -> bool {
    let kind = if sent.kind == "x_event" { "unknown" } else { sent.kind };
    let texts = !parts.commands.is_empty() || !parts.callback_data_prefixes.is_empty();
    let text = if kind == "callback_query" {
        parts.callback_data_prefixes.iter().any(|prefix| sent.label.starts_with(&**prefix))
    } else {
        parts.commands.iter().any(|command| **command == *sent.label)
    };
    (parts.kinds.is_empty() || parts.kinds.iter().any(|known| known.name() == kind))
        && (parts.chat_ids.is_empty() || parts.chat_ids.iter().any(|id| sent.key() == format!("chat:{id}")))
        && (parts.chat_types.is_empty()
            || parts.chat_types.iter().any(|known| Some(known.name()) == sent.chat_type))
        && (!texts || text)
}

impl Books {
    pub fn group(&self, name: &GroupName) -> Option<GroupId> {
        self.groups.iter().find(|(_, group)| group.record.name == *name).map(|(id, _)| *id)
    }

    fn text(&mut self, text: String) -> KeyId {
        let next = KeyId(self.texts.len() as u64);
        *self.texts.entry(text).or_insert(next)
    }

    /// An update is durable.
    pub fn store(&mut self, sent: usize, facts: &Sent, head: Head, at: u64) {
        let by_chat = self.text(facts.key());
        let by_user = self.text(facts.user_key());
        let by_topic = self.text(facts.topic_key());
        for (ordering, key) in [(0, by_chat), (1, by_user), (2, by_topic)] {
            self.by_key.entry((ordering, key)).or_default().insert(head.sequence);
        }
        let stored = Stored { sent, head, at, present: true, by_chat, by_user, by_topic };
        self.by_sent.entry(sent).or_default().push(head.sequence);
        self.tail = head.sequence;
        self.stored.insert(head.sequence, stored);
    }

    /// Those of one key, ascending.
    pub fn of_key(&self, ordering: Ordering, stored: &Stored) -> impl Iterator<Item = Sequence> + '_ {
        let own = (ordering == Ordering::None).then_some(stored.head.sequence);
        let index = match ordering {
            Ordering::Chat => 0,
            Ordering::User => 1,
            Ordering::Topic | Ordering::None => 2,
        };
        let key = stored.key(ordering);
        let others = self.by_key.get(&(index, key)).into_iter().flatten().copied();
        own.into_iter().chain(others)
    }

    /// What a batch does to the groups; its updates are stored before.
    pub fn apply(&mut self, batch: &Batch) {
        for record in batch.groups.iter().chain(&batch.changed_groups) {
            self.deleted.remove(&record.name);
            let group = self.groups.entry(record.id).or_insert_with(|| Group::new(record));
            group.set_record(record);
            self.last_time = self.last_time.max(record.created.0);
        }
        for id in &batch.deleted_groups {
            self.deleted.extend(self.groups.remove(id).map(|group| group.record.name));
        }
        for (id, cursor) in &batch.sought {
            let Some(group) = self.groups.get_mut(id) else { continue };
            group.cursor = *cursor;
            group.settled.clear();
            group.attempts.clear();
            group.tallies.clear();
            group.replays.clear();
            group.acked.clear();
        }
        self.quarantined.extend(batch.quarantined.iter().map(|element| element.bytes.clone()));
        for (id, at, record) in &batch.attempts {
            let Some(group) = self.groups.get_mut(id) else { continue };
            if !group.is_settled(*at) || group.replays.contains_key(at) {
                group.attempts.insert(*at, record.attempt);
            }
        }
        for (id, at, how) in &batch.settled {
            let Some(group) = self.groups.get_mut(id) else { continue };
            group.finish(*at);
            group.settled.insert(*at, *how);
        }
        for (id, at, letter) in &batch.dead_letters {
            let present = self.stored.get(at).is_some_and(|stored| stored.present);
            if let Some(group) = self.groups.get_mut(id).filter(|_| present) {
                group.dead.insert(*at, letter.time.0);
            }
        }
        for (id, at, generation) in &batch.replays {
            let Some(group) = self.groups.get_mut(id) else { continue };
            let Some(stored) = self.stored.get_mut(at) else { continue };
            if !stored.present && !group.dead.contains_key(at) {
                continue;
            }
            stored.present = true;
            group.attempts.remove(at);
            group.tallies.remove(at);
            group.acked.remove(at);
            group.replays.insert(*at, *generation);
        }
        for (id, at) in &batch.removed_dead_letters {
            self.groups.get_mut(id).map(|group| group.dead.remove(at));
        }
        for (id, cursor) in &batch.cursors {
            if let Some(group) = self.groups.get_mut(id) {
                group.cursor = group.cursor.max(*cursor);
            }
        }
        for at in &batch.trimmed {
            let waits = self.groups.values().any(|group| group.replays.contains_key(at));
            if let Some(stored) = self.stored.get_mut(at).filter(|_| !waits) {
                stored.present = false;
            }
        }
        for at in &batch.purged {
            if let Some(stored) = self.stored.get_mut(at) {
                stored.present = false;
            }
            for group in self.groups.values_mut() {
                group.finish(*at);
                group.dead.remove(at);
                group.settled.insert(*at, SettledAs::Purged);
            }
        }
    }
}

impl Group {
    /// Forgets what was remembered of an update that it is done with.
    fn finish(&mut self, at: Sequence) {
        self.attempts.remove(&at);
        self.tallies.remove(&at);
        self.replays.remove(&at);
    }
}
