//! `AdminService` as JSON, through the door that the server opens.

use bytes::Bytes;
use http::{Request, StatusCode};
use switchboard::grpc::{AccessToken, JsonDoor, Settings};

use super::support::Gateway;

async fn get_bot(door: &JsonDoor, authorization: Option<&str>) -> (StatusCode, serde_json::Value) {
    let mut request = Request::post("/switchboard.v1.AdminService/GetBot");
    if let Some(authorization) = authorization {
        request = request.header("authorization", authorization);
    }
    let request = request.body(Bytes::from_static(br#"{"bot": "nobody"}"#)).unwrap();
    let (head, body) = door.answer(request).await.into_parts();
    (head.status, serde_json::from_slice(&body).unwrap())
}

#[tokio::test]
async fn the_door_opens_with_the_server_and_asks_for_the_same_token() {
    let json_door = JsonDoor::default();
    let (status, _) = get_bot(&json_door, None).await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE, "before the server begins");

    let access_token = Some(AccessToken::parse("s3cret").unwrap());
    let settings = Settings { access_token, json_door: json_door.clone(), ..Settings::default() };
    let (gateway, _driver) = Gateway::with_one_bot(settings).await;
    // Once it takes connections it is open.
    gateway.channel().await;
    for (wrong, reason) in [(None, "ACCESS_TOKEN_MISSING"), (Some("Bearer guess"), "ACCESS_TOKEN_WRONG")] {
        let (status, error) = get_bot(&json_door, wrong).await;
        assert_eq!(
            (status, &error["code"]),
            (StatusCode::UNAUTHORIZED, &"UNAUTHENTICATED".into()),
            "{error}"
        );
        assert_eq!(error["details"][0]["reason"], reason);
    }
    let (status, error) = get_bot(&json_door, Some("Bearer s3cret")).await;
    assert_eq!(
        (status, &error["details"][0]["reason"]),
        (StatusCode::NOT_FOUND, &"BOT_NOT_FOUND".into()),
        "{error}"
    );
}
