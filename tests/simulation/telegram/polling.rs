//! getUpdates.

use bytes::Bytes;

use super::{Event, Telegram};

/// A getUpdates request.
#[derive(Clone, Debug)]
pub struct Ask {
    /// Who asks, and which of its requests this is.
    pub gateway: u32,
    pub number: u64,
    pub offset: Option<i64>,
    pub limit: usize,
    pub timeout_ms: u64,
}

/// The answer to one.
#[derive(Clone, Debug)]
pub struct Answer {
    pub gateway: u32,
    pub number: u64,
    /// The body; none for a conflict.
    pub page: Option<Bytes>,
}

/// A request that waits for updates.
#[derive(Debug)]
pub(super) struct Waiting {
    ask: Ask,
    until: u64,
}

impl Telegram {
    /// A request arrives. What its offset confirms goes to `confirmed`, the answers to `answers`.
    pub fn asked(&mut self, now: u64, ask: Ask, confirmed: &mut Vec<Event>, answers: &mut Vec<Answer>) {
        if self.webhook {
            answers.push(Answer { gateway: ask.gateway, number: ask.number, page: None });
            return;
        }
        if let Some(older) = self.waiting.take() {
            answers.push(Answer { gateway: older.ask.gateway, number: older.ask.number, page: None });
        }
        if let Some(offset) = ask.offset
            && self.takes(offset)
        {
            let (below, rest) = self.pending.drain(..).partition(|event| event.id < offset);
            self.pending = rest;
            confirmed.extend::<Vec<_>>(below);
        }
        if self.pending.is_empty() && ask.timeout_ms > 0 {
            let until = now + ask.timeout_ms;
            self.waiting = Some(Waiting { ask, until });
        } else {
            answers.push(self.page(&ask));
        }
    }

    /// Whether an offset is near enough to be one; otherwise it is ignored.
    fn takes(&self, offset: i64) -> bool {
        let oldest = self.pending.first().map_or(self.newest() + 1, |event| event.id);
        offset <= self.newest() + 10 && offset >= oldest - 100_000
    }

    /// Answers a waiting request, if it is time.
    pub fn answer_waiting(&mut self, now: u64) -> Option<Answer> {
        let due = self.waiting.as_ref().is_some_and(|waiting| waiting.until <= now);
        if self.webhook || !due && self.pending.is_empty() {
            let conflict = self.waiting.take_if(|_| self.webhook)?;
            return Some(Answer { gateway: conflict.ask.gateway, number: conflict.ask.number, page: None });
        }
        let Waiting { ask, .. } = self.waiting.take()?;
        Some(self.page(&ask))
    }

    /// When a waiting request is answered at the latest.
    pub fn waits_until(&self) -> Option<u64> {
        self.waiting.as_ref().map(|waiting| waiting.until)
    }

    fn page(&mut self, ask: &Ask) -> Answer {
        // A page near its greatest size has fewer elements than asked for.
        let limit = if self.rng.once_in(4) { 3 } else { ask.limit };
        let elements: Vec<&[u8]> = self.pending.iter().take(limit).map(|event| &*event.element).collect();
        let mut body = br#"{"ok":true,"result":["#.to_vec();
        body.extend_from_slice(&elements.join(&b",\n"[..]));
        body.extend_from_slice(b"]}");
        Answer { gateway: ask.gateway, number: ask.number, page: Some(body.into()) }
    }
}
