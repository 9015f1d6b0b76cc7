//! Room for a listener's connections. Whoever has not shown yet that he may come in is a stranger; where there is no room,
//! the one that has been a stranger for longest has to go. So those who only open connections, and send nothing or
//! nonsense, keep out nobody but each other.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

/// A listener's room.
#[derive(Clone, Debug)]
pub struct Room {
    places: Arc<Semaphore>,
    size: u32,
    strangers: Arc<Strangers>,
}

/// Those that have not shown yet that they may come in, by the order in which they came.
#[derive(Debug, Default)]
struct Strangers(Mutex<Queue>);

#[derive(Debug, Default)]
struct Queue {
    next: u64,
    by_age: BTreeMap<u64, Arc<Notify>>,
}

/// A connection's place, until it is dropped.
#[derive(Debug)]
pub struct Place {
    guest: Guest,
    sent_away: Arc<Notify>,
    /// `None` never happens: the semaphore is not closed.
    _place: Option<OwnedSemaphorePermit>,
}

/// Whose place it is, for whoever sees what the connection shows.
#[derive(Clone, Debug)]
pub struct Guest {
    number: u64,
    strangers: Arc<Strangers>,
}

impl Room {
    /// Room for so many connections at once.
    #[must_use]
    pub fn new(connections: u32) -> Self {
        let places = Arc::new(Semaphore::new(connections as usize));
        Self { places, size: connections, strangers: Arc::default() }
    }

    /// A place for a connection that was accepted. Where there is none, the oldest stranger is sent away; if all are
    /// known, it waits until one leaves.
    pub async fn place(&self) -> Place {
        let free = Arc::clone(&self.places).try_acquire_owned();
        let place = match free {
            Ok(place) => Some(place),
            Err(_) => {
                self.strangers.send_oldest_away();
                Arc::clone(&self.places).acquire_owned().await.ok()
            }
        };
        let (number, sent_away) = self.strangers.enter();
        let guest = Guest { number, strangers: Arc::clone(&self.strangers) };
        Place { guest, sent_away, _place: place }
    }

    /// Waits until all have left.
    pub async fn emptied(&self) {
        // The semaphore is not closed.
        let _ = self.places.acquire_many(self.size).await;
    }
}

impl Strangers {
    fn enter(&self) -> (u64, Arc<Notify>) {
        let mut queue = self.lock();
        let number = queue.next;
        queue.next += 1;
        let sent_away = Arc::new(Notify::new());
        queue.by_age.insert(number, Arc::clone(&sent_away));
        (number, sent_away)
    }

    fn leave(&self, number: u64) {
        self.lock().by_age.remove(&number);
    }

    fn send_oldest_away(&self) {
        if let Some((_, sent_away)) = self.lock().by_age.pop_first() {
            sent_away.notify_one();
        }
    }

    /// Nothing that could panic happens under the lock.
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place {
    /// Whose it is.
    #[must_use]
    pub fn guest(&self) -> &Guest {
        &self.guest
    }

    /// Waits until the connection must be closed for want of room.
    pub fn sent_away(&self) -> impl Future<Output = ()> + Send + use<> {
        let sent_away = Arc::clone(&self.sent_away);
        async move { sent_away.notified().await }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.guest.strangers.leave(self.guest.number);
    }
}

impl Guest {
    /// It has shown that it may come in, and stays.
    pub fn is_known(&self) {
        self.strangers.leave(self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn is_sent_away(place: &Place) -> bool {
        tokio::select! {
            biased;
            () = place.sent_away() => true,
            () = std::future::ready(()) => false,
        }
    }

    #[tokio::test]
    async fn where_there_is_no_room_the_oldest_stranger_goes_and_the_known_stay() {
        let room = Room::new(3);
        let (known, first, second) = (room.place().await, room.place().await, room.place().await);
        known.guest().is_known();
        let mut waiting = Box::pin(room.place());
        assert!(polled(&mut waiting).await.is_none(), "there is no room until one has gone");
        assert!(!is_sent_away(&known).await && is_sent_away(&first).await && !is_sent_away(&second).await);
        drop(first);
        let newest = waiting.await;
        let mut waiting = Box::pin(room.place());
        assert!(polled(&mut waiting).await.is_none());
        assert!(is_sent_away(&second).await && !is_sent_away(&newest).await);
    }

    #[tokio::test]
    async fn among_the_known_a_new_one_waits_until_one_leaves() {
        let room = Room::new(1);
        let known = room.place().await;
        known.guest().is_known();
        let mut waiting = Box::pin(room.place());
        assert!(polled(&mut waiting).await.is_none());
        assert!(!is_sent_away(&known).await);
        drop(known);
        drop(waiting.await);
        room.emptied().await;
    }

    /// What a future gives if it is polled once.
    async fn polled<T>(future: &mut (impl Future<Output = T> + Unpin)) -> Option<T> {
        tokio::select! {
            biased;
            value = future => Some(value),
            () = std::future::ready(()) => None,
        }
    }
}
