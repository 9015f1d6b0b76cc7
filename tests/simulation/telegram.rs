//! Telegram, as its own server's source says that it behaves: one queue per bot, confirmed by offsets that are cumulative
//! or by 2xx for each update, and forgotten after a day.

mod polling;
mod webhook;

use std::collections::BTreeMap;

use bytes::Bytes;

use self::polling::Waiting;
pub use self::polling::{Answer, Ask};
pub use self::webhook::Post;
use self::webhook::Queue;
use crate::rng::Rng;

/// After so long without updates the numbering may begin anywhere.
const QUIET_MS: u64 = 7 * 24 * 3_600_000;
/// Nothing is kept for longer.
const DAY_MS: u64 = 24 * 3_600_000;

/// One element of the queue.
#[derive(Clone, Debug)]
pub struct Event {
    pub id: i64,
    /// As it stands in a page.
    pub element: Bytes,
    /// As it is posted.
    pub body: Bytes,
    /// Which update it is, by its number among all that were sent; none for what cannot be read.
    pub sent: Option<usize>,
    queue: String,
    expires: u64,
}

/// The bot's side of Telegram.
#[derive(Debug)]
pub struct Telegram {
    rng: Rng,
    /// Whether a webhook is set; else it is polled.
    pub webhook: bool,
    next_id: i64,
    last_came: u64,
    /// Not confirmed, in the order in which they came.
    pub pending: Vec<Event>,
    waiting: Option<Waiting>,
    queues: BTreeMap<String, Queue>,
    last_post: u64,
}

impl Telegram {
    pub fn new(seed: u64, webhook: bool) -> Self {
        let mut rng = Rng::new(seed);
        let next_id = 1 + rng.below(1_000_000) as i64;
        Self {
            rng,
            webhook,
            next_id,
            last_came: 0,
            pending: Vec::new(),
            waiting: None,
            queues: BTreeMap::new(),
            last_post: 0,
        }
    }

    /// The id of the next update.
    pub fn next_id(&mut self, now: u64) -> i64 {
        if now.saturating_sub(self.last_came) > QUIET_MS && self.last_came > 0 {
            // Anywhere; often near the old ones, where mistakes would show.
            let near = self.next_id - 200 + self.rng.below(400) as i64;
            self.next_id =
                if self.rng.once_in(3) { 1 + self.rng.below(2_000_000) as i64 } else { near.max(1) };
        }
        self.last_came = now;
        let id = self.next_id;
        self.next_id += 1;
        id
    }

    /// The newest id that was given out.
    fn newest(&self) -> i64 {
        self.next_id - 1
    }

    /// An update has come.
    pub fn receive(&mut self, now: u64, event: Event) {
        self.pending.push(Event { expires: now + event.expires, ..event });
    }

    pub fn event(
        id: i64,
        element: Bytes,
        body: Bytes,
        sent: Option<usize>,
        queue: String,
        kept: u64,
    ) -> Event {
        Event { id, element, body, sent, queue, expires: kept.min(DAY_MS) }
    }

    /// Forgets what is too old.
    pub fn expire(&mut self, now: u64) {
        let mut gone = Vec::new();
        self.pending.retain(|event| {
            let stays = event.expires > now;
            if !stays {
                gone.push(event.queue.clone());
            }
            stays
        });
        for queue in gone {
            self.forget_queue(&queue);
        }
    }

    /// From now on updates go this way.
    pub fn set_mode(&mut self, webhook: bool) {
        self.webhook = webhook;
        self.queues.clear();
    }
}
