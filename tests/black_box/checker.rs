//! What a group was promised, checked at every delivery and every answer (P2, P3, P4, P8, P10).

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, MutexGuard};

use switchboard::grpc::proto::client::{Delivery, SettleCode, Update};
use tokio::sync::watch;

use crate::PATIENCE;
use crate::gateway::Mode;

/// Reports are not longer than this.
const MAX_VIOLATIONS: usize = 20;

/// One group, as all its consumers together see it.
pub struct Group {
    pub name: &'static str,
    mode: Mode,
    /// Key and JSON by update id, where they are known beforehand.
    expected: HashMap<i64, (String, String)>,
    state: Mutex<State>,
    /// How many updates are settled for certain.
    settled: watch::Sender<usize>,
}

#[derive(Default)]
struct State {
    /// By sequence.
    updates: HashMap<i64, Seen>,
    /// Sequences by update id.
    sequences: HashMap<i64, i64>,
    keys: HashMap<String, Newest>,
    counts: Counts,
    violations: Vec<String>,
}

/// What consumers have seen.
#[derive(Clone, Debug, Default)]
pub struct Counts {
    pub redeliveries: usize,
    /// Read from a stream of a gateway that was killed, after a newer delivery of the same update.
    pub stale: usize,
    /// Unfinished deliveries that a consumer named when it came back, and how many of them were its own again.
    pub named: usize,
    pub kept: usize,
    /// First deliveries by consumer.
    pub by_consumer: BTreeMap<String, usize>,
    /// Answers to acks.
    pub answers: BTreeMap<String, usize>,
}

struct Seen {
    update_id: i64,
    key: String,
    /// The newest delivery: the gateway's start it is of, and its attempt.
    newest: (u64, i32),
    progress: Progress,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Progress {
    Delivered,
    /// It may be settled: the answer is not known yet.
    AckSent,
    Settled,
}

/// The update of a key that was delivered last of all for the first time.
struct Newest {
    sequence: i64,
    update_id: i64,
    /// The newest update of the kinds that Telegram sends one after another in any mode.
    message_id: i64,
}

impl Group {
    pub fn new(name: &'static str, mode: Mode) -> Self {
        Self::expecting(name, mode, HashMap::new())
    }

    /// Every update must have this key and this JSON.
    pub fn expecting(name: &'static str, mode: Mode, expected: HashMap<i64, (String, String)>) -> Self {
        Self { name, mode, expected, state: Mutex::default(), settled: watch::Sender::new(0) }
    }

    /// A delivery has come from the gateway's start number `boot`. False for one that is stale: then it is another
    /// consumer's by now.
    pub fn delivered(&self, consumer: &str, boot: u64, delivery: &Delivery) -> bool {
        let mut state = self.state();
        let update = delivery.update.as_ref().expect("a delivery has an update");
        let newest = (boot, delivery.attempt);
        match state.updates.get_mut(&delivery.sequence) {
            None => {
                self.first(&mut state, delivery, update);
                *state.counts.by_consumer.entry(consumer.to_owned()).or_default() += 1;
                let key = delivery.ordering_key.clone();
                let seen = Seen { update_id: update.update_id, key, newest, progress: Progress::Delivered };
                state.updates.insert(delivery.sequence, seen);
            }
            Some(seen) if newest < seen.newest => {
                state.counts.stale += 1;
                return false;
            }
            Some(seen) => {
                let earlier = std::mem::replace(&mut seen.newest, newest);
                let was = std::mem::replace(&mut seen.progress, Progress::Delivered);
                let (is, key) = (update.update_id, seen.key.clone());
                let same = seen.update_id == is && key == delivery.ordering_key;
                let last = state.keys[&key].sequence;
                state.counts.redeliveries += 1;
                state.check(same, || format!("sequence {} became update {is}", delivery.sequence));
                state.check(newest != earlier, || format!("update {is}: {newest:?} came twice"));
                state.check(was != Progress::Settled, || format!("update {is} came back after its ack"));
                state.check(last == delivery.sequence, || {
                    format!("update {is} of {key} came back after a later one had been delivered")
                });
            }
        }
        true
    }

