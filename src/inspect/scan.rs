//! Looking for updates: heads are scanned, payloads are read only of what matches.

use super::selection::Selection;
use super::{InspectError, Inspector};
use crate::model::{Head, Payload, Sequence, UnixMillis};
use crate::wire;

/// Heads that are read at once: some 150 bytes each, and a short transaction.
const HEADS_AT_ONCE: usize = 2_048;
/// Heads that one call looks at: at some 15 million a second they take a fifth of the 50 ms that a list may take.
const HEADS_PER_CALL: usize = 131_072;
/// Bytes of payloads that one call reads: searched at some 300 MB a second, they take a quarter of it.
const BYTES_PER_CALL: usize = 4 << 20;
/// Payloads that are read at once.
const PAYLOADS_AT_ONCE: usize = 64;

/// Which way to look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// Oldest first.
    Up,
    /// Newest first.
    Down,
}

/// What is looked for.
#[derive(Clone, Debug)]
pub struct UpdateQuery {
    /// Which updates.
    pub selection: Selection,
    /// What their JSON must have in it; empty for anything.
    pub contains: Box<str>,
    /// Which way.
    pub direction: Direction,
}

/// Updates, and where to go on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpdatePage {
    /// Those found.
    pub updates: Vec<(Head, Payload)>,
    /// The first position not looked at; `None` if there is no more.
    pub next: Option<Sequence>,
}

/// Heads, and where to go on.
#[derive(Debug)]
struct Scanned {
    found: Vec<Head>,
    next: Option<Sequence>,
}

impl Inspector {
    /// The next updates from `from` on; at most `limit`, fewer if a bounded number of heads and bytes has been looked
    /// at before.
    ///
    /// # Errors
    /// [`InspectError`].
    pub fn updates(
        &self,
        query: &UpdateQuery,
        from: Option<Sequence>,
        limit: usize,
    ) -> Result<UpdatePage, InspectError> {
        let needles = needles(&query.contains);
        let mut page = UpdatePage { updates: Vec::new(), next: None };
        let (mut heads, mut bytes) = (HEADS_PER_CALL, BYTES_PER_CALL);
        let mut from = from;
        loop {
            let want = PAYLOADS_AT_ONCE.min(limit - page.updates.len());
            let scanned = self.scan(&query.selection, query.direction, from, want, &mut heads)?;
            let sequences: Vec<_> = scanned.found.iter().map(|head| head.sequence).collect();
            // What was trimmed meanwhile is passed over.
            for (head, payload) in scanned.found.into_iter().zip(self.payloads(&sequences)?) {
                let Some(payload) = payload else { continue };
                bytes = bytes.saturating_sub(payload.update.len());
                if needles.is_empty() || wire::json(&payload).is_some_and(|json| has_any(json, &needles)) {
                    page.updates.push((head, payload));
                }
            }
            from = scanned.next;
            if from.is_none() || page.updates.len() >= limit || heads == 0 || bytes == 0 {
                page.next = from;
                return Ok(page);
            }
        }
    }

    /// The next heads that a selection matches, from `from` on, oldest first; at most `limit`, fewer if a bounded
    /// number has been looked at before. With them where to go on.
    ///
    /// # Errors
    /// [`InspectError`].
    pub fn matching(
        &self,
        selection: &Selection,
        from: Option<Sequence>,
        limit: usize,
    ) -> Result<(Vec<Head>, Option<Sequence>), InspectError> {
        let mut heads = HEADS_PER_CALL;
        let scanned = self.scan(selection, Direction::Up, from, limit, &mut heads)?;
        Ok((scanned.found, scanned.next))
    }

    /// The newest stored update with this id.
    ///
    /// # Errors
    /// [`InspectError`].
    pub fn newest_with_id(&self, update_id: i64) -> Result<Option<Head>, InspectError> {
        let mut from = Sequence(u64::MAX);
        loop {
            let heads = self.journal.heads_back(from, HEADS_AT_ONCE)?;
            if let Some(found) = heads.iter().find(|head| head.update_id == update_id) {
                return Ok(Some(*found));
            }
            match heads.last().and_then(|last| last.sequence.0.checked_sub(1)) {
                Some(before) => from = Sequence(before),
                None => return Ok(None),
            }
        }
    }

