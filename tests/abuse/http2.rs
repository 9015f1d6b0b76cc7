//! Floods of HTTP/2 frames.

use switchboard::grpc::proto::client::SubscribeRequest;
use switchboard::grpc::proto::client::delivery_service_client::DeliveryServiceClient;

use crate::Place;
use crate::frames::{
    CONTINUATION, END_HEADERS, END_STREAM, HEADERS, RST_STREAM, Rude, frame, literal, request,
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn p6_a_client_that_opens_streams_and_resets_them_at_once_is_cut_off() {
    const RESETS: u32 = 200_000;
    let place = Place::new().await;
    let mut rude = Rude::connect(place.gateway.grpc).await;
    let (request, cancel) = (request(), 8_u32.to_be_bytes());
    let mut resets = 0;
    while resets < RESETS {
        let stream = 2 * resets + 1;
        let mut both = frame(HEADERS, END_HEADERS | END_STREAM, stream, &request);
        both.extend(frame(RST_STREAM, 0, stream, &cancel));
        if !rude.send(&both).await {
            break;
        }
        resets += 1;
        if resets.is_multiple_of(50_000) {
            place.holds("while streams are reset").await;
        }
    }
    assert!(resets < RESETS, "{resets} resets, and still welcome");
    place.holds("after streams were reset").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn p6_headers_that_never_end_are_cut_off() {
    const MOST: usize = 64 << 20;
    let place = Place::new().await;
    let mut rude = Rude::connect(place.gateway.grpc).await;
    assert!(rude.send(&frame(HEADERS, 0, 1, &request())).await);
    let mut field = Vec::new();
    literal(&mut field, b"x-more", &[b'a'; 4_000]);
    let more = frame(CONTINUATION, 0, 1, &field);
    while rude.sent < MOST && rude.send(&more).await {}
    assert!(rude.sent < MOST, "{} bytes of headers, and still welcome", rude.sent);
    place.holds("after headers without end").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn p6_empty_continuations_without_end_are_cut_off() {
    const MOST: usize = 16 << 20;
    let place = Place::new().await;
    let mut rude = Rude::connect(place.gateway.grpc).await;
    assert!(rude.send(&frame(HEADERS, 0, 1, &request())).await);
    let empty = frame(CONTINUATION, 0, 1, &[]).repeat(100);
    while rude.sent < MOST && rude.send(&empty).await {}
    assert!(rude.sent < MOST, "{} bytes of nothing, and still welcome", rude.sent);
    place.holds("after continuations of nothing").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn p6_thousands_of_idle_streams_delay_nobody() {
    const STREAMS: usize = 2_000;
    let place = Place::new().await;
    let mut idle = Vec::new();
    for connection in 0..STREAMS / 250 {
        let url = format!("http://{}", place.gateway.grpc);
        let client = DeliveryServiceClient::connect(url).await.unwrap();
        for stream in 0..250 {
            let request = SubscribeRequest {
                group: "idle".to_owned(),
                consumer_id: format!("{connection}-{stream}"),
                ..SubscribeRequest::default()
            };
            // Opened and never read.
            idle.push(client.clone().subscribe(request).await.unwrap());
        }
    }
    place.holds("among idle streams").await;
    drop(idle);
    place.holds("after idle streams").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn p6_a_compressed_message_is_refused_not_unpacked() {
    let place = Place::new().await;
    let mut block = request();
    literal(&mut block, b"grpc-encoding", b"gzip");
    for stream in (1..400).step_by(2) {
        let mut rude = Rude::connect(place.gateway.grpc).await;
        assert!(rude.send(&frame(HEADERS, END_HEADERS, stream, &block)).await);
        // Flagged as compressed, with the head of a gzip bomb.
        let mut message = vec![1, 0, 0, 0x20, 0];
        message.extend([0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3]);
        message.resize(5 + 0x2000, 0);
        rude.send(&frame(0, END_STREAM, stream, &message)).await;
    }
    place.holds("after compressed messages").await;
}
