//! P10: handlers get an update's JSON exactly as Telegram sent it, from `{` to the matching `}`.

use bytes::Bytes;
use prost::Message;
use switchboard::grpc::proto::client::Update;
use switchboard::model::{Batch, Delivery, KeyHash, Payload};

use super::Checker;
use crate::violation::{Kept, Violation, demand};

/// The JSON in a stored payload.
pub fn json(payload: &Payload) -> Result<Bytes, Violation> {
    let update = decode(payload)?;
    Ok(update.json.into())
}

fn decode(payload: &Payload) -> Result<Update, Violation> {
    Update::decode(payload.update.clone())
        .map_err(|error| Violation::of("P10", format!("a payload is no update: {error}")))
}

impl Checker {
    pub(super) fn p10_what_is_stored_is_what_was_sent(&self, gateway: u32, batch: &Batch) -> Kept {
        let mut last = self.books.stored.values().next_back().map_or(0, |stored| stored.head.received.0);
        let mut tail = self.books.tail;
        for update in &batch.updates {
            let (head, payload) = (&update.head, &update.payload);
            let decoded = decode(payload)?;
            let json: Bytes = decoded.json.clone().into();
            let sent = self.by_json.get(&json).map(|sent| &self.sent[*sent]);
            let Some(sent) = sent else {
                return Err(Violation::of("P10", format!("stored, but never sent: {}", decoded.json)));
            };
            let fields = (decoded.update_id, decoded.chat_id, decoded.user_id, decoded.thread_id);
            demand!(
                "P10",
                fields == (sent.id, sent.chat, sent.user, sent.thread),
                "{head:?} is not {sent:?}"
            );
            demand!("P10", decoded.kind == sent.kind, "{head:?} is a {}", sent.kind);
            let keys = [&sent.key(), &sent.user_key(), &sent.topic_key()].map(|text| KeyHash::of(text));
            demand!("P3", [head.key, head.user, head.topic] == keys, "{head:?} has other keys than {sent:?}");
            demand!("P3", *payload.key == *sent.key(), "{head:?} is not of {}", sent.key());
            demand!("P10", head.size as usize == sent.json.len(), "{head:?} has {} bytes", sent.json.len());
            demand!("P10", head.label.as_str() == sent.label, "{head:?} has the label {}", sent.label);
            demand!("P10", head.update_id == sent.id, "{head:?} is update {}", sent.id);
            let claimed = self.books.groups.values().any(|group| group.claims(sent));
            demand!("P2", head.claimed == claimed, "{head:?}: whether it is claimed should be {claimed}");
            demand!("P2", head.sequence > tail, "{head:?} comes after {tail:?}");
            demand!("P2", head.received.0 >= last, "{head:?} goes back in time");
            demand!("P2", head.committed <= self.live(gateway).clock.unix.max(head.received), "{head:?}");
            (tail, last) = (head.sequence, head.received.0);
        }
        let ids = || batch.updates.iter().map(|update| update.head.update_id);
        demand!("P3", ids().is_sorted(), "what came together is not sorted: {:?}", ids().collect::<Vec<_>>());
        Ok(())
    }

    pub(super) fn p10_what_is_delivered_is_what_was_sent(&self, delivery: &Delivery) -> Kept {
        let at = delivery.sequence();
        let Some((sent, _)) = self.facts(at) else {
            return Err(Violation::of("P1", format!("{at:?} is delivered and not in the journal")));
        };
        demand!("P10", json(&delivery.payload)? == sent.json, "{at:?} is delivered as another");
        Ok(())
    }
}
