//! Making, changing, pausing and deleting groups.

use prost_types::{Duration, FieldMask};
use switchboard::grpc::proto::client::create_group_request::Start;
use switchboard::grpc::proto::client::{
    CreateGroupRequest, DeleteGroupRequest, Filter, Group, GroupSettings, Ordering, PauseGroupRequest,
    ResumeGroupRequest, UpdateGroupRequest,
};
use tonic::Code;

use super::rig::{Rig, view};
use super::{metadata, reason, refused_for, seconds};

fn group(name: &str) -> Group {
    Group { name: name.into(), ..Group::default() }
}

fn with(settings: GroupSettings) -> Group {
    Group { settings: Some(settings), ..group("orders") }
}

fn create(group: Group) -> CreateGroupRequest {
    CreateGroupRequest { group: Some(group), start: None }
}

fn update(group: Group, paths: &[&str]) -> UpdateGroupRequest {
    let paths = paths.iter().map(|path| (*path).to_owned()).collect();
    UpdateGroupRequest { group: Some(group), update_mask: Some(FieldMask { paths }) }
}

#[tokio::test]
async fn a_group_is_made_as_asked_and_by_the_configured_defaults() {
    let mut rig = Rig::start(vec![view(1, "audit")]).await;
    let asked = Group {
        filter: Some(Filter { kinds: vec!["message".into()], ..Filter::default() }),
        fallback: true,
        ordering: Ordering::Topic.into(),
        settings: Some(GroupSettings {
            max_lease: seconds(60),
            max_age: [("callback_query".to_owned(), Duration { seconds: 150, nanos: 0 })].into(),
            ..GroupSettings::default()
        }),
        ..group("orders")
    };
    let request = CreateGroupRequest { group: Some(asked), start: Some(Start::StartSequence(5)) };
    let made = rig.client.create_group(request).await.unwrap().into_inner().group.unwrap();
    assert_eq!(made.name, "orders");
    let told = rig.told().pop().unwrap();
    for part in [
        "GroupName(\"orders\")",
        "fallback: true",
        "ordering: Topic",
        "max_failures: 9",
        "max_lease_ms: 60000",
        "150000",
        "Sequence(Sequence(5))",
    ] {
        assert!(told.contains(part), "{part} in {told}");
    }
    let exists = rig.client.create_group(create(group("audit"))).await.unwrap_err();
    assert_eq!(reason(&exists, Code::AlreadyExists), "GROUP_EXISTS");
}

#[tokio::test]
async fn changes_of_different_settings_at_once_do_not_undo_each_other() {
    let mut rig = Rig::start(vec![view(1, "orders")]).await;
    let mut other = rig.client.clone();
    for count in 20..30 {
        let failures = with(GroupSettings { max_failures: Some(count), ..GroupSettings::default() });
        let lease = with(GroupSettings { max_lease: seconds(i64::from(count)), ..GroupSettings::default() });
        let (first, second) = tokio::join!(
            rig.client.update_group(update(failures, &["settings.max_failures"])),
            other.update_group(update(lease, &["settings.max_lease"])),
        );
        first.unwrap();
        second.unwrap();
        let request = PauseGroupRequest { group: "orders".into(), ..PauseGroupRequest::default() };
        let now = rig.client.pause_group(request).await.unwrap().into_inner().group.unwrap();
        let settings = now.settings.unwrap();
        assert_eq!((settings.max_failures, settings.max_lease), (Some(count), seconds(i64::from(count))));
    }
}

#[tokio::test]
async fn a_wrong_field_of_a_new_group_is_named() {
    let mut rig = Rig::start(Vec::new()).await;
    let time = |seconds: i64, nanos: i32| Some(Duration { seconds, nanos });
    let none = GroupSettings::default;
    let age = |kind: &str, seconds| [(kind.to_owned(), Duration { seconds, nanos: 0 })].into();
    let never = Filter { kinds: vec!["poll".into()], chat_ids: vec![1], ..Filter::default() };
    let kinds = Filter { kinds: vec!["mesage".into()], ..Filter::default() };
    let cases = [
        ("group.name", group("")),
        ("group.name", group("Orders")),
        ("group.ordering", Group { ordering: 9, ..group("orders") }),
        ("group.filter", Group { filter: Some(never), ..group("orders") }),
        ("group.filter.kinds", Group { filter: Some(kinds), ..group("orders") }),
        ("group.settings.max_failures", with(GroupSettings { max_failures: Some(0), ..none() })),
        ("group.settings.min_failure_span", with(GroupSettings { min_failure_span: time(-1, 0), ..none() })),
        ("group.settings.backoff_initial", with(GroupSettings { backoff_initial: time(-1, 0), ..none() })),
        ("group.settings.backoff_max", with(GroupSettings { backoff_max: time(3_600, 1), ..none() })),
        ("group.settings.member_grace", with(GroupSettings { member_grace: time(600, 1), ..none() })),
        ("group.settings.max_lease", with(GroupSettings { max_lease: time(0, 999_999_999), ..none() })),
        ("group.settings.max_lease", with(GroupSettings { max_lease: time(86_400, 1), ..none() })),
        (
            "group.settings.max_unsettled_age",
            with(GroupSettings { max_unsettled_age: time(59, 0), ..none() }),
        ),
        ("group.settings.max_age", with(GroupSettings { max_age: age("message", 0), ..none() })),
        ("group.settings.max_age", with(GroupSettings { max_age: age("massage", 5), ..none() })),
    ];
    for (field, group) in cases {
        refused_for(field, rig.client.create_group(create(group)).await);
    }
    refused_for("group", rig.client.create_group(CreateGroupRequest::default()).await);
    for (field, start) in [
        ("start_earliest", Start::StartEarliest(false)),
        ("start_latest", Start::StartLatest(false)),
        ("start_sequence", Start::StartSequence(-1)),
    ] {
        let request = CreateGroupRequest { start: Some(start), ..create(group("orders")) };
        refused_for(field, rig.client.create_group(request).await);
    }
    assert_eq!(rig.told(), Vec::<String>::new());
}

