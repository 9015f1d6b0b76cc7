//! How many updates of a group are not settled.
//!
//! What comes in and what is settled is counted as it happens. A backlog that was there at the start is counted by
//! reading its heads, a chunk at a time, whenever there is nothing else to read; what of it is settled before it has
//! been counted is not found unsettled then.

use super::dispatcher::{Dispatcher, HeadsWanted};
use super::group::Group;
use super::window::CHUNK;
use crate::model::{GroupId, Head, Sequence};

/// A group's lag, without its replays.
#[derive(Debug)]
pub(super) struct Lag {
    /// Matching unsettled updates, those in `uncounted` left out.
    count: u64,
    uncounted: Option<Uncounted>,
}

/// A part of the backlog that is still to be counted, both ends included.
#[derive(Clone, Copy, Debug)]
struct Uncounted {
    from: Sequence,
    to: Sequence,
}

impl Lag {
    /// Of a group that is done with everything up to the cursor.
    pub(super) fn new(cursor: Sequence, tail: Sequence) -> Self {
        let uncounted = (cursor < tail).then(|| Uncounted { from: cursor.next(), to: tail });
        Self { count: 0, uncounted }
    }

    /// What was found up to now.
    pub(super) fn count(&self) -> u64 {
        self.count
    }

    /// Whether that is all.
    pub(super) fn is_exact(&self) -> bool {
        self.uncounted.is_none()
    }

    /// A matching update has come.
    pub(super) fn appended(&mut self) {
        self.count += 1;
    }

    /// A matching update is settled now, and was not before.
    pub(super) fn settled(&mut self, sequence: Sequence) {
        let uncounted = |part: Uncounted| (part.from..=part.to).contains(&sequence);
        if !self.uncounted.is_some_and(uncounted) {
            // What a replay of another group's dead letter puts back among updates that have been counted was not there
            // then; and a token that nobody was given may name an update that does not match.
            self.count = self.count.saturating_sub(1);
        }
    }
}

impl Dispatcher {
    /// What of the backlog is to be read for nothing but counting it, if anything. It can wait until there is nothing
    /// else to read.
    pub fn count_wanted(&mut self) -> Option<HeadsWanted> {
        self.groups
            .iter_mut()
            .find_map(|(&group, state)| Some(HeadsWanted { group, from: state.count_from()?, limit: CHUNK }))
    }

    /// The heads that [`count_wanted`](Self::count_wanted) asked for; fewer than asked for mean that there are no
    /// more.
    pub fn handle_counted(&mut self, group: GroupId, heads: &[Head]) {
        if let Some(state) = self.groups.get_mut(&group) {
            state.counted(heads);
        }
    }
}

impl Group {
    fn count_from(&mut self) -> Option<Sequence> {
        let part = self.lag.uncounted.as_mut()?;
        // There is nothing unsettled up to the cursor.
        part.from = part.from.max(self.settled.cursor().next());
        if part.from > part.to {
            self.lag.uncounted = None;
        }
        self.lag.uncounted.map(|part| part.from)
    }

    fn counted(&mut self, heads: &[Head]) {
        let Some(Uncounted { from, to }) = self.lag.uncounted else { return };
        let part = heads.iter().filter(|head| (from..=to).contains(&head.sequence));
        self.lag.count += part.filter(|head| self.concerns(head)).count() as u64;
        let next = heads.last().map_or(from, |head| head.sequence.next());
        self.lag.uncounted =
            (heads.len() == CHUNK && next <= to).then(|| Uncounted { from: next.max(from), to });
    }
}
