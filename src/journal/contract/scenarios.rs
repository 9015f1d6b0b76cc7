//! The scenarios. The comparison with the model after every commit is what tests most of what they do.

use bytes::Bytes;

use super::{Place, Subject};
use crate::journal::{Journal, JournalReader};
use crate::model::{
    AttemptRecord, Batch, DeadLetter, FailureKind, FailureRecord, GroupId, GroupName, GroupRecord,
    GroupSettings, Head, IdRange, KeyHash, Label, Payload, Quarantined, Sequence, SettledAs,
    StoredDeadLetter, StoredUpdate, UnixMillis,
};
use crate::update::{ChatType, KindCode};

/// An update with the sequence `at`, received at `at` seconds, with a payload of `size` bytes.
pub(in crate::journal) fn update(at: u64, size: usize) -> StoredUpdate {
    let key = format!("chat:{}", at % 7);
    StoredUpdate {
        head: Head {
            sequence: Sequence(at),
            update_id: 1_000_000 - at as i64,
            key: KeyHash::of(&key),
            user: KeyHash(at),
            topic: KeyHash(!at),
            kind: KindCode(at as u8),
            chat_type: ChatType::from_code((at % 5) as u8),
            label: Label::new(&"label".repeat(at as usize % 4)),
            claimed: at.is_multiple_of(3),
            size: size as u32,
            received: UnixMillis(at * 1000),
            committed: UnixMillis(at * 1000 + at % 100),
        },
        payload: Payload { key: key.into(), update: Bytes::from(vec![at as u8; size]) },
    }
}

pub(in crate::journal) fn group(id: u32) -> GroupRecord {
    let name = GroupName::parse(&format!("group-{id}")).unwrap();
    let settings = GroupSettings { max_failures: id, ..GroupSettings::default() };
    GroupRecord::new(GroupId(id), name, Sequence(1), settings, UnixMillis(u64::from(id)))
}

pub(in crate::journal) fn attempts(attempt: u32, time: u64) -> AttemptRecord {
    let failure = |number: u32| FailureRecord {
        kind: [FailureKind::Nacked, FailureKind::Expired, FailureKind::Lost, FailureKind::Rejected]
            [number as usize % 4],
        reason: format!("reason №{number}").into(),
        time: UnixMillis(time),
        attempt: number,
        consumer: "a-consumer".into(),
    };
    AttemptRecord {
        attempt,
        failures: attempt / 2,
        losses: attempt / 3,
        first_delivered: UnixMillis(time / 2),
        first_failed: UnixMillis(time),
        not_before: UnixMillis(time + 1_000_000),
        history: (0..attempt % 5).map(failure).collect(),
    }
}

pub(in crate::journal) fn dead_letter(settled: SettledAs, time: u64) -> DeadLetter {
    DeadLetter { time: UnixMillis(time), settled, attempts: attempts(3, time) }
}

pub(in crate::journal) fn updates(at: impl IntoIterator<Item = u64>) -> Batch {
    Batch { updates: at.into_iter().map(|at| update(at, 20)).collect(), ..Batch::default() }
}

pub(in crate::journal) fn acks(group: u32, at: impl IntoIterator<Item = u64>) -> Batch {
    let ack = |at| (GroupId(group), Sequence(at), SettledAs::Acked);
    Batch { settled: at.into_iter().map(ack).collect(), ..Batch::default() }
}

pub(in crate::journal) fn new_group(id: u32) -> Batch {
    Batch { groups: vec![group(id)], ..Batch::default() }
}

fn cursor(group: u32, at: u64) -> Batch {
    Batch { cursors: vec![(GroupId(group), Sequence(at))], ..Batch::default() }
}

fn trim(at: impl IntoIterator<Item = u64>) -> Batch {
    Batch { trimmed: at.into_iter().map(Sequence).collect(), ..Batch::default() }
}

pub(in crate::journal) fn nothing_is_there_at_first<P: Place>(subject: &mut Subject<P>) {
    let recovered = subject.recover();
    assert_eq!((recovered.boot, recovered.last_sequence), (1, Sequence(0)));
    assert_ne!(recovered.journal_id, 0);
    assert_eq!(subject.reader().first_at(Sequence(0), UnixMillis(0)).unwrap(), None);
    assert_eq!(subject.reader().dead_letters(GroupId(1), Sequence(0), 9).unwrap(), []);
    subject.reopen();
    assert_eq!(subject.recover().boot, 2);
}

pub(in crate::journal) fn an_empty_batch_does_nothing<P: Place>(subject: &mut Subject<P>) {
    subject.commit(&updates([1]));
    let before = subject.recover();
    let usage = subject.journal.as_mut().unwrap().commit(&Batch::default()).unwrap();
    assert_eq!(usage, before.usage);
    assert_eq!(subject.recover(), before);
}

