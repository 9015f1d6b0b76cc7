//! Scenarios of what operators do and look at: deleted names, seeks, replays, purges, timelines.

use bytes::Bytes;

use super::scenarios::{acks, attempts, dead_letter, group, new_group, update, updates};
use super::{Place, Subject};
use crate::journal::{DeadLetterCount, Journal, JournalReader};
use crate::model::{
    AttemptOutcome, Batch, EndedAttempt, Event, GroupId, GroupRecord, Quarantined, Sequence, SettledAs,
    UnixMillis,
};

const ONE: GroupId = GroupId(1);

/// The end of a delivery that an ack, or nothing, settled.
pub(in crate::journal) fn event(attempt: u32, time: u64, settled: Option<SettledAs>) -> Event {
    let attempt = EndedAttempt {
        generation: attempt / 3,
        attempt,
        consumer: "a-consumer".repeat(attempt as usize % 3).into(),
        delivered: UnixMillis(time.saturating_sub(u64::from(attempt) * 1000)),
        replayed: attempt.is_multiple_of(2),
        outcome: [
            AttemptOutcome::Acked,
            AttemptOutcome::Nacked,
            AttemptOutcome::Released,
            AttemptOutcome::Expired,
            AttemptOutcome::Lost,
            AttemptOutcome::Rejected,
            AttemptOutcome::Revoked,
        ][attempt as usize % 7],
        reason: "reason №1 ".repeat(attempt as usize % 4).into(),
    };
    Event { time: UnixMillis(time), attempt: Some(attempt), settled }
}

fn events(of: impl IntoIterator<Item = (u32, u64, Event)>) -> Batch {
    let event = |(group, at, event)| (GroupId(group), Sequence(at), event);
    Batch { events: of.into_iter().map(event).collect(), ..Batch::default() }
}

fn dead(at: u64) -> Batch {
    Batch {
        settled: vec![(ONE, Sequence(at), SettledAs::Rejected)],
        dead_letters: vec![(ONE, Sequence(at), dead_letter(SettledAs::Rejected, at * 1000))],
        ..Batch::default()
    }
}

fn replay(at: u64, generation: u32) -> Batch {
    Batch { replays: vec![(ONE, Sequence(at), generation)], ..Batch::default() }
}

pub(in crate::journal) fn quarantined_elements_are_forgotten_from_the_oldest_on<P: Place>(
    subject: &mut Subject<P>,
) {
    let element = |time| Quarantined {
        received: UnixMillis(time),
        reason: "no update_id".into(),
        bytes: Bytes::from(vec![b'x'; time as usize]),
    };
    subject.commit(&Batch { quarantined: (1..=5).map(element).collect(), ..Batch::default() });
    subject.commit(&Batch { forget_quarantined_to: 3, ..Batch::default() });
    let left = subject.reader().quarantined(0, 9).unwrap();
    assert_eq!(left, [(4, element(4)), (5, element(5))]);
    subject.commit(&Batch { quarantined: vec![element(6)], forget_quarantined_to: 4, ..Batch::default() });
    assert_eq!(subject.reader().quarantined_back(u64::MAX, 1).unwrap(), [(6, element(6))]);
    assert_eq!(subject.reader().counts().unwrap().quarantined, 2);
}

pub(in crate::journal) fn a_deleted_name_is_remembered_until_a_group_has_it<P: Place>(
    subject: &mut Subject<P>,
) {
    let delete = |id| Batch { deleted_groups: vec![GroupId(id)], ..Batch::default() };
    subject.commit(&Batch { groups: vec![group(1), group(2)], ..Batch::default() });
    subject.commit(&delete(1));
    subject.commit(&delete(7));
    assert_eq!(subject.recover().deleted, [group(1).name]);
    let anew = GroupRecord { id: GroupId(3), ..group(1) };
    subject.commit(&Batch { groups: vec![anew.clone()], ..Batch::default() });
    assert_eq!(subject.recover().deleted, []);
    // In the place of one that goes with the same commit.
    let again = GroupRecord { id: GroupId(4), ..anew };
    subject.commit(&Batch { groups: vec![again], ..delete(3) });
    assert_eq!(subject.recover().deleted, []);
    assert_eq!(subject.recover().groups.len(), 2);
}

