//! Wrong requests, to the built gateway: each is refused with a code and the field's name.

use prost_types::Duration;
use switchboard::grpc::proto::client::{
    AckRequest, ExtendRequest, LeaveRequest, NackRequest, RejectRequest, SubscribeRequest,
};
use tonic::metadata::MetadataValue;
use tonic::{Code, Request, Response, Status};
use tonic_types::StatusExt;

use super::client::{Consumer, connect, join};
use super::gateway::{Gateway, get, http, telegram};

/// Asserts that the field is named as the one that is wrong.
fn refused_for<T>(field: &str, answer: Result<Response<T>, Status>) {
    let status = answer.err().unwrap_or_else(|| panic!("a wrong `{field}` was taken"));
    assert_eq!(status.code(), Code::InvalidArgument, "{field}: {status}");
    let details = status.get_error_details();
    let violations =
        &details.bad_request().unwrap_or_else(|| panic!("no BadRequest: {status}")).field_violations;
    let named: Vec<_> = violations.iter().map(|violation| violation.field.as_str()).collect();
    assert_eq!(named, [field], "{status}");
    assert!(!violations[0].description.is_empty() && status.message().contains(field), "{status}");
    assert_eq!(details.error_info().unwrap().domain, "switchboard", "{status}");
}

fn not_found<T>(reason: &str, answer: Result<Response<T>, Status>) {
    let status = answer.err().unwrap_or_else(|| panic!("{reason} was not answered"));
    assert_eq!(status.code(), Code::NotFound, "{status}");
    assert_eq!(status.get_error_details().error_info().unwrap().reason, reason, "{status}");
}

fn seconds(seconds: i64) -> Option<Duration> {
    Some(Duration { seconds, nanos: 0 })
}

#[tokio::test]
async fn a_subscriber_with_a_wrong_field_is_told_which_one() {
    let (telegram, data) = (telegram().await, tempfile::tempdir().unwrap());
    let gateway = Gateway::start(&telegram, data.path(), &[]).await;
    let mut client = connect(gateway.grpc).await;
    let good = || join("orders", "");
    let with_lease = |lease_duration| SubscribeRequest { lease_duration, ..good() };
    let wrong = [
        ("group", join("", "")),
        ("group", join("Orders", "")),
        ("consumer_id", join("orders", &"x".repeat(129))),
        ("max_outstanding", SubscribeRequest { max_outstanding: Some(0), ..good() }),
        ("max_outstanding_bytes", SubscribeRequest { max_outstanding_bytes: Some(0), ..good() }),
        ("lease_duration", with_lease(seconds(0))),
        ("lease_duration", with_lease(seconds(601))),
        ("lease_duration", with_lease(seconds(-1))),
        ("lease_duration", with_lease(seconds(i64::MAX))),
    ];
    for (field, request) in wrong {
        refused_for(field, client.subscribe(request).await);
    }
    let unknown = SubscribeRequest { bot: "nobody".into(), ..good() };
    not_found("BOT_NOT_FOUND", client.subscribe(unknown).await);
    // None of them has made a group, and the gateway goes on.
    let ack = AckRequest { group: "orders".into(), tokens: vec!["x".into()], ..AckRequest::default() };
    not_found("GROUP_NOT_FOUND", client.ack(ack).await);
    Consumer::join(gateway.grpc, good()).await;
    gateway.stop().await;
}

