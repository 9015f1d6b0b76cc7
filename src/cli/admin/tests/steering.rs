//! What changes something: questions first, then the effect.

use tonic::Status;

use super::{Fake, Gateway};
use crate::cli::exit::Exit;
use crate::grpc::proto::client::seek_group_request::Target;
use crate::grpc::proto::client::*;

async fn with_group(lag: i64) -> Gateway {
    Fake::default()
        .on("get_group", move |request: GetGroupRequest| {
            let status = GroupStatus { lag, lag_exact: true, ..GroupStatus::default() };
            let group = Group {
                bot: "default".into(),
                name: request.group,
                status: Some(status),
                ..Group::default()
            };
            Ok::<_, Status>(GetGroupResponse { group: Some(group) })
        })
        .on("delete_group", move |request: DeleteGroupRequest| {
            assert_eq!((request.bot.as_str(), request.group.as_str()), ("default", "orders"));
            match request.force || lag == 0 {
                true => Ok(DeleteGroupResponse { unsettled: lag }),
                false => Err(Status::failed_precondition("group `orders` has unsettled updates; set force")),
            }
        })
        .start()
        .await
}

#[tokio::test]
async fn a_group_is_deleted_once_somebody_says_yes() {
    let gateway = with_group(12).await;
    let delete = ["groups", "delete", "orders", "--force"];
    let ran = gateway.run_with(&delete, Some("n\n")).await;
    assert_eq!(ran.exit, Exit::Precondition);
    assert!(ran.notes.starts_with("Delete group orders with 12 unsettled updates? [y/N] "), "{ran:?}");
    let ran = gateway.run(&delete).await;
    assert_eq!(ran.exit, Exit::Config);
    assert!(ran.notes.contains("give --yes"), "{ran:?}");
    assert_eq!(gateway.calls(), ["get_group", "get_group"], "nothing was deleted");

    let ran = gateway.run_with(&delete, Some("y\n")).await;
    assert_eq!(
        (ran.exit, ran.out.as_str()),
        (Exit::Done, "Deleted group orders with 12 unsettled updates.\n")
    );
    let ran = gateway.run(&[&delete[..], &["--yes", "--json"]].concat()).await;
    assert_eq!((ran.exit, ran.out.as_str()), (Exit::Done, "{\"unsettled\":\"12\"}\n"));
}

#[tokio::test]
async fn a_group_that_would_lose_something_is_not_deleted_without_force_and_nobody_is_asked() {
    let gateway = with_group(12).await;
    let ran = gateway.run_with(&["groups", "delete", "orders"], Some("y\n")).await;
    assert_eq!(ran.exit, Exit::Precondition);
    assert!(!ran.notes.contains("[y/N]") && ran.notes.contains("force"), "{ran:?}");
}

#[tokio::test]
async fn a_seek_says_what_it_would_do_before_it_does_it() {
    let fake = Fake::default().on("seek_group", |request: SeekGroupRequest| {
        assert_eq!(request.target, Some(Target::Sequence(40)));
        let (updates, redelivered, skipped) = if request.dry_run { (12, 10, 3) } else { (13, 10, 3) };
        Ok::<_, Status>(SeekGroupResponse { sequence: 40, updates, redelivered, skipped, group: None })
    });
    let gateway = fake.start().await;
    let seek = ["seek", "orders", "--to", "40"];
    let effect = "sequence 40: brings 12 updates (10 of them again), skips 3 unsettled updates";
    let ran = gateway.run(&[&seek[..], &["--dry-run"]].concat()).await;
    assert_eq!(ran.out, format!("Would move group orders to {effect}.\n"));
    let ran = gateway.run(&seek).await;
    assert_eq!(ran.exit, Exit::Config);
    assert!(ran.notes.contains(&format!("Move group orders to {effect}? Nobody is here")), "{ran:?}");
    let ran = gateway.run_with(&seek, Some("yes\n")).await;
    assert!(ran.out.contains("brings 13 updates"), "{ran:?}");
    assert_eq!(gateway.calls().len(), 4);
    gateway.run(&[&seek[..], &["--yes"]].concat()).await;
    assert_eq!(gateway.calls().len(), 5, "asked once, since nobody has to be told before");
    let ran = gateway.run(&["seek", "orders", "--to", "-999999d"]).await;
    assert_eq!((ran.exit, gateway.calls().len()), (Exit::Config, 5));
    assert!(ran.notes.contains("before 1970") && ran.notes.contains("`earliest`"), "{ran:?}");
}

#[tokio::test]
async fn a_purge_counts_before_it_asks() {
    let fake = Fake::default()
        .on("purge_updates", |request: PurgeUpdatesRequest| {
            assert_eq!(request.whose, Some(purge_updates_request::Whose::ChatId(-100)));
            Ok::<_, Status>(PurgeUpdatesResponse { updates: 3, dead_letters: 1 })
        })
        .on("purge_dead_letters", |request: PurgeDeadLettersRequest| {
            assert!(request.selection.unwrap().all);
            Ok::<_, Status>(PurgeDeadLettersResponse { purged: 2 })
        });
    let gateway = fake.start().await;
    let ran = gateway.run_with(&["updates", "purge", "--chat", "-100"], Some("y\n")).await;
    assert!(ran.notes.starts_with("Remove 3 updates and 1 dead letter for good? [y/N] "), "{ran:?}");
    assert!(ran.out.starts_with("Removed 3 updates and 1 dead letter."), "{ran:?}");
    let ran = gateway.run(&["dead-letters", "purge", "orders", "--all", "--dry-run"]).await;
    assert_eq!(ran.out, "Would remove 2 dead letters of group orders.\n");
}

