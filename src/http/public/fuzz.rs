//! One webhook connection with any bytes, for the fuzzer.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::*;
use crate::driver::{BotHandle, WantedKinds};

thread_local! {
    static RUNTIME: tokio::runtime::Runtime = runtime();
    static SHARED: Arc<Shared> = shared();
}

/// Whatever is sent, the answers are HTTP and have no body, and nothing is held afterwards.
pub fn fuzz(data: &[u8]) {
    RUNTIME.with(|runtime| SHARED.with(|shared| runtime.block_on(converse(data, shared))));
}

async fn converse(data: &[u8], shared: &Arc<Shared>) {
    let (mut client, server) = tokio::io::duplex(64 << 10);
    let (_go_on, stop) = watch::channel(false);
    let place = Room::new(1).place().await;
    let serve = serve_stream(server, place, shared.clone(), stop);
    let talk = async {
        // A server that has refused already has closed.
        let _ = client.write_all(data).await;
        let _ = client.shutdown().await;
        let mut answers = Vec::new();
        let _ = client.read_to_end(&mut answers).await;
        answers
    };
    let ((), answers) = tokio::join!(serve, talk);
    assert!(answers.is_empty() || answers.starts_with(b"HTTP/1."), "{answers:?}");
    assert_eq!(shared.bodies.available_permits(), MAX_BODIES_BYTES, "room is given back");
}

fn runtime() -> tokio::runtime::Runtime {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.unwrap_or_else(|error| panic!("no runtime: {error}"))
}

/// A listener's state with one bot, whose driver has ended: what would be stored is refused.
fn shared() -> Arc<Shared> {
    let (inputs, _) = std::sync::mpsc::channel();
    let (intake, own_webhook) = (watch::Sender::new(IntakeState::Open), watch::Sender::new(None));
    let wanted = watch::Sender::new(WantedKinds::default());
    let handle = BotHandle::new("b", inputs, intake.subscribe(), own_webhook.subscribe(), wanted.subscribe());
    let metrics = Metrics::new();
    let mut routes = Routes::new();
    routes.add("/b", Intake::new(handle, metrics.clone()), "s");
    let bodies = Semaphore::new(MAX_BODIES_BYTES);
    Arc::new(Shared { routes, metrics, body_timeout: BODY_TIMEOUT, bodies })
}