pub(in crate::journal) fn updates_are_read_back<P: Place>(subject: &mut Subject<P>) {
    subject.commit(&updates(1..=3));
    let sizes = [0, 1, 300, 2000, 2100, 4080, 4096, 70_000, 1 << 20];
    let large = (4..).zip(sizes).map(|(at, size)| update(at, size)).collect();
    subject.commit(&Batch { updates: large, ..Batch::default() });
    assert_eq!(subject.recover().last_sequence, Sequence(12));
    assert_eq!(subject.reader().heads(Sequence(2), 2).unwrap(), [update(2, 20).head, update(3, 20).head]);
    assert_eq!(subject.reader().heads(Sequence(2), 0).unwrap(), []);
    let asked = [Sequence(5), Sequence(99), Sequence(1)];
    let expected = [Some(update(5, 1).payload), None, Some(update(1, 20).payload)];
    assert_eq!(subject.reader().read(&asked).unwrap(), expected);
}

pub(in crate::journal) fn sequences_may_have_gaps<P: Place>(subject: &mut Subject<P>) {
    subject.commit(&updates([7, 9, 4000]));
    subject.commit(&updates([1 << 40, (1 << 40) + 1]));
    assert_eq!(subject.recover().first_stored, Some(Sequence(7)));
    assert_eq!(subject.reader().heads(Sequence(10), 1).unwrap()[0].sequence, Sequence(4000));
}

pub(in crate::journal) fn the_first_update_at_a_time_is_found<P: Place>(subject: &mut Subject<P>) {
    subject.commit(&updates((1..50).map(|n| n * n)));
    subject.commit(&trim((5..20).map(|n| n * n)));
    let reader = subject.reader();
    let first_at = |from, time| reader.first_at(Sequence(from), UnixMillis(time)).unwrap().map(|at| at.0);
    assert_eq!(first_at(0, 0), Some(1));
    assert_eq!(first_at(2, 0), Some(4));
    assert_eq!(first_at(17, 0), Some(400), "what is trimmed is passed over");
    assert_eq!(first_at(0, 16_001), Some(400));
    assert_eq!(first_at(0, 441_000), Some(441));
    assert_eq!(first_at(500, 441_000), Some(529));
    assert_eq!(first_at(0, 2_401_000), Some(2401));
    assert_eq!(first_at(0, 2_401_001), None);
    assert_eq!(first_at(2402, 0), None);
    assert_eq!(first_at(u64::MAX, u64::MAX), None);
}

pub(in crate::journal) fn settling_twice_changes_nothing<P: Place>(subject: &mut Subject<P>) {
    subject.commit(&new_group(1));
    subject.commit(&updates(1..=100));
    subject.commit(&acks(1, [3, 50, 3]));
    let once = subject.recover().groups;
    subject.commit(&acks(1, [50, 3]));
    assert_eq!(subject.recover().groups, once);
}

pub(in crate::journal) fn settlements_out_of_order_cross_block_borders<P: Place>(subject: &mut Subject<P>) {
    subject.commit(&Batch { groups: vec![group(1), group(2)], ..Batch::default() });
    subject.commit(&acks(1, [8192, 4096, 4095, 1, 12_287, 8191]));
    subject.commit(&acks(2, [4096]));
    subject.commit(&acks(1, [1 << 40, 63, 64, 0]));
    let blocks = subject.recover().groups[0].settled.iter().map(|block| block.number).collect::<Vec<_>>();
    assert_eq!(blocks, [0, 1, 2, (1 << 40) / 4096]);
    subject.commit(&acks(1, (1..10_000).rev()));
}

pub(in crate::journal) fn a_cursor_forgets_what_is_below_it<P: Place>(subject: &mut Subject<P>) {
    subject.commit(&new_group(1));
    subject.commit(&acks(1, [1, 2, 5, 4095, 4096, 8000, 8192]));
    for at in [0, 1, 2, 4094, 4095, 4096, 8191, 8192] {
        subject.commit(&cursor(1, at));
    }
    assert_eq!(subject.recover().groups[0].settled, []);
    subject.commit(&acks(1, [8190, 8192]));
    assert_eq!(subject.recover().groups[0].settled, [], "what is below the cursor is not remembered again");
    subject.commit(&cursor(1, 1 << 40));
}

pub(in crate::journal) fn a_cursor_never_goes_back<P: Place>(subject: &mut Subject<P>) {
    subject.commit(&new_group(1));
    subject.commit(&cursor(1, 100));
    subject.commit(&cursor(1, 50));
    assert_eq!(subject.recover().groups[0].cursor, Sequence(100));
}