#[tokio::test]
async fn a_group_is_created_and_changed_with_what_the_flags_say() {
    let fake = Fake::default()
        .on("create_group", |request: CreateGroupRequest| {
            assert_eq!(request.start, Some(create_group_request::Start::StartEarliest(true)));
            let group = request.group.unwrap();
            assert_eq!(group.ordering(), Ordering::Topic);
            assert_eq!(group.settings.clone().unwrap().max_age["callback_query"].seconds, 150);
            Ok::<_, Status>(CreateGroupResponse { group: Some(group) })
        })
        .on("get_group", |_: GetGroupRequest| {
            let group = Group { bot: "default".into(), name: "orders".into(), ..Group::default() };
            Ok::<_, Status>(GetGroupResponse { group: Some(group) })
        })
        .on("update_group", |request: UpdateGroupRequest| {
            assert_eq!(request.update_mask.unwrap().paths, ["settings.max_failures"]);
            Ok::<_, Status>(UpdateGroupResponse { group: request.group })
        });
    let gateway = fake.start().await;
    let create = ["groups", "create", "orders", "--ordering", "topic", "--start", "earliest"];
    let ran = gateway.run(&[&create[..], &["--max-age", "callback_query=150s"]].concat()).await;
    assert_eq!(ran.exit, Exit::Done, "{ran:?}");
    let ran = gateway.run(&["groups", "update", "orders", "--max-failures", "3"]).await;
    assert_eq!(ran.out, "Changed group orders: max-failures 3.\n");
    for never in [&["--ordering", "user"][..], &["--fallback"]] {
        let ran = gateway.run(&[&["groups", "update", "orders"], never].concat()).await;
        assert_eq!(ran.exit, Exit::Config, "{ran:?}");
        assert!(ran.notes.contains("never changes: make another group"), "{ran:?}");
    }
}

#[tokio::test]
async fn a_named_sequence_that_is_not_there_is_said_to_be_so() {
    let fake = Fake::default()
        .on("replay_dead_letters", |_: ReplayDeadLettersRequest| Ok(ReplayDeadLettersResponse::default()))
        .on("replay_updates", |_: ReplayUpdatesRequest| Ok(ReplayUpdatesResponse::default()))
        .on("purge_dead_letters", |_: PurgeDeadLettersRequest| Ok(PurgeDeadLettersResponse::default()));
    let gateway = fake.start().await;
    let dead =
        "sequence 777 is no dead letter of group orders; what became of it says: switchboard timeline 777\n";
    for (line, words) in [
        (&["dead-letters", "replay", "orders", "--sequence", "777"][..], dead),
        (&["dead-letters", "replay", "orders", "--sequence", "777", "--dry-run"], dead),
        (&["dead-letters", "purge", "orders", "--sequence", "777"], dead),
        (&["replay", "orders", "--sequence", "777"], "switchboard timeline 777\n"),
        (
            &["replay", "orders", "--sequence", "777,778"],
            "each of the sequences 777, 778 is not kept, or group orders",
        ),
    ] {
        let ran = gateway.run(line).await;
        assert_eq!((ran.exit, ran.out.as_str()), (Exit::NotFound, ""), "{ran:?}");
        assert!(ran.notes.contains(words), "{ran:?}");
    }
    let ran = gateway.run(&["replay", "orders", "--sequence", "777", "--json"]).await;
    assert_eq!((ran.exit, ran.out.as_str()), (Exit::NotFound, "{\"replayed\":\"0\",\"total\":\"0\"}\n"));
    // Nothing of a chat is no mistake.
    let ran = gateway.run(&["replay", "orders", "--chat", "42"]).await;
    assert_eq!((ran.exit, ran.out.as_str()), (Exit::Done, "Replayed 0 updates to group orders.\n"));
}

#[tokio::test]
async fn a_replay_ends_with_how_many_it_was() {
    let step = |replayed| Ok(ReplayDeadLettersResponse { replayed, total: 3 });
    let fake = Fake::default()
        .on_stream("replay_dead_letters", move |request: ReplayDeadLettersRequest| {
            assert_eq!(request.max_rate, Some(0.5));
            if request.dry_run { vec![step(0)] } else { vec![step(0), step(2), step(3)] }
        })
        .on_stream("replay_updates", |_: ReplayUpdatesRequest| {
            let reached = ReplayUpdatesResponse { replayed: 5, total: 9 };
            vec![Ok(reached), Err(Status::unavailable("the gateway is stopping"))]
        });
    let gateway = fake.start().await;
    let replay = ["dead-letters", "replay", "orders", "--sequence", "1,2,3", "--rate", "30/m"];
    let ran = gateway.run(&replay).await;
    assert_eq!((ran.exit, ran.out.as_str()), (Exit::Done, "Replayed 3 dead letters to group orders.\n"));
    let ran = gateway.run(&[&replay[..], &["--json"]].concat()).await;
    assert_eq!(ran.out, "{\"replayed\":\"3\",\"total\":\"3\"}\n");
    let ran = gateway.run(&[&replay[..], &["--dry-run"]].concat()).await;
    assert_eq!(ran.out, "Would replay 3 dead letters to group orders.\n");

    let ran = gateway.run(&["replay", "orders", "--all"]).await;
    assert_eq!(ran.exit, Exit::Unavailable);
    assert!(ran.notes.starts_with("at least 5 of 9 updates replayed to group orders\n"), "{ran:?}");
}
