//! The driver without its threads: takes inputs, makes up batches, carries out commands.

use std::sync::{Arc, mpsc};

use tokio::sync::watch;

use super::commit::InFlight;
use super::flights::{Flights, Start};
use super::gathering::{Append, Gathering, Settling, answer, answer_leave};
use super::groups::Groups;
use super::handle::{AppendError, Input, IntakeState, LeaveError, PauseReason, SettleError, SubscribeError};
use super::history::History;
use super::ids::IdMemory;
use super::payload_cache::PayloadCache;
use super::settings::Settings;
use super::streams::Streams;
use super::sweep::Sweep;
use super::tally::Tally;
use super::trim::Trimmer;
use super::wanted::WantedKinds;
use crate::dispatch::{Command, Dispatcher, GroupStart, Identity, Jitter, StreamId};
use crate::journal::{JournalReader, ReadError, Recovered, Room, Usage};
use crate::model::{Batch, DrainReason, Monotonic, Now, Sequence, StreamEnd, StreamEvent, UnixMillis};

/// How often a paused journal is asked whether it has room again.
const PROBE_EVERY_MS: u64 = 500;
/// A commit that takes longer means that the disk is blocked: the gateway stands still then, since no handler's word can
/// be taken, and its leases with it.
const BLOCKED_MS: u64 = 1_000;
/// How often the gauges are brought up to date.
const STOCK_EVERY_MS: u64 = 1_000;
/// Chunks of heads read in one turn, so that reading on never keeps the rest waiting for long.
const CHUNKS_PER_TURN: usize = 4;

/// What the commit thread is asked to do.
#[derive(Debug)]
pub(super) enum Work {
    /// Make this durable.
    Commit(Arc<Batch>),
    /// Look how full the journal is.
    Probe,
}

/// What everybody who has a handle can see at any time.
#[derive(Debug)]
pub(super) struct Told {
    pub(super) intake: watch::Sender<IntakeState>,
    pub(super) own_webhook: watch::Sender<Option<Box<str>>>,
    pub(super) wanted: watch::Sender<WantedKinds>,
}

/// One bot's driver.
#[derive(Debug)]
pub(super) struct Core<R> {
    pub(super) reader: R,
    pub(super) dispatcher: Dispatcher,
    pub(super) groups: Groups,
    pub(super) streams: Streams,
    pub(super) settings: Settings,
    pub(super) tally: Tally,
    pub(super) flights: Flights,
    pub(super) last_sequence: Sequence,
    pub(super) last_time: UnixMillis,
    pub(super) ids: IdMemory,
    pub(super) cache: PayloadCache,
    pub(super) trimmer: Trimmer,
    pub(super) sweep: Sweep,
    pub(super) history: History,
    pub(super) gathering: Gathering,
    pub(super) in_flight: Option<InFlight>,
    pub(super) probing: bool,
    /// When the commit thread was last asked something.
    asked: Monotonic,
    /// Whether the last commit brought updates.
    pub(super) flowing: bool,
    pub(super) usage: Usage,
    pub(super) not_before: Monotonic,
    pub(super) next_probe: Monotonic,
    pub(super) told: Told,
    stop_at: Option<Monotonic>,
    pub(super) commands: Vec<Command>,
    /// When the gauges are next brought up to date.
    next_stock: Monotonic,
}

impl<R: JournalReader> Core<R> {
    pub(super) fn new(
        reader: R,
        recovered: Recovered,
        settings: Settings,
        tally: Tally,
        inputs: mpsc::Sender<Input>,
        told: Told,
    ) -> Self {
        let identity = Identity { journal: recovered.journal_id, boot: recovered.boot };
        let mut dispatcher = Dispatcher::new(identity, Jitter::new(settings.seed));
        let mut groups = Groups::new(recovered.last_group, settings.group, recovered.deleted);
        for group in recovered.groups {
            groups.recovered(&group.record, group.cursor);
            dispatcher.add_group(GroupStart {
                record: group.record,
                cursor: group.cursor,
                settled: group.settled.into_iter().map(|block| (block.number, block.words)).collect(),
                attempts: group.attempts,
                replays: group.replays,
                tail: recovered.last_sequence,
            });
        }
        told.own_webhook.send_replace(recovered.own_webhook);
        let start = Start { journal: recovered.journal_id, newest: recovered.last_sequence };
        let flights = tally.flights(&start, settings.spans.clone());
        let core = Self {
            reader,
            dispatcher,
            groups,
            streams: Streams::new(inputs),
            settings,
            tally,
            flights,
            last_sequence: recovered.last_sequence,
            last_time: recovered.last_time,
            ids: IdMemory::new(recovered.ids),
            cache: PayloadCache::default(),
            trimmer: Trimmer::default(),
            sweep: Sweep::default(),
            history: History::default(),
            gathering: Gathering::default(),
            in_flight: None,
            probing: false,
            asked: Monotonic(0),
            flowing: false,
            usage: recovered.usage,
            not_before: Monotonic(0),
            next_probe: Monotonic(0),
            told,
            stop_at: None,
            commands: Vec::new(),
            next_stock: Monotonic(0),
        };
        core.announce_wanted();
        core
    }