    /// Looks at heads until `limit` are found or `budget` is used up.
    fn scan(
        &self,
        selection: &Selection,
        direction: Direction,
        from: Option<Sequence>,
        limit: usize,
        budget: &mut usize,
    ) -> Result<Scanned, InspectError> {
        let mut scanned = Scanned { found: Vec::new(), next: None };
        let Some((low, high)) = self.bounds(selection)? else { return Ok(scanned) };
        let mut at = match (from, direction) {
            (Some(from), Direction::Up) if from > high => return Ok(scanned),
            (Some(from), Direction::Down) if from < low => return Ok(scanned),
            (Some(from), _) => from.clamp(low, high),
            (None, Direction::Up) => low,
            (None, Direction::Down) => high,
        };
        let matcher = selection.matcher();
        // What is wanted may be all there is: no more is read than that, until it is seen that few match.
        let mut at_once = limit.clamp(1, HEADS_AT_ONCE);
        loop {
            let heads = if selection.sequences.is_empty() {
                let count = at_once.min(*budget);
                at_once = HEADS_AT_ONCE.min(at_once * 2);
                match direction {
                    Direction::Up => self.journal.heads(at, count)?,
                    Direction::Down => self.journal.heads_back(at, count)?,
                }
            } else {
                self.named(&selection.sequences, direction, at, limit - scanned.found.len())?
            };
            if heads.is_empty() {
                return Ok(scanned);
            }
            for head in heads {
                if head.sequence < low || head.sequence > high {
                    return Ok(scanned);
                }
                *budget = budget.saturating_sub(1);
                let after = match direction {
                    Direction::Up => Some(head.sequence.next()),
                    Direction::Down => head.sequence.0.checked_sub(1).map(Sequence),
                };
                if matcher.matches(&head) {
                    scanned.found.push(head);
                }
                let Some(after) = after.filter(|after| (low..=high).contains(after)) else {
                    return Ok(scanned);
                };
                at = after;
                if scanned.found.len() >= limit || *budget == 0 {
                    scanned.next = Some(at);
                    return Ok(scanned);
                }
            }
        }
    }

    /// The heads of the next few of these positions, from `at` on.
    fn named(
        &self,
        sequences: &[Sequence],
        direction: Direction,
        at: Sequence,
        limit: usize,
    ) -> Result<Vec<Head>, InspectError> {
        let mut heads = Vec::new();
        let mut take = |sequence: &Sequence| -> Result<bool, InspectError> {
            heads.extend(self.head(*sequence)?);
            Ok(heads.len() < limit)
        };
        match direction {
            Direction::Up => {
                let first = sequences.partition_point(|sequence| *sequence < at);
                for sequence in sequences.iter().skip(first) {
                    if !take(sequence)? {
                        break;
                    }
                }
            }
            Direction::Down => {
                let end = sequences.partition_point(|sequence| *sequence <= at);
                for sequence in sequences.iter().take(end).rev() {
                    if !take(sequence)? {
                        break;
                    }
                }
            }
        }
        Ok(heads)
    }

    /// The positions between which a selection's updates are, both included; none if there can be none.
    fn bounds(&self, selection: &Selection) -> Result<Option<(Sequence, Sequence)>, InspectError> {
        let mut low = Sequence(0);
        let mut high = self.journal.newest()?;
        if let Some(start) = selection.start {
            let Some(first) = self.first_at(low, start)? else { return Ok(None) };
            low = first;
        }
        if let Some(end) = selection.end
            && let Some(after) = self.first_at(Sequence(0), end)?
        {
            high = Sequence(after.0.saturating_sub(1));
        }
        if let ([first, ..], [.., last]) = (&*selection.sequences, &*selection.sequences) {
            low = low.max(*first);
            high = high.min(*last);
        }
        Ok((low <= high).then_some((low, high)))
    }

    /// Where a group begins that begins at this time: at the first update received then or later, else after the
    /// newest one.
    ///
    /// # Errors
    /// [`InspectError`].
    pub fn position_at(&self, time: UnixMillis) -> Result<Sequence, InspectError> {
        self.position_from(Sequence(0), time)
    }

    /// The first stored position at or after `from`, received at or after `time`, else the one after the newest.
    ///
    /// # Errors
    /// [`InspectError`].
    pub fn position_from(&self, from: Sequence, time: UnixMillis) -> Result<Sequence, InspectError> {
        let found = self.first_at(from, time)?;
        found.map_or_else(|| Ok(self.journal.newest()?.next()), Ok)
    }
}

/// A text as it may stand in JSON: as it is, and as Telegram writes it, with all but ASCII escaped.
fn needles(text: &str) -> Vec<String> {
    if text.is_empty() {
        return Vec::new();
    }
    let mut escaped = String::new();
    for character in text.chars() {
        match character {
            '"' => escaped.push_str("\\\""),
            '\\' => escaped.push_str("\\\\"),
            '\n' => escaped.push_str("\\n"),
            '\t' => escaped.push_str("\\t"),
            '\r' => escaped.push_str("\\r"),
            ' '..='~' => escaped.push(character),
            _ => {
                for unit in character.encode_utf16(&mut [0; 2]) {
                    escaped.push_str(&format!("\\u{unit:04x}"));
                }
            }
        }
    }
    let mut needles = vec![text.to_owned()];
    if escaped != text {
        needles.push(escaped);
    }
    needles
}

fn has_any(json: &str, needles: &[String]) -> bool {
    needles.iter().any(|needle| json.contains(needle.as_str()))
}
