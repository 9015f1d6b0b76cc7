//! No room: the intake pauses, settlements go on, and with room it goes on by itself.

use std::io::Write as _;
use std::path::Path;
use std::process::Command;

use switchboard::grpc::proto::client::{SettleCode, SubscribeRequest};
use switchboard::simulator::{Running, Source, Traffic};

use super::client::{Consumer, Seen, join};
use super::gateway::{BOT, Gateway, PATIENCE, http, telegram, webhook, webhook_at};

/// A small disk of its own.
struct Disk(tempfile::TempDir);

impl Disk {
    /// `None`, said loudly, where no file system can be mounted.
    fn of_mebibytes(size: u32) -> Option<Self> {
        let directory = tempfile::tempdir().unwrap();
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &format!("size={size}m"), "switchboard-test"]).arg(directory.path());
        match mount.output() {
            Ok(output) if output.status.success() => Some(Self(directory)),
            refused => {
                // Not by a macro: what those print is shown of failed tests only.
                let _ = writeln!(
                    std::io::stderr(),
                    "\n!!! SKIPPED, since no tmpfs can be mounted (it needs root): {}: {refused:?}\n",
                    std::thread::current().name().unwrap_or("a test"),
                );
                None
            }
        }
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    /// Takes so much of it away, until the file is removed.
    fn fill(&self, mebibytes: usize) -> std::path::PathBuf {
        let filler = self.path().join("filler");
        std::fs::write(&filler, vec![1; mebibytes << 20]).unwrap();
        filler
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Lazily, since the gateway may not have ended yet when a test fails.
        let _ = Command::new("umount").arg("-l").arg(self.path()).status();
    }
}

/// Updates that fill a disk soon: 8 KiB each.
fn flood(telegram: &Running, total: u64) {
    let traffic = Traffic { rate: 0.0, total: Some(total), size: 8192, ..Traffic::default() };
    telegram.feed(BOT, Source::Generated(traffic));
}

/// A consumer that holds what it is given.
async fn holding(gateway: &Gateway) -> (Consumer, Vec<String>) {
    let request = SubscribeRequest { max_outstanding: Some(50), ..join("orders", "one") };
    let mut consumer = Consumer::join(gateway.grpc, request).await;
    let mut tokens = Vec::new();
    while tokens.len() < 50 {
        tokens.extend(consumer.deliveries().await.into_iter().map(|delivery| delivery.token));
    }
    (consumer, tokens)
}

/// Handles the rest of `total`, of which `before` are acked.
async fn the_rest_arrives(telegram: &Running, consumer: Consumer, before: usize, total: usize) {
    let seen = Seen::new();
    consumer.work(&seen, |_| false);
    seen.until("all have arrived", |all| all.acked.len() + before == total).await;
    assert!(seen.look(|all| all.acked.values().all(|times| *times == 1)));
    tokio::time::timeout(PATIENCE, telegram.settled(BOT)).await.expect("something waits at Telegram");
    assert_eq!(telegram.counts(BOT).confirmed, total as u64);
}

const TOTAL: u64 = 5000;

/// A disk of 128 MiB, of which 80 are taken at first; the journal's reserve is 16 MiB.
async fn a_full_disk(disk: &Disk, mode: &[(&str, &str)], while_paused: impl AsyncFnOnce()) {
    let telegram = telegram().await;
    let filler = disk.fill(80);
    let mut environment = vec![("SWITCHBOARD_JOURNAL_MAX_BYTES", "128MiB")];
    environment.extend(mode);
    let gateway = Gateway::start(&telegram, disk.path(), &environment).await;
    flood(&telegram, TOTAL);
    let (mut consumer, held) = holding(&gateway).await;
    let reason = gateway.until_paused(true).await.unwrap();
    assert!(reason.contains("disk"), "{reason}");
    assert!(telegram.counts(BOT).pending() > 0, "{:?}", telegram.counts(BOT));
    assert_eq!(consumer.ack(held).await, [SettleCode::Applied; 50]);
    while_paused().await;
    assert!(gateway.intake_paused().await.is_some(), "nothing has changed, and it goes on");

    std::fs::remove_file(filler).unwrap();
    gateway.until_paused(false).await;
    the_rest_arrives(&telegram, consumer, 50, usize::try_from(TOTAL).unwrap()).await;
    gateway.stop().await;
}

#[tokio::test]
async fn p6_a_full_disk_pauses_polling_until_there_is_room_while_settlements_go_on() {
    let Some(disk) = Disk::of_mebibytes(128) else { return };
    a_full_disk(&disk, &[], async || {}).await;
}

#[tokio::test]
async fn p6_a_full_disk_answers_webhooks_503_until_there_is_room_while_settlements_go_on() {
    let Some(disk) = Disk::of_mebibytes(128) else { return };
    let (listen, url) = webhook_at();
    let mut mode = webhook(&listen, &url).to_vec();
    mode.push(("SWITCHBOARD_WEBHOOK_SECRET", "very_secret_part"));
    a_full_disk(&disk, &mode, async || {
        let post = http().post(format!("{url}/telegram/webhook/default"));
        let post = post.header("x-telegram-bot-api-secret-token", "very_secret_part");
        let answer = post.body(r#"{"update_id":1,"poll":{"id":"5"}}"#).send().await.unwrap();
        assert_eq!(answer.status(), 503);
        let seconds: u64 = answer.headers()["retry-after"].to_str().unwrap().parse().unwrap();
        assert!((1..=60).contains(&seconds), "{seconds}");
    })
    .await;
}

#[tokio::test]
async fn p6_a_journal_at_its_limit_pauses_the_intake_until_handlers_have_caught_up() {
    let (telegram, data) = (telegram().await, tempfile::tempdir().unwrap());
    let limit = [("SWITCHBOARD_JOURNAL_MAX_BYTES", "64MiB")];
    let gateway = Gateway::start(&telegram, data.path(), &limit).await;
    flood(&telegram, 8000);
    let (mut consumer, held) = holding(&gateway).await;
    let reason = gateway.until_paused(true).await.unwrap();
    assert!(reason.contains("journal"), "{reason}");
    assert!(telegram.counts(BOT).pending() > 0, "{:?}", telegram.counts(BOT));
    assert_eq!(consumer.ack(held).await, [SettleCode::Applied; 50]);
    assert!(gateway.intake_paused().await.is_some(), "50 of some thousands make no room");
    the_rest_arrives(&telegram, consumer, 50, 8000).await;
    assert_eq!(gateway.intake_paused().await, None);
    gateway.stop().await;
}