    /// Takes one input in.
    pub(super) fn handle(&mut self, now: Now, input: Input) {
        match input {
            Input::Append { updates, quarantined, reply } => match *self.told.intake.borrow() {
                IntakeState::Open => self.gathering.append(Append { updates, quarantined, reply }),
                IntakeState::Paused { reason, .. } => answer(reply, Err(AppendError::Paused(reason))),
            },
            Input::Subscribe { subscription, reply } => {
                if self.is_stopping() {
                    answer(reply, Err(SubscribeError::Stopped));
                } else {
                    self.gathering.subscriptions.push((subscription, reply));
                }
            }
            Input::Closed { stream } => self.close(now, StreamId(stream)),
            Input::Drain { stream } => self.drain(now, StreamId(stream), DrainReason::MaxAge),
            Input::Settle { group, tokens, settlement, reply } => match self.groups.id_of(&group) {
                None => answer(reply, Err(SettleError::UnknownGroup(group))),
                Some(id) => {
                    let settle = |token| self.dispatcher.handle_settle(now, id, token, &settlement);
                    let results = tokens.iter().map(settle).collect();
                    self.gathering.settles.push(Settling { results, reply });
                }
            },
            Input::Leave { group, consumer_id, reply } => match self.groups.id_of(&group) {
                None => answer(reply, Err(LeaveError::UnknownGroup(group))),
                Some(id) => {
                    let left = self.dispatcher.handle_leave(now, id, &consumer_id);
                    answer_leave(reply, left, consumer_id);
                }
            },
            Input::RememberWebhook { url, reply } => {
                self.gathering.webhook = Some(url);
                self.gathering.webhook_replies.push(reply);
            }
            Input::Steer(steer) => self.steer(now, steer),
            Input::Shutdown { grace_ms } => self.shut_down(now, grace_ms),
        }
    }

    /// Whether the commit thread has been asked something that it has not answered yet.
    pub(super) fn awaits_commit(&self) -> bool {
        self.in_flight.is_some() || self.probing
    }

    /// Lets happen what is due, and carries out commands.
    pub(super) fn turn(&mut self, now: Now) -> Result<(), ReadError> {
        if !self.is_blocked(now) {
            self.dispatcher.handle_time(now);
        }
        self.carry_out(now)?;
        for _ in 0..CHUNKS_PER_TURN {
            let Some(wanted) = self.dispatcher.heads_wanted() else { break };
            let heads = self.reader.heads(wanted.from, wanted.limit)?;
            self.dispatcher.handle_heads(wanted.group, &heads);
            self.carry_out(now)?;
        }
        if let Some(wanted) = self.dispatcher.count_wanted() {
            let heads = self.reader.heads(wanted.from, wanted.limit)?;
            self.dispatcher.handle_counted(wanted.group, &heads);
        }
        if now.mono >= self.next_stock {
            self.next_stock = now.mono.plus(STOCK_EVERY_MS);
            self.take_stock(now);
        }
        Ok(())
    }

    /// Whether the commit that is on its way has taken too long already.
    fn is_blocked(&self, now: Now) -> bool {
        self.in_flight.is_some() && now.mono.since(self.asked) > BLOCKED_MS
    }

    /// The commit thread has answered: if that took too long, everybody gets the time back.
    pub(super) fn note_answer(&mut self, now: Now) {
        if self.is_blocked(now) {
            self.stood_still(now.mono.since(self.asked));
        }
    }

    /// What the commit thread is to do next, if it has nothing to do and there is something.
    pub(super) fn next_work(&mut self, now: Now) -> Result<Option<Work>, ReadError> {
        if self.awaits_commit() || now.mono < self.not_before {
            return Ok(None);
        }
        let trims = self.stop_at.is_none() && (self.trimmer.is_due(now.mono) || self.sweep.due);
        if !self.gathering.is_empty() || trims {
            let batch = self.begin_commit(now)?;
            if batch.is_empty() {
                // Nothing to make durable: those who wait were waiting for the commit before.
                self.durable(now, None);
                self.carry_out(now)?;
                return Ok(None);
            }
            self.asked = now.mono;
            return Ok(Some(Work::Commit(batch)));
        }
        if self.usage.room != Room::Open && now.mono >= self.next_probe {
            self.probing = true;
            self.next_probe = now.mono.plus(PROBE_EVERY_MS);
            return Ok(Some(Work::Probe));
        }
        Ok(None)
    }

