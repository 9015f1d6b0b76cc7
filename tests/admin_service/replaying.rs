//! ReplayUpdates and ReplayDeadLetters.

use std::time::Duration;

use switchboard::driver::SteerError;
use switchboard::grpc::proto::client::{
    ReplayDeadLettersRequest, ReplayUpdatesRequest, ReplayUpdatesResponse, Selection,
};
use switchboard::model::{Sequence, UpdateStanding};
use tokio::time::Instant;
use tokio_stream::StreamExt;
use tonic::{Code, Status, Streaming};

use super::dead_letters::rig as rig_with_letters;
use super::rig::{Rig, name, view};
use super::{FUTURE, reason, refused_for};

fn all() -> Option<Selection> {
    Some(Selection { all: true, ..Selection::default() })
}

fn replay(selection: Option<Selection>) -> ReplayUpdatesRequest {
    ReplayUpdatesRequest { group: "orders".into(), selection, ..ReplayUpdatesRequest::default() }
}

/// All words of a replay up to its end.
async fn words(stream: Streaming<ReplayUpdatesResponse>) -> Vec<Result<(i64, i64), Status>> {
    stream.map(|word| word.map(|word| (word.replayed, word.total))).collect().await
}

async fn last(rig: &mut Rig, request: ReplayUpdatesRequest) -> (i64, i64) {
    let stream = rig.client.replay_updates(request).await.unwrap().into_inner();
    words(stream).await.pop().unwrap().unwrap()
}

#[tokio::test]
async fn what_the_group_is_done_with_is_handed_over_oldest_first() {
    let mut orders = view(1, "orders");
    orders.status.cursor = Sequence(4);
    let mut rig = Rig::with_updates(vec![orders], 8).await;
    rig.world().standings = vec![(Sequence(6), UpdateStanding::Pending { behind: None })];
    let dry = ReplayUpdatesRequest { dry_run: true, ..replay(all()) };
    assert_eq!(last(&mut rig, dry).await, (0, 7));
    assert_eq!(rig.told(), Vec::<String>::new());
    assert_eq!(last(&mut rig, replay(all())).await, (7, 7));
    assert_eq!(rig.told(), ["replay orders [1, 2, 3, 4, 5, 7, 8] false"]);
    let chat = Selection { chat_id: Some(42), ..Selection::default() };
    assert_eq!(last(&mut rig, replay(Some(chat))).await, (1, 1));
    assert_eq!(rig.told(), ["replay orders [2] false"]);
}

#[tokio::test]
async fn dead_letters_are_handed_over_as_such() {
    let mut rig = rig_with_letters(&[(1, 2), (2, 3), (2, 6)]).await;
    let request = ReplayDeadLettersRequest {
        group: "orders".into(),
        selection: all(),
        ..ReplayDeadLettersRequest::default()
    };
    let dry = ReplayDeadLettersRequest { dry_run: true, ..request.clone() };
    let mut words = rig.client.replay_dead_letters(dry).await.unwrap().into_inner();
    let counted = words.message().await.unwrap().unwrap();
    assert_eq!((counted.replayed, counted.total), (0, 2));
    let mut words = rig.client.replay_dead_letters(request).await.unwrap().into_inner();
    let done = words.message().await.unwrap().unwrap();
    assert_eq!((done.replayed, done.total), (2, 2));
    assert_eq!(words.message().await.unwrap(), None);
    assert_eq!(rig.told(), ["replay orders [3, 6] true"]);
}

#[tokio::test]
async fn a_rate_is_kept_and_progress_is_told_meanwhile() {
    let mut orders = view(1, "orders");
    orders.status.cursor = Sequence(30);
    let mut rig = Rig::with_updates(vec![orders], 30).await;
    let began = Instant::now();
    let request = ReplayUpdatesRequest { max_rate: Some(20.0), ..replay(all()) };
    let words = words(rig.client.replay_updates(request).await.unwrap().into_inner()).await;
    assert!(began.elapsed() >= Duration::from_millis(1_350), "{:?}", began.elapsed());
    assert!(words.len() >= 3, "{words:?}");
    assert_eq!(*words.last().unwrap().as_ref().unwrap(), (30, 30));
    assert!(rig.told().len() >= 15);
}

#[tokio::test]
async fn too_many_replays_are_waited_for_and_other_refusals_end_it() {
    let mut orders = view(1, "orders");
    orders.status.cursor = Sequence(3);
    let mut rig = Rig::with_updates(vec![orders], 3).await;
    let too_many = SteerError::TooManyReplays { group: name("orders"), limit: 3 };
    rig.world().refusals = vec![too_many.clone(), too_many];
    assert_eq!(last(&mut rig, replay(all())).await, (3, 3));
    rig.world().refusals = vec![SteerError::NoRoom];
    let stream = rig.client.replay_updates(replay(all())).await.unwrap().into_inner();
    let refused = words(stream).await.pop().unwrap().unwrap_err();
    assert_eq!(reason(&refused, Code::ResourceExhausted), "JOURNAL_FULL");
}

#[tokio::test]
async fn a_replay_ends_with_its_client() {
    let mut orders = view(1, "orders");
    orders.status.cursor = Sequence(8);
    let mut rig = Rig::with_updates(vec![orders], 8).await;
    let request = ReplayUpdatesRequest { max_rate: Some(0.1), ..replay(all()) };
    let mut stream = rig.client.replay_updates(request).await.unwrap().into_inner();
    // The first is due at once, the next one in ten seconds.
    let word = stream.message().await.unwrap().unwrap();
    assert_eq!((word.replayed, word.total), (1, 8));
    drop(stream);
    assert_eq!(rig.told(), ["replay orders [1] false"]);
}

#[tokio::test]
async fn a_wrong_field_is_named() {
    let mut rig = Rig::start(vec![view(1, "orders")]).await;
    refused_for("selection", rig.client.replay_updates(replay(None)).await);
    refused_for("selection", rig.client.replay_updates(replay(Some(Selection::default()))).await);
    let future = Selection { start_time: Some(FUTURE), ..Selection::default() };
    refused_for("selection.start_time", rig.client.replay_updates(replay(Some(future))).await);
    let huge = ReplayUpdatesRequest { max_rate: Some(1e300), ..replay(all()) };
    let huge = rig.client.replay_updates(huge).await.unwrap_err();
    assert_eq!(huge.message(), "`max_rate` is 1e300; it must be 0.1 to 100000, or absent");
    for rate in [0.0, 0.09, 100_001.0, f64::NAN, -1.0] {
        let request = ReplayUpdatesRequest { max_rate: Some(rate), ..replay(all()) };
        refused_for("max_rate", rig.client.replay_updates(request).await);
    }
    let unnamed = ReplayUpdatesRequest { group: String::new(), ..replay(all()) };
    refused_for("group", rig.client.replay_updates(unnamed).await);
    let unknown = ReplayUpdatesRequest { group: "order".into(), ..replay(all()) };
    let unknown = rig.client.replay_updates(unknown).await.unwrap_err();
    assert_eq!(reason(&unknown, Code::NotFound), "GROUP_NOT_FOUND");
}