    fn first(&self, state: &mut State, delivery: &Delivery, update: &Update) {
        let (id, key) = (update.update_id, &delivery.ordering_key);
        if let Some(other) = state.sequences.insert(id, delivery.sequence) {
            state.violate(format!("update {id} is both sequence {other} and {}", delivery.sequence));
        }
        if !self.expected.is_empty() {
            let expected = self.expected.get(&id);
            let same = expected.is_some_and(|(is, json)| is == key && *json == update.json);
            state.check(same, || format!("update {id} of {key} is not {expected:?}: {}", update.json));
        }
        let is_message = matches!(&*update.kind, "message" | "edited_message");
        let mut message_id = if is_message { id } else { i64::MIN };
        if let Some(before) = state.keys.get(key) {
            let (sequence, before_id, before_message) =
                (before.sequence, before.update_id, before.message_id);
            let progress = state.updates[&sequence].progress;
            state.check(progress != Progress::Delivered, || {
                format!("update {id} of {key} came while {before_id} was neither settled nor being settled")
            });
            // Through a webhook an update can overtake one of another kind at Telegram already.
            let in_order = delivery.sequence > sequence
                && (self.mode == Mode::Webhook || id > before_id)
                && (!is_message || id > before_message);
            state.check(in_order, || format!("update {id} of {key} came after {before_id}"));
            message_id = message_id.max(before_message);
        }
        state.keys.insert(key.clone(), Newest { sequence: delivery.sequence, update_id: id, message_id });
    }

    /// An ack of this update is about to be sent.
    pub fn acking(&self, sequence: i64) {
        let mut state = self.state();
        let seen = state.updates.get_mut(&sequence).expect("only what was delivered is acked");
        if seen.progress == Progress::Delivered {
            seen.progress = Progress::AckSent;
        }
    }

    /// An ack of this update was answered.
    pub fn answered(&self, sequence: i64, code: SettleCode) {
        let mut state = self.state();
        *state.counts.answers.entry(format!("{code:?}")).or_default() += 1;
        let seen = state.updates.get_mut(&sequence).expect("only what was delivered is acked");
        match code {
            SettleCode::Applied | SettleCode::AppliedLate | SettleCode::AlreadySettled => {
                let was = std::mem::replace(&mut seen.progress, Progress::Settled);
                drop(state);
                if was != Progress::Settled {
                    self.settled.send_modify(|settled| *settled += 1);
                }
            }
            // Then a newer delivery is under way, and to be settled in its turn.
            SettleCode::Superseded => {}
            _ => state.violate(format!("the ack of sequence {sequence} was answered {code:?}")),
        }
    }

    /// A consumer came back with so many deliveries in hand, and got so many of them again.
    pub fn came_back(&self, named: usize, kept: usize) {
        let mut state = self.state();
        state.counts.named += named;
        state.counts.kept += kept;
    }

    /// Something that must not happen has happened.
    pub fn violate(&self, what: String) {
        self.state().violate(what);
    }

    /// Waits until so many updates are settled. It may take long, but not stand still.
    pub async fn settles(&self, count: usize) {
        let mut settled = self.settled.subscribe();
        while *settled.borrow_and_update() < count {
            let moved = tokio::time::timeout(PATIENCE, settled.changed()).await;
            assert!(moved.is_ok(), "stuck before {count}: {}", self.report());
        }
    }

    /// Everything that must hold at the end: each of these updates is settled, and nothing went wrong on the way.
    pub fn verify(&self, update_ids: &[i64]) -> Counts {
        self.check_complete(update_ids);
        let state = self.state();
        assert!(state.violations.is_empty(), "{}: {:#?}", self.name, state.violations);
        state.counts.clone()
    }

