use http::header::{CONTENT_SECURITY_POLICY, ETAG, HOST, IF_NONE_MATCH, ORIGIN};
use http_body_util::{BodyExt, Empty};

use super::*;

struct Fixed {
    failure: Option<String>,
    readiness: Readiness,
}

impl Health for Fixed {
    fn failure(&self) -> Option<String> {
        self.failure.clone()
    }

    fn readiness(&self) -> Readiness {
        self.readiness.clone()
    }
}

fn health() -> Fixed {
    let bot = BotReadiness {
        bot: "shop".into(),
        mode: Some("polling"),
        connected: false,
        connected_since_ms: None,
        last_update_ms: None,
        conflict: Some("another gateway polls".into()),
        trouble: None,
        intake_paused: Some(Paused { reason: "its disk is full".into(), since_ms: 5 }),
    };
    Fixed { failure: None, readiness: Readiness { ready: true, why: None, bots: vec![bot] } }
}

/// Says what it was asked.
struct Echo;

impl Api for Echo {
    fn answer(&self, request: Request<Bytes>) -> Answering<'_> {
        let said = format!("{} {}", request.uri(), String::from_utf8_lossy(request.body()));
        Box::pin(async move { Response::new(said.into()) })
    }
}

fn ops(health: Fixed, access_token: Option<&str>) -> Ops {
    Ops::new(Arc::new(health), Metrics::new(), Arc::new(Echo), access_token.map(Into::into))
}

async fn get(ops: &Ops, path: &str, headers: &[(&str, &str)]) -> Response<Full<Bytes>> {
    let mut request = Request::get(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    ops.answer(request.body(Empty::<Bytes>::new()).unwrap()).await
}

const LIST_BOTS: &str = "/api/switchboard.v1.AdminService/ListBots";

async fn post(ops: &Ops, headers: &[(&str, &str)], body: Vec<u8>) -> Response<Full<Bytes>> {
    let mut request = Request::post(LIST_BOTS);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    ops.answer(request.body(Full::new(Bytes::from(body))).unwrap()).await
}

const JSON: (&str, &str) = ("content-type", "application/json");
const HERE: (&str, &str) = ("host", "127.0.0.1:9090");

async fn status(ops: &Ops, path: &str, authorization: Option<&str>) -> StatusCode {
    let headers: Vec<_> = authorization.map(|value| ("authorization", value)).into_iter().collect();
    get(ops, path, &headers).await.status()
}

async fn body(answer: Response<Full<Bytes>>) -> String {
    String::from_utf8(answer.into_body().collect().await.unwrap().to_bytes().to_vec()).unwrap()
}

#[tokio::test]
async fn ready_says_what_each_bot_is_at_and_telegram_does_not_decide() {
    let answer = get(&ops(health(), None), "/readyz", &[]).await;
    assert_eq!(answer.status(), StatusCode::OK);
    let body = body(answer).await;
    assert_eq!(
        body,
        r#"{"ready":true,"bots":[{"bot":"shop","mode":"polling","connected":false,"conflict":"another gateway polls","intake_paused":{"reason":"its disk is full","since_ms":5}}]}"#
    );
}

#[tokio::test]
async fn what_is_broken_or_stopping_is_503() {
    let mut broken = health();
    broken.failure = Some("the driver of bot `shop` has failed".into());
    broken.readiness.ready = false;
    let ops = ops(broken, None);
    assert_eq!(status(&ops, "/healthz", None).await, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(status(&ops, "/readyz", None).await, StatusCode::SERVICE_UNAVAILABLE);
}

#[tokio::test]
async fn only_metrics_ask_for_the_access_token() {
    let ops = ops(health(), Some("open-sesame"));
    assert_eq!(status(&ops, "/healthz", None).await, StatusCode::OK);
    assert_eq!(status(&ops, "/readyz", None).await, StatusCode::OK);
    for wrong in [None, Some("open-sesame"), Some("Bearer open"), Some("Bearer open-sesame2"), Some("Bear")] {
        assert_eq!(status(&ops, "/metrics", wrong).await, StatusCode::UNAUTHORIZED, "{wrong:?}");
    }
    let none = body(get(&ops, "/metrics", &[]).await).await;
    assert!(none.contains("asks for an access token"), "{none}");
    let wrong = body(get(&ops, "/metrics", &[("authorization", "Bearer open")]).await).await;
    assert!(wrong.contains("is not the gateway's"), "{wrong}");
    assert_eq!(status(&ops, "/metrics", Some("Bearer open-sesame")).await, StatusCode::OK);
    assert_eq!(status(&ops, "/metrics", Some("bearer open-sesame")).await, StatusCode::OK);
}

#[tokio::test]
async fn what_is_not_there_is_404_and_what_is_not_get_405() {
    let ops = ops(health(), None);
    assert_eq!(status(&ops, "/page/x", None).await, StatusCode::NOT_FOUND);
    assert_eq!(status(&ops, "/metrics/x", None).await, StatusCode::NOT_FOUND);
    let posted = ops.answer(Request::post("/metrics").body(Empty::<Bytes>::new()).unwrap()).await;
    assert_eq!(posted.status(), StatusCode::METHOD_NOT_ALLOWED);
}

#[tokio::test]
async fn the_listener_answers_over_tcp_and_ends_when_told() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = watch::channel(false);
    let serving = tokio::spawn(serve(listener, ops(health(), None), stopped));
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    let mut head = [0; 15];
    stream.read_exact(&mut head).await.unwrap();
    assert_eq!(&head, b"HTTP/1.1 200 OK");
    stop.send(true).unwrap();
    serving.await.unwrap();
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).await.unwrap();
}

