//! A gateway's turn, and what can be seen of it; and what its commit thread does.

use switchboard::driver::{Failure, SettleError, Turned};
use switchboard::journal::{CommitError, Journal, JournalReader, Room, Usage};
use switchboard::model::{SettledResult, StreamEvent};

use super::World;
use crate::gateway::{Call, Gateway, Heard, Open};
use crate::op::{CommitFate, DiskState};
use crate::violation::{Kept, Violation, demand};

/// After so many commits the whole journal is compared with the books; and at every start, and at the end.
const COMPARED: u64 = 16;

impl World {
    /// A gateway's loop turns once.
    pub(super) fn turn(&mut self, at: usize) -> Kept {
        self.hear(at)?;
        let now = self.now();
        match self.gateways[at].turn(now) {
            Ok(Turned::On) => {}
            ended => {
                self.see(at)?;
                return self.ended(at, ended.map(|_| ()));
            }
        }
        self.see(at)?;
        self.begin(at)
    }

    /// What the driver hears with its next turn, in the order in which it does.
    fn hear(&mut self, at: usize) -> Kept {
        let gateway = &mut self.gateways[at];
        let gap = self.mono - gateway.turned;
        let done = gateway.driver.answered().is_some();
        let uid = gateway.uid;
        let clock = self.checker.clock(uid, self.mono, self.wall());
        self.checker.before_turn(uid, clock, gap, done);
        let heard = std::mem::take(&mut self.gateways[at].heard);
        for heard in heard {
            match heard {
                Heard::Settle { group, tokens, settlement, call } => {
                    let expected = tokens
                        .iter()
                        .map(|token| self.checker.hear_settlement(uid, &group, token, &settlement))
                        .collect();
                    self.gateways[at].expect(call, expected);
                }
                Heard::Subscribe { subscription } => {
                    let consumer = subscription.consumer_id.to_string();
                    let named = subscription.held_tokens;
                    self.checker.hear_subscription(uid, subscription.group, consumer, named);
                }
                Heard::Closed { stream } => self.checker.hear_closed(uid, stream),
                Heard::Drain { stream } => self.checker.hear_drain(uid, stream),
                Heard::Leave { group, consumer } => self.checker.hear_leave(uid, &group, &consumer),
                Heard::Wish(wish) => self.checker.hear_wish(uid, wish),
                Heard::Shutdown => self.checker.hear_shutdown(uid),
            }
        }
        self.checker.heard_all(uid);
        Ok(())
    }

    /// What can be seen after a turn: answers first, then what streams are told, deliveries last.
    fn see(&mut self, at: usize) -> Kept {
        self.see_answers(at)?;
        let uid = self.gateways[at].uid;
        let events = self.gateways[at].events();
        let (deliveries, others): (Vec<_>, Vec<_>) =
            events.into_iter().partition(|(.., event)| matches!(event, StreamEvent::Deliveries(_)));
        for (consumer, stream, event) in others {
            self.line(format_args!("g{uid} c{consumer} stream {stream}: {}", describe(&event)));
            match event {
                StreamEvent::Assignment { gained, lost, .. } => {
                    self.checker.assigned(uid, stream, &gained, &lost);
                }
                StreamEvent::LeaseLost(tokens) => {
                    self.checker.lease_lost(uid, stream, &tokens)?;
                    self.consumers[consumer].lost(&tokens);
                }
                StreamEvent::Draining { .. } => self.checker.hear_drain(uid, stream),
                StreamEvent::End(_) => {
                    self.checker.stream_ended(uid, stream);
                    self.gateways[at].streams.retain(|open| open.stream.id != stream);
                    // Dropping it has said so again, which nobody minds.
                    if self.consumers[consumer].at == Some((uid, stream)) {
                        self.consumers[consumer].lose_stream(self.mono);
                    }
                }
                StreamEvent::Deliveries(_) => {}
            }
        }
        self.checker.p3_shards_have_one_owner(uid)?;
        for (consumer, stream, event) in deliveries {
            let StreamEvent::Deliveries(deliveries) = event else { continue };
            for delivery in deliveries {
                let token = delivery.token;
                self.line(format_args!(
                    "g{uid} c{consumer} stream {stream} gets {}/{} attempt {} of boot {} generation {} failures {}",
                    token.group.0,
                    token.sequence.0,
                    token.attempt,
                    token.boot,
                    token.generation,
                    delivery.failures
                ));
                self.checker.delivered(uid, stream, &delivery)?;
                self.tokens.push(token);
                if self.consumers[consumer].at == Some((uid, stream)) {
                    self.consumers[consumer].inbox.push(token);
                }
            }
        }
        for own in self.consumers.iter_mut().filter(|own| own.died) {
            if let Some((_, stream)) = own.at.filter(|(gateway, _)| *gateway == uid) {
                own.died = false;
                own.lose_stream(self.mono);
                self.gateways[at].close(stream);
            }
        }
        let polls = !self.telegram.webhook && !self.gateways[at].stopping;
        let (mono, latency) = (self.mono, self.latency());
        let gateway = &mut self.gateways[at];
        let replies = gateway.answer_posts();
        let ask = gateway.poll_telegram(mono, polls);
        for packet in replies.into_iter().chain(ask) {
            self.line(format_args!("g{uid} sends {}", packet.describe()));
            self.network.send(mono + latency, packet);
        }
        Ok(())
    }