#[tokio::test]
async fn a_mask_says_what_changes_and_what_is_absent_goes_back_to_its_default() {
    let mut orders = view(1, "orders");
    orders.record.settings.max_failures = 3;
    orders.record.settings.backoff_max_ms = 7_000;
    let mut rig = Rig::start(vec![orders]).await;
    let asked =
        with(GroupSettings { max_failures: Some(8), max_lease: seconds(30), ..GroupSettings::default() });

    let paths = ["settings.max_failures", "settings.backoff_max", "filter"];
    let changed = rig.client.update_group(update(asked.clone(), &paths)).await.unwrap().into_inner();
    let settings = changed.group.unwrap().settings.unwrap();
    assert_eq!((settings.max_failures, settings.backoff_max), (Some(8), seconds(60)));
    assert_eq!(settings.max_lease, seconds(600));
    assert!(rig.told().pop().unwrap().contains("filter: Some(None)"));

    rig.client.update_group(update(asked.clone(), &["settings"])).await.unwrap();
    let told = rig.told().pop().unwrap();
    assert!(told.contains("filter: None") && told.contains("max_lease_ms: 30000"), "{told}");

    // Without a mask, what is set is taken; what was read may be sent back.
    let unmasked = UpdateGroupRequest {
        group: Some(Group { ordering: Ordering::Chat.into(), ..asked.clone() }),
        update_mask: None,
    };
    let changed = rig.client.update_group(unmasked).await.unwrap().into_inner().group.unwrap();
    assert_eq!(changed.settings.unwrap().max_failures, Some(8));
    assert!(rig.told().pop().unwrap().contains("filter: None"));
}

#[tokio::test]
async fn what_can_not_be_changed_is_refused() {
    let mut rig = Rig::start(vec![view(1, "orders")]).await;
    for paths in [&["ordering"][..], &["name"], &["settings.maxFailures"], &["filter.kinds"], &["*"], &[]] {
        refused_for("update_mask", rig.client.update_group(update(group("orders"), paths)).await);
    }
    let unmasked = |group| UpdateGroupRequest { group: Some(group), update_mask: None };
    let by_user = Group { ordering: Ordering::User.into(), ..group("orders") };
    refused_for("group.ordering", rig.client.update_group(unmasked(by_user)).await);
    let fallback = Group { fallback: true, ..group("orders") };
    refused_for("group.fallback", rig.client.update_group(unmasked(fallback)).await);
    refused_for("group", rig.client.update_group(unmasked(group("orders"))).await);
    let wrong = with(GroupSettings { max_failures: Some(-1), ..GroupSettings::default() });
    refused_for("group.settings.max_failures", rig.client.update_group(update(wrong, &["settings"])).await);
    let unknown = rig.client.update_group(update(group("ordres"), &["filter"])).await.unwrap_err();
    assert_eq!(reason(&unknown, Code::NotFound), "GROUP_NOT_FOUND");
    assert_eq!(rig.told(), Vec::<String>::new());
}

#[tokio::test]
async fn a_group_is_paused_and_resumed_unless_it_is_ephemeral() {
    let mut tail = view(2, "tail");
    tail.ephemeral = true;
    let mut rig = Rig::start(vec![view(1, "orders"), tail]).await;
    let pause = |group: &str| PauseGroupRequest { group: group.into(), ..PauseGroupRequest::default() };
    let paused = rig.client.pause_group(pause("orders")).await.unwrap().into_inner().group.unwrap();
    assert!(paused.pause_time.is_some());
    let resume = ResumeGroupRequest { group: "orders".into(), ..ResumeGroupRequest::default() };
    let resumed = rig.client.resume_group(resume).await.unwrap().into_inner().group.unwrap();
    assert_eq!(resumed.pause_time, None);
    assert_eq!(rig.told(), ["change orders Paused(true)", "change orders Paused(false)"]);
    let ephemeral = rig.client.pause_group(pause("tail")).await.unwrap_err();
    assert_eq!(reason(&ephemeral, Code::FailedPrecondition), "GROUP_EPHEMERAL");
}

#[tokio::test]
async fn a_group_with_something_to_lose_is_deleted_by_force_only() {
    let mut orders = view(1, "orders");
    orders.status.lag = 4;
    let mut rig = Rig::start(vec![orders]).await;
    let mut delete = DeleteGroupRequest { group: "orders".into(), ..DeleteGroupRequest::default() };
    let refused = rig.client.delete_group(delete.clone()).await.unwrap_err();
    assert_eq!(reason(&refused, Code::FailedPrecondition), "GROUP_NOT_EMPTY");
    assert_eq!(metadata(&refused, "unsettled").as_deref(), Some("4"));
    delete.force = true;
    assert_eq!(rig.client.delete_group(delete.clone()).await.unwrap().into_inner().unsettled, 4);
    delete.group = "ordres".into();
    let unknown = rig.client.delete_group(delete).await.unwrap_err();
    assert_eq!(metadata(&unknown, "nearest").as_deref(), Some("orders"));
}
