//! A backup of a gateway at work, brought back elsewhere.

use switchboard::grpc::proto::client::admin_service_client::AdminServiceClient;
use switchboard::grpc::proto::client::{BackupRequest, SettleCode};
use tokio::process::Command;

use crate::gateway::{Mode, Setup, telegram};
use crate::steps::{Hands, texts, write};

#[tokio::test]
async fn p2_p4_a_restored_backup_delivers_what_was_unsettled_and_knows_no_old_token() {
    let telegram = telegram().await;
    let data = tempfile::tempdir().unwrap();
    let gateway = Setup::new(data.path(), &telegram, Mode::Polling).start().await;
    let mut hands = Hands::join(gateway.grpc, "orders").await;
    write(&telegram, 1, &["done", "open", "waiting"]).await;
    write(&telegram, 2, &["other"]).await;
    let first = hands.deliveries(2).await;
    let done: Vec<_> = first.iter().filter(|delivery| delivery.ordering_key == "chat:1").cloned().collect();
    assert_eq!(hands.ack(&done).await, [SettleCode::Applied]);
    let open = hands.deliveries(1).await;
    assert_eq!(texts(&open), ["open"]);

    let mut admin = AdminServiceClient::connect(format!("http://{}", gateway.grpc)).await.unwrap();
    let mut chunks = admin.backup(BackupRequest::default()).await.unwrap().into_inner();
    let mut copy = Vec::new();
    while let Some(chunk) = chunks.message().await.unwrap() {
        copy.extend(chunk.chunk);
    }
    // What happens after it is not in it, and the gateway goes on.
    assert_eq!(hands.ack(&open).await, [SettleCode::Applied]);
    assert_eq!(texts(&hands.deliveries(1).await), ["waiting"]);
    drop(hands);
    gateway.stop().await;

    let elsewhere = tempfile::tempdir().unwrap();
    let restore = async |bytes: &[u8]| {
        std::fs::write(elsewhere.path().join("copy"), bytes).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_switchboard"));
        command.env_clear().current_dir(elsewhere.path()).args(["restore", "copy", "--data-dir", "data"]);
        let output = command.output().await.unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    let (code, said) = restore(&copy[..copy.len() / 2]).await;
    assert_eq!(code, Some(3), "half a backup is none: {said}");
    let (code, said) = restore(&copy).await;
    assert_eq!(code, Some(0), "{said}");

    let gateway = Setup::new(elsewhere.path(), &telegram, Mode::Polling).start().await;
    let mut hands = Hands::join(gateway.grpc, "orders").await;
    let again = hands.deliveries(2).await;
    assert_eq!(texts(&again), ["open", "other"], "what is settled stays settled, the rest comes");
    assert_eq!(hands.ack(&first).await, [SettleCode::Unknown; 2]);
    assert_eq!(hands.ack(&again).await, [SettleCode::Applied; 2]);
    assert_eq!(texts(&hands.deliveries(1).await), ["waiting"]);
    drop(hands);
    gateway.stop().await;
}
