//! Random batches and reopens, against the model.

use bytes::Bytes;
use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::TestRunner;

use super::scenarios::{attempts, dead_letter, group, update};
use super::steering::event;
use super::{Between, Place, Subject};
use crate::journal::contract::model::Model;
use crate::model::{Batch, GroupId, IdRange, Quarantined, Sequence, SettledAs, UnixMillis};

/// One thing that a batch does; what it is done to is chosen when it is known what is there.
#[derive(Clone, Debug)]
enum Action {
    Append { gap: u64, sizes: Vec<usize> },
    CreateGroup,
    ChangeGroup(Index, u32),
    DeleteGroup(Index),
    RememberIds { hour: u32, first: i64, last: i64 },
    ForgetIds(u32),
    Quarantine(usize),
    Attempt(Index, Index, u32),
    Settle(Index, Vec<Index>),
    DeadLetter(Index, Index),
    Event(Index, Index, u32),
    Replay(Index, Index, u32),
    RemoveDeadLetter(Index, Index),
    Seek(Index, u64),
    Purge(Vec<Index>),
    ForgetQuarantined(u64),
    MoveCursor(Index, Index),
    Trim(Vec<Index>),
    SetWebhook(bool),
}

/// What is done to a journal.
#[derive(Clone, Debug)]
enum Step {
    Commit(Vec<Action>),
    /// The last batch once more.
    Again,
    Reopen,
}

fn action() -> impl Strategy<Value = Action> {
    let index = any::<Index>;
    let some = |most| prop::collection::vec(any::<Index>(), 1..most);
    prop_oneof![
        4 => (0..3000u64, prop::collection::vec(prop_oneof![0..300usize, 1900..2200usize, 4000..9000usize], 1..12))
            .prop_map(|(gap, sizes)| Action::Append { gap, sizes }),
        2 => Just(Action::CreateGroup),
        1 => (index(), any::<u32>()).prop_map(|(group, generation)| Action::ChangeGroup(group, generation)),
        1 => index().prop_map(Action::DeleteGroup),
        1 => (0..5u32, any::<i64>(), any::<i64>())
            .prop_map(|(hour, first, last)| Action::RememberIds { hour, first, last }),
        1 => (0..5u32).prop_map(Action::ForgetIds),
        1 => (0..3000usize).prop_map(Action::Quarantine),
        2 => (index(), index(), any::<u32>()).prop_map(|(group, at, attempt)| Action::Attempt(group, at, attempt)),
        4 => (index(), some(20)).prop_map(|(group, at)| Action::Settle(group, at)),
        2 => (index(), index()).prop_map(|(group, at)| Action::DeadLetter(group, at)),
        3 => (index(), index(), 0..9u32).prop_map(|(group, at, attempt)| Action::Event(group, at, attempt)),
        2 => (index(), index(), 1..9u32).prop_map(|(group, at, generation)| Action::Replay(group, at, generation)),
        1 => (index(), index()).prop_map(|(group, at)| Action::RemoveDeadLetter(group, at)),
        1 => (index(), 0..9000u64).prop_map(|(group, to)| Action::Seek(group, to)),
        1 => some(4).prop_map(Action::Purge),
        1 => (0..9u64).prop_map(Action::ForgetQuarantined),
        2 => (index(), index()).prop_map(|(group, at)| Action::MoveCursor(group, at)),
        2 => some(12).prop_map(Action::Trim),
        1 => any::<bool>().prop_map(Action::SetWebhook),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => prop::collection::vec(action(), 1..5).prop_map(Step::Commit),
        1 => Just(Step::Again),
        1 => Just(Step::Reopen),
    ]
}

