//! A driver on a journal whose commits the test lets through, refuses or fails.

use std::future::Future;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use crate::driver::{
    BotHandle, ConsumerStream, Failure, NewUpdate, Running, Settings, SubscribeError, Subscription, start,
};
use crate::journal::lmdb::{self, LmdbJournal, LmdbReader};
use crate::journal::{CommitError, Journal, Room, Usage};
use crate::model::{
    Batch, ConsumerSettings, Delivery, GroupName, KeyHash, Label, Payload, SettledResult, Settlement, Start,
    StreamEvent, Token, UnixMillis,
};
use crate::observe::metrics::Metrics;
use crate::update::KindCode;

/// Waits, but not for ever: a test that hangs shall say where.
pub(super) async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(30), future).await.expect("did not happen within 30 s")
}

pub(super) fn group(name: &str) -> GroupName {
    GroupName::parse(name).unwrap()
}

/// The wall clock: what is older than the retention is trimmed.
#[expect(clippy::disallowed_methods, reason = "stands for the intake's clock")]
fn received() -> UnixMillis {
    let since_epoch = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    UnixMillis(u64::try_from(since_epoch.as_millis()).unwrap())
}

pub(super) fn update(update_id: i64, key: &str) -> NewUpdate {
    let hash = KeyHash::of(key);
    NewUpdate {
        update_id,
        key: hash,
        user: hash,
        topic: hash,
        kind: KindCode::UNKNOWN,
        chat_type: None,
        label: Label::EMPTY,
        size: 10,
        received: received(),
        payload: Payload { key: key.into(), update: format!("payload {update_id}").into_bytes().into() },
    }
}

/// What happens to a commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Pass,
}

/// A commit that waits for its verdict.
pub(super) struct Waiting {
    updates: usize,
    verdict: mpsc::Sender<Verdict>,
}

impl Waiting {
    pub(super) fn decide(self, verdict: Verdict) {
        self.verdict.send(verdict).unwrap();
    }
}

#[derive(Clone, Default)]
struct Switches {
    gated: Arc<AtomicBool>,
    refuse_appends: Arc<AtomicBool>,
    refuse_everything: Arc<AtomicBool>,
    fail: Arc<AtomicBool>,
}

struct Gated {
    journal: LmdbJournal,
    switches: Switches,
    waiting: UnboundedSender<Waiting>,
}

impl Gated {
    fn no_room() -> CommitError {
        CommitError::NoRoom { path: "test".into(), why: "the test says so".into() }
    }

    fn room(&self, usage: Usage) -> Usage {
        let refused = self.switches.refuse_appends.load(Ordering::SeqCst)
            || self.switches.refuse_everything.load(Ordering::SeqCst);
        if refused { Usage { room: Room::DiskFull, ..usage } } else { usage }
    }
}

impl Journal for Gated {
    type Reader = LmdbReader;

    fn reader(&self) -> LmdbReader {
        self.journal.reader()
    }

    fn commit(&mut self, batch: &Batch) -> Result<Usage, CommitError> {
        if self.switches.gated.load(Ordering::SeqCst) {
            let (verdict, decided) = mpsc::channel();
            self.waiting.send(Waiting { updates: batch.updates.len(), verdict }).unwrap();
            decided.recv().unwrap();
        }
        if self.switches.fail.load(Ordering::SeqCst) {
            return Err(CommitError::Failed { path: "test".into(), why: "the test says so".into() });
        }
        let refuse_appends = self.switches.refuse_appends.load(Ordering::SeqCst) && batch.appends();
        if refuse_appends || self.switches.refuse_everything.load(Ordering::SeqCst) {
            return Err(Self::no_room());
        }
        let usage = self.journal.commit(batch)?;
        Ok(self.room(usage))
    }

    fn usage(&mut self) -> Result<Usage, CommitError> {
        let usage = self.journal.usage()?;
        Ok(self.room(usage))
    }
}

pub(super) struct Rig {
    directory: tempfile::TempDir,
    settings: Settings,
    switches: Switches,
    waiting: UnboundedReceiver<Waiting>,
    pub(super) handle: BotHandle,
    running: Option<Running>,
}

impl Rig {
    pub(super) fn open() -> Self {
        Self::with_settings(Settings::default())
    }

    pub(super) fn with_settings(settings: Settings) -> Self {
        Self::make(settings, Switches::default())
    }

    /// Every commit waits for its verdict.
    pub(super) fn gated() -> Self {
        let switches = Switches::default();
        switches.gated.store(true, Ordering::SeqCst);
        Self::make(Settings::default(), switches)
    }

