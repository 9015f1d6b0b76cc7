//! P1: Telegram hears of an update's arrival only after it is durable.

use super::Checker;
use crate::telegram::Event;
use crate::violation::{Kept, demand};

impl Checker {
    /// Telegram takes an element for delivered.
    pub fn p1_what_is_confirmed_is_durable(&self, event: &Event) -> Kept {
        match event.sent {
            Some(sent) => {
                let stored = self.books.by_sent.contains_key(&sent);
                // What came three times without its end is set aside as far as it came.
                let set_aside =
                    || self.books.quarantined.iter().any(|bytes| event.element.starts_with(bytes));
                demand!(
                    "P1",
                    stored || set_aside(),
                    "update {} is confirmed and not in the journal",
                    event.id
                );
            }
            None => {
                let kept = self.books.quarantined.iter().any(|bytes| event.element.starts_with(bytes));
                demand!(
                    "P1",
                    kept,
                    "an unreadable element is confirmed and not set aside: {:?}",
                    event.element
                );
            }
        }
        Ok(())
    }
}