/// The batch that the actions make, on top of what the model holds.
fn batch(model: &Model, actions: &[Action]) -> Batch {
    let mut batch = Batch::default();
    let mut last = model.recovered.last_sequence.0;
    let mut last_group = model.recovered.last_group.0;
    let groups: Vec<GroupId> = model.groups.keys().copied().collect();
    let stored: Vec<Sequence> = model.heads.keys().copied().collect();
    // Updates that are stored, or of which only dead letters are left.
    let mut known = stored.clone();
    known.extend(model.groups.values().flat_map(|state| state.dead.keys()));
    let pick_known = |index: &Index| if known.is_empty() { None } else { Some(*index.get(&known)) };
    let pick_group = |index: &Index| if groups.is_empty() { GroupId(1) } else { *index.get(&groups) };
    let pick = |index: &Index| if stored.is_empty() { None } else { Some(*index.get(&stored)) };
    for action in actions {
        match action {
            Action::Append { gap, sizes } => {
                last += gap;
                for size in sizes {
                    last += 1;
                    batch.updates.push(update(last, *size));
                }
            }
            Action::CreateGroup => {
                last_group += 1;
                batch.groups.push(group(last_group));
            }
            Action::ChangeGroup(index, generation) => {
                if let Some(state) = model.groups.get(&pick_group(index)) {
                    let mut record = state.record.clone();
                    record.generation = *generation;
                    batch.groups.push(record);
                }
            }
            Action::DeleteGroup(index) => batch.deleted_groups.push(pick_group(index)),
            Action::RememberIds { hour, first, last } => {
                batch.ids.push(IdRange { hour: *hour, first: *first, last: *last });
            }
            Action::ForgetIds(hour) => batch.forget_ids_before_hour = *hour,
            Action::Quarantine(size) => batch.quarantined.push(Quarantined {
                received: model.recovered.last_time,
                reason: "unreadable".into(),
                bytes: Bytes::from(vec![b'x'; *size]),
            }),
            Action::Attempt(group, at, attempt) => {
                if let Some(at) = pick(at) {
                    batch.attempts.push((pick_group(group), at, attempts(*attempt % 1000, at.0)));
                }
            }
            Action::Settle(group, at) => {
                let at = at.iter().filter_map(pick);
                batch.settled.extend(at.map(|at| (pick_group(group), at, SettledAs::Acked)));
            }
            Action::DeadLetter(group, at) => {
                if let Some(at) = pick(at) {
                    let group = pick_group(group);
                    batch.settled.push((group, at, SettledAs::Rejected));
                    batch.dead_letters.push((group, at, dead_letter(SettledAs::Rejected, at.0)));
                }
            }
            Action::Event(group, at, attempt) => {
                let settled = [None, Some(SettledAs::Acked), Some(SettledAs::Expired)][*attempt as usize % 3];
                let event = event(*attempt, model.recovered.last_time.0 + 1, settled);
                batch.events.extend(pick_known(at).map(|at| (pick_group(group), at, event)));
            }
            Action::Replay(group, at, generation) => {
                batch.replays.extend(pick_known(at).map(|at| (pick_group(group), at, *generation)));
            }
            Action::RemoveDeadLetter(group, at) => {
                batch.removed_dead_letters.extend(pick_known(at).map(|at| (pick_group(group), at)));
            }
            Action::Seek(group, to) => batch.sought.push((pick_group(group), Sequence(*to))),
            Action::Purge(at) => batch.purged.extend(at.iter().filter_map(pick_known)),
            Action::ForgetQuarantined(to) => batch.forget_quarantined_to = *to,
            Action::MoveCursor(group, at) => {
                batch.cursors.extend(pick(at).map(|at| (pick_group(group), at)));
            }
            Action::Trim(at) => batch.trimmed.extend(at.iter().filter_map(pick)),
            Action::SetWebhook(set) => {
                batch.own_webhook = Some(if *set { "https://example.org/" } else { "" }.into());
            }
        }
    }
    batch
}

pub(in crate::journal) fn random_batches_and_reopens<P: Place>(place: impl Fn() -> P) {
    let config = ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() };
    let steps = prop::collection::vec(step(), 1..25);
    let run = |steps: Vec<Step>| {
        let mut subject = Subject::new(place(), Between::Nothing);
        let mut last = Batch::default();
        for step in steps {
            match step {
                Step::Commit(actions) => {
                    last = batch(&subject.model, &actions);
                    subject.commit(&last);
                }
                Step::Again => subject.commit_again(&last),
                Step::Reopen => subject.reopen(),
            }
        }
        Ok(())
    };
    TestRunner::new(config).run(&steps, run).unwrap();
}

/// The times of the updates that [`update`] makes never decrease, as the contract demands.
#[test]
fn the_times_of_random_updates_never_decrease() {
    assert!(update(1, 0).head.received < update(2, 0).head.received);
    assert_eq!(update(3, 0).head.received, UnixMillis(3000));
}
