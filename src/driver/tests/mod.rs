//! The driver on a real journal, with the commits let through or refused one by one.

mod bench;
mod dead_letters;
mod filters;
mod latencies;
mod restored;
mod rig;
mod steering;
mod turns;

use self::rig::{Rig, Verdict, group, update, within};
use super::*;
use crate::model::{Outcome, SettledResult, Settlement, Start, StreamEnd, StreamEvent};

const APPLIED: SettledResult = SettledResult::Applied { deadline: None };

#[tokio::test]
async fn p1_an_append_is_answered_only_when_its_commit_is_durable() {
    let mut rig = Rig::gated();
    let handle = rig.handle.clone();
    let append = tokio::spawn(async move { handle.append(vec![update(1, "chat:1")], vec![]).await });
    let gate = rig.next_commit_with_updates().await;
    assert!(!append.is_finished());
    gate.decide(Verdict::Pass);
    rig.open_gate();
    let appended = within(append).await.unwrap().unwrap();
    assert_eq!((appended.stored, appended.duplicates), (1, 0));
}

#[tokio::test]
async fn p2_every_group_gets_every_update_and_what_was_not_acked_comes_back_after_a_restart() {
    let mut rig = Rig::open();
    let mut a = rig.subscribe("a", "c1").await;
    let mut b = rig.subscribe("b", "c1").await;
    rig.append(&[(1, "chat:1"), (2, "chat:2")]).await;
    let first = a.deliveries(2).await;
    assert_eq!(b.deliveries(2).await.len(), 2);
    let acked = first.iter().find(|delivery| delivery.sequence().0 == 1).unwrap();
    assert_eq!(rig.settle("a", &[acked.token], Settlement::Ack).await, [APPLIED]);

    rig.restart();
    let mut a = rig.subscribe("a", "c2").await;
    let again = a.deliveries(1).await;
    assert_eq!(again[0].sequence().0, 2);
    let mut b = rig.subscribe("b", "c2").await;
    assert_eq!(b.deliveries(2).await.len(), 2);
}

#[tokio::test]
async fn p4_what_ack_answered_stays_settled_over_a_restart() {
    let mut rig = Rig::open();
    let mut stream = rig.subscribe("a", "c1").await;
    rig.append(&[(1, "chat:1"), (2, "chat:1")]).await;
    let first = stream.deliveries(1).await;
    rig.settle("a", &[first[0].token], Settlement::Ack).await;
    rig.restart();
    let mut stream = rig.subscribe("a", "c1").await;
    let second = stream.deliveries(1).await;
    assert_eq!(second[0].sequence().0, 2);
    assert_eq!(rig.settle("a", &[first[0].token], Settlement::Ack).await, [SettledResult::AlreadySettled]);
}

#[tokio::test]
async fn p5_a_token_of_the_last_boot_settles_an_update_that_was_not_handed_out_again() {
    let mut rig = Rig::open();
    let mut stream = rig.subscribe("a", "c1").await;
    rig.append(&[(1, "chat:1"), (2, "chat:2")]).await;
    let old = stream.deliveries(2).await;
    rig.restart();
    assert_eq!(
        rig.settle("a", &[old[0].token], Settlement::Ack).await,
        [SettledResult::AppliedLate { deadline: None }]
    );
    let mut stream = rig.subscribe("a", "c1").await;
    let new = stream.deliveries(1).await;
    assert_eq!(new[0].sequence(), old[1].sequence());
    assert_eq!(rig.settle("a", &[old[1].token], Settlement::Ack).await, [SettledResult::Superseded]);
    assert_eq!(rig.settle("a", &[new[0].token], Settlement::Ack).await, [APPLIED]);
}

