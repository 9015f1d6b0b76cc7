use std::convert::Infallible;
use std::task::{Context, Poll};

use http::StatusCode;
use http_body_util::StreamBody;
use hyper::body::Frame;
use serde_json::{Value, json};
use tonic_types::{ErrorDetails, StatusExt};

use super::super::proto::client as pb;
use super::*;

/// A service that answers with these frames and this status, and says what it was asked.
#[derive(Clone)]
struct Fake<F>(F);

impl<F> Service<Request<Full<Bytes>>> for Fake<F>
where
    F: Fn(Asked) -> Result<Vec<Vec<u8>>, Status> + Clone + Send + 'static,
{
    type Response = Response<tonic::body::Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Full<Bytes>>) -> Self::Future {
        let answer = self.0.clone();
        Box::pin(async move {
            let authorization = request.headers().get(AUTHORIZATION).cloned();
            let path = request.uri().path().to_owned();
            let frame = request.into_body().collect().await.unwrap().to_bytes();
            assert_eq!(frame.len() - FRAME_HEAD_BYTES, (&frame[1..5]).get_u32() as usize);
            let asked = Asked { path, authorization, message: frame.slice(FRAME_HEAD_BYTES..) };
            Ok(match answer(asked) {
                Ok(messages) => whole(messages),
                Err(status) => status.into_http(),
            })
        })
    }
}

struct Asked {
    path: String,
    authorization: Option<HeaderValue>,
    message: Bytes,
}

fn whole(messages: Vec<Vec<u8>>) -> Response<tonic::body::Body> {
    let mut frames: Vec<_> = messages
        .into_iter()
        .map(|message| {
            let mut frame = BytesMut::new();
            frame.put_u8(0);
            frame.put_u32(u32::try_from(message.len()).unwrap());
            frame.extend_from_slice(&message);
            Ok::<_, Status>(Frame::data(frame.freeze()))
        })
        .collect();
    let trailers = Status::ok("").into_http::<tonic::body::Body>().headers().clone();
    frames.push(Ok(Frame::trailers(trailers)));
    Response::new(tonic::body::Body::new(StreamBody::new(tokio_stream::iter(frames))))
}

fn door<F>(answer: F) -> JsonDoor
where
    F: Fn(Asked) -> Result<Vec<Vec<u8>>, Status> + Clone + Send + Sync + 'static,
{
    let door = JsonDoor::default();
    door.open(Fake(answer)).unwrap();
    door
}

async fn ask(door: &JsonDoor, method: &str, body: &str) -> (Response<()>, Value) {
    let mut request = Request::new(Bytes::copy_from_slice(body.as_bytes()));
    *request.uri_mut() = format!("/{SERVICE}/{method}").parse().unwrap();
    request.headers_mut().insert(AUTHORIZATION, HeaderValue::from_static("Bearer x"));
    let (head, body) = door.answer(request).await.into_parts();
    assert_eq!(head.headers[CONTENT_TYPE], "application/json");
    (Response::from_parts(head, ()), serde_json::from_slice(&body).unwrap())
}