    /// The answers that calls have got.
    fn see_answers(&mut self, at: usize) -> Kept {
        let uid = self.gateways[at].uid;
        let mut waiting = Vec::new();
        for call in std::mem::take(&mut self.gateways[at].calls) {
            match call {
                Call::Subscribe { consumer, named, mut reply } => match reply.try_recv() {
                    Ok(answer) => self.subscribed(at, consumer, answer)?,
                    Err(_) => waiting.push(Call::Subscribe { consumer, named, reply }),
                },
                Call::Settle { number, consumer, group, tokens, settlement, expected, hears, mut reply } => {
                    let Ok(answer) = reply.try_recv() else {
                        waiting.push(Call::Settle {
                            number,
                            consumer,
                            group,
                            tokens,
                            settlement,
                            expected,
                            hears,
                            reply,
                        });
                        continue;
                    };
                    self.line(format_args!("g{uid} answers {group} {}: {}", short(&tokens), shown(&answer)));
                    if let Ok(results) = &answer {
                        demand!(
                            "P5",
                            results.len() == tokens.len(),
                            "{} answers for {}",
                            results.len(),
                            tokens.len()
                        );
                        for ((token, expected), result) in tokens.iter().zip(&expected).zip(results) {
                            self.checker.p5_answers(uid, &group, token, &settlement, *expected, *result)?;
                        }
                    }
                    let unknown = matches!(answer, Err(SettleError::UnknownGroup(_)));
                    let allowed = expected.iter().all(|one| one.allows(crate::checker::Expected::NO_GROUP));
                    demand!("P5", !unknown || allowed, "{group} is said not to exist");
                    if let (Some(consumer), true) = (consumer, hears) {
                        self.consumers[consumer].answered(&tokens, &answer, self.mono);
                    }
                }
                Call::Leave { mut reply } => {
                    if reply
                        .try_recv()
                        .is_err_and(|error| error == tokio::sync::oneshot::error::TryRecvError::Empty)
                    {
                        waiting.push(Call::Leave { reply });
                    }
                }
                Call::Steer { wish, mut reply } => match reply() {
                    Some(answer) => {
                        self.line(format_args!("g{uid} answers {wish:?}: {answer:?}"));
                        self.checker.wish_answered(uid, &wish);
                    }
                    None => waiting.push(Call::Steer { wish, reply }),
                },
            }
        }
        self.gateways[at].calls.splice(0..0, waiting);
        Ok(())
    }

