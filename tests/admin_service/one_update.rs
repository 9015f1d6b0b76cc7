//! GetUpdate: the timelines and their explanations.

use switchboard::grpc::proto::client::get_update_request::Id;
use switchboard::grpc::proto::client::{
    AttemptOutcome, GetUpdateRequest, GetUpdateResponse, GroupTimeline, UpdateState,
};
use switchboard::model::{
    self, Batch, EndedAttempt, Event, FailureKind, FailureRecord, GroupId, HeldState, HeldView, KeyHash,
    Sequence, SettledAs, UnixMillis, UpdateStanding,
};
use tonic::Code;

use super::rig::{Rig, update, view};
use super::{dead_letters, reason, refused_for};

async fn get(rig: &mut Rig, id: Id) -> GetUpdateResponse {
    let request = GetUpdateRequest { id: Some(id), ..GetUpdateRequest::default() };
    rig.client.get_update(request).await.unwrap().into_inner()
}

fn ended(attempt: u32, outcome: model::AttemptOutcome, settled: Option<SettledAs>) -> Event {
    let time = 10_000 * u64::from(attempt);
    let ended = EndedAttempt {
        generation: 1,
        attempt,
        consumer: "pod-1".into(),
        delivered: UnixMillis(time - 5_000),
        replayed: false,
        outcome,
        reason: "TypeError".into(),
    };
    Event { time: UnixMillis(time), attempt: Some(ended), settled }
}

fn only(mut response: GetUpdateResponse) -> GroupTimeline {
    assert_eq!(response.timelines.len(), 1);
    response.timelines.remove(0)
}

