//! The contract as tests: scenarios that every implementation runs: as they are, with a reopen between any two
//! operations, and with every commit made twice. Each commit is also applied to a model in memory, and everything readable is compared with it.

mod model;
mod random;
mod scenarios;
mod steering;

use super::{Journal, JournalReader, Recovered};
use crate::model::{Batch, Sequence, UnixMillis};

use self::model::Model;
pub(super) use self::random::random_batches_and_reopens;
pub(super) use self::scenarios::*;
pub(super) use self::steering::*;

/// A place where one journal is, which can be opened over and over.
pub(super) trait Place {
    /// The implementation.
    type Journal: Journal;

    /// Opens the journal that is there; makes it the first time.
    fn open(&self) -> Self::Journal;
}

/// What happens between any two commits to a subject.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Between {
    Nothing,
    /// It is closed and opened again.
    Reopen,
    /// The last commit is made once more, which changes nothing.
    Again,
}

/// A journal under test.
pub(super) struct Subject<P: Place> {
    place: P,
    /// `None` only while it is reopened.
    journal: Option<P::Journal>,
    between: Between,
    model: Model,
}

impl<P: Place> Subject<P> {
    pub(super) fn new(place: P, between: Between) -> Self {
        let journal = place.open();
        let model = Model::new(journal.reader().recover().unwrap().journal_id);
        let subject = Self { place, journal: Some(journal), between, model };
        subject.check();
        subject
    }

    pub(super) fn reader(&self) -> <P::Journal as Journal>::Reader {
        self.journal.as_ref().unwrap().reader()
    }

    pub(super) fn recover(&self) -> Recovered {
        self.reader().recover().unwrap()
    }

    /// Commits to the journal and to the model, and compares the two.
    pub(super) fn commit(&mut self, batch: &Batch) {
        let usage = self.journal.as_mut().unwrap().commit(batch).unwrap();
        assert!(usage.used_bytes <= usage.max_bytes, "{usage:?}");
        self.model.apply(batch);
        match self.between {
            Between::Nothing => self.check(),
            Between::Reopen => self.reopen(),
            Between::Again => self.commit_again(batch),
        }
    }

    /// Commits to the journal what the model has got already. Sequences and quarantined elements are given out once.
    pub(super) fn commit_again(&mut self, batch: &Batch) {
        let again = Batch { updates: Vec::new(), quarantined: Vec::new(), ..batch.clone() };
        self.journal.as_mut().unwrap().commit(&again).unwrap();
        self.check();
    }

    pub(super) fn reopen(&mut self) {
        drop(self.journal.take());
        self.journal = Some(self.place.open());
        self.model.recovered.boot += 1;
        self.check();
    }

    /// Compares everything that can be read with the model.
    fn check(&self) {
        let reader = self.reader();
        let mut recovered = reader.recover().unwrap();
        // How full it is, is each implementation's own.
        recovered.usage = self.model.recovered.usage;
        assert_eq!(recovered, self.model.recover());

        let heads: Vec<_> = self.model.heads.values().copied().collect();
        assert_eq!(reader.heads(Sequence(0), usize::MAX).unwrap(), heads);
        if let Some(middle) = heads.get(heads.len() / 2) {
            let expected: Vec<_> = heads[heads.len() / 2..].iter().copied().take(3).collect();
            assert_eq!(reader.heads(middle.sequence, 3).unwrap(), expected);
        }

        let back: Vec<_> = heads.iter().rev().copied().collect();
        assert_eq!(reader.heads_back(Sequence(u64::MAX), usize::MAX).unwrap(), back);
        if let Some(middle) = back.get(back.len() / 2) {
            let expected: Vec<_> = back[back.len() / 2..].iter().copied().take(3).collect();
            assert_eq!(reader.heads_back(middle.sequence, 3).unwrap(), expected);
        }

        let asked: Vec<_> =
            heads.iter().rev().flat_map(|head| [head.sequence, head.sequence.next()]).collect();
        let expected: Vec<_> =
            asked.iter().map(|sequence| self.model.payloads.get(sequence).cloned()).collect();
        assert_eq!(reader.read(&asked).unwrap(), expected);

        for at in [0, 1, heads.len() / 3, heads.len() / 2, heads.len().saturating_sub(1)] {
            let (from, time) = heads.get(at).map_or((Sequence(5), UnixMillis(5)), |head| {
                (Sequence(head.sequence.0.saturating_sub(1)), UnixMillis(head.received.0 + 1))
            });
            for (from, time) in [(from, UnixMillis(0)), (Sequence(0), time), (from, time)] {
                let found = reader.first_at(from, time).unwrap();
                assert_eq!(found, self.model.first_at(from, time), "{from:?} {time:?}");
            }
        }

        assert_eq!(reader.counts().unwrap(), self.model.counts());
        for (group, state) in &self.model.groups {
            let back: Vec<_> = state.dead.values().rev().cloned().collect();
            assert_eq!(reader.dead_letters_back(*group, Sequence(u64::MAX), usize::MAX).unwrap(), back);
            if let Some(last) = back.first() {
                let before = Sequence(last.head.sequence.0 - 1);
                let second: Vec<_> = back.iter().skip(1).take(1).cloned().collect();
                assert_eq!(reader.dead_letters_back(*group, before, 1).unwrap(), second);
            }
            let all: Vec<_> = state.dead.values().cloned().collect();
            assert_eq!(reader.dead_letters(*group, Sequence(0), usize::MAX).unwrap(), all);
            if let Some(first) = all.first() {
                let second: Vec<_> = all.iter().skip(1).take(1).cloned().collect();
                assert_eq!(reader.dead_letters(*group, first.head.sequence.next(), 1).unwrap(), second);
            }
        }
        self.check_events_and_quarantine(&reader);
    }
}