#[tokio::test]
async fn a_request_arrives_as_it_would_over_the_network_and_the_answer_comes_back_as_json() {
    let door = door(|asked| {
        assert_eq!(asked.path, "/switchboard.v1.AdminService/ListUpdates");
        assert_eq!(asked.authorization.unwrap(), "Bearer x");
        let request = pb::ListUpdatesRequest::decode(asked.message).unwrap();
        let selection = request.selection.unwrap();
        assert_eq!((selection.chat_id, request.page_size), (Some(-1_001_234_567_890), 2));
        let update = pb::Update {
            json: r#"{"update_id":7,"text":"<b>"}"#.into(),
            received_time: Some(prost_types::Timestamp { seconds: 1, nanos: 500_000_000 }),
            ..pb::Update::default()
        };
        let stored = pb::StoredUpdate { sequence: 1 << 60, update: Some(update), ..Default::default() };
        let answer = pb::ListUpdatesResponse { updates: vec![stored], ..Default::default() };
        Ok(vec![answer.encode_to_vec()])
    });
    let (head, answer) =
        ask(&door, "ListUpdates", r#"{"selection":{"chatId":"-1001234567890"},"page_size":2}"#).await;
    assert_eq!(head.status(), StatusCode::OK);
    assert_eq!(
        answer,
        json!({"updates": [{
            "sequence": "1152921504606846976",
            "update": {"receivedTime": "1970-01-01T00:00:01.500Z", "json": r#"{"update_id":7,"text":"<b>"}"#},
        }]})
    );
}

#[tokio::test]
async fn what_streams_comes_back_as_an_array() {
    let door = door(|_| {
        let progress = |replayed| pb::ReplayDeadLettersResponse { replayed, total: 2 }.encode_to_vec();
        Ok(vec![progress(0), progress(2)])
    });
    let (_, answer) = ask(&door, "ReplayDeadLetters", "{}").await;
    assert_eq!(answer, json!([{"total": "2"}, {"replayed": "2", "total": "2"}]));
}

#[tokio::test]
async fn an_error_keeps_its_code_words_and_details() {
    let door = door(|_| {
        let mut details = ErrorDetails::with_error_info(
            "INVALID_FIELD",
            "switchboard",
            [("field".to_owned(), "time".to_owned())],
        );
        details.add_bad_request_violation("time", "is in the future");
        details.set_retry_info(Some(Duration::from_millis(1_200)));
        Err(Status::with_error_details(tonic::Code::InvalidArgument, "`time` is in the future", details))
    });
    let (head, answer) = ask(&door, "SeekGroup", "{}").await;
    assert_eq!(head.status(), StatusCode::BAD_REQUEST);
    assert_eq!(head.headers()["retry-after"], "2");
    assert_eq!(
        answer,
        json!({"code": "INVALID_ARGUMENT", "message": "`time` is in the future", "details": [
            {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "INVALID_FIELD",
             "domain": "switchboard", "metadata": {"field": "time"}},
            {"@type": "type.googleapis.com/google.rpc.BadRequest",
             "fieldViolations": [{"field": "time", "description": "is in the future"}]},
            {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "1.2s"},
        ]})
    );
}

#[tokio::test]
async fn codes_become_the_http_status_that_fits() {
    for (code, expected) in [
        (tonic::Code::Unauthenticated, 401),
        (tonic::Code::NotFound, 404),
        (tonic::Code::AlreadyExists, 409),
        (tonic::Code::FailedPrecondition, 412),
        (tonic::Code::ResourceExhausted, 429),
        (tonic::Code::Unavailable, 503),
        (tonic::Code::Internal, 500),
    ] {
        let door = door(move |_| Err(Status::new(code, "why")));
        let (head, answer) = ask(&door, "GetGroup", "{}").await;
        assert_eq!(head.status(), expected, "{answer}");
        assert_eq!(head.headers().contains_key("www-authenticate"), expected == 401);
    }
}

#[tokio::test]
async fn what_is_no_such_request_is_refused_before_the_service_sees_it() {
    let door = door(|_| panic!("it must not be asked"));
    for body in ["", "{", "[]", "{}{}", r#"{"bots":"x"}"#, r#"{"pageSize":"many"}"#, "\u{feff}{}"] {
        let (head, answer) = ask(&door, "ListBots", body).await;
        assert_eq!(head.status(), StatusCode::BAD_REQUEST, "{body}");
        assert!(answer["message"].as_str().unwrap().contains("a ListBotsRequest as JSON"), "{answer}");
    }
    for (method, words) in [
        ("Listbots", "did you mean /api/switchboard.v1.AdminService/ListBots?"),
        (
            "Foo",
            "no method `/api/switchboard.v1.AdminService/Foo`: POST to /api/switchboard.v1.AdminService/ListBots",
        ),
        ("Backup", "switchboard backup"),
    ] {
        let (head, answer) = ask(&door, method, "{}").await;
        assert_eq!(head.status(), StatusCode::NOT_IMPLEMENTED);
        assert!(answer["message"].as_str().unwrap().contains(words), "{answer}");
    }
}

#[tokio::test]
async fn a_value_that_cannot_be_read_is_named_with_what_would_be_right() {
    let door = door(|_| panic!("it must not be asked"));
    let huge = format!(r#"{{"group":"a","maxRate":"{}x"}}"#, "9".repeat(300));
    for (method, body, field, right) in [
        (
            "UpdateGroup",
            r#"{"group": {"name": "orders", "settings": {"min_failure_span": "5m"}}}"#,
            "group.settings.min_failure_span",
            r#"seconds with an `s`, such as "300s""#,
        ),
        (
            "CreateGroup",
            "{\"group\": {\"settings\":\n {\"maxAge\": {\"poll\": 5}}}}",
            "group.settings.max_age.poll",
            r#"such as "300s""#,
        ),
        ("SeekGroup", r#"{"group":"a","time":"yesterday"}"#, "time", r#"such as "2026-05-01T12:00:00Z""#),
        ("SeekGroup", r#"{"dryRun":1}"#, "dry_run", "true or false"),
        ("ListUpdates", r#"{"selection":{"sequences":[1,2.5]}}"#, "selection.sequences", "a whole number"),
        ("ListUpdates", r#"{"view":"ALL"}"#, "view", "one of VIEW_UNSPECIFIED, VIEW_BASIC, VIEW_FULL"),
        ("ReplayUpdates", &huge, "max_rate", "a number"),
    ] {
        let (head, answer) = ask(&door, method, body).await;
        assert_eq!(head.status(), StatusCode::BAD_REQUEST, "{body}");
        let said = answer["message"].as_str().unwrap();
        assert!(said.contains(&format!("`{field}` must be {right}")) || said.contains(right), "{said}");
        assert!(said.contains(&format!("`{field}`")) && said.len() < 300, "{said}");
        assert_eq!(answer["details"][1]["fieldViolations"][0]["field"], field, "{answer}");
    }
    let (_, answer) = ask(&door, "ListBots", r#"{"pageSize":1e300}"#).await;
    assert!(answer["message"].as_str().unwrap().len() < 200, "{answer}");
}

#[tokio::test]
async fn an_answer_beyond_the_limit_and_one_that_is_no_answer_are_errors() {
    let long = door(|_| Ok(vec![vec![0; MAX_ANSWER_BYTES]]));
    let (head, answer) = ask(&long, "ListUpdates", "{}").await;
    assert_eq!(head.status(), StatusCode::TOO_MANY_REQUESTS);
    assert!(answer["message"].as_str().unwrap().contains("smaller page"), "{answer}");
    for messages in [vec![], vec![vec![0xff]], vec![vec![], vec![]]] {
        let door = door(move |_| Ok(messages.clone()));
        let (head, _) = ask(&door, "ListUpdates", "{}").await;
        assert_eq!(head.status(), StatusCode::INTERNAL_SERVER_ERROR);
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_that_does_not_end_is_cancelled() {
    let door = JsonDoor::default();
    let (opened, answer) = (door.clone(), Box::new(|_| -> Answering { Box::pin(std::future::pending()) }));
    opened.open(Fake(|_| Ok(vec![]))).unwrap();
    let methods = door.behind.get().unwrap().methods.clone();
    let stuck = JsonDoor { behind: Arc::new(OnceLock::from(Behind { methods, call: answer })) };
    let (head, answer) = ask(&stuck, "GetBot", "{}").await;
    assert_eq!(head.status(), StatusCode::GATEWAY_TIMEOUT, "{answer}");
}

#[tokio::test]
async fn a_door_that_is_not_open_yet_says_so() {
    let (head, answer) = ask(&JsonDoor::default(), "ListBots", "{}").await;
    assert_eq!(head.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(answer["code"], "UNAVAILABLE");
    assert_eq!(head.headers()["retry-after"], "1");
}