#[tokio::test]
async fn p6_a_full_journal_refuses_updates_but_settles_and_resumes_by_itself() {
    let rig = Rig::open();
    let mut stream = rig.subscribe("a", "c1").await;
    rig.append(&[(1, "chat:1")]).await;
    let out = stream.deliveries(1).await;
    rig.refuse_appends(true);
    let refused = rig.handle.append(vec![update(2, "chat:1")], vec![]).await;
    assert!(matches!(refused, Err(AppendError::Paused(_))), "{refused:?}");
    assert!(matches!(*rig.handle.intake().borrow(), IntakeState::Paused { .. }));
    assert_eq!(rig.settle("a", &[out[0].token], Settlement::Ack).await, [APPLIED]);
    let mut intake = rig.handle.intake();
    rig.refuse_appends(false);
    within(intake.wait_for(|state| *state == IntakeState::Open)).await.unwrap();
    rig.append(&[(2, "chat:1")]).await;
    assert_eq!(stream.deliveries(1).await[0].sequence().0, 2);
}

#[tokio::test]
async fn p6_a_settlement_that_finds_no_room_is_refused_and_can_be_tried_again() {
    let rig = Rig::open();
    let mut stream = rig.subscribe("a", "c1").await;
    rig.append(&[(1, "chat:1")]).await;
    let out = stream.deliveries(1).await;
    rig.refuse_everything(true);
    let name = group("a");
    let refused = rig.handle.settle(name.clone(), vec![out[0].token], Settlement::Ack).await;
    assert_eq!(refused, Err(SettleError::NoRoom));
    rig.refuse_everything(false);
    assert_eq!(rig.settle("a", &[out[0].token], Settlement::Ack).await, [APPLIED]);
}

#[tokio::test]
async fn p8_a_repeated_update_id_is_dropped_also_after_a_restart() {
    let mut rig = Rig::open();
    let both = vec![update(7, "chat:1"), update(7, "chat:1")];
    let appended = rig.handle.append(both, vec![]).await.unwrap();
    assert_eq!((appended.stored, appended.duplicates), (1, 1));
    rig.restart();
    let appended = rig.handle.append(vec![update(7, "chat:1"), update(6, "chat:1")], vec![]).await.unwrap();
    assert_eq!((appended.stored, appended.duplicates), (1, 1), "a lower id is no repeat");
}

#[tokio::test]
async fn updates_of_one_commit_are_ordered_by_id() {
    let rig = Rig::open();
    rig.append(&[(9, "chat:1"), (3, "chat:1"), (5, "chat:1")]).await;
    let mut stream = rig.subscribe("a", "c1").await;
    for (sequence, id) in [(1, 3), (2, 5), (3, 9)] {
        let delivery = stream.deliveries(1).await.remove(0);
        assert_eq!(delivery.sequence().0, sequence);
        assert_eq!(&*delivery.payload.update, format!("payload {id}").as_bytes());
        rig.settle("a", &[delivery.token], Settlement::Ack).await;
    }
}

#[tokio::test]
async fn the_first_group_starts_at_the_earliest_update_and_later_ones_at_the_newest() {
    let rig = Rig::open();
    rig.append(&[(1, "chat:1"), (2, "chat:2")]).await;
    let mut first = rig.subscribe("first", "c").await;
    assert_eq!(first.deliveries(2).await.len(), 2);
    let mut second = rig.subscribe("second", "c").await;
    let mut third = rig.subscribe_at("third", "c", Start::Sequence(crate::model::Sequence(2))).await;
    rig.append(&[(3, "chat:3")]).await;
    assert_eq!(second.deliveries(1).await[0].sequence().0, 3);
    assert_eq!(third.deliveries(2).await.iter().map(|d| d.sequence().0).min(), Some(2));
}

