//! Streams as their clients see them, and what every turn, commit and refusal does to what is out.

use std::collections::BTreeMap;

use switchboard::model::{Batch, ConsumerSettings, GroupId, GroupName, Now, SettledAs, Shard, Token};

use super::live::{Claim, Nacked, Newest, State, Stream};
use super::p5::Expected;
use super::shards::Shards;
use super::tally::Failed;
use super::{Checker, Wish};
use crate::violation::{Kept, demand};

/// A commit that takes longer means that the gateway stands still.
const BLOCKED_MS: u64 = 1_000;
/// The shortest lease.
const MIN_LEASE_MS: u64 = 1_000;

impl Checker {
    /// A gateway is about to turn. `gap_ms` have passed since it last looked around; `done` says whether the commit
    /// thread has answered.
    pub fn before_turn(&mut self, gateway: u32, clock: Now, gap_ms: u64, done: bool) {
        let live = self.live_mut(gateway);
        live.clock = clock;
        let (now, began) = (clock.mono.0, live.began);
        let blocked = done && began > 0 && now.saturating_sub(began) > BLOCKED_MS;
        let stalled = gap_ms > BLOCKED_MS;
        // Who stands still for so long surely prolongs leases, and by no more than that.
        let surely = if gap_ms > 2 * BLOCKED_MS { gap_ms - BLOCKED_MS } else { 0 };
        for out in live.groups.values_mut() {
            for newest in out.newest.values_mut() {
                let before = newest.before.as_mut().map(|(state, ..)| state);
                for state in std::iter::once(&mut newest.state).chain(before) {
                    let State::Out { certain, possible } = state else { continue };
                    if stalled {
                        *certain += surely;
                        *possible += gap_ms;
                    }
                    if blocked {
                        // What was left when it began is left now.
                        let left = certain.saturating_sub(began.max(newest.delivered));
                        *certain = (*certain).max(now + left);
                        *possible += now - began;
                    }
                }
            }
            for until in out.lost.values_mut() {
                *until += if stalled { gap_ms } else { 0 } + if blocked { now - began } else { 0 };
            }
        }
        if done {
            live.began = 0;
            if std::mem::take(&mut live.refused) {
                self.undo(gateway);
            }
        }
        for stream in self.live_mut(gateway).streams.values_mut() {
            stream.just_lost = Shards::default();
        }
        self.weigh_claims(gateway);
    }

    /// The commit that was on its way was refused for want of room.
    pub fn refuse(&mut self, gateway: u32) {
        let live = self.live_mut(gateway);
        // Without its updates it is tried again at once, and nobody is told yet.
        live.refused = live.batch.take().is_some_and(|batch| !batch.appends());
    }

    /// What handlers asked for is undone, since they are told that there was no room.
    fn undo(&mut self, gateway: u32) {
        let live = self.live_mut(gateway);
        let now = live.clock.mono.0;
        for out in live.groups.values_mut() {
            for (at, newest) in &mut out.newest {
                let Some((state, nacked, tally)) = newest.before.take() else { continue };
                newest.acked = false;
                newest.rejected = false;
                newest.may_be_buried |= newest.state == State::Ended && newest.may_be_buried;
                newest.must_be_buried = false;
                let current = out.tallies.entry(*at).or_default();
                match state {
                    State::Out { certain, possible } => {
                        let least = now + MIN_LEASE_MS;
                        newest.state =
                            State::Out { certain: certain.max(least), possible: possible.max(least) };
                        newest.nacked = nacked;
                        *current = tally;
                    }
                    _ => {
                        // A late nack is the gateway's own to keep; a late ack is not.
                        newest.state =
                            if newest.state == State::Settling { State::Unsure } else { newest.state };
                        newest.nacked = if nacked == newest.nacked { nacked } else { Nacked::Maybe };
                        current.unsure(&tally);
                    }
                }
            }
        }
    }

    /// What named tokens are good for, before anything else of this turn.
    fn weigh_claims(&mut self, gateway: u32) {
        if self.live(gateway).deposed {
            return;
        }
        let mut claims = std::mem::take(&mut self.live_mut(gateway).claims);
        let named: Vec<_> =
            claims.iter().flat_map(|claim| claim.named.iter().map(|token| token.sequence)).collect();
        for claim in &mut claims {
            claim.must.clear();
            claim.may.clear();
            let Some(id) = self.books.group(&claim.group) else { continue };
            for token in &claim.named {
                let expected = self.expected(gateway, id, token, None);
                let newest =
                    self.live(gateway).groups.get(&id).and_then(|out| out.newest.get(&token.sequence));
                let of_it = newest.is_none_or(|newest| newest.consumer == claim.consumer);
                let others = newest.is_some_and(|newest| self.live(gateway).is_there(newest));
                let contested = named.iter().filter(|at| **at == token.sequence).count() > 1;
                let late = expected == Expected::LATE;
                if contested || !expected.is_good() {
                    if expected.may_be_good() {
                        claim.may.push(*token);
                    }
                } else if late || of_it {
                    claim.must.push(*token);
                } else if !others {
                    claim.may.push(*token);
                }
            }
        }
        self.live_mut(gateway).claims = claims;
    }

