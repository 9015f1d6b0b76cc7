//! What the handlers did, in order, and whether that kept the promises.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::handler::{Did, What};

/// Everything that the handlers have said so far.
#[derive(Debug, Default)]
pub(super) struct Story {
    entries: Vec<Entry>,
    /// Who was killed, and when.
    killed: Vec<(String, u64)>,
}

#[derive(Clone, Debug)]
struct Entry {
    group: String,
    consumer: String,
    did: Did,
}

/// The outcome for one group.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Verdict {
    pub(super) handled: usize,
    /// Of the updates that Telegram had, those that were never handled.
    pub(super) missing: usize,
    /// Updates that were taken again after their handler had died.
    pub(super) redelivered: usize,
    /// What must not be, in words; empty if the promises were kept.
    pub(super) broken: Vec<String>,
}

impl Verdict {
    pub(super) fn holds(&self) -> bool {
        self.missing == 0 && self.broken.is_empty()
    }
}

impl Story {
    pub(super) fn tell(&mut self, group: &str, consumer: &str, did: Did) {
        self.entries.push(Entry { group: group.to_owned(), consumer: consumer.to_owned(), did });
    }

    pub(super) fn killed(&mut self, consumer: &str, at_us: u64) {
        self.killed.push((consumer.to_owned(), at_us));
    }

    /// How many different updates the group has handled.
    pub(super) fn handled(&self, group: &str) -> usize {
        let of_group = self.entries.iter().filter(|entry| entry.group == group);
        let ids = of_group.filter_map(|entry| match entry.did.what {
            What::Handled { update_id, .. } => Some(update_id),
            _ => None,
        });
        ids.collect::<BTreeSet<_>>().len()
    }

    /// How many streams have been opened.
    pub(super) fn joined(&self) -> usize {
        self.entries.iter().filter(|entry| entry.did.what == What::Joined).count()
    }

    /// Whether the group got every one of `sent` (in Telegram's order) and each chat's in order, one at a time.
    pub(super) fn verdict(&self, group: &str, sent: &[i64]) -> Verdict {
        let mut entries: Vec<&Entry> = self.entries.iter().filter(|entry| entry.group == group).collect();
        // Each handler speaks in order, but the lines of several arrive as they come.
        entries.sort_by_key(|entry| entry.did.at_us);
        let place: HashMap<i64, usize> = sent.iter().enumerate().map(|(place, id)| (*id, place)).collect();
        let mut chats: BTreeMap<&str, Chat> = BTreeMap::new();
        let mut handled = BTreeSet::new();
        let mut verdict = Verdict::default();
        for entry in entries {
            match &entry.did.what {
                What::Joined => {}
                What::Took { update_id, key, .. } => {
                    let chat = chats.entry(key).or_default();
                    match place.get(update_id) {
                        None => verdict.broken.push(format!("{update_id} was never sent by Telegram")),
                        Some(place) => self.took(chat, entry, *update_id, *place, &mut verdict),
                    }
                }
                What::Handled { update_id, key, .. } => {
                    handled.insert(*update_id);
                    if let Some(last) = chats.entry(key).or_default().last.as_mut()
                        && last.update_id == *update_id
                    {
                        last.handled = true;
                    }
                }
            }
        }
        verdict.handled = handled.len();
        verdict.missing = sent.iter().filter(|id| !handled.contains(id)).count();
        verdict
    }

    fn took(&self, chat: &mut Chat, entry: &Entry, update_id: i64, place: usize, verdict: &mut Verdict) {
        let at_us = entry.did.at_us;
        if let Some(last) = &chat.last {
            let holder_died = self.died_before(&last.consumer, last.at_us, at_us);
            if last.update_id == update_id {
                verdict.redelivered += 1;
                if !holder_died {
                    verdict.broken.push(format!("{update_id} came twice, though {} lives", last.consumer));
                }
            } else if place < last.place {
                verdict
                    .broken
                    .push(format!("{update_id} came after {}, a later one of its chat", last.update_id));
            } else if !last.handled {
                verdict.broken.push(format!("{update_id} came before {} was handled", last.update_id));
            }
        }
        let consumer = entry.consumer.clone();
        chat.last = Some(Taken { update_id, place, consumer, at_us, handled: false });
    }

    fn died_before(&self, consumer: &str, from_us: u64, to_us: u64) -> bool {
        self.killed.iter().any(|(killed, at_us)| killed == consumer && (from_us..=to_us).contains(at_us))
    }
}

#[derive(Default)]
struct Chat {
    last: Option<Taken>,
}

struct Taken {
    update_id: i64,
    /// In Telegram's order.
    place: usize,
    consumer: String,
    at_us: u64,
    handled: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each step: time, consumer, `+` took or `-` handled, update.
    fn story(steps: &[(u64, &str, char, i64)]) -> Story {
        let mut story = Story::default();
        for (at_us, consumer, step, update_id) in steps.iter().copied() {
            let key = "chat:1".to_owned();
            let what = match step {
                '+' => What::Took { update_id, sequence: update_id, key, attempt: 1 },
                _ => What::Handled { update_id, sequence: update_id, key },
            };
            story.tell("g", consumer, Did { at_us, what });
        }
        story
    }

    #[test]
    fn one_after_the_other_is_right_however_the_lines_arrive() {
        let story = story(&[(3, "b", '+', 11), (1, "a", '+', 10), (4, "b", '-', 11), (2, "a", '-', 10)]);
        let verdict = story.verdict("g", &[10, 11]);
        assert_eq!(verdict, Verdict { handled: 2, ..Verdict::default() });
        assert!(verdict.holds());
    }

    #[test]
    fn an_update_that_nobody_handled_is_missing() {
        let story = story(&[(1, "a", '+', 10), (2, "a", '-', 10), (3, "a", '+', 11)]);
        assert_eq!(story.verdict("g", &[10, 11, 12]).missing, 2);
    }

    #[test]
    fn a_later_one_before_the_earlier_is_handled_breaks_the_order() {
        let overlapping =
            story(&[(1, "a", '+', 10), (2, "b", '+', 11), (3, "a", '-', 10), (4, "b", '-', 11)]);
        assert_eq!(overlapping.verdict("g", &[10, 11]).broken, ["11 came before 10 was handled"]);
        let swapped = story(&[(1, "a", '+', 11), (2, "a", '-', 11), (3, "a", '+', 10), (4, "a", '-', 10)]);
        assert_eq!(swapped.verdict("g", &[10, 11]).broken, ["10 came after 11, a later one of its chat"]);
    }

    #[test]
    fn a_repeat_is_right_only_after_its_handler_died() {
        let mut story = story(&[
            (1, "a", '+', 10),
            (5, "b", '+', 10),
            (6, "b", '-', 10),
            (7, "b", '+', 11),
            (8, "b", '-', 11),
        ]);
        assert_eq!(story.verdict("g", &[10, 11]).broken, ["10 came twice, though a lives"]);
        story.killed("a", 3);
        let verdict = story.verdict("g", &[10, 11]);
        assert!(verdict.holds());
        assert_eq!(verdict.redelivered, 1);
    }
}