pub(in crate::journal) fn settling_removes_the_attempts<P: Place>(subject: &mut Subject<P>) {
    subject.commit(&Batch { groups: vec![group(1), group(2)], ..updates(1..=9) });
    let of = |at, attempt| (GroupId(1), Sequence(at), attempts(attempt, at * 1000));
    subject.commit(&Batch { attempts: vec![of(3, 1), of(9, 7)], ..Batch::default() });
    subject.commit(&Batch { attempts: vec![of(3, 2)], ..Batch::default() });
    assert_eq!(
        subject.recover().groups[0].attempts,
        [(Sequence(3), attempts(2, 3000)), (Sequence(9), attempts(7, 9000))]
    );
    subject.commit(&acks(2, [3]));
    assert_eq!(
        subject.recover().groups[0].attempts.len(),
        2,
        "another group's settlement is none of its own"
    );
    subject.commit(&acks(1, [3]));
    subject.commit(&Batch { attempts: vec![of(3, 3)], ..Batch::default() });
    assert_eq!(subject.recover().groups[0].attempts.len(), 1, "what is settled is not attempted again");
    subject.commit(&Batch { attempts: vec![of(5, 3)], ..acks(1, [5]) });
    assert_eq!(subject.recover().groups[0].attempts.len(), 1);
}

pub(in crate::journal) fn dead_letters_keep_their_payload<P: Place>(subject: &mut Subject<P>) {
    subject.commit(&Batch { groups: vec![group(1), group(2)], ..updates(1..=9) });
    let dead = |at, settled| Batch {
        settled: vec![(GroupId(1), Sequence(at), settled)],
        dead_letters: vec![(GroupId(1), Sequence(at), dead_letter(settled, at * 1000))],
        trimmed: vec![Sequence(at)],
        ..Batch::default()
    };
    subject.commit(&dead(4, SettledAs::Rejected));
    subject.commit(&dead(6, SettledAs::DeadLettered));
    let letters = subject.reader().dead_letters(GroupId(1), Sequence(5), 5).unwrap();
    let StoredUpdate { head, payload } = update(6, 20);
    let letter = dead_letter(SettledAs::DeadLettered, 6000);
    assert_eq!(letters, [StoredDeadLetter { head, letter, payload }]);
    subject.commit(&dead(4, SettledAs::Rejected));
    assert_eq!(subject.reader().dead_letters(GroupId(1), Sequence(0), 5).unwrap().len(), 2);
    assert_eq!(subject.reader().dead_letters(GroupId(2), Sequence(0), 5).unwrap(), []);
    assert_eq!(subject.reader().dead_letters(GroupId(1), Sequence(u64::MAX), 5).unwrap(), []);
}

pub(in crate::journal) fn update_ids_are_remembered_and_forgotten<P: Place>(subject: &mut Subject<P>) {
    let range = |hour, first, last| IdRange { hour, first, last };
    let remember = |ids| Batch { ids, ..Batch::default() };
    subject.commit(&remember(vec![range(5, 10, 20), range(5, -7, -7), range(6, i64::MIN, i64::MAX)]));
    subject.commit(&remember(vec![range(5, 10, 30), range(7, 1, 1)]));
    assert_eq!(subject.recover().ids[..2], [range(5, -7, -7), range(5, 10, 30)]);
    let forget = |hour| Batch { forget_ids_before_hour: hour, ..Batch::default() };
    subject.commit(&forget(0));
    assert_eq!(subject.recover().ids.len(), 4);
    subject.commit(&forget(6));
    assert_eq!(subject.recover().ids, [range(6, i64::MIN, i64::MAX), range(7, 1, 1)]);
    subject.commit(&forget(u32::MAX));
    assert_eq!(subject.recover().ids, []);
}

pub(in crate::journal) fn unreadable_elements_are_set_aside<P: Place>(subject: &mut Subject<P>) {
    let element = |time, bytes: &'static [u8]| Quarantined {
        received: UnixMillis(time),
        reason: "no update_id".into(),
        bytes: Bytes::from_static(bytes),
    };
    subject.commit(&Batch { quarantined: vec![element(5, b"[]"), element(6, b"")], ..Batch::default() });
    subject.commit(&Batch { quarantined: vec![element(7, b"\xff")], ..Batch::default() });
    assert_eq!(subject.recover().last_time, UnixMillis(7));
}

pub(in crate::journal) fn the_webhook_is_remembered<P: Place>(subject: &mut Subject<P>) {
    let set = |url: &str| Batch { own_webhook: Some(url.into()), ..Batch::default() };
    subject.commit(&set("https://example.org/hook"));
    subject.commit(&updates([1]));
    assert_eq!(subject.recover().own_webhook.as_deref(), Some("https://example.org/hook"));
    subject.commit(&set(""));
    assert_eq!(subject.recover().own_webhook, None);
}

