use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::task::JoinHandle;

use super::*;
use crate::intake::fake_driver::FakeDriver;

const PATH: &str = "/telegram/webhook/default";
const SECRET: &str = "a-secret";
const UPDATE: &str = r#"{"update_id":5,"message":{"chat":{"id":1}}}"#;

struct Server {
    driver: FakeDriver,
    address: std::net::SocketAddr,
    shutdown: watch::Sender<bool>,
    metrics: Metrics,
    task: JoinHandle<()>,
}

impl Server {
    async fn start() -> Self {
        Self::start_with(Duration::from_secs(30), MAX_BODIES_BYTES).await
    }

    async fn start_with(body_timeout: Duration, bodies: usize) -> Self {
        let metrics = Metrics::new();
        let (driver, intake) = FakeDriver::start(metrics.clone());
        let mut routes = Routes::new();
        routes.add(PATH, intake, SECRET);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (shutdown, stop) = watch::channel(false);
        let shared =
            Shared { routes, metrics: metrics.clone(), body_timeout, bodies: Semaphore::new(bodies) };
        let task = tokio::spawn(serve_with(listener, shared, usize::MAX, stop));
        Self { driver, address, shutdown, metrics, task }
    }

    async fn send(&self, request: &[u8]) -> TcpStream {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        // A server that has refused already may have closed.
        let _ = stream.write_all(request).await;
        stream
    }

    /// The whole answer to a request, as text.
    async fn answer(&self, request: &[u8]) -> String {
        read_answer(&mut self.send(request).await).await
    }

    async fn post(&self, body: &str) -> String {
        self.answer(post(&[], body).as_bytes()).await
    }

    fn counted(&self, status: u16) -> u64 {
        let labels = WebhookLabels { bot: "default".into(), status };
        self.metrics.webhook_requests.get_or_create(&labels).get()
    }
}

fn post(headers: &[&str], body: &str) -> String {
    let mut all =
        vec![format!("X-Telegram-Bot-Api-Secret-Token: {SECRET}"), format!("Content-Length: {}", body.len())];
    all.extend(headers.iter().map(|&header| header.to_owned()));
    format!("POST {PATH} HTTP/1.1\r\nHost: x\r\n{}\r\n\r\n{body}", all.join("\r\n"))
}

/// Reads an answer's head; the answers here have no body, and what follows a head would be one.
async fn read_answer(stream: &mut TcpStream) -> String {
    let mut answer = Vec::new();
    let read = async {
        while !answer.ends_with(b"\r\n\r\n") {
            let mut chunk = [0; 1024];
            let count = stream.read(&mut chunk).await.unwrap_or(0);
            if count == 0 {
                break;
            }
            answer.extend_from_slice(&chunk[..count]);
        }
    };
    tokio::time::timeout(Duration::from_secs(20), read).await.expect("an answer comes");
    String::from_utf8(answer).unwrap()
}

fn status(answer: &str) -> u16 {
    answer.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or_default()
}

#[tokio::test]
async fn p1_an_update_is_answered_with_an_empty_200_only_after_it_is_durable() {
    let server = Server::start().await;
    server.driver.stored().stuck = true;
    let mut stream = server.send(post(&[], UPDATE).as_bytes()).await;
    server.driver.wait_until(|stored| stored.unanswered.len() == 1).await;
    assert_eq!(server.counted(200), 0, "no answer before the commit");
    server.driver.release();
    let answer = read_answer(&mut stream).await;
    assert_eq!(status(&answer), 200, "{answer}");
    assert!(answer.contains("content-length: 0\r\n") && answer.ends_with("\r\n\r\n"), "{answer}");
    assert_eq!((server.driver.ids(), server.counted(200)), (vec![5], 1));

    // The connection goes on.
    stream.write_all(post(&[], UPDATE).as_bytes()).await.unwrap();
    assert_eq!(status(&read_answer(&mut stream).await), 200);
}

#[tokio::test]
async fn who_does_not_know_the_secret_is_refused_before_the_body_is_read() {
    let server = Server::start().await;
    for secret in
        ["", "X-Telegram-Bot-Api-Secret-Token: a-secre", "X-Telegram-Bot-Api-Secret-Token: a-secret2"]
    {
        // The body is announced and never sent.
        let request = format!(
            "POST {PATH} HTTP/1.1\r\nHost: x\r\n{secret}{}Content-Length: 50\r\n\r\n",
            if secret.is_empty() { "" } else { "\r\n" }
        );
        assert_eq!(status(&server.answer(request.as_bytes()).await), 401, "{secret}");
    }
    assert_eq!((server.counted(401), server.driver.ids().len()), (3, 0));
}