#[tokio::test]
async fn a_call_reaches_the_service_with_its_path_and_body() {
    let answer = post(&ops(health(), None), &[JSON, HERE], b"{}".into()).await;
    assert_eq!(answer.headers()["cache-control"], "no-store");
    assert_eq!(body(answer).await, "/switchboard.v1.AdminService/ListBots {}");
}

#[tokio::test]
async fn without_a_token_only_a_call_that_no_other_web_page_can_make_is_let_in() {
    let ops = ops(health(), None);
    let own = ["127.0.0.1:9090", "localhost", "[::1]:9090", "LOCALHOST.:1", "switchboard.localhost"];
    for host in own {
        let answer = post(&ops, &[JSON, ("host", host)], b"{}".into()).await;
        assert_eq!(answer.status(), StatusCode::OK, "{host}");
    }
    for host in ["evil.example", "localhost.evil.example", "127.0.0.1.nip.io:9090", ""] {
        let answer = post(&ops, &[JSON, ("host", host)], b"{}".into()).await;
        assert_eq!(answer.status(), StatusCode::FORBIDDEN, "{host}");
    }
    assert_eq!(post(&ops, &[JSON], b"{}".into()).await.status(), StatusCode::FORBIDDEN, "no host at all");
    for site in ["cross-site", "same-site", "sideways"] {
        let answer = post(&ops, &[JSON, HERE, ("sec-fetch-site", site)], b"{}".into()).await;
        assert_eq!(answer.status(), StatusCode::FORBIDDEN, "{site}");
    }
    for origin in ["http://evil.example", "null", "http://localhost:9090", "http://127.0.0.1:3000"] {
        let answer = post(&ops, &[JSON, HERE, (ORIGIN.as_str(), origin)], b"{}".into()).await;
        assert_eq!(answer.status(), StatusCode::FORBIDDEN, "{origin}");
    }
    for allowed in [(ORIGIN.as_str(), "http://127.0.0.1:9090"), ("sec-fetch-site", "same-origin")] {
        let answer = post(&ops, &[JSON, HERE, allowed], b"{}".into()).await;
        assert_eq!(answer.status(), StatusCode::OK, "{allowed:?}");
    }
    // What a form or a script may send to any site without being asked.
    for plain in
        ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "application/jsonx"]
    {
        let answer = post(&ops, &[("content-type", plain), HERE], b"{}".into()).await;
        assert_eq!(answer.status(), StatusCode::UNSUPPORTED_MEDIA_TYPE, "{plain}");
    }
    assert_eq!(post(&ops, &[HERE], b"{}".into()).await.status(), StatusCode::UNSUPPORTED_MEDIA_TYPE);
}

