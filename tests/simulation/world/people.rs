//! Handlers come, go, work, and lie.

use switchboard::driver::{Input, Subscription};
use switchboard::model::{ConsumerSettings, GroupId, KeyHash, Sequence, Settlement, Start, Token};
use tokio::sync::oneshot;

use super::World;
use crate::consumers::{Asks, Has};
use crate::gateway::{Call, Heard};
use crate::op::{How, Lie, Mood, Op};
use crate::scene::group_name;
use crate::violation::Kept;

impl World {
    pub(super) fn people_do(&mut self, op: &Op) -> Kept {
        match *op {
            Op::Join { consumer, group, gateway, credit, bytes, lease_ms, holds } => {
                let settings = ConsumerSettings {
                    max_outstanding: credit as u32,
                    max_outstanding_bytes: bytes,
                    lease_ms,
                };
                let at = consumer as usize;
                if self.consumers[at].opening.is_none() {
                    // One that changes its group forgets the other one's updates.
                    if self.consumers[at].asks.is_some_and(|asks| asks.group != group) {
                        self.break_stream(at, true);
                    }
                    self.consumers[at].asks = Some(Asks { group, settings, holds });
                    self.join(at, gateway);
                }
            }
            Op::Mood { consumer, mood } => {
                let own = &mut self.consumers[consumer as usize];
                own.mood = mood;
                if mood == Mood::Good {
                    own.has.iter_mut().for_each(|has| has.acts = has.acts.min(self.mono + 100));
                }
            }
            Op::Die { consumer, forgets } => self.break_stream(consumer as usize, forgets),
            Op::Leave { consumer } => self.leave(consumer as usize),
            Op::Drain { consumer } => self.drain(consumer as usize),
            Op::Settle { consumer, which, how, hears } => {
                let own = &mut self.consumers[consumer as usize];
                own.read(self.mono, &mut self.rng);
                let count = own.has.len() as u64;
                if count > 0 {
                    let has = own.has.remove((which % count) as usize);
                    self.settle(consumer as usize, vec![has], how, hears);
                }
            }
            Op::SettleAll { consumer, how } => {
                let own = &mut self.consumers[consumer as usize];
                own.read(self.mono, &mut self.rng);
                let all = std::mem::take(&mut own.has);
                if !all.is_empty() {
                    self.settle(consumer as usize, all, how, true);
                }
            }
            Op::Lie { which, lie, how } => self.lie(which, lie, how),
            _ => self.operate(op),
        }
        Ok(())
    }

    /// Handlers read what has come, say what they have to say, and come back.
    pub(super) fn people_act(&mut self) -> Kept {
        for at in 0..self.consumers.len() {
            let now = self.mono;
            let own = &mut self.consumers[at];
            own.read(now, &mut self.rng);
            if own.rejoins.is_some_and(|rejoins| rejoins <= now) {
                own.rejoins = None;
                if own.asks.is_some() && own.at.is_none() && own.opening.is_none() {
                    // To the newest, as a load balancer would find it.
                    let newest = self.gateways.len().saturating_sub(1) as u64;
                    self.join(at, newest);
                }
            }
            let own = &mut self.consumers[at];
            let (due, later): (Vec<_>, Vec<_>) = own.has.drain(..).partition(|has| has.acts <= now);
            own.has = later;
            let mut says: Vec<(How, Vec<Has>)> = Vec::new();
            for has in due {
                let how = self.consumers[at].says(&has, &mut self.rng);
                match says.iter_mut().find(|(other, _)| *other == how) {
                    Some((_, all)) => all.push(has),
                    None => says.push((how, vec![has])),
                }
            }
            for (how, all) in says {
                self.settle(at, all, how, true);
            }
        }
        Ok(())
    }

    /// A consumer subscribes at one of the gateways.
    fn join(&mut self, at: usize, which: u64) {
        let Some(gateway) = self.gateway(which) else {
            self.consumers[at].rejoins = Some(self.mono + 500);
            return;
        };
        let own = &mut self.consumers[at];
        let Some(asks) = own.asks else { return };
        let mut named: Vec<Token> = own.has.iter().map(|has| has.token).collect();
        let mut place = 0;
        named.retain(|_| {
            place += 1;
            asks.holds >> (place % 64) & 1 == 1
        });
        let subscription = Subscription {
            group: group_name(asks.group),
            consumer_id: own.name.clone().into(),
            settings: asks.settings,
            start: Start::Default,
            filter: None,
            held_tokens: named.clone(),
            ephemeral: false,
        };
        let (reply, answer) = oneshot::channel();
        let gateway = &mut self.gateways[gateway];
        own.opening = Some(gateway.uid);
        own.died = false;
        own.rejoins = None;
        let heard = Heard::Subscribe { subscription: subscription.clone() };
        gateway.say(Input::Subscribe { subscription, reply }, heard);
        gateway.calls.push(Call::Subscribe { consumer: at, named, reply: answer });
    }

