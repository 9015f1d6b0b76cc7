//! Those who mean ill, or are broken: floods of HTTP/2 frames, connections and bodies that never end. The gateway's memory
//! stays bounded, and everybody else is served as if nothing were.

#![cfg(unix)]
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod connections;
mod frames;
#[path = "../black_box/gateway.rs"]
#[allow(dead_code, reason = "shared")]
mod gateway;
mod http2;
#[path = "../black_box/steps.rs"]
#[allow(dead_code, reason = "shared")]
mod steps;
mod webhook;

use std::time::Duration;

use switchboard::simulator::Running;

use gateway::{Gateway, Mode, Setup, telegram};
use steps::{Hands, texts, write};

const BOT: i64 = 42;
const SECRET: &str = "known-to-telegram";
const PATIENCE: Duration = Duration::from_secs(60);
const POLL_INTERVAL: Duration = Duration::from_millis(10);
/// What an attack may cost in memory: far less than it sends, or than its connections could hold if nothing were bounded.
const MOST_MEMORY: f64 = 128.0 * 1024.0 * 1024.0;

/// A gateway with a webhook, and its Telegram.
struct Place {
    telegram: Running,
    setup: Setup,
    gateway: Gateway,
    _data: tempfile::TempDir,
    memory: f64,
}

impl Place {
    async fn new() -> Self {
        let telegram = telegram().await;
        let data = tempfile::tempdir().unwrap();
        let setup = Setup::new(data.path(), &telegram, Mode::Webhook);
        let setup = setup.with("SWITCHBOARD_WEBHOOK_SECRET", SECRET);
        let gateway = setup.start().await;
        gateway.until(|bot| bot["connected"] == true).await;
        let mut place = Self { telegram, setup, gateway, _data: data, memory: 0.0 };
        place.everybody_is_served("before").await;
        place.memory = place.memory().await;
        place
    }

    /// Resident memory without the page cache's part would be better, but the journals here are small.
    async fn memory(&self) -> f64 {
        self.gateway.metric("process_resident_memory_bytes", "").await
    }

    /// An update comes from Telegram, by the webhook, to a new handler, is acked, and the probes are answered.
    async fn everybody_is_served(&self, when: &str) {
        let served = async {
            let mut hands = Hands::join(self.gateway.grpc, "everybody").await;
            write(&self.telegram, 1, &[when]).await;
            loop {
                let got = hands.deliveries(1).await;
                hands.ack(&got).await;
                if texts(&got) == [when] {
                    break;
                }
            }
            assert_eq!(self.gateway.get("/healthz").await.0, 200);
        };
        let in_time = tokio::time::timeout(PATIENCE, served).await.is_ok();
        assert!(in_time, "nobody is served {when}: {:#?}", self.gateway.log());
    }

    /// What must hold while an attack goes on, and after it.
    async fn holds(&self, when: &str) {
        self.everybody_is_served(when).await;
        let grown = self.memory().await - self.memory;
        assert!(grown < MOST_MEMORY, "{grown} bytes more memory {when}");
    }
}