    fn check_complete(&self, update_ids: &[i64]) {
        let mut state = self.state();
        for id in update_ids {
            let progress = state.sequences.get(id).map(|sequence| state.updates[sequence].progress);
            let is_settled = progress == Some(Progress::Settled);
            state.check(is_settled, || format!("update {id} is missing: {progress:?}"));
        }
    }

    pub fn report(&self) -> String {
        let state = self.state();
        let settled = state.updates.values().filter(|seen| seen.progress == Progress::Settled).count();
        let violations = &state.violations;
        format!("{}: {settled} settled, {:?}, violations: {violations:#?}", self.name, state.counts)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }
}

impl State {
    fn check(&mut self, holds: bool, otherwise: impl FnOnce() -> String) {
        if !holds {
            self.violate(otherwise());
        }
    }

    fn violate(&mut self, what: String) {
        if self.violations.len() < MAX_VIOLATIONS {
            self.violations.push(what);
        }
    }
}

/// The checker is only worth something if it sees what must not happen.
mod tests {
    use super::*;

    fn delivery(id: i64, attempt: i32) -> Delivery {
        let update = Update { update_id: id, kind: "message".to_owned(), ..Update::default() };
        let ordering_key = "chat:1".to_owned();
        Delivery { sequence: id, attempt, ordering_key, update: Some(update), ..Delivery::default() }
    }

    /// A delivery as (gateway's start, update, attempt), and how its ack is answered, if it is.
    type Step = ((u64, i64, i32), Option<SettleCode>);

    fn seen(steps: &[Step]) -> Vec<String> {
        let group = Group::new("orders", Mode::Polling);
        for &((boot, id, attempt), answer) in steps {
            if group.delivered("one", boot, &delivery(id, attempt)) {
                group.acking(id);
                answer.into_iter().for_each(|code| group.answered(id, code));
            }
        }
        std::mem::take(&mut group.state().violations)
    }

    const APPLIED: Option<SettleCode> = Some(SettleCode::Applied);

    #[test]
    fn the_checker_takes_what_is_promised() {
        assert_eq!(seen(&[((1, 1, 1), APPLIED), ((1, 2, 1), None), ((1, 3, 1), APPLIED)]), [""; 0]);
        // The gateway was killed between an ack and its answer.
        assert_eq!(seen(&[((1, 1, 1), None), ((2, 1, 1), APPLIED), ((1, 1, 1), None)]), [""; 0]);
    }

    #[test]
    fn the_checker_sees_what_breaks_a_promise() {
        let after_ack = seen(&[((1, 1, 1), APPLIED), ((2, 1, 2), None)]);
        assert!(after_ack.concat().contains("after its ack"), "{after_ack:?}");
        let reordered = seen(&[((1, 2, 1), APPLIED), ((1, 1, 1), None)]);
        assert!(reordered.concat().contains("came after 2"), "{reordered:?}");
        let overtaken = seen(&[((1, 1, 1), None), ((1, 2, 1), None), ((2, 1, 2), None)]);
        assert!(overtaken.concat().contains("after a later one"), "{overtaken:?}");
        let twice = seen(&[((1, 1, 1), None), ((1, 1, 1), None)]);
        assert!(twice.concat().contains("came twice"), "{twice:?}");

        let group = Group::new("orders", Mode::Polling);
        group.delivered("one", 1, &delivery(1, 1));
        group.delivered("two", 1, &delivery(2, 1));
        let both = std::mem::take(&mut group.state().violations);
        assert!(both.concat().contains("neither settled nor being settled"), "{both:?}");
        group.delivered("one", 1, &Delivery { sequence: 9, ..delivery(1, 1) });
        let stored_twice = std::mem::take(&mut group.state().violations);
        assert!(stored_twice.concat().contains("both sequence 1 and 9"), "{stored_twice:?}");
        group.check_complete(&[1, 3]);
        let missing = std::mem::take(&mut group.state().violations).concat();
        assert!(missing.contains("1 is missing: Some(Delivered)"), "{missing}");
        assert!(missing.contains("3 is missing: None"), "{missing}");
    }
}