    /// A gateway has heard all that it hears in this turn.
    pub fn heard_all(&mut self, gateway: u32) {
        for stream in self.live_mut(gateway).streams.values_mut() {
            stream.took_new = stream.takes_new;
        }
    }

    /// A gateway hears that somebody wants a stream.
    pub fn hear_subscription(&mut self, gateway: u32, group: GroupName, consumer: String, named: Vec<Token>) {
        let claim = Claim { group, consumer, named, must: Vec::new(), may: Vec::new() };
        self.live_mut(gateway).claims.push(claim);
        self.weigh_claims(gateway);
    }

    /// A subscription was refused.
    pub fn not_subscribed(&mut self, gateway: u32, consumer: &str) {
        let claims = &mut self.live_mut(gateway).claims;
        if let Some(at) = claims.iter().position(|claim| claim.consumer == consumer) {
            claims.remove(at);
        }
    }

    /// A stream was opened.
    pub fn subscribed(
        &mut self,
        gateway: u32,
        stream: u64,
        consumer: &str,
        group: &GroupName,
        settings: ConsumerSettings,
        held: &[Token],
    ) -> Kept {
        let live = self.live_mut(gateway);
        let claim = live.claims.iter().position(|claim| claim.consumer == consumer);
        let claim = claim.map(|at| live.claims.remove(at));
        let Some(id) = self.books.group(group) else { return Ok(()) };
        if let Some(claim) = claim.filter(|_| !self.live(gateway).deposed) {
            // Since it was heard, a handler may have settled some, or a lease may have run out.
            let good = |token: &Token| {
                let now = self.expected(gateway, id, token, None);
                (now.is_good(), now.may_be_good())
            };
            for token in held {
                let may = claim.must.contains(token) || claim.may.contains(token) || good(token).1;
                demand!("P5", may, "{consumer} gets {token:?} back, which is not its own");
            }
            for token in claim.must.iter().filter(|token| good(token).0) {
                let back = held.iter().any(|kept| kept.sequence == token.sequence);
                demand!("P5", back, "{consumer} does not get {token:?} back");
            }
        }
        self.lose_streams(gateway, id, consumer, held);
        let live = self.live_mut(gateway);
        let now = live.clock.mono.0;
        let out = live.out(id);
        out.lost.remove(consumer);
        for token in held {
            let newest = out.newest.entry(token.sequence).or_insert_with(|| Newest::of(*token, now));
            let leased = State::Out { certain: now + settings.lease_ms, possible: now + settings.lease_ms };
            match newest.state {
                State::Out { .. } | State::Ended => newest.state = leased,
                // Its handler has settled it since.
                State::Settling | State::Unsure => {
                    newest.before = newest.before.map(|(_, nacked, tally)| (leased, nacked, tally));
                }
            }
            newest.consumer = consumer.to_owned();
            newest.stream = stream;
            newest.lease_ms = settings.lease_ms;
            newest.delivered = now;
            newest.charged = false;
            newest.end_recorded = false;
            newest.may_be_buried = false;
            newest.must_be_buried = false;
            newest.again = true;
            out.tallies.entry(token.sequence).or_default().leased_again(token.attempt);
        }
        let stream_of = Stream {
            group: id,
            consumer: consumer.to_owned(),
            settings,
            open: true,
            takes_new: true,
            took_new: true,
            shards: Default::default(),
            just_lost: Default::default(),
            expiries: 0,
        };
        live.streams.insert(stream, stream_of);
        Ok(())
    }

    /// A consumer's streams are over: what it had is lost, but for what is held on a new one.
    fn lose_streams(&mut self, gateway: u32, id: GroupId, consumer: &str, held: &[Token]) {
        let live = self.live_mut(gateway);
        let unix = live.clock.unix.0;
        for stream in
            live.streams.values_mut().filter(|stream| stream.group == id && stream.consumer == consumer)
        {
            stream.takes_new = false;
        }
        let out = live.out(id);
        let mut count = 0;
        for newest in out.newest.values().filter(|newest| newest.consumer == consumer) {
            count += usize::from(matches!(newest.state, State::Out { .. } | State::Unsure));
        }
        for (at, newest) in out.newest.iter_mut().filter(|(_, newest)| newest.consumer == consumer) {
            if held.iter().any(|token| token.sequence == *at) {
                continue;
            }
            newest.charged = false;
            if matches!(newest.state, State::Out { .. } | State::Unsure) {
                if count <= 1 || newest.state == State::Unsure {
                    out.tallies.entry(*at).or_default().note(newest.token.attempt, Failed::Maybe, unix);
                    newest.may_be_buried = true;
                }
                newest.state = State::Unsure;
            }
        }
    }