#[tokio::test]
async fn paths_methods_codings_and_bodies_that_are_none_of_ours_are_refused() {
    let server = Server::start().await;
    let answer = server.answer(format!("GET {PATH} HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes()).await;
    assert!(status(&answer) == 405 && answer.contains("allow: POST"), "{answer}");
    assert_eq!(
        status(
            &server
                .answer(b"POST /telegram/webhook/other HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n")
                .await
        ),
        404
    );
    assert_eq!(status(&server.answer(post(&["Content-Encoding: gzip"], UPDATE).as_bytes()).await), 415);
    for body in ["", "[]", "{}", r#"{"update_id":"5"}"#, "{\"update_id\":5"] {
        assert_eq!(status(&server.post(body).await), 400, "{body}");
    }
    assert_eq!(server.driver.ids().len(), 0);
}

#[tokio::test]
async fn a_body_over_the_limit_is_refused_announced_or_streamed() {
    let server = Server::start().await;
    let head = format!("POST {PATH} HTTP/1.1\r\nHost: x\r\nX-Telegram-Bot-Api-Secret-Token: {SECRET}\r\n");
    let announced = format!("{head}Content-Length: {}\r\n\r\n", MAX_BODY_BYTES + 1);
    assert_eq!(status(&server.answer(announced.as_bytes()).await), 413);

    let mut streamed = format!("{head}Transfer-Encoding: chunked\r\n\r\n").into_bytes();
    for _ in 0..17 {
        streamed.extend_from_slice(b"10000\r\n");
        streamed.extend_from_slice(&[b'x'; 0x10000]);
        streamed.extend_from_slice(b"\r\n");
    }
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    let (mut reader, mut writer) = stream.split();
    let mut answer = vec![0; 12];
    let (_, read) = tokio::join!(writer.write_all(&streamed), reader.read_exact(&mut answer));
    read.unwrap();
    assert_eq!(answer, b"HTTP/1.1 413");

    let padded = format!("{UPDATE}{}", " ".repeat(MAX_BODY_BYTES - UPDATE.len()));
    assert_eq!(status(&server.post(&padded).await), 200, "the limit itself is allowed");
}

#[tokio::test]
async fn a_body_that_does_not_come_in_time_is_given_up() {
    let server = Server::start_with(Duration::from_millis(20), MAX_BODIES_BYTES).await;
    let head = post(&["Content-Type: application/json"], UPDATE);
    let cut = &head.as_bytes()[..head.len() - 5];
    assert_eq!(status(&server.answer(cut).await), 408);
    assert_eq!(server.counted(408), 1);
}

#[tokio::test]
async fn p6_while_the_journal_is_full_telegram_is_asked_to_come_again() {
    let server = Server::start().await;
    server.driver.pause(PauseReason::JournalFull);
    let answer = server.post(UPDATE).await;
    assert!(status(&answer) == 503 && answer.contains("retry-after: 10"), "{answer}");
    server.driver.resume();
    server.driver.stored().refuse_after = Some(0);
    let answer = server.post(UPDATE).await;
    assert!(status(&answer) == 503 && answer.contains("retry-after: 1"), "{answer}");
    assert_eq!(status(&server.post(UPDATE).await), 200);
}

#[tokio::test]
async fn p6_bodies_that_wait_for_their_commit_are_bounded() {
    let server = Server::start_with(Duration::from_secs(30), UPDATE.len()).await;
    server.driver.stored().stuck = true;
    let mut first = server.send(post(&[], UPDATE).as_bytes()).await;
    server.driver.wait_until(|stored| stored.unanswered.len() == 1).await;
    let answer = server.post(UPDATE).await;
    assert!(status(&answer) == 503 && answer.contains("retry-after: 1"), "{answer}");
    server.driver.release();
    assert_eq!(status(&read_answer(&mut first).await), 200);
    assert_eq!(status(&server.post(UPDATE).await), 200);
}

#[tokio::test]
async fn at_the_end_the_request_in_flight_is_finished_and_no_new_one_taken() {
    let server = Server::start().await;
    server.driver.stored().stuck = true;
    let mut idle = server.send(b"").await;
    let mut stream = server.send(post(&[], UPDATE).as_bytes()).await;
    server.driver.wait_until(|stored| stored.unanswered.len() == 1).await;
    server.shutdown.send_replace(true);
    assert_eq!(read_answer(&mut idle).await, "", "an idle connection is closed");
    server.driver.release();
    assert_eq!(status(&read_answer(&mut stream).await), 200);
    tokio::time::timeout(Duration::from_secs(20), server.task).await.expect("it ends").unwrap();
    assert!(TcpStream::connect(server.address).await.is_err());
}

#[test]
fn routes_do_not_print_secrets() {
    let (_driver, intake) = FakeDriver::start(Metrics::new());
    let mut routes = Routes::new();
    routes.add(PATH, intake, SECRET);
    assert!(!format!("{routes:?}").contains(SECRET));
}