    fn subscribed(
        &mut self,
        at: usize,
        consumer: usize,
        answer: Result<switchboard::driver::ConsumerStream, switchboard::driver::SubscribeError>,
    ) -> Kept {
        let uid = self.gateways[at].uid;
        let name = self.consumers[consumer].name.clone();
        self.consumers[consumer].opening = None;
        match answer {
            Ok(stream) => {
                let (id, opened) = (stream.id, stream.opened.clone());
                self.line(format_args!(
                    "g{uid} opens stream {id} of {} for c{consumer}, {}",
                    opened.group,
                    short(&opened.held)
                ));
                self.checker.subscribed(uid, id, &name, &opened.group, opened.settings, &opened.held)?;
                self.gateways[at].streams.push(Open { consumer, stream });
                let own = &mut self.consumers[consumer];
                own.inbox.clear();
                own.at = Some((uid, id));
                own.rejoins = None;
            }
            Err(error) => {
                self.line(format_args!("g{uid} refuses c{consumer}: {error}"));
                self.checker.not_subscribed(uid, &name);
                self.consumers[consumer].rejoins = Some(self.mono + 2_000);
            }
        }
        Ok(())
    }

    /// The commit thread gets something to do.
    fn begin(&mut self, at: usize) -> Kept {
        let gateway = &mut self.gateways[at];
        if !gateway.driver.has_work() || gateway.commit_due > 0 {
            return Ok(());
        }
        let takes = self.rng.below(self.scene.disk_ms + 1);
        gateway.commit_due = (self.mono + takes).max(1);
        gateway.commit_began = self.mono;
        let uid = gateway.uid;
        let Some(batch) = gateway.driver.batch().cloned() else { return Ok(()) };
        self.line(format_args!(
            "g{uid} commits {} updates, {} settled, {} ended, {} trimmed",
            batch.updates.len(),
            batch.settled.len(),
            batch.attempts.len(),
            batch.trimmed.len()
        ));
        self.checker.begun(uid, &batch)
    }

    /// What the commit thread is at comes to its end.
    pub(super) fn commit(&mut self, at: usize, fate: CommitFate) -> Kept {
        let gateway = &mut self.gateways[at];
        if !gateway.driver.has_work() {
            return Ok(());
        }
        gateway.commit_due = 0;
        let (uid, took) = (gateway.uid, gateway.took(self.mono));
        let is_commit = gateway.driver.batch().is_some();
        let appends = gateway.driver.batch().is_some_and(switchboard::model::Batch::appends);
        let full = self.disk == DiskState::Full || self.disk == DiskState::FullForUpdates && appends;
        let path = || "simulated".to_owned();
        let fate = if full && is_commit { CommitFate::NoRoom } else { fate };
        self.line(format_args!("g{uid} commit: {fate:?}"));
        match fate {
            CommitFate::NoRoom if is_commit => {
                let no_room = CommitError::NoRoom { path: path(), why: "the simulation says so".into() };
                self.gateways[at].driver.answer(Err(no_room), took);
                self.checker.refuse(uid);
                return Ok(());
            }
            CommitFate::FailedLost => {
                let failed = CommitError::Failed { path: path(), why: "the simulation says so".into() };
                self.gateways[at].driver.answer(Err(failed), took);
                return Ok(());
            }
            CommitFate::Durable | CommitFate::NoRoom | CommitFate::FailedDurable => {}
        }
        let gateway = &mut self.gateways[at];
        gateway.driver.commit(took);
        let room = self.disk;
        match gateway.driver.answered() {
            Some(Ok(usage)) if room != DiskState::Fine && room != DiskState::Blocked => {
                *usage = Usage { room: Room::DiskFull, ..*usage };
            }
            Some(Err(CommitError::NoRoom { .. })) => {
                self.checker.refuse(uid);
                return Ok(());
            }
            Some(Err(CommitError::Fenced)) => {
                self.line(format_args!("g{uid} is fenced"));
                return Ok(());
            }
            Some(Err(error)) => {
                let what = error.to_string();
                return Err(Violation::of("P2", format!("a commit has failed by itself: {what}")));
            }
            Some(Ok(_)) | None => {}
        }
        if is_commit {
            self.checker.durable(uid)?;
            self.commits += 1;
            if self.commits.is_multiple_of(COMPARED) {
                let reader = self.gateways[at].driver.reader();
                self.checker.the_journal_holds_it(&reader, false)?;
            }
        }
        if fate == CommitFate::FailedDurable {
            let failed = CommitError::Failed { path: path(), why: "the simulation says so".into() };
            if let Some(answer) = self.gateways[at].driver.answered() {
                *answer = Err(failed);
            }
        }
        Ok(())
    }

