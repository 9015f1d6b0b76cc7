//! Holds every promise after every step. It keeps simple books of its own and shares nothing with the program but the
//! types that updates, tokens and batches are made of. One file states each promise.

mod books;
mod journal;
mod live;
mod p1;
mod p10;
mod p2;
mod p3;
mod p4;
mod p5;
mod p6;
mod p7;
mod p8;
mod p9;
mod shards;
mod steering;
mod streams;
mod tally;

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use switchboard::driver::Settings;
use switchboard::model::{Batch, Head, Now, Sequence, Token, UnixMillis};

pub use self::books::Books;
pub use self::live::{Live, Wish};
pub use self::p5::Expected;
use crate::updates::Sent;
use crate::violation::{Kept, Violation};

/// All that is known from outside.
pub struct Checker {
    /// The journal's id.
    pub journal: u64,
    settings: Settings,
    /// All updates that Telegram ever had for the bot.
    pub sent: Vec<Sent>,
    by_json: BTreeMap<Bytes, usize>,
    pub books: Books,
    pub gateways: BTreeMap<u32, Live>,
    /// Every token that was ever given to anybody.
    given: BTreeSet<String>,
}

impl Checker {
    pub fn new(settings: Settings) -> Self {
        Self {
            journal: 0,
            settings,
            sent: Vec::new(),
            by_json: BTreeMap::new(),
            books: Books::default(),
            gateways: BTreeMap::new(),
            given: BTreeSet::new(),
        }
    }

    /// Telegram has a new update; its number.
    pub fn sent(&mut self, sent: Sent) -> usize {
        self.by_json.insert(sent.json.clone(), self.sent.len());
        self.sent.push(sent);
        self.sent.len() - 1
    }

    /// A gateway's clocks, as it tells them: the wall clock never goes back.
    pub fn clock(&mut self, gateway: u32, mono: u64, wall: u64) -> Now {
        let last = self.gateways.get(&gateway).map_or(self.books.last_time, |live| live.clock.unix.0);
        Now { mono: switchboard::model::Monotonic(mono), unix: UnixMillis(wall.max(last)) }
    }

    pub fn live(&self, gateway: u32) -> &Live {
        &self.gateways[&gateway]
    }

    fn live_mut(&mut self, gateway: u32) -> &mut Live {
        self.gateways.get_mut(&gateway).expect("a gateway that lives")
    }

    /// A gateway is gone, with all that it knew.
    pub fn gone(&mut self, gateway: u32) {
        self.gateways.remove(&gateway);
    }

    /// A batch is on its way to the disk: what it says was decided by now.
    pub fn begun(&mut self, gateway: u32, batch: &Batch) -> Kept {
        let live = self.live_mut(gateway);
        live.batch = Some(batch.clone());
        live.began = live.clock.mono.0;
        if live.deposed {
            return Ok(());
        }
        self.p8_each_update_is_stored_once(gateway, batch)?;
        self.p10_what_is_stored_is_what_was_sent(gateway, batch)?;
        self.changes_are_asked_for(gateway, batch)?;
        self.p9_failures_are_counted_rightly(gateway, batch)?;
        self.p2_nothing_leaves_without_a_reason(gateway, batch)?;
        self.decided(gateway, batch);
        Ok(())
    }

    /// The batch that was on its way is durable.
    pub fn durable(&mut self, gateway: u32) -> Kept {
        self.p7_only_the_newest_writer_writes(gateway)?;
        let Some(batch) = self.live_mut(gateway).batch.take() else { return Ok(()) };
        let at = self.live(gateway).clock.unix.0;
        for update in &batch.updates {
            let json = p10::json(&update.payload)?;
            let Some(&sent) = self.by_json.get(&json) else {
                return Err(Violation::of("P10", format!("{:?} is no update that was sent", update.head)));
            };
            self.books.store(sent, &self.sent[sent].clone(), update.head, at);
            self.books.last_time = self.books.last_time.max(update.head.received.0);
        }
        self.books.apply(&batch);
        let times = batch.events.iter().map(|(.., event)| event.time.0);
        self.books.last_time = self.books.last_time.max(times.max().unwrap_or_default());
        self.settled(gateway, &batch);
        Ok(())
    }

    fn facts(&self, at: Sequence) -> Option<(&Sent, &Head)> {
        let stored = self.books.stored.get(&at)?;
        Some((&self.sent[stored.sent], &stored.head))
    }

    /// Whether an update is a group's business and not settled, replays apart. What has gone is nobody's.
    fn concerns(&self, group: &books::Group, at: Sequence) -> bool {
        let present = self.books.stored.get(&at).is_some_and(|stored| stored.present);
        present
            && !group.is_settled(at)
            && self.facts(at).is_some_and(|(sent, head)| group.matches(sent, head))
    }

    fn was_given(&self, token: &Token) -> bool {
        self.given.contains(&token.encode())
    }
}
