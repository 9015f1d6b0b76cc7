//! The driver without its threads, in made-up time, on a journal that can be told to have no room.

use std::time::Duration;

use tokio::sync::oneshot;

use super::rig::{group, update};
use crate::driver::core::Core;
use crate::driver::{
    AppendError, Appended, ConsumerStream, Input, Settings, SettleError, Stepped, SubscribeError,
    Subscription, Turned, WantedKinds,
};
use crate::journal::memory::{Memory, MemoryJournal, MemoryReader};
use crate::journal::{CommitError, Journal, JournalReader};
use crate::model::{
    Batch, ConsumerSettings, Delivery, Filter, GroupId, GroupRecord, Monotonic, Now, Sequence, SettledResult,
    Settlement, Start, StreamEvent, Token, UnixMillis,
};
use crate::observe::metrics::Metrics;

/// Any time; what is appended is received now.
const START: Now = Now { mono: Monotonic(1_000_000), unix: UnixMillis(1_700_000_000_000) };
/// As though commits took no time: then nothing is held back to share one.
const AT_ONCE: Duration = Duration::ZERO;

pub(super) type Answer<T> = oneshot::Receiver<T>;

pub(super) struct Bench {
    pub(super) driver: Stepped<MemoryJournal>,
    pub(super) now: Now,
    pub(super) metrics: Metrics,
    /// Whether every commit is refused for want of room.
    pub(super) full: bool,
    /// Whether the commits that need room for long are.
    pub(super) full_for_updates: bool,
    pub(super) commits: usize,
    pub(super) ended: bool,
    settings: Settings,
    memory: Memory,
}

/// What the commit thread is at.
pub(super) struct Work;

impl Bench {
    pub(super) fn new(settings: Settings) -> Self {
        Self::with_groups(settings, vec![])
    }

    /// With groups that the journal holds from earlier.
    pub(super) fn with_groups(settings: Settings, groups: Vec<GroupRecord>) -> Self {
        let memory = Memory::new(1, 64 << 20);
        memory.open().commit(&Batch { groups, ..Batch::default() }).unwrap();
        let metrics = Metrics::new();
        let driver = Stepped::start("bot", memory.open(), settings.clone(), metrics.clone(), START).unwrap();
        Self {
            driver,
            now: START,
            metrics,
            full: false,
            full_for_updates: false,
            commits: 0,
            ended: false,
            settings,
            memory,
        }
    }

    /// A new driver on what is durable; what is on its way is lost.
    pub(super) fn restart(&mut self) {
        let (settings, metrics) = (self.settings.clone(), self.metrics.clone());
        self.driver = Stepped::start("bot", self.memory.open(), settings, metrics, self.now).unwrap();
    }

    /// The driver's inside.
    pub(super) fn core(&self) -> &Core<MemoryReader> {
        &self.driver.turns.core
    }

    /// Says something to the driver, which hears it at its next turn.
    pub(super) fn say(&mut self, input: Input) {
        self.driver.say(input);
    }

    pub(super) fn wanted(&self) -> WantedKinds {
        self.driver.handle().wanted().borrow().clone()
    }

    /// Lets so much time pass for both clocks, and all happen that is due then.
    pub(super) fn pass(&mut self, ms: u64) {
        self.move_clocks(ms);
        self.settle_down();
    }

    /// Lets so much time pass for both clocks; the loop has nothing to do meanwhile.
    pub(super) fn move_clocks(&mut self, ms: u64) {
        self.now = Now { mono: self.now.mono.plus(ms), unix: self.now.unix.plus(ms) };
        self.driver.looked_around(self.now);
    }

    /// Turns until there is nothing to do but to wait.
    pub(super) fn settle_down(&mut self) {
        for _ in 0..1_000 {
            let Some(work) = self.next_work() else { return };
            self.carry_out(work);
        }
        panic!("the driver commits without end");
    }

    /// What the commit thread is to do next, if it is not at something. A driver that finds nothing to do must wait for
    /// something.
    pub(super) fn next_work(&mut self) -> Option<Work> {
        let at_work = self.driver.has_work();
        for _ in 0..1_000 {
            self.ended |= self.driver.turn(self.now).unwrap() == Turned::Ended;
            if self.driver.has_work() {
                return (!at_work).then_some(Work);
            }
            if self.ended || self.driver.wakes() > self.now.mono {
                return None;
            }
        }
        panic!("the driver turns without doing anything");
    }

    pub(super) fn carry_out(&mut self, _work: Work) {
        let batch = self.driver.batch();
        self.commits += usize::from(batch.is_some());
        if batch.is_some_and(|batch| self.full || self.full_for_updates && batch.appends()) {
            let no_room = CommitError::NoRoom { path: "test".into(), why: "the test says so".into() };
            self.driver.answer(Err(no_room), AT_ONCE);
        } else {
            self.driver.commit(AT_ONCE);
        }
    }

    pub(super) fn append(&mut self, updates: &[(i64, &str)]) -> Answer<Result<Appended, AppendError>> {
        let received = self.now.unix;
        let new = |&(id, key): &(i64, &str)| crate::driver::NewUpdate { received, ..update(id, key) };
        let updates = updates.iter().map(new).collect();
        let (reply, answer) = oneshot::channel();
        self.say(Input::Append { updates, quarantined: vec![], reply });
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
        self.say(Input::Subscribe { subscription, reply });
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
        self.say(Input::Subscribe { subscription, reply });
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
        let heads = self.memory.reader().heads(Sequence(1), 1_000).unwrap();
        heads.iter().map(|head| head.sequence.0).collect()
    }

    /// Whether a group is done with a stored update.
    pub(super) fn is_settled(&self, group: GroupId, sequence: u64) -> bool {
        let heads = self.memory.reader().heads(Sequence(sequence), 1).unwrap();
        assert_eq!(heads[0].sequence, Sequence(sequence));
        self.core().dispatcher.is_settled(group, &heads[0])
    }

    pub(super) fn group(&self, name: &str) -> GroupId {
        self.core().groups.id_of(&group(name)).unwrap()
    }

    pub(super) fn settle(
        &mut self,
        name: &str,
        tokens: &[Token],
        settlement: Settlement,
    ) -> Answer<Result<Vec<SettledResult>, SettleError>> {
        let (reply, answer) = oneshot::channel();
        let tokens = tokens.to_vec();
        self.say(Input::Settle { group: group(name), tokens, settlement, reply });
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
