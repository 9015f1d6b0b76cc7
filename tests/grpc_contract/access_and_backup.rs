//! Health, reflection, the access token, and backups.

use std::sync::{Arc, Mutex, mpsc};

use switchboard::grpc::proto::client::admin_service_client::AdminServiceClient;
use switchboard::grpc::proto::client::delivery_service_client::DeliveryServiceClient;
use switchboard::grpc::proto::client::{AckRequest, BackupRequest};
use switchboard::grpc::{AccessToken, Bot, Settings};
use switchboard::inspect::Inspector;
use switchboard::journal::ReadError;
use tokio_stream::StreamExt;
use tonic::transport::Channel;
use tonic::{Code, Request, Status};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

use super::reason;
use super::support::{FakeDriver, FakeReader, Gateway, inspector};

const SERVICES: [&str; 2] = ["switchboard.v1.AdminService", "switchboard.v1.DeliveryService"];

#[tokio::test]
async fn health_is_told_for_the_whole_and_for_each_service_until_the_end() {
    let (gateway, driver) = Gateway::with_one_bot(Settings::default()).await;
    let mut client = HealthClient::new(gateway.channel().await);
    let mut watches = Vec::new();
    for service in ["", SERVICES[0], SERVICES[1]] {
        let request = HealthCheckRequest { service: service.into() };
        let checked = client.check(request.clone()).await.unwrap().into_inner();
        assert_eq!(checked.status(), ServingStatus::Serving);
        let mut watch = client.watch(request).await.unwrap().into_inner();
        assert_eq!(watch.message().await.unwrap().unwrap().status(), ServingStatus::Serving);
        watches.push(watch);
    }
    gateway.shutdown.send(()).unwrap();
    for watch in &mut watches {
        assert_eq!(watch.message().await.unwrap().unwrap().status(), ServingStatus::NotServing);
    }
    drop(driver);
    for watch in &mut watches {
        assert_eq!(watch.message().await.unwrap(), None);
    }
    gateway.served.await.unwrap().unwrap();
}

macro_rules! reflected_services {
    ($version:ident, $channel:expr) => {{
        use tonic_reflection::pb::$version as pb;
        let request = pb::ServerReflectionRequest {
            host: String::new(),
            message_request: Some(pb::server_reflection_request::MessageRequest::ListServices(String::new())),
        };
        let mut client = pb::server_reflection_client::ServerReflectionClient::new($channel);
        let requests = tokio_stream::once(request);
        let mut answers = client.server_reflection_info(requests).await.unwrap().into_inner();
        let answer = answers.message().await.unwrap().unwrap().message_response.unwrap();
        let pb::server_reflection_response::MessageResponse::ListServicesResponse(list) = answer else {
            panic!("not a list: {answer:?}")
        };
        let mut names: Vec<_> = list.service.into_iter().map(|service| service.name).collect();
        names.sort();
        names
    }};
}

#[tokio::test]
async fn reflection_lists_all_services_in_both_versions() {
    let (gateway, _driver) = Gateway::with_one_bot(Settings::default()).await;
    let with = |own: &str| {
        let mut names =
            vec!["grpc.health.v1.Health".to_owned(), own.into(), SERVICES[0].into(), SERVICES[1].into()];
        names.sort();
        names
    };
    let v1 = reflected_services!(v1, gateway.channel().await);
    assert_eq!(v1, with("grpc.reflection.v1.ServerReflection"));
    let v1alpha = reflected_services!(v1alpha, gateway.channel().await);
    assert_eq!(v1alpha, with("grpc.reflection.v1alpha.ServerReflection"));
}

async fn ack(channel: Channel, authorization: Option<&str>) -> Status {
    let mut request = Request::new(AckRequest::default());
    if let Some(value) = authorization {
        request.metadata_mut().insert("authorization", value.parse().unwrap());
    }
    DeliveryServiceClient::new(channel).ack(request).await.expect_err("no group was named")
}

