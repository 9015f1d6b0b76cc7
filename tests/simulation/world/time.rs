//! Time passes: everybody does what is due, in one order.

use super::World;
use crate::network::Packet;
use crate::op::{CommitFate, DiskState};
use crate::violation::{Kept, demand};

/// When more time passes at once, gateways look around less often than they would.
const LONG_MS: u64 = 60_000;
/// Looks in a long time.
const LOOKS: u64 = 100;
/// What may happen at one instant.
const MAX_AT_ONCE: usize = 5_000;
/// While the disk is blocked the loop wakes every 5 ms; here it does so less often.
const PATIENCE_MS: u64 = 400;

impl World {
    /// So much time passes.
    pub(super) fn pass(&mut self, ms: u64) -> Kept {
        let end = self.mono + ms;
        let stride = if ms > LONG_MS { ms / LOOKS } else { 0 };
        let mut at_once = 0;
        loop {
            let next = self.next_event(stride);
            let next = next.max(self.mono);
            if next > end {
                break;
            }
            at_once = if next == self.mono { at_once + 1 } else { 0 };
            demand!("P6", at_once < MAX_AT_ONCE, "somebody is busy without end");
            self.move_to(next);
            self.happen(stride)?;
        }
        self.move_to(end);
        Ok(())
    }

    fn move_to(&mut self, mono: u64) {
        self.mono = mono;
        self.tell_time();
        self.telegram.expire(mono);
    }

    /// When something is due next.
    fn next_event(&mut self, stride: u64) -> u64 {
        let mut next = u64::MAX;
        for gateway in &mut self.gateways {
            let mut wakes = gateway.wakes().max(gateway.turned + stride);
            if gateway.commit_due > 0 {
                wakes = (gateway.turned + PATIENCE_MS.max(stride)).max(wakes);
                if self.disk != DiskState::Blocked {
                    wakes = wakes.min(gateway.commit_due);
                }
            } else if gateway.is_stirred() {
                wakes = self.mono;
            }
            next = next.min(wakes);
        }
        if self.gateways.is_empty() {
            next = next.min(self.restarts);
        }
        let packets = self.network.next();
        let waiting = self.telegram.waits_until();
        let posts = self.telegram.next_post().map(|at| at.max(self.mono + 1));
        let people = self
            .consumers
            .iter()
            .filter_map(|consumer| consumer.next().into_iter().chain(consumer.rejoins).min());
        people.chain(packets).chain(waiting).chain(posts).fold(next, u64::min)
    }

    /// Everything that is due now happens.
    fn happen(&mut self, stride: u64) -> Kept {
        if self.gateways.is_empty() && self.restarts <= self.mono {
            self.restarts = self.mono + 500;
            self.start()?;
        }
        while let Some(packet) = self.network.take_due(self.mono) {
            self.arrive(packet)?;
        }
        self.telegram_sends();
        self.people_act()?;
        let mut at = 0;
        while at < self.gateways.len() {
            let uid = self.gateways[at].uid;
            if self.disk != DiskState::Blocked && (1..=self.mono).contains(&self.gateways[at].commit_due) {
                self.commit(at, CommitFate::Durable)?;
            }
            let gateway = &mut self.gateways[at];
            let due = gateway.wakes().max(gateway.turned + stride) <= self.mono;
            let waits = gateway.commit_due > 0 && gateway.turned + PATIENCE_MS.max(stride) > self.mono;
            if !waits && (due || gateway.is_stirred()) {
                if stride > 0 {
                    self.look_around(at);
                }
                self.turn(at)?;
            }
            // It may have ended by this.
            at += usize::from(self.gateways.get(at).is_some_and(|gateway| gateway.uid == uid));
        }
        Ok(())
    }

    /// The loop has looked around, and nothing was to be done: no standstill.
    fn look_around(&mut self, at: usize) {
        let now = self.now();
        let gateway = &mut self.gateways[at];
        gateway.driver.looked_around(now);
        gateway.turned = self.mono;
    }

    /// The gateways stand still, and the rest of the world does not.
    pub(super) fn stall(&mut self, ms: u64) -> Kept {
        self.move_to(self.mono + ms);
        Ok(())
    }

    /// What Telegram sends by itself.
    fn telegram_sends(&mut self) {
        let now = self.mono;
        for post in self.telegram.posts(now) {
            let due = now + self.latency();
            self.network.send(due, Packet::Post(post));
        }
        if let Some(answer) = self.telegram.answer_waiting(now) {
            let due = now + self.latency();
            self.network.send(due, Packet::Answer(answer));
        }
    }

    /// Something arrives where it was sent to.
    pub(super) fn arrive(&mut self, packet: Packet) -> Kept {
        self.line(format_args!("arrives: {}", packet.describe()));
        let now = self.mono;
        match packet {
            Packet::Ask(ask) => {
                let (mut confirmed, mut answers) = (Vec::new(), Vec::new());
                self.telegram.asked(now, ask, &mut confirmed, &mut answers);
                for event in confirmed {
                    self.checker.p1_what_is_confirmed_is_durable(&event)?;
                }
                for answer in answers {
                    let due = now + self.latency();
                    self.network.send(due, Packet::Answer(answer));
                }
            }
            Packet::Answer(answer) => {
                let to = self.gateways.iter_mut().find(|gateway| gateway.uid == answer.gateway);
                if let Some(gateway) = to {
                    gateway.polled(now, answer);
                }
            }
            Packet::Post(post) => {
                let number = post.number;
                let open = self.gateways.iter().filter(|gateway| !gateway.stopping).count() as u64;
                // Whatever is in front of the gateways chooses one; nobody there is a failure, too.
                let reply = match self.gateway(number % open.max(1)) {
                    Some(at) => self.gateways[at].posted(post),
                    None => Some(Packet::Reply { post: number, status: 502, retry_after_ms: None }),
                };
                if let Some(reply) = reply {
                    let due = now + self.latency();
                    self.network.send(due, reply);
                }
            }
            Packet::Reply { post, status, retry_after_ms } => {
                if let Some(event) = self.telegram.answered(now, post, status, retry_after_ms) {
                    self.checker.p1_what_is_confirmed_is_durable(&event)?;
                }
            }
        }
        Ok(())
    }
}