pub(in crate::journal) fn a_sought_group_begins_anew_and_keeps_its_dead_letters<P: Place>(
    subject: &mut Subject<P>,
) {
    subject.commit(&Batch { groups: vec![group(1), group(2)], ..updates(1..=9) });
    for id in [1, 2] {
        subject.commit(&Batch {
            attempts: vec![(GroupId(id), Sequence(8), attempts(4, 8000))],
            replays: vec![(GroupId(id), Sequence(2), 2)],
            cursors: vec![(GroupId(id), Sequence(5))],
            ..acks(id, [2, 7])
        });
    }
    subject.commit(&dead(6));
    let sought = |id, to| (GroupId(id), Sequence(to));
    subject.commit(&Batch { sought: vec![sought(1, 3), sought(9, 3)], ..Batch::default() });
    let [one, two] = &subject.recover().groups[..] else { panic!("two groups") };
    assert_eq!((one.cursor, one.settled.len(), one.attempts.len()), (Sequence(3), 0, 0));
    assert_eq!((&*one.replays, two.replays.len(), two.attempts.len()), (&[][..], 1, 1));
    assert_eq!(subject.reader().dead_letters(ONE, Sequence(0), 9).unwrap().len(), 1);
    // What the same commit settles comes after it, and it can go forward as well.
    subject.commit(&Batch { sought: vec![sought(1, 8)], ..acks(1, [9]) });
    assert_eq!(subject.recover().groups[0].settled.len(), 1);
    subject.commit(&new_group(9));
    assert_eq!(subject.recover().groups[2].cursor, Sequence(0), "it was not there to be sought");
}

pub(in crate::journal) fn events_are_read_in_the_order_of_time<P: Place>(subject: &mut Subject<P>) {
    subject.commit(&Batch { groups: vec![group(1), group(2)], ..updates(1..=9) });
    let ended = |attempt, time| event(attempt, time, None);
    subject.commit(&events([(2, 5, ended(1, 7000)), (1, 5, ended(2, 9000)), (1, 4, ended(1, 9500))]));
    let nobody = Event { time: UnixMillis(9900), attempt: None, settled: Some(SettledAs::Expired) };
    let acked = event(3, 9900, Some(SettledAs::Acked));
    // Two at the same time, twice the same, and out of order.
    subject.commit(&events([(1, 5, acked.clone()), (1, 5, nobody.clone()), (1, 5, ended(1, 6000))]));
    subject.commit(&events([(1, 5, acked.clone()), (1, 5, acked.clone())]));
    subject.commit(&events([(1, 9, ended(1, 9950)), (1, 9, ended(1, 9950)), (1, 9, ended(2, 9951))]));
    let expected = [
        (ONE, ended(1, 6000)),
        (ONE, ended(2, 9000)),
        (ONE, nobody),
        (ONE, acked),
        (GroupId(2), ended(1, 7000)),
    ];
    assert_eq!(subject.reader().events(Sequence(5)).unwrap(), expected);
    assert_eq!(subject.reader().events(Sequence(6)).unwrap(), []);
    assert_eq!(subject.recover().last_time, UnixMillis(9951));
}

