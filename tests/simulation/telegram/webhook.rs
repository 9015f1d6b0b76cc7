//! Posts to the webhook: of each queue one at a time, again and again until a 2xx or the update's time is over.

use bytes::Bytes;

use super::{Event, Telegram};

/// Posts at once.
const CONNECTIONS: usize = 8;
/// Then a post counts as failed.
const TIMEOUT_MS: u64 = 60_000;
/// Waits after the first failures; later ones wait for 60 to 120 s.
const WAITS_MS: [u64; 6] = [0, 2_000, 4_000, 8_000, 16_000, 32_000];

/// An update on its way to the webhook.
#[derive(Clone, Debug)]
pub struct Post {
    pub number: u64,
    pub body: Bytes,
}

/// The updates of one chat or user: one is under way at most.
#[derive(Debug, Default)]
pub(super) struct Queue {
    out: Option<Out>,
    failures: usize,
    not_before: u64,
}

#[derive(Debug)]
struct Out {
    number: u64,
    id: i64,
    until: u64,
}

impl Telegram {
    /// The posts that are due.
    pub fn posts(&mut self, now: u64) -> Vec<Post> {
        let mut posts = Vec::new();
        if !self.webhook {
            return posts;
        }
        for queue in self.queues.values_mut() {
            if queue.out.take_if(|out| out.until <= now).is_some() {
                queue.fail(now, None);
            }
        }
        let mut out = self.queues.values().filter(|queue| queue.out.is_some()).count();
        let mut seen: Vec<&str> = Vec::new();
        for event in &self.pending {
            if out >= CONNECTIONS {
                break;
            }
            // The first of each queue.
            if seen.contains(&&*event.queue) {
                continue;
            }
            seen.push(&event.queue);
            let queue = self.queues.entry(event.queue.clone()).or_default();
            if queue.out.is_none() && queue.not_before <= now {
                self.last_post += 1;
                let (number, id) = (self.last_post, event.id);
                queue.out = Some(Out { number, id, until: now + TIMEOUT_MS });
                posts.push(Post { number, body: event.body.clone() });
                out += 1;
            }
        }
        posts
    }

    /// A post was answered. What that confirms.
    pub fn answered(
        &mut self,
        now: u64,
        number: u64,
        status: u16,
        retry_after_ms: Option<u64>,
    ) -> Option<Event> {
        let is_out = |queue: &&mut Queue| queue.out.as_ref().is_some_and(|out| out.number == number);
        // An answer that comes too late is heard by nobody.
        let queue = self.queues.values_mut().find(is_out)?;
        let out = queue.out.take()?;
        if !(200..300).contains(&status) {
            queue.fail(now, retry_after_ms);
            return None;
        }
        queue.failures = 0;
        let at = self.pending.iter().position(|event| event.id == out.id)?;
        Some(self.pending.remove(at))
    }

    /// When something is due next.
    pub fn next_post(&self) -> Option<u64> {
        if !self.webhook {
            return None;
        }
        let of = |event: &Event| match self.queues.get(&event.queue) {
            Some(Queue { out: Some(out), .. }) => out.until,
            Some(queue) => queue.not_before,
            None => 0,
        };
        self.pending.iter().map(of).min()
    }

    pub(super) fn forget_queue(&mut self, queue: &str) {
        if !self.pending.iter().any(|event| event.queue == queue) {
            self.queues.remove(queue);
        }
    }
}

impl Queue {
    fn fail(&mut self, now: u64, retry_after_ms: Option<u64>) {
        let wait = WAITS_MS.get(self.failures).copied().unwrap_or(60_000);
        self.not_before = now + retry_after_ms.unwrap_or(wait);
        self.failures += 1;
    }
}