    /// A gateway's loop has ended, as it was told to or because something failed.
    fn ended(&mut self, at: usize, result: Result<(), Failure>) -> Kept {
        let uid = self.gateways[at].uid;
        self.line(format_args!("g{uid} ends: {result:?}"));
        let gateway = self.gateways.remove(at);
        self.lose_gateway(gateway, Some(&result));
        Ok(())
    }

    /// A process is gone; its journal is closed.
    pub(super) fn lose_gateway(&mut self, gateway: Gateway, result: Option<&Result<(), Failure>>) {
        let uid = gateway.uid;
        let Gateway { driver, streams, calls, .. } = gateway;
        if let Some(result) = result {
            drop(driver.end(result));
        } else {
            drop(driver);
        }
        drop((streams, calls));
        for consumer in &mut self.consumers {
            if consumer.at.is_some_and(|(gateway, _)| gateway == uid) {
                consumer.lose_stream(self.mono);
            }
            if consumer.opening == Some(uid) {
                consumer.opening = None;
                consumer.rejoins = Some(self.mono + 300);
            }
        }
        self.checker.gone(uid);
        self.restarts = self.mono + 500;
    }

    /// A gateway is started on the journal that there is. Another one that has it is deposed; LMDB does not allow that.
    pub(super) fn start(&mut self) -> Kept {
        let Some(disk) = self.place.open() else {
            demand!("P7", !self.gateways.is_empty(), "the journal is locked by nobody");
            return Ok(());
        };
        demand!("P7", !self.scene.lmdb || self.gateways.is_empty(), "the journal is open twice");
        self.last_gateway += 1;
        let uid = self.last_gateway;
        let reader = disk.reader();
        let recovered = reader.recover().map_err(|error| Violation::of("P1", error.to_string()))?;
        self.checker.journal = recovered.journal_id;
        self.checker.the_journal_holds_it(&reader, true)?;
        self.checker.books.last_time = recovered.last_time.0;
        let clock = self.checker.clock(uid, self.mono, self.wall());
        self.checker.started(uid, recovered.boot, clock)?;
        let now = self.now();
        let gateway = Gateway::start(uid, disk, &self.scene, now).map_err(|why| Violation::of("P2", why))?;
        self.line(format_args!("g{uid} starts as boot {}", recovered.boot));
        self.checker.declared(&gateway.driver.reader())?;
        self.gateways.push(gateway);
        Ok(())
    }

    pub(super) fn latency(&mut self) -> u64 {
        self.rng.between(1, self.scene.latency_ms)
    }
}

fn describe(event: &StreamEvent) -> String {
    match event {
        StreamEvent::Assignment { gained, lost, generation } => {
            format!("assignment {generation} +{} -{}", gained.len(), lost.len())
        }
        StreamEvent::LeaseLost(tokens) => format!("lease lost {}", short(tokens)),
        StreamEvent::Deliveries(deliveries) => format!("{} deliveries", deliveries.len()),
        StreamEvent::Draining { reason, .. } => format!("draining {reason:?}"),
        StreamEvent::End(end) => format!("end {end:?}"),
    }
}

/// Tokens without the journal's id, which is random.
pub(super) fn short(tokens: &[switchboard::model::Token]) -> String {
    let one = |token: &switchboard::model::Token| {
        format!("{}/{}#{}.{}", token.group.0, token.sequence.0, token.boot, token.attempt)
    };
    tokens.iter().map(one).collect::<Vec<_>>().join(" ")
}

fn shown(answer: &Result<Vec<SettledResult>, SettleError>) -> String {
    match answer {
        Ok(results) => {
            let one = |result: &SettledResult| match result {
                SettledResult::Applied { .. } => "APPLIED",
                SettledResult::AppliedLate { .. } => "APPLIED_LATE",
                SettledResult::AlreadySettled => "ALREADY_SETTLED",
                SettledResult::Superseded => "SUPERSEDED",
                SettledResult::Unknown => "UNKNOWN",
            };
            results.iter().map(one).collect::<Vec<_>>().join(" ")
        }
        Err(error) => error.to_string(),
    }
}
