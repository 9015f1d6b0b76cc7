//! The driver without its threads, in made-up time, on a journal that can be told to have no room.

use std::sync::mpsc;
use std::time::Duration;

use tokio::sync::{oneshot, watch};

use super::rig::{group, update};
use crate::driver::core::{Core, Told, Work};
use crate::driver::tally::Tally;
use crate::driver::{
    AppendError, Appended, ConsumerStream, Input, IntakeState, Settings, SettleError, SubscribeError,
    Subscription, WantedKinds,
};
use crate::journal::lmdb::{self, LmdbJournal, LmdbReader};
use crate::journal::{CommitError, Journal, JournalReader};
use crate::model::{
    Batch, ConsumerSettings, Delivery, Filter, GroupId, GroupRecord, Monotonic, Now, Sequence, SettledResult,
    Settlement, Start, StreamEvent, Token, UnixMillis,
};
use crate::observe::metrics::Metrics;

/// Any time; what is appended is received now.
const START: Now = Now { mono: Monotonic(1_000_000), unix: UnixMillis(1_700_000_000_000) };

pub(super) type Answer<T> = oneshot::Receiver<T>;

pub(super) struct Bench {
    pub(super) core: Core<LmdbReader>,
    pub(super) now: Now,
    pub(super) metrics: Metrics,
    /// Whether every commit is refused for want of room.
    pub(super) full: bool,
    /// Whether the commits that need room for long are.
    pub(super) full_for_updates: bool,
    pub(super) commits: usize,
    settings: Settings,
    restarts: u32,
    journal: LmdbJournal,
    inputs: mpsc::Receiver<Input>,
    _directory: tempfile::TempDir,
}

fn start(
    journal: &LmdbJournal,
    settings: Settings,
    metrics: Metrics,
    restarts: u32,
) -> (Core<LmdbReader>, mpsc::Receiver<Input>) {
    let reader = journal.reader();
    let mut recovered = reader.recover().unwrap();
    recovered.boot += restarts;
    let tally = Tally::new(metrics, "bot");
    let (sender, inputs) = mpsc::channel();
    let (intake, _) = watch::channel(IntakeState::Open);
    let (own_webhook, _) = watch::channel(None);
    let wanted = watch::Sender::new(WantedKinds::default());
    let told = Told { intake, own_webhook, wanted };
    let core = Core::new(reader, recovered, settings, tally, sender, told);
    (core, inputs)
}

impl Bench {
    pub(super) fn new(settings: Settings) -> Self {
        Self::with_groups(settings, vec![])
    }

