//! ListGroups and GetGroup.

use switchboard::grpc::proto::client::{
    ConsumerState, GetGroupRequest, ListGroupsRequest, ListUpdatesRequest, Ordering,
};
use switchboard::model::{
    self, BlockedKey, ConsumerSettings, ConsumerView, FailureKind, FailureRecord, GroupSample, HeldState,
    HeldView, KeyHash, Sequence, UnixMillis,
};
use tonic::Code;

use super::rig::{Rig, view};
use super::{metadata, reason, refused_for};

#[tokio::test]
async fn groups_are_listed_in_pages_and_a_token_of_another_query_is_refused() {
    let names = ["audit", "billing", "orders"];
    let groups = names.iter().zip(1..).map(|(name, id)| view(id, name)).collect();
    let mut rig = Rig::start(groups).await;
    let mut request = ListGroupsRequest { page_size: 2, ..ListGroupsRequest::default() };
    let first = rig.client.list_groups(request.clone()).await.unwrap().into_inner();
    request.page_token = first.next_page_token.clone();
    let second = rig.client.list_groups(request.clone()).await.unwrap().into_inner();
    assert_eq!(second.next_page_token, "");
    let listed: Vec<_> = first.groups.into_iter().chain(second.groups).map(|group| group.name).collect();
    assert_eq!(listed, names);

    let other = ListGroupsRequest { bot: "default".into(), ..request.clone() };
    refused_for("page_token", rig.client.list_groups(other).await);
    let other =
        ListUpdatesRequest { page_token: request.page_token.clone(), ..ListUpdatesRequest::default() };
    refused_for("page_token", rig.client.list_updates(other).await);
    refused_for("page_size", rig.client.list_groups(ListGroupsRequest { page_size: -1, ..request }).await);
}

#[tokio::test]
async fn a_group_shows_its_consumers_its_blocked_keys_and_its_samples() {
    let mut orders = view(1, "orders");
    orders.record.ordering = model::Ordering::User;
    orders.dead_letters = 2;
    orders.status.lag = 7;
    orders.status.cursor = Sequence(1);
    orders.status.consumers = vec![ConsumerView {
        consumer_id: "pod-1".into(),
        state: model::ConsumerState::Suspect,
        connected: Some(UnixMillis(5_000)),
        shards: vec![(0, 511), (600, 600)],
        outstanding: 3,
        outstanding_bytes: 400,
        settings: ConsumerSettings::DEFAULT,
    }];
    orders.status.blocked = vec![BlockedKey {
        held: HeldView {
            sequence: Sequence(2),
            key: KeyHash::of_user(7),
            state: HeldState::BackingOff { until: UnixMillis(9_000) },
            attempt: 4,
            failures: 3,
            consumer: "pod-1".into(),
            first_delivered: UnixMillis(1),
            delivered: UnixMillis(2),
            replayed: false,
            last_failure: Some(FailureRecord {
                kind: FailureKind::Nacked,
                reason: "TypeError".into(),
                time: UnixMillis(3),
                attempt: 4,
                consumer: "pod-1".into(),
            }),
        },
        waiting: 5,
    }];
    orders.samples = vec![GroupSample { time: UnixMillis(1_000), lag: 7, outstanding: 3, settled: 11 }];
    let mut rig = Rig::with_updates(vec![orders], 3).await;
    let get = GetGroupRequest { group: "orders".into(), ..GetGroupRequest::default() };
    let group = rig.client.get_group(get).await.unwrap().into_inner().group.unwrap();
    assert_eq!((group.bot.as_str(), group.ordering()), ("default", Ordering::User));
    assert_eq!(group.settings.unwrap().max_lease.unwrap().seconds, 600);
    let status = group.status.unwrap();
    assert_eq!((status.lag, status.lag_exact, status.dead_letter_count), (7, true, 2));
    let consumer = &status.consumers[0];
    assert_eq!((consumer.state(), consumer.shard_count), (ConsumerState::Suspect, 513));
    assert_eq!((consumer.shards[0].last, consumer.max_outstanding), (511, 256));
    let blocked = &status.blocked_keys[0];
    assert_eq!((blocked.ordering_key.as_str(), blocked.failures, blocked.waiting), ("user:7", 3, 5));
    assert_eq!((blocked.last_reason.as_str(), blocked.next_attempt_time.unwrap().seconds), ("TypeError", 9));
    assert_eq!(status.samples[0].settled_total, 11);
    let listed = rig.client.list_groups(ListGroupsRequest::default()).await.unwrap().into_inner();
    assert!(listed.groups[0].status.as_ref().unwrap().samples.is_empty());
}

#[tokio::test]
async fn a_group_that_is_not_there_is_not_found_and_the_nearest_name_is_suggested() {
    let mut rig = Rig::start(vec![view(1, "audit"), view(2, "orders")]).await;
    let mut get = GetGroupRequest { group: "ordres".into(), ..GetGroupRequest::default() };
    let unknown = rig.client.get_group(get.clone()).await.unwrap_err();
    assert_eq!(reason(&unknown, Code::NotFound), "GROUP_NOT_FOUND");
    assert_eq!(unknown.message(), "group `ordres` does not exist; did you mean `orders`?");
    assert_eq!(metadata(&unknown, "nearest").as_deref(), Some("orders"));
    get.group = "zzz".into();
    let unknown = rig.client.get_group(get.clone()).await.unwrap_err();
    assert_eq!(unknown.message(), "group `zzz` does not exist");
    assert_eq!(metadata(&unknown, "nearest"), None);
    get.group = "Orders".into();
    refused_for("group", rig.client.get_group(get).await);
}