#[tokio::test]
async fn without_the_token_only_health_answers() {
    let access_token = Some(AccessToken::parse("s3cret").unwrap());
    let (gateway, _driver) = Gateway::with_one_bot(Settings { access_token, ..Settings::default() }).await;
    let channel = gateway.channel().await;

    let missing = ack(channel.clone(), None).await;
    assert_eq!(reason(&missing, Code::Unauthenticated), "ACCESS_TOKEN_MISSING");
    assert!(missing.message().contains("authorization: Bearer"));
    let wrong = ack(channel.clone(), Some("Bearer s3cre")).await;
    assert_eq!(reason(&wrong, Code::Unauthenticated), "ACCESS_TOKEN_WRONG");
    // This one came through to the service.
    assert_eq!(ack(channel.clone(), Some("Bearer s3cret")).await.code(), Code::InvalidArgument);

    let backup = AdminServiceClient::new(channel.clone()).backup(BackupRequest::default()).await;
    assert_eq!(reason(&backup.unwrap_err(), Code::Unauthenticated), "ACCESS_TOKEN_MISSING");
    let mut reflection =
        tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient::new(channel.clone());
    let reflected = reflection.server_reflection_info(tokio_stream::empty()).await;
    assert_eq!(reflected.unwrap_err().code(), Code::Unauthenticated);
    let health = HealthClient::new(channel).check(HealthCheckRequest::default()).await;
    assert_eq!(health.unwrap().into_inner().status(), ServingStatus::Serving);
}

async fn with_journal(inspector: Inspector) -> (Gateway, FakeDriver, tempfile::TempDir) {
    let directory = tempfile::tempdir().unwrap();
    let driver = FakeDriver::new("default");
    let bot = Bot { handle: driver.handle.clone(), inspector };
    let settings = Settings { backup_directory: directory.path().into(), ..Settings::default() };
    (Gateway::start(vec![bot], settings).await, driver, directory)
}

#[tokio::test]
async fn a_backup_is_the_whole_copy_in_chunks_and_leaves_nothing_behind() {
    static JOURNAL: [u8; 200_000] = [7; 200_000];
    let (gateway, _driver, directory) = with_journal(inspector(&JOURNAL)).await;
    let mut client = AdminServiceClient::new(gateway.channel().await);
    let mut chunks = client.backup(BackupRequest::default()).await.unwrap().into_inner();
    let mut copy = Vec::new();
    while let Some(message) = chunks.next().await {
        let chunk = message.unwrap().chunk;
        assert!(chunk.len() <= 64 * 1024);
        copy.extend(chunk);
    }
    assert_eq!(copy, JOURNAL);
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0);
}

#[tokio::test]
async fn a_backup_that_fails_says_so_and_leaves_nothing_behind() {
    let failing = FakeReader(Arc::new(|path| {
        std::fs::write(path, b"half").unwrap();
        Err(ReadError::Failed { path: "/data/default".into(), why: "no room".into() })
    }));
    let damaged = FakeReader(Arc::new(|_| {
        Err(ReadError::Damaged { path: "/data/default".into(), what: "row 3 of heads".into() })
    }));
    let panicking = FakeReader(Arc::new(|path| {
        std::fs::write(path, b"half").unwrap();
        panic!("a bug");
    }));
    for (reader, code, expected) in [
        (failing, Code::Internal, "BACKUP_FAILED"),
        (damaged, Code::DataLoss, "JOURNAL_DAMAGED"),
        (panicking, Code::Internal, "BACKUP_FAILED"),
    ] {
        let (gateway, _driver, directory) = with_journal(Inspector::new(reader)).await;
        let mut client = AdminServiceClient::new(gateway.channel().await);
        let mut chunks = client.backup(BackupRequest::default()).await.unwrap().into_inner();
        assert_eq!(reason(&chunks.message().await.unwrap_err(), code), expected);
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0);
    }
}

#[tokio::test]
async fn two_backups_do_not_run_at_once() {
    let (go_on, waiting) = mpsc::channel::<()>();
    let waiting = Mutex::new(waiting);
    let slow = FakeReader(Arc::new(move |path| {
        waiting.lock().unwrap().recv().unwrap();
        std::fs::write(path, b"copy").unwrap();
        Ok(())
    }));
    let (gateway, _driver, _directory) = with_journal(Inspector::new(slow)).await;
    let mut client = AdminServiceClient::new(gateway.channel().await);
    let mut first = client.backup(BackupRequest::default()).await.unwrap().into_inner();
    let second = client.backup(BackupRequest::default()).await;
    assert_eq!(reason(&second.unwrap_err(), Code::ResourceExhausted), "BACKUP_RUNNING");
    go_on.send(()).unwrap();
    assert_eq!(first.message().await.unwrap().unwrap().chunk, b"copy");
}
