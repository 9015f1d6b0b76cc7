//! A bot's queue of updates at Telegram: numbering, confirming, expiry and limits, without IO or a clock.
//!
//! The rules are those of Telegram's server (tdlib/td, `TQueue.cpp`; tdlib/telegram-bot-api, `Client.cpp`).

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;

/// Most updates a queue holds (Telegram's number).
pub(super) const MAX_UPDATES: usize = 100_000;
/// Most bytes a queue holds (Telegram's number).
pub(super) const MAX_QUEUE_BYTES: usize = 128 << 20;
/// Largest update (Telegram's number).
pub(super) const MAX_UPDATE_BYTES: usize = 512 << 10;
/// A response's bodies stop near this size (Telegram's number).
const MAX_PAGE_BYTES: usize = 1 << 22;
/// What Telegram reckons for each update of a page beside its body.
const PAGE_OVERHEAD_BYTES: usize = 50;
/// Ids Telegram assigns are below this.
const MAX_ID: i64 = 2_000_000_000;
/// An offset further than this above the next id is taken for a mistake (Telegram's number).
const FUTURE_TOLERANCE: i64 = 10;
/// At most one search for expired updates in this time: a search looks at the whole queue.
const EXPIRY_SEARCH_INTERVAL: Duration = Duration::from_secs(1);

/// One update in the queue.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub id: i64,
    /// The whole update object. Empty once the update has left the queue from its middle.
    pub body: Bytes,
    pub expires_at: Duration,
    /// Its webhook queue; 0 is one of its own.
    pub lane: i64,
    /// Its place in the ledger.
    pub record: u32,
}

/// How an update left the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// By an offset above it, or by a 2xx of the webhook.
    Confirmed,
    /// Its time ran out.
    Expired,
    /// By a negative offset or `drop_pending_updates`.
    Cleared,
}

/// Why an update was not taken. Telegram tells nobody.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Refused {
    #[error("the queue is full ({MAX_UPDATES} updates or {MAX_QUEUE_BYTES} bytes)")]
    Full,
    #[error("the update is larger than {MAX_UPDATE_BYTES} bytes, or empty")]
    Size,
    #[error("its update_id is not above the newest one that is still queued")]
    NotAbove,
}

/// The queue.
#[derive(Debug)]
pub(super) struct UpdateQueue {
    /// Ascending by id. Those with an empty body have left; the first never has.
    entries: VecDeque<Entry>,
    /// How many of the entries have a body.
    live: usize,
    /// The sum of their lengths.
    live_bytes: usize,
    /// The next id; what the newest update ever queued had, plus one.
    tail: i64,
    /// No live update expires before this.
    earliest_expiry: Duration,
    next_search_at: Duration,
}