    /// A gateway hears that a stream is gone.
    pub fn hear_closed(&mut self, gateway: u32, stream: u64) {
        let grace = |group: Option<&super::books::Group>| {
            group.map_or(0, |group| {
                group.ever.iter().map(|settings| settings.member_grace_ms).max().unwrap_or(0)
            })
        };
        let group = self.live(gateway).streams.get(&stream).map(|stream| stream.group);
        let grace = grace(group.and_then(|group| self.books.groups.get(&group)));
        let live = self.live_mut(gateway);
        let (now, unix) = (live.clock.mono.0, live.clock.unix.0);
        let Some(closed) = live.streams.get_mut(&stream) else { return };
        let announced = !closed.takes_new;
        let was_open = std::mem::replace(&mut closed.open, false);
        closed.takes_new = false;
        closed.just_lost = closed.just_lost.or(std::mem::take(&mut closed.shards));
        let (id, consumer) = (closed.group, closed.consumer.clone());
        if !was_open || live.stream_of(id, &consumer).is_some() {
            return;
        }
        let out = live.out(id);
        out.lost.insert(consumer.clone(), now + grace);
        let of_it = |newest: &Newest| {
            newest.consumer == consumer && matches!(newest.state, State::Out { .. } | State::Unsure)
        };
        let count = out.newest.values().filter(|newest| of_it(newest)).count();
        for (at, newest) in &mut out.newest {
            if of_it(newest) && !announced && count == 1 {
                out.tallies.entry(*at).or_default().note(newest.token.attempt, Failed::Maybe, unix);
                newest.may_be_buried = true;
            }
        }
    }

    /// A stream gets nothing new from now on.
    pub fn hear_drain(&mut self, gateway: u32, stream: u64) {
        if let Some(stream) = self.live_mut(gateway).streams.get_mut(&stream) {
            stream.takes_new = false;
        }
    }

    pub fn hear_leave(&mut self, gateway: u32, group: &GroupName, consumer: &str) {
        let Some(id) = self.books.group(group) else { return };
        for stream in self.live_mut(gateway).streams.values_mut() {
            if stream.group == id && stream.consumer == consumer {
                stream.takes_new = false;
            }
        }
    }

    pub fn hear_shutdown(&mut self, gateway: u32) {
        let live = self.live_mut(gateway);
        live.stopping = true;
        for stream in live.streams.values_mut() {
            stream.takes_new = false;
        }
    }

    pub fn hear_wish(&mut self, gateway: u32, wish: Wish) {
        self.live_mut(gateway).wishes.push(wish);
    }

    /// A stream's shards have changed.
    pub fn assigned(&mut self, gateway: u32, stream: u64, gained: &[Shard], lost: &[Shard]) {
        let Some(own) = self.live_mut(gateway).streams.get_mut(&stream) else { return };
        for shard in lost {
            own.shards.remove(*shard);
            own.just_lost.insert(*shard);
        }
        for shard in gained {
            own.shards.insert(*shard);
        }
    }

    /// All streams were told of their shards: nobody has one that another has.
    pub fn p3_shards_have_one_owner(&self, gateway: u32) -> Kept {
        let live = self.live(gateway);
        let mut owned: BTreeMap<GroupId, Shards> = BTreeMap::new();
        for (id, stream) in live.streams.iter().filter(|(_, stream)| stream.open) {
            let others = owned.entry(stream.group).or_default();
            let both = others.and(stream.shards).len();
            demand!("P3", both == 0, "stream {id} has {both} shards that another has");
            *others = others.or(stream.shards);
        }
        Ok(())
    }