    /// With groups that the journal holds from earlier.
    pub(super) fn with_groups(settings: Settings, groups: Vec<GroupRecord>) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let options = lmdb::Options::with_max_bytes(64 << 20);
        let mut journal = lmdb::open(directory.path(), 1, &options).unwrap();
        journal.commit(&Batch { groups, ..Batch::default() }).unwrap();
        let metrics = Metrics::new();
        let (core, inputs) = start(&journal, settings.clone(), metrics.clone(), 0);
        Self {
            restarts: 0,
            settings,
            core,
            now: START,
            metrics,
            full: false,
            full_for_updates: false,
            commits: 0,
            journal,
            inputs,
            _directory: directory,
        }
    }

    /// A new driver on what is durable; what is on its way is lost.
    pub(super) fn restart(&mut self) {
        self.restarts += 1;
        let (settings, metrics) = (self.settings.clone(), self.metrics.clone());
        (self.core, self.inputs) = start(&self.journal, settings, metrics, self.restarts);
    }

    pub(super) fn wanted(&self) -> WantedKinds {
        self.core.told.wanted.borrow().clone()
    }

    /// Lets so much time pass for both clocks, and all happen that is due then.
    pub(super) fn pass(&mut self, ms: u64) {
        self.now = Now { mono: self.now.mono.plus(ms), unix: self.now.unix.plus(ms) };
        self.settle_down();
    }

    /// Turns until there is nothing to do but to wait.
    pub(super) fn settle_down(&mut self) {
        for _ in 0..1_000 {
            let Some(work) = self.next_work() else { return };
            self.carry_out(work, Duration::from_millis(1));
        }
        panic!("the driver commits without end");
    }

    /// What the commit thread is to do next. A driver that finds nothing to do must wait for something.
    pub(super) fn next_work(&mut self) -> Option<Work> {
        for _ in 0..1_000 {
            while let Ok(input) = self.inputs.try_recv() {
                self.core.handle(self.now, input);
            }
            self.core.turn(self.now).unwrap();
            let work = self.core.next_work(self.now).unwrap();
            if work.is_some()
                || self.core.is_finished(self.now)
                || self.core.next_wake(self.now) > self.now.mono
            {
                return work;
            }
        }
        panic!("the driver turns without doing anything");
    }

    pub(super) fn carry_out(&mut self, work: Work, took: Duration) {
        let result = match work {
            Work::Commit(batch) => {
                self.commits += 1;
                if self.full || self.full_for_updates && batch.appends() {
                    Err(CommitError::NoRoom { path: "test".into(), why: "the test says so".into() })
                } else {
                    self.journal.commit(&batch)
                }
            }
            Work::Probe => self.journal.usage(),
        };
        self.core.committed(self.now, result, took).unwrap();
    }

    pub(super) fn append(&mut self, updates: &[(i64, &str)]) -> Answer<Result<Appended, AppendError>> {
        let received = self.now.unix;
        let new = |&(id, key): &(i64, &str)| crate::driver::NewUpdate { received, ..update(id, key) };
        let updates = updates.iter().map(new).collect();
        let (reply, answer) = oneshot::channel();
        self.core.handle(self.now, Input::Append { updates, quarantined: vec![], reply });
        answer
    }

    pub(super) fn subscribe(
        &mut self,
        name: &str,
        consumer: &str,
        ephemeral: bool,
    ) -> Answer<Result<ConsumerStream, SubscribeError>> {
        let settings = ConsumerSettings::DEFAULT;
        let subscription = Subscription {
            group: group(name),
            consumer_id: consumer.into(),
            settings,
            start: Start::Default,
            filter: None,
            held_tokens: vec![],
            ephemeral,
        };
        let (reply, answer) = oneshot::channel();
        self.core.handle(self.now, Input::Subscribe { subscription, reply });
        answer
    }

    /// Asks for a stream of a durable group with this filter.
    pub(super) fn subscribe_with(
        &mut self,
        name: &str,
        filter: Option<Filter>,
    ) -> Answer<Result<ConsumerStream, SubscribeError>> {
        let subscription = Subscription {
            group: group(name),
            consumer_id: "".into(),
            settings: ConsumerSettings::DEFAULT,
            start: Start::Default,
            filter,
            held_tokens: vec![],
            ephemeral: false,
        };
        let (reply, answer) = oneshot::channel();
        self.core.handle(self.now, Input::Subscribe { subscription, reply });
        answer
    }

    /// A stream of a durable group.
    pub(super) fn subscribed(&mut self, name: &str) -> ConsumerStream {
        let mut stream = self.subscribe(name, "c", false);
        self.settle_down();
        stream.try_recv().unwrap().unwrap()
    }

    /// The sequences that the journal holds.
    pub(super) fn stored(&self) -> Vec<u64> {
        let heads = self.journal.reader().heads(Sequence(1), 1_000).unwrap();
        heads.iter().map(|head| head.sequence.0).collect()
    }

    /// Whether a group is done with a stored update.
    pub(super) fn is_settled(&self, group: GroupId, sequence: u64) -> bool {
        let heads = self.journal.reader().heads(Sequence(sequence), 1).unwrap();
        assert_eq!(heads[0].sequence, Sequence(sequence));
        self.core.dispatcher.is_settled(group, &heads[0])
    }

    pub(super) fn group(&self, name: &str) -> GroupId {
        self.core.groups.id_of(&group(name)).unwrap()
    }

    pub(super) fn settle(
        &mut self,
        name: &str,
        tokens: &[Token],
        settlement: Settlement,
    ) -> Answer<Result<Vec<SettledResult>, SettleError>> {
        let (reply, answer) = oneshot::channel();
        let tokens = tokens.to_vec();
        self.core.handle(self.now, Input::Settle { group: group(name), tokens, settlement, reply });
        answer
    }
}

/// All that has been delivered on a stream and not been taken yet.
pub(super) fn deliveries(stream: &mut ConsumerStream) -> Vec<Delivery> {
    let mut all = Vec::new();
    while let Ok(event) = stream.events.try_recv() {
        if let StreamEvent::Deliveries(deliveries) = event {
            all.extend(deliveries);
        }
    }
    all
}