#[tokio::test]
async fn with_a_token_reading_needs_it_too_and_any_host_is_right() {
    let ops = ops(health(), Some("open-sesame"));
    for (wrong, words) in [
        (None, "asks for an access token"),
        (Some("Bearer open"), "is not the gateway's"),
        (Some("Basic open-sesame"), "asks for an access token"),
    ] {
        let mut headers = vec![JSON, (HOST.as_str(), "switchboard.example")];
        headers.extend(wrong.map(|wrong| ("authorization", wrong)));
        let answer = post(&ops, &headers, b"{}".into()).await;
        assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);
        assert_eq!(answer.headers()["www-authenticate"], "Bearer");
        let said = body(answer).await;
        assert!(said.contains(r#""code":"UNAUTHENTICATED""#) && said.contains(words), "{said}");
    }
    let right = [JSON, (HOST.as_str(), "switchboard.example"), ("authorization", "Bearer open-sesame")];
    assert_eq!(post(&ops, &right, b"{}".into()).await.status(), StatusCode::OK);
    let cross_site = [right.as_slice(), &[("sec-fetch-site", "cross-site")]].concat();
    assert_eq!(post(&ops, &cross_site, b"{}".into()).await.status(), StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn a_body_beyond_a_mebibyte_and_another_method_are_refused() {
    let ops = ops(health(), None);
    assert_eq!(post(&ops, &[JSON, HERE], vec![b' '; 1 << 20]).await.status(), StatusCode::OK);
    let long = post(&ops, &[JSON, HERE], vec![b' '; (1 << 20) + 1]).await;
    assert_eq!(long.status(), StatusCode::PAYLOAD_TOO_LARGE);
    let got = get(&ops, LIST_BOTS, &[JSON, HERE]).await;
    assert_eq!(
        (got.status(), got.headers()["allow"].to_str().unwrap()),
        (StatusCode::METHOD_NOT_ALLOWED, "POST")
    );
}

#[tokio::test(start_paused = true)]
async fn a_body_that_does_not_come_is_not_waited_for() {
    let never = http_body_util::StreamBody::new(tokio_stream::pending::<
        Result<hyper::body::Frame<Bytes>, Infallible>,
    >());
    let request = Request::post(LIST_BOTS).header(JSON.0, JSON.1).header(HERE.0, HERE.1).body(never).unwrap();
    assert_eq!(ops(health(), None).answer(request).await.status(), StatusCode::REQUEST_TIMEOUT);
}

#[tokio::test]
async fn the_page_needs_no_token_holds_no_data_and_lets_nothing_foreign_in() {
    let ops = ops(health(), Some("open-sesame"));
    let page = get(&ops, "/", &[]).await;
    assert_eq!(page.status(), StatusCode::OK);
    assert_eq!(page.headers()[CONTENT_TYPE], "text/html; charset=utf-8");
    assert_eq!(page.headers()["x-frame-options"], "DENY");
    let policy = page.headers()[CONTENT_SECURITY_POLICY].to_str().unwrap();
    assert!(
        policy.starts_with("default-src 'none'; script-src 'self'") && !policy.contains("unsafe"),
        "{policy}"
    );
    let tag = page.headers()[ETAG].to_str().unwrap().to_owned();
    let html = body(page).await;
    assert!(!html.contains("://") && !html.contains(" style=") && !html.contains(" onclick="), "{html}");
    let again = get(&ops, "/", &[(IF_NONE_MATCH.as_str(), &tag)]).await;
    assert_eq!(again.status(), StatusCode::NOT_MODIFIED);
    assert_eq!(body(again).await, "");
}

#[tokio::test]
async fn every_file_that_the_page_names_is_there() {
    let ops = ops(health(), None);
    let mut waiting = vec!["/".to_owned()];
    let mut seen = std::collections::BTreeSet::new();
    while let Some(path) = waiting.pop() {
        let file = get(&ops, &path, &[]).await;
        assert_eq!(file.status(), StatusCode::OK, "{path}");
        let text = body(file).await;
        let quoted = text
            .split(['"', '\''])
            .filter_map(|word| word.strip_prefix("./").or(word.strip_prefix("/page/")));
        for name in quoted.filter(|name| !name.contains(' ')) {
            if seen.insert(name.to_owned()) {
                waiting.push(format!("/page/{name}"));
            }
        }
    }
    assert_eq!(seen.len() + 1, page::count(), "and no file is there for nothing: {seen:?}");
}
