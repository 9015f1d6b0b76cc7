//! Looking for dead letters, of one group at a time.

use super::selection::Selection;
use super::{InspectError, Inspector};
use crate::model::{GroupId, Sequence, StoredDeadLetter};

/// Dead letters that are read at once; each comes with its payload.
const LETTERS_AT_ONCE: usize = 64;
/// Dead letters that one call looks at.
const LETTERS_PER_CALL: usize = 4_096;
/// Bytes of payloads that one call reads.
const BYTES_PER_CALL: usize = 4 << 20;

/// Dead letters, and where to go on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadLetterPage {
    /// Those found.
    pub letters: Vec<StoredDeadLetter>,
    /// The first position not looked at; `None` if the group has no more.
    pub next: Option<Sequence>,
}

impl Inspector {
    /// The next dead letters of a group, from `from` on downwards; at most `limit`, fewer if a bounded number has been
    /// looked at before.
    ///
    /// # Errors
    /// [`InspectError`].
    pub fn dead_letters_down(
        &self,
        group: GroupId,
        selection: &Selection,
        from: Sequence,
        limit: usize,
    ) -> Result<DeadLetterPage, InspectError> {
        let read = |from| self.journal.dead_letters_back(group, from, LETTERS_AT_ONCE);
        let after = |sequence: Sequence| sequence.0.checked_sub(1).map(Sequence);
        collect(selection, from, limit, |from| Ok(read(from)?), after)
    }

    /// The same, upwards.
    ///
    /// # Errors
    /// [`InspectError`].
    pub fn dead_letters_up(
        &self,
        group: GroupId,
        selection: &Selection,
        from: Sequence,
        limit: usize,
    ) -> Result<DeadLetterPage, InspectError> {
        let read = |from| self.journal.dead_letters(group, from, LETTERS_AT_ONCE);
        let after = |sequence: Sequence| sequence.0.checked_add(1).map(Sequence);
        collect(selection, from, limit, |from| Ok(read(from)?), after)
    }

    /// The dead letter of this update in a group.
    ///
    /// # Errors
    /// [`InspectError`].
    pub fn dead_letter(
        &self,
        group: GroupId,
        sequence: Sequence,
    ) -> Result<Option<StoredDeadLetter>, InspectError> {
        let found = self.journal.dead_letters(group, sequence, 1)?.into_iter().next();
        Ok(found.filter(|letter| letter.head.sequence == sequence))
    }
}

fn collect(
    selection: &Selection,
    mut from: Sequence,
    limit: usize,
    read: impl Fn(Sequence) -> Result<Vec<StoredDeadLetter>, InspectError>,
    after: impl Fn(Sequence) -> Option<Sequence>,
) -> Result<DeadLetterPage, InspectError> {
    let matcher = selection.matcher();
    let mut page = DeadLetterPage { letters: Vec::new(), next: None };
    let (mut seen, mut bytes) = (0, 0);
    loop {
        let letters = read(from)?;
        if letters.is_empty() {
            return Ok(page);
        }
        for letter in letters {
            let Some(next) = after(letter.head.sequence) else { return Ok(page) };
            from = next;
            seen += 1;
            bytes += letter.payload.update.len();
            if matcher.matches(&letter.head) {
                page.letters.push(letter);
            }
            if page.letters.len() >= limit || seen >= LETTERS_PER_CALL || bytes >= BYTES_PER_CALL {
                page.next = Some(from);
                return Ok(page);
            }
        }
    }
}
