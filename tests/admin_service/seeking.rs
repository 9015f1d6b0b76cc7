//! SeekGroup.

use prost_types::Timestamp;
use switchboard::grpc::proto::client::SeekGroupRequest;
use switchboard::grpc::proto::client::seek_group_request::Target;
use switchboard::model::{Filter, FilterParts, GroupView, Sequence, UpdateStanding};
use tonic::Code;

use super::rig::{BEGAN_MS, Rig, view};
use super::{reason, refused_for};

fn seek(target: Target) -> SeekGroupRequest {
    SeekGroupRequest { group: "orders".into(), target: Some(target), ..SeekGroupRequest::default() }
}

fn time(seconds: i64) -> Target {
    Target::Time(Timestamp { seconds, nanos: 0 })
}

/// Settled up to 4 and at 6; 5, 7, 8, 9 and 10 wait.
async fn rig(change: impl FnOnce(&mut GroupView)) -> Rig {
    let mut orders = view(1, "orders");
    orders.status.cursor = Sequence(4);
    orders.status.lag = 5;
    change(&mut orders);
    let rig = Rig::with_updates(vec![orders], 10).await;
    rig.world().standings = [5, 7, 8, 9, 10]
        .map(|sequence| (Sequence(sequence), UpdateStanding::Pending { behind: None }))
        .into();
    rig
}

async fn counts(rig: &mut Rig, target: Target) -> (i64, i64, i64, i64) {
    let dry = SeekGroupRequest { dry_run: true, ..seek(target) };
    let brings = rig.client.seek_group(dry).await.unwrap().into_inner();
    (brings.sequence, brings.updates, brings.redelivered, brings.skipped)
}

#[tokio::test]
async fn a_dry_run_says_what_a_seek_would_bring() {
    let began = i64::try_from(BEGAN_MS / 1_000).unwrap();
    let targets = [
        (Target::Earliest(true), (1, 10, 5, 0)),
        (Target::Sequence(0), (1, 10, 5, 0)),
        (Target::Sequence(5), (5, 6, 1, 0)),
        (Target::Sequence(8), (8, 3, 0, 2)),
        (time(began + 3), (3, 8, 3, 0)),
        (time(began + 100_000), (11, 0, 0, 5)),
        (Target::Sequence(11), (11, 0, 0, 5)),
        (Target::Latest(true), (11, 0, 0, 5)),
    ];
    // By the driver's count, and without one.
    for exact in [true, false] {
        let mut rig = rig(|group| group.status.lag_exact = exact).await;
        for (target, expected) in targets {
            assert_eq!(counts(&mut rig, target).await, expected, "{target:?} {exact}");
        }
        assert_eq!(rig.told(), Vec::<String>::new());
    }
}

#[tokio::test]
async fn only_what_the_current_filter_matches_comes() {
    let parts = FilterParts { chat_ids: vec![40, 41], ..FilterParts::default() };
    let filter = Filter::new(parts).unwrap();
    // Up to 5 everything matched: now 1, 4, 5, 8 and 9 do.
    let mut rig = rig(|group| group.record.filters = vec![(Sequence(6), Some(filter))]).await;
    assert_eq!(counts(&mut rig, Target::Earliest(true)).await, (1, 5, 2, 0));
}

#[tokio::test]
async fn a_seek_moves_the_group() {
    let mut rig = rig(|_| ()).await;
    let brings = rig.client.seek_group(seek(Target::Sequence(3))).await.unwrap().into_inner();
    assert_eq!((brings.sequence, brings.updates, brings.redelivered, brings.skipped), (3, 8, 3, 0));
    assert_eq!(brings.group.unwrap().start_sequence, 3);
    assert_eq!(rig.told(), ["change orders Seek(Sequence(3))"]);
}

#[tokio::test]
async fn a_target_beyond_what_there_is_is_refused() {
    let mut rig = rig(|_| ()).await;
    let cases = [
        ("sequence", Target::Sequence(12)),
        ("sequence", Target::Sequence(-1)),
        ("time", time(99_999_999_999)),
        ("time", Target::Time(Timestamp { seconds: 1, nanos: -1 })),
        ("earliest", Target::Earliest(false)),
        ("latest", Target::Latest(false)),
    ];
    for (field, target) in cases {
        refused_for(field, rig.client.seek_group(seek(target)).await);
    }
    refused_for("target", rig.client.seek_group(SeekGroupRequest { target: None, ..seek(time(1)) }).await);
    let unknown = SeekGroupRequest { group: "order".into(), ..seek(time(1)) };
    let unknown = rig.client.seek_group(unknown).await.unwrap_err();
    assert_eq!(reason(&unknown, Code::NotFound), "GROUP_NOT_FOUND");
    rig.world().groups[0].ephemeral = true;
    let dry = SeekGroupRequest { dry_run: true, ..seek(Target::Earliest(true)) };
    let ephemeral = rig.client.seek_group(dry).await.unwrap_err();
    assert_eq!(reason(&ephemeral, Code::FailedPrecondition), "GROUP_EPHEMERAL");
    assert_eq!(rig.told(), Vec::<String>::new());
}
