//! P5: only the newest delivery of an update settles it. What each settlement must be answered is DESIGN's table of
//! section 7, with the tokens of earlier boots: one of the boot before is good if the end of its delivery was not recorded
//! and nothing newer was handed out; one of an older boot never is.

use switchboard::model::{Delivery, GroupName, Outcome, SettledResult, Settlement, Token};

use super::live::{Claim, Nacked, Newest, State};
use super::tally::Failed;
use super::{Checker, books};
use crate::violation::{Kept, demand};

/// What a settlement may be answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Expected(u8);

impl Expected {
    pub const APPLIED: Self = Self(1);
    pub const LATE: Self = Self(2);
    pub const ALREADY: Self = Self(4);
    pub const SUPERSEDED: Self = Self(8);
    pub const UNKNOWN: Self = Self(16);
    /// There is no such group.
    pub const NO_GROUP: Self = Self(32);
    pub const ANY: Self = Self(63);
    const REFUSED: Self = Self(4 | 8 | 16);

    const fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    pub fn allows(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// Whether it is surely taken.
    pub fn is_good(self) -> bool {
        matches!(self, Self::APPLIED | Self::LATE)
    }

    /// Whether it may be taken.
    pub fn may_be_good(self) -> bool {
        self.allows(Self::APPLIED.or(Self::LATE))
    }

    fn of(result: SettledResult) -> Self {
        match result {
            SettledResult::Applied { .. } => Self::APPLIED,
            SettledResult::AppliedLate { .. } => Self::LATE,
            SettledResult::AlreadySettled => Self::ALREADY,
            SettledResult::Superseded => Self::SUPERSEDED,
            SettledResult::Unknown => Self::UNKNOWN,
        }
    }
}

impl Checker {
    /// A gateway hears a settlement of one token: what must be answered, and what becomes of the delivery by it.
    pub fn hear_settlement(
        &mut self,
        gateway: u32,
        name: &GroupName,
        token: &Token,
        settlement: &Settlement,
    ) -> Expected {
        if self.live(gateway).deposed {
            return Expected::ANY;
        }
        let Some(id) = self.books.group(name) else { return Expected::NO_GROUP };
        let mut expected = self.expected(gateway, id, token, Some(settlement));
        let named = |claim: &Claim| claim.named.iter().any(|named| named.sequence == token.sequence);
        if expected.allows(Expected::LATE) && self.live(gateway).claims.iter().any(named) {
            // A stream that is opened in this very turn may have leased it again.
            expected = expected.or(Expected::APPLIED);
        }
        if expected.may_be_good() {
            self.take(gateway, id, token, settlement, expected);
        }
        expected
    }

    /// What a settlement with this token must be answered; without one, what the token is good for.
    pub(super) fn expected(
        &self,
        gateway: u32,
        id: switchboard::model::GroupId,
        token: &Token,
        settlement: Option<&Settlement>,
    ) -> Expected {
        let live = self.live(gateway);
        let Some(group) = self.books.groups.get(&id) else { return Expected::UNKNOWN };
        if token.journal != self.journal || token.group != id {
            return Expected::UNKNOWN;
        }
        let at = token.sequence;
        let generation = group.generation(at);
        if token.generation < generation {
            return Expected::SUPERSEDED;
        }
        let pending = group.replays.contains_key(&at);
        if (token.generation > generation || group.is_settled(at)) && !pending {
            return Expected::ALREADY;
        }
        if token.generation > generation {
            return Expected::SUPERSEDED;
        }
        if at > self.books.tail || token.boot > live.boot {
            return Expected::UNKNOWN;
        }
        let newest = live.groups.get(&id).and_then(|out| out.newest.get(&at));
        match newest {
            None => self.expected_of_earlier(gateway, id, group, token),
            // One that is right but for its key names a delivery all the same.
            Some(newest) if newest.token == (Token { key: newest.token.key, ..*token }) => {
                let mut right = self.expected_of_newest(gateway, newest, settlement);
                if newest.state == State::Ended && self.may_be_given_up(gateway, group, at) {
                    right = right.or(Expected::ALREADY);
                }
                if newest.token == *token { right } else { right.or(Expected::REFUSED) }
            }
            Some(_) if !self.was_given(token) => Expected::REFUSED,
            Some(_) => Expected::SUPERSEDED,
        }
    }