impl<P: Place> Subject<P> {
    fn check_events_and_quarantine(&self, reader: &<P::Journal as Journal>::Reader) {
        let mut with_events: Vec<_> = self.model.events.keys().map(|(at, ..)| *at).collect();
        // One that has none, mostly.
        with_events.push(self.model.recovered.last_sequence);
        for at in with_events {
            let of = self.model.events.iter().filter(|((sequence, ..), _)| *sequence == at);
            let expected: Vec<_> = of.map(|((_, group, ..), event)| (*group, event.clone())).collect();
            assert_eq!(reader.events(at).unwrap(), expected, "{at:?}");
        }

        let all: Vec<_> = self.model.quarantined.clone().into_iter().collect();
        let back: Vec<_> = all.iter().rev().cloned().collect();
        assert_eq!(reader.quarantined(0, usize::MAX).unwrap(), all);
        assert_eq!(reader.quarantined_back(u64::MAX, usize::MAX).unwrap(), back);
        if let [first, second, ..] = &*all {
            assert_eq!(reader.quarantined(first.0 + 1, 1).unwrap(), std::slice::from_ref(second));
            assert_eq!(reader.quarantined_back(second.0 - 1, 1).unwrap(), std::slice::from_ref(first));
        }
    }
}

/// Makes a test of every scenario, for the places that `$place` makes.
macro_rules! contract_suite {
    ($place:expr) => {
        $crate::journal::contract::contract_suite! { @each $place =>
            nothing_is_there_at_first
            an_empty_batch_does_nothing
            updates_are_read_back
            sequences_may_have_gaps
            the_first_update_at_a_time_is_found
            settling_twice_changes_nothing
            settlements_out_of_order_cross_block_borders
            a_cursor_forgets_what_is_below_it
            a_cursor_never_goes_back
            settling_removes_the_attempts
            dead_letters_keep_their_payload
            update_ids_are_remembered_and_forgotten
            unreadable_elements_are_set_aside
            quarantined_elements_are_forgotten_from_the_oldest_on
            the_webhook_is_remembered
            a_deleted_group_leaves_nothing
            a_group_that_is_not_there_has_no_progress
            a_changed_group_keeps_its_progress
            a_deleted_name_is_remembered_until_a_group_has_it
            a_sought_group_begins_anew_and_keeps_its_dead_letters
            events_are_read_in_the_order_of_time
            events_go_with_their_updates
            a_replay_ends_with_its_settlement
            a_replayed_update_has_attempts_of_its_own
            a_replay_brings_a_trimmed_update_back
            a_replayed_update_is_not_trimmed
            removed_dead_letters_are_counted_out
            nothing_is_left_of_a_purged_update
            trimmed_updates_are_gone
            a_whole_batch_is_applied_in_order
        }

        #[test]
        fn random_batches_and_reopens() {
            $crate::journal::contract::random_batches_and_reopens(|| $place);
        }
    };
    (@each $place:expr => $($scenario:ident)*) => {
        $(
            #[test]
            fn $scenario() {
                use $crate::journal::contract::{self, Between, Subject};
                for between in [Between::Nothing, Between::Reopen, Between::Again] {
                    contract::$scenario(&mut Subject::new($place, between));
                }
            }
        )*
    };
}
pub(super) use contract_suite;
