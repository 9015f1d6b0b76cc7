//! Updates that get too old: those that nobody settled for as long as the group waits at most, and those whose kind is
//! worthless after a while, which is found out when they would be handed out.

use super::command::Change;
use super::group::Group;
use super::outstanding::{Phase, Undo};
use super::pump::Next;
use crate::model::{Head, KeyHash, Now, Sequence, SettledAs, UnixMillis};
use crate::update::KindCode;

impl Group {
    /// Gives up an update for its age, unless it is settled or out: then its lease decides first. Whether it did.
    pub(super) fn expire(&mut self, now: Now, head: &Head) -> bool {
        if !self.concerns(head) {
            return false;
        }
        let sequence = head.sequence;
        if self.outstanding.held.contains_key(&sequence) {
            return self.expire_held(now, sequence);
        }
        self.expire_undelivered(now, sequence, self.record.ordering.key_of(head))
    }

    /// Whether an update's kind is worthless by now.
    fn is_too_old(&self, now: Now, kind: KindCode, received: UnixMillis) -> bool {
        self.record.expires_at(kind, received).is_some_and(|at| at <= now.unix)
    }

    /// Expires what would be handed out next of a key, if it is too old; whether it was. With a fresh one go those
    /// behind it that are too old, too: they need not wait for a commit each.
    pub(super) fn expire_next(&mut self, now: Now, hash: KeyHash, next: &Next) -> bool {
        if !next.born.is_some_and(|(kind, received)| self.is_too_old(now, kind, received)) {
            return false;
        }
        if !next.fresh {
            return self.expire_held(now, next.sequence);
        }
        let Some(key) = self.keys.get(hash) else { return false };
        let is_old = |queued: &&super::keys::Queued| self.is_too_old(now, queued.kind, queued.received);
        let old: Vec<_> = key.queue.iter().take_while(is_old).map(|queued| queued.sequence).collect();
        for sequence in old {
            self.expire_undelivered(now, sequence, hash);
        }
        true
    }

    fn expire_held(&mut self, now: Now, sequence: Sequence) -> bool {
        let Some(held) = self.outstanding.held.get(&sequence) else { return false };
        let idle = matches!(held.phase, Phase::Waiting | Phase::Backoff { .. });
        if idle {
            self.outstanding.enter(sequence, Phase::Settling { how: SettledAs::Expired, undo: Undo::Again });
            self.emit_expired(now, sequence);
        }
        idle
    }

    /// An update that was not delivered under this boot. It keeps its place until that is durable, so that nothing
    /// overtakes it should it come back after a crash.
    fn expire_undelivered(&mut self, now: Now, sequence: Sequence, hash: KeyHash) -> bool {
        if self.expiring.insert(sequence, hash).is_some() {
            return false;
        }
        self.recovered.remove(&sequence);
        self.emit_expired(now, sequence);
        true
    }

    fn emit_expired(&mut self, now: Now, sequence: Sequence) {
        let change = Change::Settled { how: SettledAs::Expired, dead: None };
        let event = self.settled_event(now, SettledAs::Expired);
        self.emit_record(sequence, change, Some(event));
    }

    /// It is durable that an update which was never delivered has expired.
    pub(super) fn expired(&mut self, hash: KeyHash, sequence: Sequence) {
        if self.unqueue(hash, sequence) {
            self.list(hash);
            self.keys.close_if_gone(hash);
            // Its owner may have had no credit for this one, and has for the next.
            self.pump_owner(hash);
        }
    }

    /// Takes an update out of its key's queue, if it is there.
    pub(super) fn unqueue(&mut self, hash: KeyHash, sequence: Sequence) -> bool {
        let Some(key) = self.keys.get_mut(hash) else { return false };
        let Some(at) = key.queue.iter().position(|queued| queued.sequence == sequence) else { return false };
        key.queue.remove(at);
        self.unload(hash, sequence);
        true
    }
}
