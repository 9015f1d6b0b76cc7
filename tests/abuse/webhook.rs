//! Requests to the public listener that are too large, too slow or packed.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::{Place, SECRET};

/// The status of the answer to a request as it stands; 0 where the connection just ends.
async fn status(place: &Place, head: &str, body: &[u8]) -> u16 {
    let mut stream = TcpStream::connect(place.setup.public).await.unwrap();
    // One that is refused early is closed before all of it is sent.
    let _ = stream.write_all(head.as_bytes()).await;
    let _ = stream.write_all(body).await;
    let mut answer = Vec::new();
    let mut chunk = [0; 1024];
    while !answer.windows(4).any(|end| end == b"\r\n\r\n") {
        match stream.read(&mut chunk).await {
            Ok(count) if count > 0 => answer.extend_from_slice(&chunk[..count]),
            _ => break,
        }
    }
    String::from_utf8_lossy(&answer).split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or(0)
}

/// The head of a webhook request with these header lines more.
fn head(secret: Option<&str>, more: &str) -> String {
    let secret = secret.map(|secret| format!("X-Telegram-Bot-Api-Secret-Token: {secret}\r\n"));
    let secret = secret.unwrap_or_default();
    format!("POST /telegram/webhook/default HTTP/1.1\r\nHost: x\r\n{secret}{more}\r\n\r\n")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn p6_bodies_without_end_are_not_read_from_strangers_and_bounded_from_telegram() {
    let place = Place::new().await;
    let chunked = "Transfer-Encoding: chunked";
    let endless = b"100000\r\n".iter().copied().chain(std::iter::repeat_n(b'x', 3 << 20)).collect::<Vec<_>>();
    assert_eq!(status(&place, &head(None, chunked), &endless).await, 401);
    assert_eq!(status(&place, &head(Some("guess"), chunked), &endless).await, 401);
    assert_eq!(status(&place, &head(Some(SECRET), "Content-Length: 99999999999"), b"{").await, 413);
    // Many that announce much and send little share a bounded room; who comes too late is told to come again.
    let mut slow = Vec::new();
    for _ in 0..300 {
        let mut stream = TcpStream::connect(place.setup.public).await.unwrap();
        stream.write_all(head(Some(SECRET), "Content-Length: 1048576").as_bytes()).await.unwrap();
        stream.write_all(b"{").await.unwrap();
        slow.push(stream);
    }
    place.holds("after slow bodies").await;
    drop(slow);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn p6_huge_heads_and_packed_bodies_are_refused() {
    let place = Place::new().await;
    let huge = format!("X-Huge: {}", "a".repeat(2 << 20));
    assert!(matches!(status(&place, &head(Some(SECRET), &huge), b"").await, 0 | 431 | 400));
    let many = (0..5_000).map(|n| format!("X-{n}: a")).collect::<Vec<_>>().join("\r\n");
    assert!(matches!(status(&place, &head(Some(SECRET), &many), b"").await, 0 | 431 | 400));
    let bomb = "Content-Encoding: gzip\r\nContent-Length: 10";
    assert_eq!(status(&place, &head(Some(SECRET), bomb), b"\x1f\x8b\x08\0\0\0\0\0\0\x03").await, 415);
    place.holds("after huge heads").await;
}
