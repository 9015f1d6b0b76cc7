//! Making, changing, pausing and deleting groups.

use prost_types::{Duration, FieldMask, Timestamp};
use switchboard::grpc::proto::client::create_group_request::Start;
use switchboard::grpc::proto::client::{
    CreateGroupRequest, DeleteGroupRequest, Filter, Group, GroupSettings, Ordering, PauseGroupRequest,
    ResumeGroupRequest, UpdateGroupRequest,
};
use tonic::Code;

use super::rig::{Rig, view};
use super::{metadata, reason, refused_for, seconds};

const DAY: i64 = 86_400;

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
    let mut rig = Rig::with_updates(vec![view(1, "audit")], 5).await;
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
    assert!(exists.message().contains("`switchboard groups update`"), "{exists:?}");
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
        ("group.settings.max_failures", with(GroupSettings { max_failures: Some(1_001), ..none() })),
        ("group.settings.min_failure_span", with(GroupSettings { min_failure_span: time(-1, 0), ..none() })),
        ("group.settings.backoff_initial", with(GroupSettings { backoff_initial: time(-1, 0), ..none() })),
        ("group.settings.backoff_max", with(GroupSettings { backoff_max: time(3_600, 1), ..none() })),
        ("group.settings.backoff_initial", with(GroupSettings { backoff_initial: time(61, 0), ..none() })),
        ("group.settings.backoff_max", with(GroupSettings { backoff_max: time(0, 1_000_000), ..none() })),
        (
            "group.settings.min_failure_span",
            with(GroupSettings { min_failure_span: time(367 * DAY, 0), ..none() }),
        ),
        ("group.settings.member_grace", with(GroupSettings { member_grace: time(600, 1), ..none() })),
        ("group.settings.max_lease", with(GroupSettings { max_lease: time(0, 999_999_999), ..none() })),
        ("group.settings.max_lease", with(GroupSettings { max_lease: time(86_400, 1), ..none() })),
        (
            "group.settings.max_unsettled_age",
            with(GroupSettings { max_unsettled_age: time(59, 0), ..none() }),
        ),
        (
            "group.settings.max_unsettled_age",
            with(GroupSettings { max_unsettled_age: time(99_999 * DAY, 0), ..none() }),
        ),
        ("group.settings.max_age", with(GroupSettings { max_age: age("message", 0), ..none() })),
        ("group.settings.max_age", with(GroupSettings { max_age: age("message", 367 * DAY), ..none() })),
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
        ("start_sequence", Start::StartSequence(99_999_999)),
        ("start_time", Start::StartTime(Timestamp { seconds: 4_070_908_800, nanos: 0 })),
    ] {
        let request = CreateGroupRequest { start: Some(start), ..create(group("orders")) };
        refused_for(field, rig.client.create_group(request).await);
    }
    assert_eq!(rig.told(), Vec::<String>::new());
}

#[tokio::test]
async fn a_group_begins_after_the_newest_update_at_the_latest() {
    let mut rig = Rig::with_updates(Vec::new(), 3).await;
    let at = |start| CreateGroupRequest { start: Some(start), ..create(group("orders")) };
    rig.client.create_group(at(Start::StartSequence(4))).await.unwrap();
    let beyond = rig.client.create_group(at(Start::StartSequence(5))).await;
    let beyond = beyond.unwrap_err();
    assert!(beyond.message().contains("the newest update has 3: `latest` begins after it"), "{beyond:?}");
}

#[tokio::test]
async fn a_first_wait_that_is_longer_than_the_longest_is_refused_where_it_is_asked_for() {
    let mut orders = view(1, "orders");
    // As a configuration may have made it.
    orders.record.settings.backoff_initial_ms = 120_000;
    let mut rig = Rig::start(vec![orders]).await;
    let time = |s| Some(Duration { seconds: s, nanos: 0 });
    let settings = |initial: Option<i64>, most: Option<i64>| {
        with(GroupSettings {
            max_failures: Some(3),
            backoff_initial: initial.and_then(time),
            backoff_max: most.and_then(time),
            ..GroupSettings::default()
        })
    };
    let longer = update(settings(Some(90), None), &["settings.backoff_initial"]);
    refused_for("group.settings.backoff_initial", rig.client.update_group(longer).await);
    let shorter = update(settings(None, Some(100)), &["settings.backoff_max"]);
    refused_for("group.settings.backoff_max", rig.client.update_group(shorter).await);
    let reset = update(settings(None, None), &["settings.backoff_max"]);
    refused_for("group.settings.backoff_max", rig.client.update_group(reset).await);
    rig.client.update_group(update(settings(None, None), &["settings.max_failures"])).await.unwrap();
    let both = update(settings(Some(90), Some(90)), &["settings.backoff_initial", "settings.backoff_max"]);
    rig.client.update_group(both).await.unwrap();
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
    let wrong = with(GroupSettings { max_failures: Some(2_000_000_000), ..GroupSettings::default() });
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
    assert!(refused.message().contains("has 4 unsettled updates and 2 dead letters;"), "{refused:?}");
    delete.force = true;
    assert_eq!(rig.client.delete_group(delete.clone()).await.unwrap().into_inner().unsettled, 4);
    delete.group = "ordres".into();
    let unknown = rig.client.delete_group(delete).await.unwrap_err();
    assert_eq!(metadata(&unknown, "nearest").as_deref(), Some("orders"));
}