pub(in crate::journal) fn a_deleted_group_leaves_nothing<P: Place>(subject: &mut Subject<P>) {
    subject.commit(&Batch { groups: vec![group(1), group(2), group(3)], ..updates(1..=9) });
    for id in 1..=3 {
        let id = GroupId(id);
        subject.commit(&Batch {
            attempts: vec![(id, Sequence(8), attempts(4, 8000))],
            settled: vec![(id, Sequence(6), SettledAs::Rejected)],
            dead_letters: vec![(id, Sequence(6), dead_letter(SettledAs::Rejected, 6000))],
            cursors: vec![(id, Sequence(3))],
            ..Batch::default()
        });
    }
    subject.commit(&Batch { deleted_groups: vec![GroupId(2)], ..Batch::default() });
    let ids: Vec<_> = subject.recover().groups.iter().map(|group| group.record.id.0).collect();
    assert_eq!(ids, [1, 3]);
    assert_eq!(subject.reader().dead_letters(GroupId(2), Sequence(0), 5).unwrap(), []);
    subject.commit(&Batch { deleted_groups: vec![GroupId(3)], ..Batch::default() });
    assert_eq!(subject.recover().last_group, GroupId(3), "its number is not given out again");
}

pub(in crate::journal) fn a_group_that_is_not_there_has_no_progress<P: Place>(subject: &mut Subject<P>) {
    subject.commit(&updates(1..=9));
    let id = GroupId(1);
    subject.commit(&Batch {
        attempts: vec![(id, Sequence(8), attempts(4, 8000))],
        settled: vec![(id, Sequence(6), SettledAs::Rejected)],
        dead_letters: vec![(id, Sequence(6), dead_letter(SettledAs::Rejected, 6000))],
        cursors: vec![(id, Sequence(3))],
        ..Batch::default()
    });
    assert_eq!(subject.reader().dead_letters(id, Sequence(0), 5).unwrap(), []);
    subject.commit(&new_group(1));
    let group = &subject.recover().groups[0];
    assert_eq!((group.cursor, group.settled.len(), group.attempts.len()), (Sequence(0), 0, 0));
}

pub(in crate::journal) fn a_changed_group_keeps_its_progress<P: Place>(subject: &mut Subject<P>) {
    subject.commit(&Batch { groups: vec![group(1)], ..acks(1, [5, 7]) });
    subject.commit(&cursor(1, 5));
    let changed = GroupRecord { generation: 2, start: Sequence(4), ..group(1) };
    subject.commit(&Batch { groups: vec![changed.clone()], ..Batch::default() });
    let group = &subject.recover().groups[0];
    assert_eq!((&group.record, group.cursor, group.settled.len()), (&changed, Sequence(5), 1));
}

pub(in crate::journal) fn trimmed_updates_are_gone<P: Place>(subject: &mut Subject<P>) {
    subject.commit(&updates(1..=20));
    subject.commit(&trim([1, 2, 3, 7]));
    subject.commit(&trim([7, 8, 99]));
    assert_eq!(subject.reader().read(&[Sequence(7), Sequence(9)]).unwrap()[0], None);
    assert_eq!(subject.recover().first_stored, Some(Sequence(4)));
    subject.commit(&trim(1..=20));
    let recovered = subject.recover();
    assert_eq!((recovered.first_stored, recovered.last_sequence), (None, Sequence(20)));
    subject.commit(&updates([21]));
}

pub(in crate::journal) fn a_whole_batch_is_applied_in_order<P: Place>(subject: &mut Subject<P>) {
    let id = GroupId(1);
    subject.commit(&Batch {
        groups: vec![group(1), group(2)],
        deleted_groups: vec![GroupId(2)],
        updates: (1..=9).map(|at| update(at, 700)).collect(),
        ids: vec![IdRange { hour: 1, first: 1, last: 9 }, IdRange { hour: 2, first: 1, last: 9 }],
        forget_ids_before_hour: 2,
        quarantined: vec![Quarantined { received: UnixMillis(1), reason: "".into(), bytes: Bytes::new() }],
        attempts: vec![(id, Sequence(4), attempts(1, 1)), (id, Sequence(5), attempts(1, 1))],
        settled: vec![(id, Sequence(4), SettledAs::DeadLettered), (id, Sequence(1), SettledAs::Acked)],
        dead_letters: vec![(id, Sequence(4), dead_letter(SettledAs::DeadLettered, 9))],
        cursors: vec![(id, Sequence(1))],
        trimmed: vec![Sequence(4), Sequence(1)],
        own_webhook: Some("https://example.org".into()),
        ..Batch::default()
    });
    let recovered = subject.recover();
    assert_eq!((recovered.groups.len(), recovered.ids.len()), (1, 1));
    assert_eq!(recovered.groups[0].attempts.len(), 1);
    assert_eq!(subject.reader().dead_letters(id, Sequence(0), 9).unwrap()[0].payload, update(4, 700).payload);
}