#[tokio::test]
async fn an_update_shows_its_json_and_each_delivery_up_to_its_settlement() {
    let mut rig = Rig::with_updates(vec![view(1, "orders")], 3).await;
    let events = [
        ended(1, model::AttemptOutcome::Nacked, None),
        ended(2, model::AttemptOutcome::Acked, Some(SettledAs::Acked)),
    ];
    rig.commit(Batch {
        events: events.map(|event| (GroupId(1), Sequence(2), event)).into(),
        ..Batch::default()
    });
    for id in [Id::Sequence(2), Id::UpdateId(731_000_002)] {
        let response = get(&mut rig, id).await;
        let stored = response.update.clone().unwrap();
        assert_eq!((stored.sequence, stored.ordering_key.as_str()), (2, "chat:42"));
        assert_eq!(stored.update.unwrap().json, r#"{"text":"number 2"}"#);
        let timeline = only(response);
        assert_eq!(timeline.state(), UpdateState::Acked);
        let handled =
            "group orders: update 2 was handled: pod-1 acked it at 1970-01-01 00:00:20 UTC (attempt 2).";
        assert!(timeline.explanation.starts_with(handled), "{}", timeline.explanation);
        assert_eq!(timeline.settle_time.unwrap().seconds, 20);
        let attempts: Vec<_> = timeline.attempts.iter().map(|row| (row.attempt, row.outcome())).collect();
        assert_eq!(attempts, [(1, AttemptOutcome::Nacked), (2, AttemptOutcome::Acked)]);
        let first = &timeline.attempts[0];
        assert_eq!((first.consumer_id.as_str(), first.reason.as_str()), ("pod-1", "TypeError"));
        assert_eq!((first.deliver_time.unwrap().seconds, first.end_time.unwrap().seconds), (5, 10));
    }
}

#[tokio::test]
async fn a_blocked_update_names_what_blocks_it_in_words() {
    let mut rig = Rig::with_updates(vec![view(1, "orders")], 6).await;
    let poison = HeldView {
        sequence: Sequence(2),
        key: KeyHash::of_chat(42),
        state: HeldState::BackingOff { until: UnixMillis(60_000) },
        attempt: 4,
        failures: 4,
        consumer: "pod-3".into(),
        first_delivered: UnixMillis(1_000),
        delivered: UnixMillis(2_000),
        replayed: false,
        last_failure: Some(FailureRecord {
            kind: FailureKind::Nacked,
            reason: "TypeError: x is undefined".into(),
            time: UnixMillis(30_000),
            attempt: 4,
            consumer: "pod-3".into(),
        }),
    };
    rig.world().standings = vec![
        (Sequence(2), UpdateStanding::Held(poison)),
        (Sequence(6), UpdateStanding::Pending { behind: Some(Sequence(2)) }),
    ];
    let blocked = only(get(&mut rig, Id::Sequence(6)).await);
    assert_eq!((blocked.state(), blocked.blocked_by_sequence), (UpdateState::Blocked, 2));
    for part in ["update 6 waits behind update 2 of chat:42", "failed 4 times", "TypeError", "pod-3"] {
        assert!(blocked.explanation.contains(part), "{}", blocked.explanation);
    }
    let held = only(get(&mut rig, Id::Sequence(2)).await);
    assert_eq!((held.state(), held.next_attempt_time.unwrap().seconds), (UpdateState::BackingOff, 60));
}

#[tokio::test]
async fn what_is_out_is_the_last_of_its_deliveries() {
    let mut rig = Rig::with_updates(vec![view(1, "orders")], 1).await;
    rig.commit(Batch {
        events: vec![(GroupId(1), Sequence(1), ended(1, model::AttemptOutcome::Lost, None))],
        ..Batch::default()
    });
    let out = HeldView {
        sequence: Sequence(1),
        key: KeyHash::of_chat(41),
        state: HeldState::Outstanding { deadline: UnixMillis(70_000) },
        attempt: 2,
        failures: 0,
        consumer: "pod-2".into(),
        first_delivered: UnixMillis(1_000),
        delivered: UnixMillis(40_000),
        replayed: true,
        last_failure: None,
    };
    rig.world().standings = vec![(Sequence(1), UpdateStanding::Held(out))];
    let timeline = only(get(&mut rig, Id::Sequence(1)).await);
    assert_eq!(timeline.state(), UpdateState::Outstanding);
    let [lost, out] = &timeline.attempts[..] else { panic!("{timeline:?}") };
    assert_eq!((lost.outcome(), out.outcome()), (AttemptOutcome::Lost, AttemptOutcome::Outstanding));
    assert_eq!((out.deliver_time.unwrap().seconds, out.lease_deadline.unwrap().seconds), (40, 70));
    assert!(out.replayed && out.end_time.is_none());
}

#[tokio::test]
async fn a_trimmed_update_is_found_among_the_dead_letters() {
    let mut rig = dead_letters::rig(&[(2, 3)]).await;
    rig.commit(Batch { trimmed: (1..=8).map(Sequence).collect(), ..Batch::default() });
    for id in [Id::Sequence(3), Id::UpdateId(731_000_003)] {
        let response = get(&mut rig, id).await;
        assert_eq!(response.update.as_ref().unwrap().sequence, 3);
        let of = |group: &str| response.timelines.iter().find(|timeline| timeline.group == group).unwrap();
        assert_eq!(of("orders").state(), UpdateState::DeadLettered);
        assert_eq!(of("orders").attempts.len(), 12);
        let words = &of("orders").explanation;
        assert!(words.contains("failed too often") && words.contains("\"error 12\""), "{words}");
        assert_eq!(of("audit").state(), UpdateState::Settled);
    }
}

#[tokio::test]
async fn of_several_with_an_id_the_newest_is_meant_and_what_is_gone_is_not_found() {
    let mut rig = Rig::with_updates(Vec::new(), 3).await;
    let mut again = update(4);
    again.head.update_id = 731_000_002;
    rig.store(vec![again]);
    assert_eq!(get(&mut rig, Id::UpdateId(731_000_002)).await.update.unwrap().sequence, 4);

    refused_for("id", rig.client.get_update(GetUpdateRequest::default()).await);
    let ask = |id| GetUpdateRequest { id: Some(id), ..GetUpdateRequest::default() };
    refused_for("sequence", rig.client.get_update(ask(Id::Sequence(-1))).await);
    for id in [Id::Sequence(9), Id::UpdateId(5)] {
        let gone = rig.client.get_update(ask(id)).await.unwrap_err();
        assert_eq!(reason(&gone, Code::NotFound), "UPDATE_NOT_FOUND");
    }
}
