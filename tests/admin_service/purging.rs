//! PurgeUpdates.

use switchboard::grpc::proto::client::PurgeUpdatesRequest;
use switchboard::grpc::proto::client::purge_updates_request::Whose;
use switchboard::model::{Batch, Sequence};
use tonic::Code;

use super::dead_letters::rig;
use super::{reason, refused_for};

fn purge(whose: Whose) -> PurgeUpdatesRequest {
    PurgeUpdatesRequest { whose: Some(whose), ..PurgeUpdatesRequest::default() }
}

#[tokio::test]
async fn a_chats_updates_and_dead_letters_go_from_everywhere() {
    // 2 and 6 are of chat 42; 2 was trimmed and is a dead letter of two groups.
    let mut rig = rig(&[(1, 2), (2, 2), (2, 6), (2, 7)]).await;
    rig.commit(Batch { trimmed: vec![Sequence(2)], ..Batch::default() });
    let dry = PurgeUpdatesRequest { dry_run: true, ..purge(Whose::ChatId(42)) };
    let would = rig.client.purge_updates(dry).await.unwrap().into_inner();
    assert_eq!((would.updates, would.dead_letters), (1, 3));
    assert_eq!(rig.told(), Vec::<String>::new());
    let done = rig.client.purge_updates(purge(Whose::ChatId(42))).await.unwrap().into_inner();
    assert_eq!((done.updates, done.dead_letters), (1, 3));
    let told = rig.told();
    assert_eq!(told[0], "purge [6]");
    assert!(told[1..].iter().any(|told| told.contains('2')), "{told:?}");
}

#[tokio::test]
async fn a_users_updates_go_in_whatever_chat_and_one_update_by_its_position() {
    let mut rig = rig(&[(1, 2)]).await;
    let done = rig.client.purge_updates(purge(Whose::UserId(7))).await.unwrap().into_inner();
    assert_eq!((done.updates, done.dead_letters), (8, 1));
    let nobody = rig.client.purge_updates(purge(Whose::UserId(99))).await.unwrap().into_inner();
    assert_eq!((nobody.updates, nobody.dead_letters), (0, 0));
    rig.told();
    let one = rig.client.purge_updates(purge(Whose::Sequence(5))).await.unwrap().into_inner();
    assert_eq!((one.updates, rig.told()), (1, vec!["purge [5]".to_owned()]));
}

#[tokio::test]
async fn a_purge_of_nothing_named_or_nothing_there_is_refused() {
    let mut rig = rig(&[]).await;
    refused_for("whose", rig.client.purge_updates(PurgeUpdatesRequest::default()).await);
    refused_for("sequence", rig.client.purge_updates(purge(Whose::Sequence(-1))).await);
    let unknown = rig.client.purge_updates(purge(Whose::Sequence(77))).await.unwrap_err();
    assert_eq!(reason(&unknown, Code::NotFound), "UPDATE_NOT_FOUND");
}