    /// Of an update that was not handed out under this boot.
    fn expected_of_earlier(
        &self,
        gateway: u32,
        id: switchboard::model::GroupId,
        group: &books::Group,
        token: &Token,
    ) -> Expected {
        let (live, at) = (self.live(gateway), token.sequence);
        // It may be given up for its age, which is not durable yet.
        let expiring = if self.may_be_given_up(gateway, group, at) { Expected::ALREADY } else { Expected(0) };
        if token.boot == live.boot {
            return Expected::REFUSED;
        }
        let recorded = group.attempts.get(&at).copied().unwrap_or(0);
        let Some(stored) = self.books.stored.get(&at) else { return Expected::REFUSED };
        let newest = |other| live.groups.get(&id).is_some_and(|out| out.newest.contains_key(&other));
        let mut others = self.books.of_key(group.record.ordering, stored).filter(|other| *other != at);
        let blocked = others.any(|other| {
            newest(other) || other < at && self.concerns(group, other) && !group.replays.contains_key(&at)
        });
        let good = token.boot + 1 == live.boot && token.attempt > recorded && !blocked;
        match (good, self.was_given(token)) {
            (true, true) => Expected::LATE.or(expiring),
            // Nobody can tell a made-up token of the boot before from a true one, if it has the right key.
            (true, false) if self.key_hash(group, at) == Some(token.key) => {
                Expected::LATE.or(Expected::REFUSED)
            }
            (true, false) => Expected::REFUSED,
            (false, true) => Expected::SUPERSEDED.or(expiring),
            (false, false) => Expected::REFUSED,
        }
    }

    fn may_be_given_up(&self, gateway: u32, group: &books::Group, at: switchboard::model::Sequence) -> bool {
        self.facts(at).is_none_or(|(sent, head)| {
            let kind = if sent.kind == "x_event" { "unknown" } else { sent.kind };
            self.live(gateway).clock.unix.since(head.received) >= group.shortest_age(kind)
        })
    }

    fn expected_of_newest(&self, gateway: u32, newest: &Newest, settlement: Option<&Settlement>) -> Expected {
        let nacks = matches!(settlement, Some(Settlement::Nack { .. }));
        let late = match newest.nacked {
            Nacked::Yes if nacks => Expected::ALREADY,
            Nacked::Maybe if nacks => Expected::ALREADY.or(Expected::LATE),
            Nacked::No | Nacked::Maybe | Nacked::Yes => Expected::LATE,
        };
        match newest.state {
            State::Out { .. } if self.live(gateway).is_surely_out(newest) => Expected::APPLIED,
            State::Out { .. } => Expected::APPLIED.or(late),
            State::Ended if newest.may_be_buried => late.or(Expected::ALREADY),
            State::Ended => late,
            State::Settling => Expected::ALREADY,
            State::Unsure => Expected::APPLIED.or(Expected::LATE).or(Expected::ALREADY),
        }
    }