pub(in crate::journal) fn events_go_with_their_updates<P: Place>(subject: &mut Subject<P>) {
    subject.commit(&Batch { groups: vec![group(1)], ..updates(1..=9) });
    subject.commit(&events((1..=9).map(|at| (1, at, event(1, at * 1000, Some(SettledAs::Acked))))));
    let of = |subject: &Subject<P>, at| subject.reader().events(Sequence(at)).unwrap().len();
    let trim = |at: &[u64]| Batch { trimmed: at.iter().copied().map(Sequence).collect(), ..Batch::default() };
    subject.commit(&trim(&[7, 5, 6, 6]));
    assert_eq!((of(subject, 4), of(subject, 5), of(subject, 7), of(subject, 8)), (1, 0, 0, 1));
    // One that comes late.
    subject.commit(&events([(1, 5, event(2, 20_000, None))]));
    assert_eq!(of(subject, 5), 1);
    subject.commit(&trim(&[1, 2, 3, 4]));
    assert_eq!(of(subject, 5), 0, "it is before the first update now");
    subject.commit(&trim(&[8, 9]));
    subject.commit(&events([(1, 8, event(2, 20_000, None))]));
    subject.commit(&trim(&[9]));
    assert_eq!(of(subject, 8), 0);
}

pub(in crate::journal) fn a_replay_ends_with_its_settlement<P: Place>(subject: &mut Subject<P>) {
    subject.commit(&Batch { groups: vec![group(1), group(2)], ..updates(1..=9) });
    subject.commit(&acks(1, 1..=9));
    subject.commit(&Batch { cursors: vec![(ONE, Sequence(9))], ..replay(4, 2) });
    subject.commit(&replay(7, 3));
    let replays = |subject: &Subject<P>| subject.recover().groups[0].replays.clone();
    assert_eq!(replays(subject), [(update(4, 20).head, 2), (update(7, 20).head, 3)]);
    subject.commit(&acks(2, [4]));
    subject.commit(&replay(4, 5));
    assert_eq!(replays(subject)[0].1, 5);
    subject.commit(&acks(1, [4]));
    assert_eq!(replays(subject), [(update(7, 20).head, 3)]);
    // Settled and replayed again at once.
    subject.commit(&Batch { replays: vec![(ONE, Sequence(7), 6)], ..acks(1, [7]) });
    assert_eq!(replays(subject), [(update(7, 20).head, 6)]);
    subject.commit(&Batch { replays: vec![(GroupId(9), Sequence(1), 1)], ..replay(99, 1) });
    assert_eq!(replays(subject).len(), 1);
}

pub(in crate::journal) fn a_replayed_update_has_attempts_of_its_own<P: Place>(subject: &mut Subject<P>) {
    subject.commit(&Batch { groups: vec![group(1)], ..updates(1..=9) });
    subject.commit(&acks(1, [4]));
    subject.commit(&replay(4, 2));
    let attempt =
        |number| Batch { attempts: vec![(ONE, Sequence(4), attempts(number, 9000))], ..Batch::default() };
    subject.commit(&attempt(1));
    subject.commit(&attempt(2));
    assert_eq!(subject.recover().groups[0].attempts, [(Sequence(4), attempts(2, 9000))]);
    subject.commit(&replay(4, 3));
    assert_eq!(subject.recover().groups[0].attempts, [], "those of another replay are not its own");
    subject.commit(&attempt(1));
    subject.commit(&acks(1, [4]));
    subject.commit(&attempt(2));
    assert_eq!(subject.recover().groups[0].attempts, []);
}

pub(in crate::journal) fn a_replay_brings_a_trimmed_update_back<P: Place>(subject: &mut Subject<P>) {
    subject.commit(&Batch { groups: vec![group(1), group(2)], ..updates(1..=9) });
    subject.commit(&Batch { trimmed: vec![Sequence(2), Sequence(3)], ..dead(3) });
    subject.commit(&Batch { removed_dead_letters: vec![(ONE, Sequence(3))], ..replay(3, 2) });
    let payloads = subject.reader().read(&[Sequence(2), Sequence(3)]).unwrap();
    assert_eq!(payloads, [None, Some(update(3, 20).payload)]);
    assert_eq!(subject.reader().dead_letters(ONE, Sequence(0), 9).unwrap(), []);
    // It becomes one again.
    subject.commit(&dead(3));
    assert_eq!(subject.recover().groups[0].replays, []);
    subject.commit(&Batch { trimmed: vec![Sequence(3)], ..Batch::default() });
    subject.commit(&replay(3, 3));
    assert_eq!(subject.recover().first_stored, Some(Sequence(1)));
    assert_eq!(subject.recover().groups[0].replays, [(update(3, 20).head, 3)]);
    // Another group has no copy of it.
    subject.commit(&Batch { trimmed: vec![Sequence(5)], ..Batch::default() });
    subject.commit(&Batch { replays: vec![(GroupId(2), Sequence(5), 2)], ..Batch::default() });
    assert_eq!(subject.recover().groups[1].replays, []);
}