impl UpdateQueue {
    /// An empty queue whose first update gets `first_id`.
    pub(super) fn new(first_id: i64) -> Self {
        Self {
            entries: VecDeque::new(),
            live: 0,
            live_bytes: 0,
            tail: first_id,
            earliest_expiry: Duration::MAX,
            next_search_at: Duration::ZERO,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.live
    }

    /// The id that the next update gets. Beyond the largest one numbering restarts low, once the queue is empty.
    pub(super) fn next_id(&self) -> i64 {
        if self.tail >= MAX_ID && self.live == 0 { 1 } else { self.tail }
    }

    /// Whether an update of this size would find room.
    pub(super) fn has_room(&self, bytes: usize) -> bool {
        self.live < MAX_UPDATES && self.live_bytes + bytes <= MAX_QUEUE_BYTES
    }

    /// Whether [`Self::push`] would take an update of this id and size.
    pub(super) fn accepts(&self, id: i64, bytes: usize) -> Result<(), Refused> {
        if bytes == 0 || bytes > MAX_UPDATE_BYTES {
            return Err(Refused::Size);
        }
        if !self.has_room(bytes) {
            return Err(Refused::Full);
        }
        if id < self.tail && self.live > 0 {
            return Err(Refused::NotAbove);
        }
        Ok(())
    }

    /// Puts an update at the end. An id below the newest is taken only by an empty queue: so numbering that
    /// restarted, as Telegram's does after an idle week, can be played.
    pub(super) fn push(&mut self, entry: Entry) -> Result<(), Refused> {
        self.accepts(entry.id, entry.body.len())?;
        self.tail = entry.id + 1;
        self.live += 1;
        self.live_bytes += entry.body.len();
        self.earliest_expiry = self.earliest_expiry.min(entry.expires_at);
        self.entries.push_back(entry);
        Ok(())
    }

    /// What `getUpdates` does with an offset: forgets what is below it, and reads from there.
    pub(super) fn poll(
        &mut self,
        offset: i64,
        limit: usize,
        now: Duration,
        gone: &mut impl FnMut(&Entry, Fate),
    ) -> Vec<Entry> {
        if offset < 0 {
            self.clear(usize::try_from(offset.unsigned_abs()).unwrap_or(usize::MAX), gone);
        }
        let head = self.head();
        let believable =
            offset > 0 && offset <= self.tail + FUTURE_TOLERANCE && offset >= head - MAX_UPDATES as i64;
        let from = if believable { offset } else { head };
        while let Some(first) = self.entries.front()
            && first.id < from
        {
            self.leave(0, Fate::Confirmed, gone);
            self.drop_left();
        }
        self.read(from, limit, now, gone)
    }

    /// Up to `limit` updates from an id on, without confirming any; the expired ones among them leave.
    pub(super) fn read(
        &mut self,
        from: i64,
        limit: usize,
        now: Duration,
        gone: &mut impl FnMut(&Entry, Fate),
    ) -> Vec<Entry> {
        let mut page = Vec::with_capacity(limit.min(self.live));
        let mut left_bytes = MAX_PAGE_BYTES;
        let mut index = self.entries.partition_point(|entry| entry.id < from);
        while let Some(entry) = self.entries.get(index)
            && page.len() < limit
        {
            if entry.expires_at < now && !entry.body.is_empty() {
                self.leave(index, Fate::Expired, gone);
            } else if !entry.body.is_empty() {
                let cost = entry.body.len() + PAGE_OVERHEAD_BYTES;
                if cost >= left_bytes {
                    break;
                }
                left_bytes -= cost;
                page.push(entry.clone());
            }
            index += 1;
        }
        self.drop_left();
        page
    }

    /// Takes out one update, as a webhook's success or give-up does.
    pub(super) fn forget(&mut self, id: i64, fate: Fate, gone: &mut impl FnMut(&Entry, Fate)) {
        let index = self.entries.partition_point(|entry| entry.id < id);
        if self.entries.get(index).is_some_and(|entry| entry.id == id) {
            self.leave(index, fate, gone);
            self.drop_left();
        }
    }

    /// Drops all but the newest `keep`.
    pub(super) fn clear(&mut self, keep: usize, gone: &mut impl FnMut(&Entry, Fate)) {
        while self.live > keep {
            self.leave(0, Fate::Cleared, gone);
            self.drop_left();
        }
    }

    /// Drops what has expired, at most once a second.
    pub(super) fn expire(&mut self, now: Duration, gone: &mut impl FnMut(&Entry, Fate)) {
        if self.earliest_expiry >= now || now < self.next_search_at {
            return;
        }
        self.next_search_at = now + EXPIRY_SEARCH_INTERVAL;
        for index in 0..self.entries.len() {
            if self.entries.get(index).is_some_and(|entry| entry.expires_at < now) {
                self.leave(index, Fate::Expired, gone);
            }
        }
        self.drop_left();
        let live = self.entries.iter().filter(|entry| !entry.body.is_empty());
        self.earliest_expiry = live.map(|entry| entry.expires_at).min().unwrap_or(Duration::MAX);
    }

    /// The oldest id, or the next one if the queue is empty.
    pub(super) fn head(&self) -> i64 {
        self.entries.front().map_or(self.tail, |entry| entry.id)
    }

    fn leave(&mut self, index: usize, fate: Fate, gone: &mut impl FnMut(&Entry, Fate)) {
        let Some(entry) = self.entries.get_mut(index).filter(|entry| !entry.body.is_empty()) else { return };
        gone(entry, fate);
        self.live -= 1;
        self.live_bytes -= entry.body.len();
        entry.body = Bytes::new();
    }

    fn drop_left(&mut self) {
        while self.entries.front().is_some_and(|entry| entry.body.is_empty()) {
            self.entries.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::kind::Kind;
    use super::*;

    const NOW: Duration = Duration::from_secs(1000);

    fn entry(id: i64, kind: &str) -> Entry {
        let kind = Kind::named(kind);
        let body = Bytes::from(format!("{{\"update_id\":{id}}}"));
        Entry { id, body, expires_at: NOW + kind.lifetime(), lane: 0, record: 0 }
    }

    fn filled(ids: std::ops::Range<i64>) -> UpdateQueue {
        let mut queue = UpdateQueue::new(ids.start);
        for id in ids {
            queue.push(entry(id, "message")).unwrap();
        }
        queue
    }

    fn poll(queue: &mut UpdateQueue, offset: i64, limit: usize) -> (Vec<i64>, Vec<(i64, Fate)>) {
        let mut left = Vec::new();
        let page = queue.poll(offset, limit, NOW, &mut |entry, fate| left.push((entry.id, fate)));
        (page.iter().map(|entry| entry.id).collect(), left)
    }

    #[test]
    fn an_offset_forgets_everything_below_it() {
        let mut queue = filled(100..110);
        assert_eq!(poll(&mut queue, 0, 3), (vec![100, 101, 102], vec![]));
        let forgotten = [100, 101, 102].map(|id| (id, Fate::Confirmed)).to_vec();
        assert_eq!(poll(&mut queue, 103, 2), (vec![103, 104], forgotten));
        assert_eq!(queue.len(), 7);
    }

    #[test]
    fn a_negative_offset_keeps_that_many_and_drops_the_rest() {
        let mut queue = filled(100..110);
        let (page, left) = poll(&mut queue, -2, 100);
        assert_eq!(page, [108, 109]);
        assert_eq!(left.len(), 8);
        assert!(left.iter().all(|(_, fate)| *fate == Fate::Cleared));
    }

    #[test]
    fn an_offset_too_far_above_is_ignored_and_reading_restarts_at_the_oldest() {
        let mut queue = filled(100..110);
        assert_eq!(poll(&mut queue, 121, 2), (vec![100, 101], vec![]));
        let (page, left) = poll(&mut queue, 120, 2);
        assert_eq!((page.len(), left.len()), (0, 10), "one within ten above the next id deletes silently");
    }

    #[test]
    fn an_offset_too_far_below_is_ignored_and_reading_restarts_at_the_oldest() {
        let mut queue = filled(500_000..500_003);
        assert_eq!(poll(&mut queue, 1, 2), (vec![500_000, 500_001], vec![]));
    }

    #[test]
    fn a_page_stops_near_four_mebibytes() {
        let mut queue = UpdateQueue::new(1);
        for id in 1..=20 {
            queue.push(Entry { body: Bytes::from(vec![b' '; 500_000]), ..entry(id, "message") }).unwrap();
        }
        assert_eq!(poll(&mut queue, 0, 100).0.len(), 8);
    }

    #[test]
    fn each_kind_expires_after_its_own_time() {
        let mut queue = UpdateQueue::new(1);
        for (id, kind) in [(1, "inline_query"), (2, "message"), (3, "callback_query")] {
            queue.push(entry(id, kind)).unwrap();
        }
        let mut left = Vec::new();
        let mut expire = |queue: &mut UpdateQueue, seconds| {
            queue.expire(NOW + Duration::from_secs(seconds), &mut |entry, fate| left.push((entry.id, fate)));
            std::mem::take(&mut left)
        };
        assert_eq!(expire(&mut queue, 30), []);
        assert_eq!(expire(&mut queue, 31), [(1, Fate::Expired)]);
        assert_eq!(expire(&mut queue, 151), [(3, Fate::Expired)]);
        assert_eq!(expire(&mut queue, 86_401), [(2, Fate::Expired)]);
        assert_eq!((queue.len(), queue.head()), (0, 4));
    }

    #[test]
    fn an_expired_update_is_not_read_and_leaves_a_gap() {
        let mut queue = UpdateQueue::new(1);
        for (id, kind) in [(1, "message"), (2, "inline_query"), (3, "message")] {
            queue.push(entry(id, kind)).unwrap();
        }
        let mut left = Vec::new();
        let page =
            queue.poll(0, 10, NOW + Duration::from_secs(60), &mut |entry, fate| left.push((entry.id, fate)));
        assert_eq!(page.iter().map(|entry| entry.id).collect::<Vec<_>>(), [1, 3]);
        assert_eq!(left, [(2, Fate::Expired)]);
    }

    #[test]
    fn a_full_queue_drops_the_new_update() {
        let mut queue = filled(1..100_001);
        assert_eq!(queue.push(entry(100_001, "message")), Err(Refused::Full));
        assert_eq!(queue.len(), MAX_UPDATES);
        poll(&mut queue, 2, 1);
        assert_eq!(queue.push(entry(100_001, "message")), Ok(()));
    }

    #[test]
    fn a_queue_is_full_at_128_mebibytes_and_takes_no_update_over_512_kibibytes() {
        let mut queue = UpdateQueue::new(1);
        let sized = |id, bytes| Entry { body: Bytes::from(vec![b' '; bytes]), ..entry(id, "message") };
        assert_eq!(queue.push(sized(1, MAX_UPDATE_BYTES + 1)), Err(Refused::Size));
        for id in 1..=256 {
            queue.push(sized(id, MAX_UPDATE_BYTES)).unwrap();
        }
        assert_eq!(queue.push(sized(257, 1)), Err(Refused::Full));
    }

    #[test]
    fn numbering_restarts_lower_only_in_an_empty_queue() {
        let mut queue = filled(100..102);
        assert_eq!(queue.push(entry(50, "message")), Err(Refused::NotAbove));
        poll(&mut queue, 102, 1);
        assert_eq!(queue.push(entry(50, "message")), Ok(()));
        assert_eq!((queue.head(), queue.next_id()), (50, 51));
    }

    #[test]
    fn a_webhook_success_takes_an_update_out_of_the_middle() {
        let mut queue = filled(1..4);
        queue.forget(2, Fate::Confirmed, &mut |entry, _| assert_eq!(entry.id, 2));
        assert_eq!(poll(&mut queue, 0, 10).0, [1, 3]);
        queue.forget(1, Fate::Confirmed, &mut |_, _| {});
        assert_eq!((queue.head(), queue.len()), (3, 1));
    }
}