    /// Whether all that waits for a commit are settlements while updates are flowing: then they can wait for the next
    /// updates for a moment, and share their commit.
    pub(super) fn may_hold(&self) -> bool {
        self.flowing && self.gathering.only_settles()
    }

    /// When the next turn is needed at the latest, if nothing comes in. Now, if there is more to do at once.
    pub(super) fn next_wake(&mut self, now: Now) -> Monotonic {
        if self.dispatcher.heads_wanted().is_some() || self.dispatcher.count_wanted().is_some() {
            return now.mono;
        }
        let mut wake = Monotonic(u64::MAX);
        if !self.awaits_commit() {
            if self.stop_at.is_none() {
                wake = if self.sweep.due { Monotonic(0) } else { self.trimmer.next_pass() };
            }
            if !self.gathering.is_empty() {
                wake = Monotonic(0);
            }
            if self.usage.room != Room::Open {
                wake = wake.min(self.next_probe);
            }
            // Nothing of that can begin earlier.
            wake = wake.max(self.not_before);
        }
        let dispatcher = self.dispatcher.next_wake().filter(|_| !self.is_blocked(now));
        let timers = dispatcher.into_iter().chain(self.stop_at);
        timers.min().map_or(wake, |at| wake.min(at))
    }

    /// Whether the driver was told to end.
    pub(super) fn is_stopping(&self) -> bool {
        self.stop_at.is_some()
    }

    /// Whether the driver may end: it was told to, and nothing is out any more or the grace is over.
    pub(super) fn is_finished(&self, now: Now) -> bool {
        let Some(stop_at) = self.stop_at else { return false };
        let quiet = self.in_flight.is_none() && self.gathering.is_empty();
        quiet && self.streams.is_empty() || now.mono >= stop_at && self.in_flight.is_none()
    }

    /// Ends all streams that are left.
    pub(super) fn end_streams(&mut self, end: StreamEnd) {
        self.streams.end_all(end);
    }

    /// The gateway stood still for so long.
    pub(super) fn stood_still(&mut self, ms: u64) {
        tracing::warn!(bot = self.tally.bot(), ms, "the gateway stood still; leases are prolonged by that");
        self.dispatcher.handle_stall(ms);
        // A commit that was on its way meanwhile does not count it again.
        self.asked = self.asked.plus(ms);
    }

    fn shut_down(&mut self, now: Now, grace_ms: u64) {
        if self.stop_at.is_some() {
            return;
        }
        self.stop_at = Some(now.mono.plus(grace_ms));
        self.gathering.refuse_appends(PauseReason::Stopping);
        self.pause(now, Some(PauseReason::Stopping));
        let deadline = now.unix.plus(grace_ms);
        for stream in self.streams.ids() {
            self.streams.send(stream, StreamEvent::Draining { reason: DrainReason::Shutdown, deadline });
            self.dispatcher.handle_drain(now, stream);
        }
    }

    fn drain(&mut self, now: Now, stream: StreamId, reason: DrainReason) {
        let deadline = now.unix.plus(self.settings.drain_grace_ms);
        self.streams.send(stream, StreamEvent::Draining { reason, deadline });
        self.dispatcher.handle_drain(now, stream);
    }

    fn close(&mut self, now: Now, stream: StreamId) {
        self.dispatcher.handle_closed(now, stream);
        self.forget_stream(stream);
    }

    pub(super) fn forget_stream(&mut self, stream: StreamId) {
        let Some(group) = self.streams.remove(stream) else { return };
        if self.groups.is_ephemeral(group) && !self.streams.any_of(group) {
            self.dispatcher.remove_group(group, StreamEnd::GroupDeleted);
            self.tally.forget(&self.groups, group);
            self.history.forget(group);
            self.flights.forget(group);
            self.groups.remove(group);
        }
    }

    /// Says whether updates are taken.
    pub(super) fn pause(&mut self, now: Now, reason: Option<PauseReason>) {
        let stopping = self.stop_at.is_some();
        let reason = if stopping { Some(PauseReason::Stopping) } else { reason };
        let changed = self.told.intake.send_if_modified(|state| match (*state, reason) {
            (IntakeState::Open, None) => false,
            (IntakeState::Paused { reason: before, .. }, Some(reason)) if before == reason => false,
            (_, None) => {
                *state = IntakeState::Open;
                true
            }
            (_, Some(reason)) => {
                *state = IntakeState::Paused { reason, since: now.unix };
                true
            }
        });
        if changed {
            self.tally.paused(reason);
        }
    }
}