pub(in crate::journal) fn a_replayed_update_is_not_trimmed<P: Place>(subject: &mut Subject<P>) {
    subject.commit(&Batch { groups: vec![group(1)], ..updates(1..=9) });
    subject.commit(&acks(1, 1..=9));
    let all = || (1..=9).map(Sequence).collect();
    subject.commit(&Batch { trimmed: all(), ..replay(4, 2) });
    let stored = |subject: &Subject<P>| subject.reader().counts().unwrap().updates;
    assert_eq!(stored(subject), 1);
    subject.commit(&Batch { trimmed: all(), ..acks(1, [4]) });
    assert_eq!(stored(subject), 0);
}

pub(in crate::journal) fn removed_dead_letters_are_counted_out<P: Place>(subject: &mut Subject<P>) {
    let with_sizes = (1..=9).map(|at| update(at, at as usize * 100)).collect();
    subject.commit(&Batch { groups: vec![group(1), group(2)], updates: with_sizes, ..Batch::default() });
    for at in [2, 5, 5, 7] {
        subject.commit(&dead(at));
    }
    let counts = |subject: &Subject<P>| subject.reader().counts().unwrap().dead_letters;
    assert_eq!(counts(subject), [(ONE, DeadLetterCount { count: 3, bytes: 1400 })]);
    let remove = |id, at: &[u64]| Batch {
        removed_dead_letters: at.iter().map(|at| (GroupId(id), Sequence(*at))).collect(),
        ..Batch::default()
    };
    subject.commit(&remove(1, &[5, 6]));
    subject.commit(&remove(2, &[2]));
    assert_eq!(counts(subject), [(ONE, DeadLetterCount { count: 2, bytes: 900 })]);
    subject.commit(&remove(1, &[2, 7]));
    assert_eq!(counts(subject), []);
    subject.commit(&dead(8));
    subject.commit(&Batch { deleted_groups: vec![ONE], ..Batch::default() });
    assert_eq!(counts(subject), []);
}

pub(in crate::journal) fn nothing_is_left_of_a_purged_update<P: Place>(subject: &mut Subject<P>) {
    subject.commit(&Batch { groups: vec![group(1), group(2)], ..updates(1..=9) });
    subject.commit(&Batch { attempts: vec![(GroupId(2), Sequence(4), attempts(2, 1))], ..dead(4) });
    subject.commit(&Batch { trimmed: vec![Sequence(6)], ..dead(6) });
    subject.commit(&replay(4, 2));
    subject.commit(&events([(1, 4, event(1, 1, None)), (2, 4, event(2, 1, None))]));
    let purge = Batch { purged: vec![Sequence(6), Sequence(4)], ..Batch::default() };
    subject.commit(&purge);
    let journal = subject.journal.as_mut().unwrap();
    journal.commit(&purge).unwrap();
    let recovered = subject.recover();
    for group in &recovered.groups {
        assert_eq!((group.attempts.len(), group.replays.len()), (0, 0));
        let words = &group.settled[0].words;
        assert_eq!(words[0] & 0b101_0000, 0b101_0000, "it is settled for every group");
    }
    let reader = subject.reader();
    assert_eq!(reader.dead_letters(ONE, Sequence(0), 9).unwrap(), []);
    assert_eq!(reader.events(Sequence(4)).unwrap(), []);
    assert_eq!(reader.read(&[Sequence(4), Sequence(6)]).unwrap(), [None, None]);
}
