//! Removing what nobody needs any more.
//!
//! A pass goes from the oldest update on. A settled one goes when it is old enough, or earlier when the journal is
//! above its retention size; an unsettled one is given up at the age that its group allows, which settles it, and goes
//! with a later pass. Each step is bounded by what the commit appends, so that trimming never makes a commit long.

use super::core::Core;
use crate::journal::{JournalReader, ReadError};
use crate::model::{Batch, Head, Monotonic, Now, Sequence};

/// Time between two passes.
const PASS_EVERY_MS: u64 = 10_000;
/// Heads that a step looks at beyond twice what its commit appends.
const STEP: usize = 128;

/// When the two clocks disagree by more than this between two passes, the wall clock was set: ages mean nothing then.
const CLOCK_JUMP_MS: u64 = 60_000;

/// Where the trimming is.
#[derive(Debug, Default)]
pub(super) struct Trimmer {
    /// When the last pass began.
    last_pass: Option<Now>,
    /// The next sequence to look at in the pass that is under way.
    at: Option<Sequence>,
    next_pass: Monotonic,
}

impl Trimmer {
    /// Whether there is something to do even if nothing comes in.
    pub(super) fn is_due(&self, now: Monotonic) -> bool {
        self.at.is_some() || now >= self.next_pass
    }

    /// Whether the wall clock was set since the last pass.
    fn clock_jumped(&mut self, now: Now) -> bool {
        let Some(last) = self.last_pass.replace(now) else { return false };
        now.unix.since(last.unix).abs_diff(now.mono.since(last.mono)) > CLOCK_JUMP_MS
    }

    pub(super) fn next_pass(&self) -> Monotonic {
        if self.at.is_some() { Monotonic(0) } else { self.next_pass }
    }
}

impl<R: JournalReader> Core<R> {
    /// One step of the pass that is under way, or the first one of the next. Returns what to remove.
    pub(super) fn trim_step(&mut self, now: Now, batch: &Batch) -> Result<Vec<Sequence>, ReadError> {
        let from = match self.trimmer.at {
            Some(at) => at,
            None if now.mono >= self.trimmer.next_pass => {
                self.trimmer.next_pass = now.mono.plus(PASS_EVERY_MS);
                if self.trimmer.clock_jumped(now) {
                    tracing::warn!(
                        bot = self.tally.bot(),
                        "the clock was set; nothing is trimmed or expired for now"
                    );
                    return Ok(Vec::new());
                }
                self.sweep.due = true;
                Sequence(1)
            }
            None => return Ok(Vec::new()),
        };
        let limit = 2 * batch.updates.len() + STEP;
        let heads = self.reader.heads(from, limit)?;
        let mut trimmed = Vec::new();
        for head in &heads {
            match self.fate(now, head) {
                Fate::Keep => {}
                Fate::KeepAllFromHere => {
                    self.trimmer.at = None;
                    return Ok(trimmed);
                }
                Fate::KeepUpTo(settled) => {
                    self.trimmer.at = Some(settled.next());
                    return Ok(trimmed);
                }
                // One that is handed over again by this very batch stays.
                Fate::Trim if batch.replays.iter().any(|(_, at, _)| *at == head.sequence) => {}
                Fate::Trim => trimmed.push(head.sequence),
                Fate::GiveUp => self.give_up(now, head),
            }
        }
        self.trimmer.at = match heads.last() {
            Some(last) if heads.len() == limit => Some(last.sequence.next()),
            _ => None,
        };
        Ok(trimmed)
    }

    fn fate(&self, now: Now, head: &Head) -> Fate {
        let age = now.unix.since(head.received);
        let mut groups = self.groups.durable().peekable();
        if groups.peek().is_none() {
            // Nobody has asked for updates yet. They wait as long as they would for a group.
            let limit = self.settings.group.max_unsettled_age_ms;
            return if age < limit { Fate::KeepAllFromHere } else { Fate::Trim };
        }
        let crowded = self.usage.used_bytes > self.settings.retention_max_bytes;
        let retained = age < self.settings.retention_max_age_ms && !crowded;
        if retained && self.groups.durable().all(|(_, limit)| age < limit) {
            return Fate::KeepAllFromHere;
        }
        let mut unsettled = groups.filter(|(id, _)| !self.dispatcher.is_settled(*id, head)).peekable();
        if unsettled.peek().is_none() {
            return match self.all_settled() {
                _ if !retained => Fate::Trim,
                // They may be millions: a pass does not go through them.
                cursor if cursor > head.sequence => Fate::KeepUpTo(cursor),
                _ => Fate::Keep,
            };
        }
        if unsettled.any(|(_, limit)| age >= limit) { Fate::GiveUp } else { Fate::Keep }
    }

    /// Everything at or below is settled for every durable group.
    fn all_settled(&self) -> Sequence {
        let cursors = self.groups.durable().filter_map(|(id, _)| self.dispatcher.cursor(id));
        cursors.min().unwrap_or_default()
    }

    fn give_up(&mut self, now: Now, head: &Head) {
        let age = now.unix.since(head.received);
        let over = self.groups.durable().filter(|(_, limit)| age >= *limit);
        let groups: Vec<_> = over.map(|(id, _)| id).collect();
        for id in groups {
            self.dispatcher.handle_expire(now, id, head);
        }
    }
}

/// What happens to an update in a pass.
#[derive(Debug, PartialEq, Eq)]
enum Fate {
    Keep,
    /// It and all younger ones are kept.
    KeepAllFromHere,
    /// All up to here are settled, and kept.
    KeepUpTo(Sequence),
    Trim,
    /// Its groups have had their time with it.
    GiveUp,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::UnixMillis;

    #[test]
    fn a_clock_that_was_set_is_noticed_once() {
        let at = |mono, unix| Now { mono: Monotonic(mono), unix: UnixMillis(unix) };
        let mut trimmer = Trimmer::default();
        assert!(!trimmer.clock_jumped(at(0, 1_000_000)));
        assert!(!trimmer.clock_jumped(at(10_000, 1_010_500)));
        assert!(trimmer.clock_jumped(at(20_000, 1_010_000_000)));
        assert!(!trimmer.clock_jumped(at(30_000, 1_010_010_000)));
    }
}