#[tokio::test]
async fn an_ephemeral_group_is_gone_with_its_stream_and_leaves_nothing() {
    let mut rig = Rig::open();
    let mut tail = rig.subscribe_ephemeral("tail", "c").await.unwrap();
    assert!(matches!(
        rig.try_subscribe("tail", "d", Start::Default, false).await,
        Err(SubscribeError::OtherDurability { durable: false, .. })
    ));
    rig.append(&[(1, "chat:1")]).await;
    let out = tail.deliveries(1).await;
    assert_eq!(rig.settle("tail", &[out[0].token], Settlement::Ack).await, [APPLIED]);
    drop(tail);
    rig.restart();
    let name = group("tail");
    let gone = rig.handle.settle(name.clone(), vec![out[0].token], Settlement::Ack).await;
    assert_eq!(gone, Err(SettleError::UnknownGroup(name)));
}

#[tokio::test]
async fn a_nacked_update_comes_back_before_the_next_of_its_key() {
    let rig = Rig::open();
    let mut stream = rig.subscribe("a", "c1").await;
    rig.append(&[(1, "chat:1"), (2, "chat:1")]).await;
    let first = stream.deliveries(1).await;
    let nack = Settlement::Nack { outcome: Outcome::Failed, delay_ms: Some(1), reason: "no database".into() };
    rig.settle("a", &[first[0].token], nack).await;
    let again = stream.deliveries(1).await;
    assert_eq!((again[0].sequence().0, again[0].token.attempt, again[0].failures), (1, 2, 1));
    assert_eq!(&*again[0].last_failure.as_ref().unwrap().reason, "no database");
}

#[tokio::test]
async fn a_shutdown_waits_for_what_is_out_and_then_ends_the_streams() {
    let mut rig = Rig::open();
    let mut stream = rig.subscribe("a", "c1").await;
    rig.append(&[(1, "chat:1")]).await;
    let out = stream.deliveries(1).await;
    rig.handle.shutdown(60_000);
    assert!(matches!(stream.next_event().await, StreamEvent::Draining { .. }));
    let refused = rig.handle.append(vec![update(2, "chat:1")], vec![]).await;
    assert_eq!(refused, Err(AppendError::Paused(PauseReason::Stopping)));
    rig.settle("a", &[out[0].token], Settlement::Ack).await;
    assert_eq!(stream.next_event().await, StreamEvent::End(StreamEnd::Drained));
    rig.ended().await.unwrap();
}

#[tokio::test]
async fn a_shutdown_does_not_wait_longer_than_its_grace() {
    let mut rig = Rig::open();
    let mut stream = rig.subscribe("a", "c1").await;
    rig.append(&[(1, "chat:1")]).await;
    stream.deliveries(1).await;
    rig.handle.shutdown(1);
    rig.ended().await.unwrap();
}

#[tokio::test]
async fn a_failed_commit_ends_the_driver_and_answers_nobody_with_success() {
    let mut rig = Rig::open();
    rig.fail_next_commit();
    let result = rig.handle.append(vec![update(1, "chat:1")], vec![]).await;
    assert_eq!(result, Err(AppendError::Stopped));
    assert!(matches!(rig.ended().await, Err(Failure::Commit(_))));
}

#[tokio::test]
async fn declared_groups_exist_before_the_first_update_and_start_with_it() {
    let settings = Settings { groups: vec![group("a"), group("b")], ..Settings::default() };
    let mut rig = Rig::with_settings(settings);
    rig.append(&[(1, "chat:1")]).await;
    rig.restart();
    for name in ["a", "b"] {
        assert_eq!(rig.subscribe(name, "c").await.deliveries(1).await[0].sequence().0, 1);
    }
}

#[tokio::test]
async fn a_declared_group_that_was_deleted_is_not_made_again_by_a_restart() {
    let settings = Settings { groups: vec![group("a"), group("b")], ..Settings::default() };
    let mut rig = Rig::with_settings(settings);
    rig.handle.delete_group(group("a"), false).await.unwrap();
    rig.restart();
    let groups = rig.handle.groups(None).await.unwrap();
    assert_eq!(groups.iter().map(|view| view.record.name.as_str()).collect::<Vec<_>>(), ["b"]);
}