    fn make(settings: Settings, switches: Switches) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let (running, waiting) = launch(&directory, settings.clone(), &switches);
        let handle = running.handle.clone();
        Self { directory, settings, switches, waiting, handle, running: Some(running) }
    }

    /// Ends the driver without ceremony and starts another one on the same journal.
    pub(super) fn restart(&mut self) {
        self.handle.shutdown(0);
        if let Some(running) = self.running.take() {
            // The journal stays locked until the old driver's threads are gone.
            let ended = running.ended;
            std::thread::spawn(move || ended.blocking_recv()).join().unwrap().unwrap().unwrap();
        }
        let (running, waiting) = launch(&self.directory, self.settings.clone(), &self.switches);
        self.handle = running.handle.clone();
        self.running = Some(running);
        self.waiting = waiting;
    }

    pub(super) async fn ended(&mut self) -> Result<(), Failure> {
        within(self.running.take().unwrap().ended).await.unwrap()
    }

    pub(super) fn refuse_appends(&self, refuse: bool) {
        self.switches.refuse_appends.store(refuse, Ordering::SeqCst);
    }

    pub(super) fn refuse_everything(&self, refuse: bool) {
        self.switches.refuse_everything.store(refuse, Ordering::SeqCst);
    }

    pub(super) fn fail_next_commit(&self) {
        self.switches.fail.store(true, Ordering::SeqCst);
    }

    pub(super) fn open_gate(&self) {
        self.switches.gated.store(false, Ordering::SeqCst);
    }

    pub(super) async fn next_commit_with_updates(&mut self) -> Waiting {
        loop {
            let waiting = within(self.waiting.recv()).await.unwrap();
            if waiting.updates > 0 {
                return waiting;
            }
            waiting.decide(Verdict::Pass);
        }
    }

    pub(super) async fn append(&self, updates: &[(i64, &str)]) {
        let updates: Vec<_> = updates.iter().map(|(id, key)| update(*id, key)).collect();
        let stored = updates.len();
        let appended = within(self.handle.append(updates, vec![])).await.unwrap();
        assert_eq!(appended.stored, stored);
    }

    pub(super) async fn settle(
        &self,
        name: &str,
        tokens: &[Token],
        settlement: Settlement,
    ) -> Vec<SettledResult> {
        within(self.handle.settle(group(name), tokens.to_vec(), settlement)).await.unwrap()
    }

    pub(super) async fn subscribe(&self, name: &str, consumer: &str) -> Consumer {
        self.subscribe_at(name, consumer, Start::Default).await
    }

    pub(super) async fn subscribe_at(&self, name: &str, consumer: &str, start: Start) -> Consumer {
        self.try_subscribe(name, consumer, start, false).await.unwrap()
    }

    pub(super) async fn subscribe_ephemeral(
        &self,
        name: &str,
        consumer: &str,
    ) -> Result<Consumer, SubscribeError> {
        self.try_subscribe(name, consumer, Start::Default, true).await
    }

    pub(super) async fn try_subscribe(
        &self,
        name: &str,
        consumer: &str,
        start: Start,
        ephemeral: bool,
    ) -> Result<Consumer, SubscribeError> {
        let subscription = Subscription {
            group: group(name),
            consumer_id: consumer.into(),
            settings: ConsumerSettings::DEFAULT,
            start,
            filter: None,
            held_tokens: vec![],
            ephemeral,
        };
        Ok(Consumer { stream: within(self.handle.subscribe(subscription)).await?, ready: vec![] })
    }
}

/// A stream as its consumer sees it.
pub(super) struct Consumer {
    stream: ConsumerStream,
    ready: Vec<Delivery>,
}

impl Consumer {
    /// The next event that is not an assignment.
    pub(super) async fn next_event(&mut self) -> StreamEvent {
        loop {
            match within(self.stream.events.recv()).await.expect("the stream is open") {
                StreamEvent::Assignment { .. } => {}
                event => return event,
            }
        }
    }

    /// The next so many deliveries.
    pub(super) async fn deliveries(&mut self, count: usize) -> Vec<Delivery> {
        while self.ready.len() < count {
            match self.next_event().await {
                StreamEvent::Deliveries(deliveries) => self.ready.extend(deliveries),
                event => panic!("{event:?} instead of deliveries"),
            }
        }
        self.ready.drain(..count).collect()
    }
}

fn launch(
    directory: &tempfile::TempDir,
    settings: Settings,
    switches: &Switches,
) -> (Running, UnboundedReceiver<Waiting>) {
    let (waiting, seen) = unbounded_channel();
    let journal = Gated { journal: open(directory.path()), switches: switches.clone(), waiting };
    (start("bot", journal, settings, Metrics::new()).unwrap(), seen)
}

/// Opens the journal as soon as the threads of the driver before have let go of it.
fn open(directory: &std::path::Path) -> LmdbJournal {
    let options = lmdb::Options::with_max_bytes(64 << 20);
    for _ in 0..10_000 {
        match lmdb::open(directory, 1, &options) {
            Err(lmdb::OpenError::Locked { .. }) => std::thread::yield_now(),
            opened => return opened.unwrap(),
        }
    }
    panic!("the journal stays locked");
}
