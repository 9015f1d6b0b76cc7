//! Against a small fake of the Bot API and of the driver.

mod fake_api;
mod fatal;
mod kinds;
mod polling;
mod unreadable;
mod webhook;

use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::backoff::Waits;
use super::{BotToken, Fatal, Mode, Pace, Settings, Status, StatusReader, Telegram};
use crate::intake::fake_driver::FakeDriver;
use crate::observe::metrics::Metrics;
use fake_api::FakeApi;

const TOKEN: &str = "42:AAE-very_secret";
const WEBHOOK: &str = "https://bot.example.com/telegram/webhook/default";

/// Short waits; an hour between two repairs.
const FAST: Pace = Pace {
    trouble: Waits { initial: Duration::from_millis(2), max: Duration::from_millis(10) },
    conflict: Waits { initial: Duration::from_millis(2), max: Duration::from_millis(10) },
    conflict_memory: Duration::from_secs(3600),
    recheck: Duration::from_millis(5),
    watch: Duration::from_millis(5),
    heal: Duration::from_secs(3600),
    stuck: Duration::from_millis(2),
    kinds: Duration::from_millis(2),
};

fn settings(api: &FakeApi) -> Settings {
    Settings {
        bot: "default".into(),
        token: BotToken::parse(TOKEN).unwrap(),
        api_url: api.url.as_str().into(),
        local_api: false,
        proxy: None,
        no_proxy: None,
        mode: Mode::Auto,
        webhook_url: None,
        webhook_path: "/telegram/webhook/default".into(),
        webhook_secret: None,
        max_connections: 100,
        allowed_updates: None,
        takeover: false,
        drop_pending_updates: false,
        poll_timeout: Duration::from_secs(50),
    }
}

/// A running connection between a fake Telegram and a fake driver.
struct Running {
    driver: FakeDriver,
    status: StatusReader,
    shutdown: watch::Sender<bool>,
    task: JoinHandle<Result<(), Fatal>>,
    metrics: Metrics,
}

impl Running {
    fn start(settings: Settings) -> Self {
        Self::start_with(settings, |_| {})
    }

    fn start_with(settings: Settings, prepare: impl FnOnce(&FakeDriver)) -> Self {
        Self::start_at(FAST, settings, prepare)
    }

    fn start_at(pace: Pace, settings: Settings, prepare: impl FnOnce(&FakeDriver)) -> Self {
        let metrics = Metrics::new();
        let (driver, intake) = FakeDriver::start(metrics.clone());
        prepare(&driver);
        let mut telegram = Telegram::new(settings, intake, metrics.clone()).unwrap();
        telegram.pace = pace;
        let status = telegram.status();
        let (shutdown, stop) = watch::channel(false);
        let task = tokio::spawn(telegram.run(stop));
        Self { driver, status, shutdown, task, metrics }
    }

    /// Waits until the status is such, and gives it.
    async fn status(&mut self, is: impl Fn(&Status) -> bool) -> Status {
        let waited = tokio::time::timeout(Duration::from_secs(20), self.status.wait_for(&is)).await;
        assert!(waited.is_ok(), "the status becomes such; it is {:?}", self.status.current());
        self.status.current()
    }

    /// Ends it, which must be quick and without an error.
    async fn stop(self) {
        self.shutdown.send_replace(true);
        let ended = tokio::time::timeout(Duration::from_secs(5), self.task).await;
        assert_eq!(ended.expect("it stops at once").unwrap(), Ok(()));
    }

    async fn fatal(self) -> Fatal {
        let ended = tokio::time::timeout(Duration::from_secs(20), self.task).await;
        ended.expect("it ends").unwrap().expect_err("it ends with an error")
    }
}

/// An update as getUpdates gives it.
fn update(id: i64) -> Value {
    json!({"update_id": id, "message": {"message_id": id, "date": 1, "chat": {"id": 7, "type": "private"}}})
}
