//! P3: within a group at most one update of a key is out, and the next one follows only when it is settled.

use switchboard::model::{Delivery, GroupId, KeyHash, Sequence};

use super::live::{Newest, State, Stream};
use super::tally::Failed;
use super::{Checker, books};
use crate::violation::{Kept, demand};

impl Checker {
    /// A gateway hands an update out.
    pub fn delivered(&mut self, gateway: u32, stream_id: u64, delivery: &Delivery) -> Kept {
        self.p10_what_is_delivered_is_what_was_sent(delivery)?;
        self.given.insert(delivery.token.encode());
        if self.live(gateway).deposed {
            return Ok(());
        }
        let Some(stream) = self.live(gateway).streams.get(&stream_id).cloned() else {
            demand!("P5", false, "stream {stream_id} was never opened and gets {delivery:?}");
            return Ok(());
        };
        let Some(group) = self.books.groups.get(&stream.group) else { return Ok(()) };
        self.is_deliverable(gateway, group, &stream, delivery)?;
        self.p3_one_at_a_time(gateway, stream.group, group, delivery)?;
        self.p4_settled_stays_settled(group, delivery)?;
        self.p5_attempts_go_up(gateway, group, delivery)?;
        self.p6_credit_bounds(gateway, &stream, delivery)?;
        self.note_delivery(gateway, stream_id, &stream, delivery);
        Ok(())
    }

    /// Whether the stream may get it at all.
    fn is_deliverable(
        &self,
        gateway: u32,
        group: &books::Group,
        stream: &Stream,
        delivery: &Delivery,
    ) -> Kept {
        let (live, at) = (self.live(gateway), delivery.sequence());
        let token = &delivery.token;
        demand!("P5", stream.took_new, "{} gets {at:?} on a stream that ends", stream.consumer);
        demand!("P2", group.record.paused.is_none(), "{at:?} is delivered to a paused group");
        let matches = self.facts(at).is_some_and(|(sent, head)| group.matches(sent, head));
        let replayed = group.replays.contains_key(&at);
        demand!("P2", matches || replayed, "{at:?} is none of the business of {}", group.record.name);
        let named = (token.journal, token.group, token.boot, token.generation);
        let right = (self.journal, stream.group, live.boot, group.generation(at));
        demand!("P5", named == right, "{token:?} should be of {right:?}");
        let key = self.key_hash(group, at);
        demand!("P3", Some(token.key) == key, "{token:?} has the key of another");
        let shard = delivery.shard;
        let owns = stream.shards.or(stream.just_lost).contains(shard);
        demand!("P3", owns, "{} gets {at:?} of {shard:?}, which is not its own", stream.consumer);
        demand!("P3", delivery.shard == token.key.shard(), "{at:?} is of shard {:?}", token.key.shard());
        demand!(
            "P5",
            delivery.lease_ms == stream.settings.lease_ms,
            "{at:?} has a lease of {}",
            delivery.lease_ms
        );
        let deadline = live.clock.unix.plus(delivery.lease_ms);
        demand!("P5", delivery.deadline == deadline, "{at:?} has the deadline {:?}", delivery.deadline);
        Ok(())
    }

    pub(super) fn key_hash(&self, group: &books::Group, at: Sequence) -> Option<KeyHash> {
        use switchboard::model::Ordering;
        let (sent, _) = self.facts(at)?;
        Some(match group.record.ordering {
            Ordering::Chat => KeyHash::of(&sent.key()),
            Ordering::User => KeyHash::of(&sent.user_key()),
            Ordering::Topic => KeyHash::of(&sent.topic_key()),
            Ordering::None => KeyHash::of_sequence(at),
        })
    }

    /// Nothing else of the key is out, and nothing of it that comes before is unsettled.
    fn p3_one_at_a_time(&self, gateway: u32, id: GroupId, group: &books::Group, delivery: &Delivery) -> Kept {
        let at = delivery.sequence();
        let ordering = group.record.ordering;
        let Some(stored) = self.books.stored.get(&at) else { return Ok(()) };
        let out = self.live(gateway).groups.get(&id);
        let holds = |other: Sequence| out.and_then(|out| out.newest.get(&other));
        for other in self.books.of_key(ordering, stored).filter(|other| *other != at) {
            if let Some(newest) = holds(other) {
                demand!("P3", false, "{id:?}: {at:?} is out beside {other:?} of its key: {newest:?}");
            }
            let replayed = group.replays.contains_key(&other);
            let here_first = holds(at).is_some() || group.attempts.contains_key(&at);
            if group.replays.contains_key(&at) {
                let earlier = replayed && other < at && !here_first;
                demand!("P3", !earlier, "{id:?}: the replay {at:?} overtakes {other:?}");
            } else {
                demand!("P3", !replayed || here_first, "{id:?}: {at:?} goes before the replay {other:?}");
                let earlier = other < at && self.concerns(group, other);
                demand!("P3", !earlier, "{id:?}: {at:?} overtakes {other:?}, which is not settled");
            }
        }
        Ok(())
    }

    fn note_delivery(&mut self, gateway: u32, stream_id: u64, stream: &Stream, delivery: &Delivery) {
        let at = delivery.sequence();
        let size = self.facts(at).map_or(0, |(_, head)| u64::from(head.size));
        let live = self.live_mut(gateway);
        let (now, unix) = (live.clock.mono.0, live.clock.unix.0);
        let deadline = now + delivery.lease_ms;
        let newest = Newest {
            consumer: stream.consumer.clone(),
            stream: stream_id,
            state: State::Out { certain: deadline, possible: deadline },
            lease_ms: delivery.lease_ms,
            size,
            charged: true,
            ..Newest::of(delivery.token, now)
        };
        let out = live.out(stream.group);
        out.newest.insert(at, newest);
        if !stream.takes_new {
            // The stream has ended in this very turn, after that.
            out.tallies.entry(at).or_default().note(delivery.token.attempt, Failed::Maybe, unix);
        }
    }
}