    /// A consumer's stream breaks; `forgets` says whether its process is gone, too.
    fn break_stream(&mut self, at: usize, forgets: bool) {
        let now = self.mono;
        let own = &mut self.consumers[at];
        if let Some((uid, stream)) = own.at {
            own.lose_stream(now);
            if let Some(gateway) = self.gateways.iter_mut().find(|gateway| gateway.uid == uid) {
                gateway.close(stream);
            }
        }
        let own = &mut self.consumers[at];
        if forgets {
            own.has.clear();
            own.asks = None;
            own.rejoins = None;
            own.died = own.opening.is_some();
        }
    }

    fn leave(&mut self, at: usize) {
        let own = &mut self.consumers[at];
        let (Some((uid, _)), Some(asks)) = (own.at, own.asks) else { return };
        let Some(gateway) = self.gateways.iter_mut().find(|gateway| gateway.uid == uid) else { return };
        let (group, consumer) = (group_name(asks.group), own.name.clone());
        own.asks = None;
        let (reply, answer) = oneshot::channel();
        let input = Input::Leave { group: group.clone(), consumer_id: consumer.clone().into(), reply };
        gateway.say(input, Heard::Leave { group, consumer });
        gateway.calls.push(Call::Leave { reply: answer });
    }

    fn drain(&mut self, at: usize) {
        let Some((uid, stream)) = self.consumers[at].at else { return };
        let Some(gateway) = self.gateways.iter_mut().find(|gateway| gateway.uid == uid) else { return };
        gateway.say(Input::Drain { stream }, Heard::Drain { stream });
    }

    /// A consumer says the same about some of its deliveries, in one call.
    fn settle(&mut self, at: usize, mut all: Vec<Has>, how: How, hears: bool) {
        let now = self.mono;
        let own = &mut self.consumers[at];
        let (home, asks) = (own.at, own.asks);
        let tokens: Vec<_> = all.iter().map(|has| has.token).collect();
        let extends = matches!(how, How::Extend | How::ExtendShort);
        if extends || !hears {
            for has in &mut all {
                has.extended += u32::from(extends);
                has.acts = now + if extends { 700 } else { 3_000 };
            }
            own.has.append(&mut all);
        }
        let newest = self.gateways.len().saturating_sub(1);
        let gateway = home.and_then(|(uid, _)| self.gateways.iter().position(|gateway| gateway.uid == uid));
        let group = asks.map(|asks| asks.group);
        self.send_settlement(gateway.unwrap_or(newest), Some(at), group, tokens, how.settlement(), hears);
    }

    fn send_settlement(
        &mut self,
        gateway: usize,
        consumer: Option<usize>,
        group: Option<u64>,
        tokens: Vec<Token>,
        settlement: Settlement,
        hears: bool,
    ) {
        // The group's name is whatever its number had last; who has forgotten it asks for the first.
        let by_number = tokens.first().and_then(|token| self.checker.books.groups.get(&token.group));
        let by_number = by_number.map(|group| group.record.name.clone());
        let group = by_number.unwrap_or_else(|| group_name(group.unwrap_or(0)));
        let Some(gateway) = self.gateways.get_mut(gateway) else {
            // Nobody there: a handler tries again.
            if let Some(at) = consumer {
                let acts = self.mono + 1_000;
                let again = tokens.into_iter().map(|token| Has { token, acts, extended: 0 });
                let own = &mut self.consumers[at];
                own.has.extend(again.filter(|_| hears));
            }
            return;
        };
        let (reply, answer) = oneshot::channel();
        let number = gateway.next_call();
        let input = Input::Settle {
            group: group.clone(),
            tokens: tokens.clone(),
            settlement: settlement.clone(),
            reply,
        };
        let heard = Heard::Settle {
            group: group.clone(),
            tokens: tokens.clone(),
            settlement: settlement.clone(),
            call: number,
        };
        gateway.say(input, heard);
        gateway.calls.push(Call::Settle {
            number,
            consumer,
            group,
            tokens,
            settlement,
            expected: Vec::new(),
            hears,
            reply: answer,
        });
    }

    /// Somebody uses a token that is another's, or that was never given to anybody.
    fn lie(&mut self, which: u64, lie: Lie, how: How) {
        let count = self.tokens.len() as u64;
        if count == 0 || self.gateways.is_empty() {
            return;
        }
        let mut token = self.tokens[(count - 1 - which % count) as usize];
        match lie {
            Lie::Another => {}
            Lie::NextAttempt => token.attempt += 1,
            Lie::PreviousAttempt => token.attempt = token.attempt.saturating_sub(1),
            Lie::NextBoot => token.boot += 1,
            Lie::PreviousBoot => token.boot = token.boot.saturating_sub(1),
            Lie::NextGeneration => token.generation += 1,
            Lie::PreviousGeneration => token.generation = token.generation.saturating_sub(1),
            Lie::OtherJournal => token.journal ^= 1,
            Lie::OtherGroup => token.group = GroupId(token.group.0 + 1),
            Lie::NeverStored => token.sequence = Sequence(token.sequence.0 + 100_000),
            Lie::OtherKey => token.key = KeyHash(token.key.0 ^ 1_025),
        }
        let gateway = (which % self.gateways.len() as u64) as usize;
        self.send_settlement(gateway, None, Some(which % 4), vec![token], how.settlement(), false);
    }
}