#[tokio::test]
async fn a_settlement_with_a_wrong_field_is_told_which_one() {
    let (telegram, data) = (telegram().await, tempfile::tempdir().unwrap());
    let gateway = Gateway::start(&telegram, data.path(), &[]).await;
    let consumer = Consumer::join(gateway.grpc, join("orders", "one")).await;
    let mut client = consumer.client.clone();
    let group = || "orders".to_owned();
    for tokens in [Vec::new(), vec!["x".to_owned(); 1001]] {
        let ack = AckRequest { group: group(), tokens: tokens.clone(), ..AckRequest::default() };
        refused_for("tokens", client.ack(ack).await);
        let nack = NackRequest { group: group(), tokens: tokens.clone(), ..NackRequest::default() };
        refused_for("tokens", client.nack(nack).await);
        let extend = ExtendRequest { group: group(), tokens: tokens.clone(), ..ExtendRequest::default() };
        refused_for("tokens", client.extend(extend).await);
        let reject = RejectRequest { group: group(), tokens, ..RejectRequest::default() };
        refused_for("tokens", client.reject(reject).await);
    }
    let tokens = || vec!["x".to_owned()];
    let nack = || NackRequest { group: group(), tokens: tokens(), ..NackRequest::default() };
    refused_for("delay", client.nack(NackRequest { delay: seconds(3601), ..nack() }).await);
    let extend = || ExtendRequest { group: group(), tokens: tokens(), ..ExtendRequest::default() };
    refused_for("duration", client.extend(ExtendRequest { duration: seconds(601), ..extend() }).await);
    refused_for("group", client.ack(AckRequest { tokens: tokens(), ..AckRequest::default() }).await);
    let bot = || "nobody".to_owned();
    not_found("BOT_NOT_FOUND", client.nack(NackRequest { bot: bot(), ..nack() }).await);
    not_found("GROUP_NOT_FOUND", client.nack(NackRequest { group: "else".into(), ..nack() }).await);
    let leave = |id: &str| LeaveRequest { group: group(), consumer_id: id.into(), ..LeaveRequest::default() };
    refused_for("consumer_id", client.leave(leave("")).await);
    not_found("CONSUMER_NOT_FOUND", client.leave(leave("two")).await);
    // As many tokens as are allowed: none of them is one, which is no failure of the call.
    let ack = AckRequest { group: group(), tokens: vec!["x".into(); 1000], ..AckRequest::default() };
    assert_eq!(client.ack(ack).await.unwrap().into_inner().results.len(), 1000);
    drop(consumer);
    gateway.stop().await;
}

#[tokio::test]
async fn without_the_access_token_nothing_opens_and_no_secret_is_ever_said() {
    let (telegram, data) = (telegram().await, tempfile::tempdir().unwrap());
    let environment = [
        ("SWITCHBOARD_ACCESS_TOKEN", "access_very_secret_part"),
        ("SWITCHBOARD_WEBHOOK_SECRET", "webhook_very_secret_part"),
        ("SWITCHBOARD_LOG_LEVEL", "trace"),
        ("SWITCHBOARD_MODE", "webhook"),
        ("SWITCHBOARD_TELEGRAM_LOCAL_API", "true"),
        ("SWITCHBOARD_PUBLIC_URL", "http://127.0.0.1:9"),
    ];
    let mut gateway = Gateway::start(&telegram, data.path(), &environment).await;
    let mut client = connect(gateway.grpc).await;
    let with = |authorization: Option<&str>| {
        let mut request = Request::new(join("orders", "one"));
        if let Some(text) = authorization {
            request.metadata_mut().insert("authorization", MetadataValue::try_from(text).unwrap());
        }
        request
    };
    for wrong in [None, Some("Bearer wrong"), Some("Bearer "), Some("Basic access_very_secret_part")] {
        let status = client.subscribe(with(wrong)).await.unwrap_err();
        assert_eq!(status.code(), Code::Unauthenticated, "{wrong:?}: {status}");
    }
    client.subscribe(with(Some("Bearer access_very_secret_part"))).await.unwrap();

    assert_eq!(get(gateway.ops, "/metrics").await.0, 401);
    assert_eq!(get(gateway.ops, "/healthz").await.0, 200);
    let metrics =
        http().get(format!("http://{}/metrics", gateway.ops)).bearer_auth("access_very_secret_part");
    assert_eq!(metrics.send().await.unwrap().status(), 200);

    // The simulator has been told the secret and shows it in every request to the webhook.
    let public = gateway.public().await;
    let post = |secret: &'static str| {
        let url = format!("http://{public}/telegram/webhook/default");
        let post = http().post(url).header("x-telegram-bot-api-secret-token", secret);
        post.body(r#"{"update_id":1,"poll":{"id":"5"}}"#).send()
    };
    assert_eq!(post("wrong").await.unwrap().status(), 401);
    assert_eq!(post("webhook_very_secret_part").await.unwrap().status(), 200);
    let log = gateway.stop().await;
    assert!(log.contains("\"TRACE\""), "nothing was said at that level");
}