    /// What becomes of a delivery by a settlement that is taken, or may be.
    fn take(
        &mut self,
        gateway: u32,
        id: switchboard::model::GroupId,
        token: &Token,
        settlement: &Settlement,
        expected: Expected,
    ) {
        let Some(settings) = self.books.groups.get(&id).map(|group| group.ever.clone()) else { return };
        let live = self.live_mut(gateway);
        let (now, unix) = (live.clock.mono.0, live.clock.unix.0);
        let out = live.out(id);
        let at = token.sequence;
        let newest = out.newest.entry(at).or_insert_with(|| Newest::of(*token, now));
        let tally = out.tallies.entry(at).or_default();
        let before = (newest.state, newest.nacked, *tally);
        let was_ended = newest.state == State::Ended;
        let sure = !expected.allows(Expected::REFUSED);
        let settling = if sure { State::Settling } else { State::Unsure };
        match settlement {
            Settlement::Extend { duration_ms } => {
                let longest = settings.iter().map(|settings| settings.max_lease_ms).min().unwrap_or(0);
                let asked = duration_ms.unwrap_or(newest.lease_ms);
                let latest = newest.delivered + longest.max(newest.lease_ms);
                let early = if was_ended {
                    now + asked.clamp(1_000, longest.max(newest.lease_ms).max(1_000))
                } else {
                    (now + asked).min(latest)
                };
                let late = now + asked.max(newest.lease_ms).max(1_000);
                newest.state =
                    if sure { State::Out { certain: early, possible: late } } else { State::Unsure };
                if expected.allows(Expected::LATE) {
                    tally.leased_again(token.attempt);
                    newest.again = true;
                    newest.charged = false;
                }
                if was_ended {
                    newest.delivered = now;
                }
                newest.before = None;
                newest.end_recorded = false;
                return;
            }
            Settlement::Ack => {
                newest.state = settling;
                newest.acked = true;
            }
            Settlement::Reject { .. } => {
                newest.state = settling;
                newest.rejected = true;
                tally.note(token.attempt, Failed::Maybe, unix);
            }
            Settlement::Nack { outcome, delay_ms, .. } => {
                newest.state = if sure { State::Ended } else { State::Unsure };
                newest.nacked = Nacked::Yes;
                if *outcome == Outcome::Failed {
                    tally.note(token.attempt, if sure { Failed::Yes } else { Failed::Maybe }, unix);
                    let burial = tally.burial(&settings, unix);
                    newest.may_be_buried = burial > Failed::No;
                    newest.must_be_buried = burial == Failed::Yes && !was_ended;
                } else if !expected.allows(Expected::APPLIED) || !sure {
                    // What it was before, it stays.
                } else if expected.allows(Expected::LATE) {
                    tally.note(token.attempt, Failed::Maybe, unix);
                }
                let waits_ms = match delay_ms {
                    Some(delay) => (*delay).min(3_600_000),
                    None if *outcome == Outcome::Failed && sure => tally.least_backoff(&settings),
                    None => 0,
                };
                // A late nack without a delay lets the wait go on that there is.
                if !was_ended || delay_ms.is_some() {
                    newest.ended = now;
                    let clear =
                        sure && !(expected.allows(Expected::APPLIED) && expected.allows(Expected::LATE));
                    newest.waits_ms = if clear { waits_ms } else { 0 };
                }
            }
        }
        newest.before.get_or_insert(before);
    }

    /// A settlement was answered.
    pub fn p5_answers(
        &mut self,
        gateway: u32,
        name: &GroupName,
        token: &Token,
        settlement: &Settlement,
        expected: Expected,
        result: SettledResult,
    ) -> Kept {
        demand!(
            "P5",
            expected.allows(Expected::of(result)),
            "{settlement:?} of {token:?} was answered {result:?}, not {expected:?}"
        );
        let (applied, deadline) = match result {
            SettledResult::Applied { deadline } | SettledResult::AppliedLate { deadline } => (true, deadline),
            _ => (false, None),
        };
        let extends = matches!(settlement, Settlement::Extend { .. });
        demand!("P5", deadline.is_some() == (applied && extends), "{settlement:?} was answered {result:?}");
        let settles = matches!(settlement, Settlement::Ack | Settlement::Reject { .. });
        if applied && settles {
            self.p4_what_is_answered_is_durable(gateway, name, token)?;
        }
        Ok(())
    }

    /// A new delivery has the next number, and the end of the one before is durable.
    pub(super) fn p5_attempts_go_up(&self, gateway: u32, group: &books::Group, delivery: &Delivery) -> Kept {
        let (live, token) = (self.live(gateway), &delivery.token);
        let at = token.sequence;
        let recorded = group.attempts.get(&at).copied().unwrap_or(0);
        let before = live.groups.get(&group.record.id).and_then(|out| out.newest.get(&at));
        let Some(before) = before else {
            demand!("P5", token.attempt == recorded + 1, "{token:?} comes after attempt {recorded}");
            return Ok(());
        };
        let ended = matches!(before.state, State::Ended | State::Unsure) || !live.is_surely_out(before);
        demand!("P5", ended, "{token:?} is handed out while the delivery before is out: {before:?}");
        demand!("P5", before.state != State::Settling, "{token:?} is handed out while it is being settled");
        demand!("P5", token.attempt == before.token.attempt + 1, "{token:?} comes after {:?}", before.token);
        let durable = recorded >= before.token.attempt;
        demand!("P5", durable, "{token:?} is handed out, and the end of {:?} is not durable", before.token);
        let waited = live.clock.mono.0.saturating_sub(before.ended);
        demand!(
            "P9",
            waited >= before.waits_ms,
            "{token:?} comes after {waited} ms, not {}",
            before.waits_ms
        );
        let tally = live.groups.get(&group.record.id).and_then(|out| out.tallies.get(&at)).copied();
        let tally = tally.unwrap_or_default();
        let right = (tally.certain..=tally.possible).contains(&delivery.failures);
        demand!("P9", right, "{token:?} says {} failures, not {tally:?}", delivery.failures);
        Ok(())
    }
}
