//! ListOutstanding.

use switchboard::grpc::proto::client::{ListOutstandingRequest, UpdateState};
use switchboard::model::{
    FailureKind, FailureRecord, HeldState, HeldView, KeyHash, Ordering, Sequence, UnixMillis,
};
use tonic::Code;

use super::rig::{Rig, view};
use super::{reason, refused_for};

fn held(sequence: u64, state: HeldState) -> HeldView {
    HeldView {
        sequence: Sequence(sequence),
        key: KeyHash::of_chat(40 + i64::try_from(sequence % 4).unwrap()),
        state,
        attempt: 3,
        failures: 2,
        consumer: "pod-1".into(),
        first_delivered: UnixMillis(1_000),
        delivered: UnixMillis(2_000),
        replayed: false,
        last_failure: Some(FailureRecord {
            kind: FailureKind::Expired,
            reason: "".into(),
            time: UnixMillis(3_000),
            attempt: 2,
            consumer: "pod-1".into(),
        }),
    }
}

async fn rig() -> Rig {
    let mut by_id = view(2, "orders");
    by_id.record.ordering = Ordering::None;
    let rig = Rig::with_updates(vec![view(1, "audit"), by_id], 8).await;
    rig.world().held = vec![
        held(2, HeldState::Outstanding { deadline: UnixMillis(9_000) }),
        held(3, HeldState::BackingOff { until: UnixMillis(8_000) }),
        held(6, HeldState::Waiting),
    ];
    rig
}

#[tokio::test]
async fn what_is_out_is_listed_by_group_and_position_in_pages() {
    let mut rig = rig().await;
    let mut request = ListOutstandingRequest { page_size: 2, ..ListOutstandingRequest::default() };
    let mut listed = Vec::new();
    loop {
        let page = rig.client.list_outstanding(request.clone()).await.unwrap().into_inner();
        listed.extend(page.deliveries);
        request.page_token = page.next_page_token;
        if request.page_token.is_empty() {
            break;
        }
    }
    let rows: Vec<_> = listed
        .iter()
        .map(|row| (row.group.as_str(), row.sequence, row.ordering_key.as_str(), row.state()))
        .collect();
    assert_eq!(
        rows,
        [
            ("audit", 2, "chat:42", UpdateState::Outstanding),
            ("audit", 3, "chat:43", UpdateState::BackingOff),
            ("audit", 6, "chat:42", UpdateState::Pending),
            ("orders", 2, "update:731000002", UpdateState::Outstanding),
            ("orders", 3, "update:731000003", UpdateState::BackingOff),
            ("orders", 6, "update:731000006", UpdateState::Pending),
        ]
    );
    assert_eq!((listed[0].kind.as_str(), listed[0].attempt, listed[0].failures), ("message", 3, 2));
    assert_eq!(listed[0].lease_deadline.as_ref().unwrap().seconds, 9);
    assert_eq!(listed[1].next_attempt_time.as_ref().unwrap().seconds, 8);
    assert_eq!(listed[1].last_failure.as_ref().unwrap().time.as_ref().unwrap().seconds, 3);
}

#[tokio::test]
async fn one_key_of_one_group_can_be_asked_for() {
    let mut rig = rig().await;
    let ask = |group: &str, key: &str| ListOutstandingRequest {
        group: group.into(),
        ordering_key: key.into(),
        ..ListOutstandingRequest::default()
    };
    for (group, key, expected) in [
        ("audit", "chat:42", vec![2, 6]),
        ("orders", "update:731000003", vec![3]),
        ("audit", "chat:99", vec![]),
    ] {
        let page = rig.client.list_outstanding(ask(group, key)).await.unwrap().into_inner();
        assert_eq!(page.deliveries.iter().map(|row| row.sequence).collect::<Vec<_>>(), expected);
    }
    let unknown = rig.client.list_outstanding(ask("order", "")).await.unwrap_err();
    assert_eq!(reason(&unknown, Code::NotFound), "GROUP_NOT_FOUND");
    refused_for("group", rig.client.list_outstanding(ask("Orders", "")).await);
    let size = ListOutstandingRequest { page_size: -1, ..ask("audit", "") };
    refused_for("page_size", rig.client.list_outstanding(size).await);
}