    /// A stream was told that deliveries are no longer its own.
    pub fn lease_lost(&mut self, gateway: u32, stream: u64, tokens: &[Token]) -> Kept {
        let live = self.live_mut(gateway);
        if live.deposed {
            return Ok(());
        }
        let (now, unix) = (live.clock.mono.0, live.clock.unix.0);
        let Some(own) = live.streams.get_mut(&stream) else { return Ok(()) };
        let id = own.group;
        let settings = self.books.groups.get(&id).map(|group| group.ever.clone()).unwrap_or_default();
        let live = self.live_mut(gateway);
        for token in tokens {
            let Some(newest) = live.groups.get(&id).and_then(|out| out.newest.get(&token.sequence)) else {
                continue;
            };
            if newest.token != *token || !matches!(newest.state, State::Out { .. } | State::Unsure) {
                continue;
            }
            let early = live.is_surely_out(newest);
            demand!("P9", !early, "the lease of {newest:?} ends at {now}, before its time");
            let was_sure = matches!(newest.state, State::Out { .. }) && live.is_there(newest);
            let out = live.out(id);
            let tally = out.tallies.entry(token.sequence).or_default();
            tally.note(token.attempt, if was_sure { Failed::Yes } else { Failed::Maybe }, unix);
            let burial = tally.burial(&settings, unix);
            let waits_ms = if was_sure { tally.least_backoff(&settings) } else { 0 };
            let Some(newest) = out.newest.get_mut(&token.sequence) else { continue };
            newest.state = State::Ended;
            newest.ended = now;
            newest.waits_ms = waits_ms;
            newest.before = None;
            newest.may_be_buried = burial > Failed::No;
            newest.must_be_buried = burial == Failed::Yes;
            if let Some(own) = live.streams.get_mut(&stream) {
                own.expiries += 1;
            }
        }
        Ok(())
    }

    /// A gateway has ended a stream.
    pub fn stream_ended(&mut self, gateway: u32, stream: u64) {
        self.hear_closed(gateway, stream);
    }

    /// What a batch that is on its way says has been decided.
    pub(super) fn decided(&mut self, gateway: u32, batch: &Batch) {
        let live = self.live_mut(gateway);
        let now = live.clock.mono.0;
        for (id, at, _) in &batch.attempts {
            let Some(newest) = live.out(*id).newest.get_mut(at) else { continue };
            match newest.state {
                State::Out { .. } if newest.again => continue,
                State::Out { .. } | State::Unsure => {
                    newest.state = if newest.again { State::Unsure } else { State::Ended };
                    newest.ended = newest.ended.min(now);
                    newest.waits_ms = 0;
                }
                State::Ended | State::Settling => {}
            }
            newest.may_be_buried = false;
        }
        for (id, at, _) in &batch.settled {
            if let Some(newest) = live.out(*id).newest.get_mut(at) {
                newest.state = State::Settling;
            }
        }
    }

    /// A batch is durable.
    pub(super) fn settled(&mut self, gateway: u32, batch: &Batch) {
        let names: Vec<_> = batch
            .settled
            .iter()
            .filter_map(|(id, _, how)| {
                Some((self.books.groups.get(id)?.record.name.to_string(), label(*how)))
            })
            .collect();
        let live = self.live_mut(gateway);
        for name in names {
            *live.settled.entry(name).or_default() += 1;
        }
        for (id, _) in &batch.sought {
            let out = live.out(*id);
            out.newest.clear();
            out.tallies.clear();
        }
        for id in &batch.deleted_groups {
            live.groups.remove(id);
            for stream in live.streams.values_mut().filter(|stream| stream.group == *id) {
                stream.open = false;
            }
        }
        for (id, at, record) in &batch.attempts {
            let Some(newest) = live.out(*id).newest.get_mut(at) else { continue };
            if newest.token.attempt == record.attempt && newest.state == State::Ended {
                newest.end_recorded = true;
                newest.charged = false;
                newest.before = None;
            }
        }
        let done = batch.settled.iter().map(|(id, at, _)| (*id, *at));
        let purged: Vec<_> = live.groups.keys().copied().collect();
        let purged = purged.into_iter().flat_map(|id| batch.purged.iter().map(move |at| (id, *at)));
        for (id, at) in done.chain(purged) {
            let out = live.out(id);
            out.newest.remove(&at);
            out.tallies.remove(&at);
        }
        let durable: Vec<_> = batch
            .attempts
            .iter()
            .filter_map(|(id, at, _)| Some((*id, *at, *live.groups.get(id)?.tallies.get(at)?)))
            .collect();
        for (id, at, tally) in durable {
            if let Some(group) =
                self.books.groups.get_mut(&id).filter(|group| group.attempts.contains_key(&at))
            {
                group.tallies.insert(at, tally);
            }
        }
    }
}

fn label(how: SettledAs) -> &'static str {
    match how {
        SettledAs::Acked => "acked",
        SettledAs::Rejected => "rejected",
        SettledAs::DeadLettered => "dead_lettered",
        SettledAs::Expired => "expired",
        SettledAs::Purged => "purged",
    }
}
