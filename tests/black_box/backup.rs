//! A backup of a gateway at work, brought back elsewhere.

use switchboard::grpc::proto::client::admin_service_client::AdminServiceClient;
use switchboard::grpc::proto::client::{BackupRequest, SettleCode};
use tokio::process::Command;

use crate::console::{cli, done};
use crate::gateway::{Mode, Setup, own_address, telegram};
use crate::program::run;
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

#[tokio::test]
async fn a_backup_is_for_its_owner_only_and_one_that_fails_says_why_and_by_its_exit_code_what_to_do() {
    let telegram = telegram().await;
    let data = tempfile::tempdir().unwrap();
    let setup = Setup::new(data.path(), &telegram, Mode::Polling)
        .with("SWITCHBOARD_ACCESS_TOKEN", "let_me_very_secret_part");
    let gateway = setup.start().await;
    gateway.until(|bot| bot["connected"] == true).await;
    let path = |name: &str| data.path().join(name).to_str().unwrap().to_owned();
    let (token, empty, file) = (path("token"), path("empty"), path("x.backup"));
    std::fs::write(&token, "let_me_very_secret_part").unwrap();
    std::fs::write(&empty, "\n").unwrap();
    // What a backup that was broken off has left behind is no trap.
    std::fs::write(path("x.backup.partial"), "half").unwrap();
    let address = format!("http://{}", gateway.grpc);
    let nobody = format!("http://{}", own_address());
    let ops = format!("http://{}", gateway.ops);
    let right = ["backup", "--access-token-file", &token, "--address", &address];
    let done = run(&[&right[..], &[&file]].concat()).await;
    assert_eq!(done.code, Some(0), "{done:?}");
    assert_eq!((mode(&file), std::path::Path::new(&path("x.backup.partial")).exists()), (0o600, false));
    for (args, code, words) in [
        (vec!["backup", "--address", &nobody, &path("y")], 7, vec!["not reachable", &nobody]),
        (
            vec!["backup", "--access-token-file", &token, "--address", &ops, &path("y")],
            7,
            vec!["no gRPC listener answers at", &ops, "50051"],
        ),
        (vec!["backup", "--address", &address, &path("y")], 8, vec!["--access-token-file"]),
        (
            vec!["backup", "--address", &address, "--access-token-file", &empty, &path("y")],
            2,
            vec!["empty is empty"],
        ),
        ([&right[..], &["--bot", "shop", &path("y")]].concat(), 5, vec!["no bot `shop`", "`default`"]),
        ([&right[..], &[&file]].concat(), 6, vec!["x.backup exists already", "name another file"]),
        (
            [&right[..], &["/proc/nope/x.backup"]].concat(),
            3,
            vec!["/proc/nope/x.backup cannot be written", "a directory that exists"],
        ),
    ] {
        let ended = run(&args).await;
        assert_eq!(ended.code, Some(code), "{args:?}: {ended:?}");
        for words in words {
            assert!(ended.err.contains(words) && !ended.err.contains(".partial"), "{args:?}: {ended:?}");
        }
    }
    assert!(!std::path::Path::new(&path("y")).exists());
    gateway.stop().await;

    let restore = ["restore", &file, "--data-dir", &path("restored")];
    assert_eq!(run(&restore).await.code, Some(0));
    assert_eq!(mode(&path("restored/default/data.mdb")), 0o600);
    let again = run(&restore).await;
    assert_eq!(again.code, Some(3), "{again:?}");
    assert!(again.err.contains("stop the gateway") && again.err.contains("mv "), "{again:?}");
}

#[tokio::test]
async fn a_backup_of_one_of_several_bots_names_it() {
    let telegram = telegram().await;
    let data = tempfile::tempdir().unwrap();
    let gateway = Setup::new(data.path(), &telegram, Mode::Polling)
        .with("SWITCHBOARD_BOTS", "sales,support")
        .with("SWITCHBOARD_BOT_SALES_TOKEN", "43:very_secret_part")
        .with("SWITCHBOARD_BOT_SUPPORT_TOKEN", "44:very_secret_part")
        .start()
        .await;
    let file = data.path().join("copy").to_str().unwrap().to_owned();
    let ended = cli(&gateway, &format!("backup {file}")).await;
    assert_eq!(ended.code, Some(2), "{ended:?}");
    assert!(ended.err.contains("`sales`, `support`") && ended.err.contains("see --bot"), "{ended:?}");
    done(&gateway, &format!("backup --bot sales {file}")).await;
    gateway.stop().await;
}

fn mode(file: &str) -> u32 {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::metadata(file).unwrap().permissions().mode() & 0o777
}
