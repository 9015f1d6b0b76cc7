//! Where polling stands: which offset is asked for next, and what of the last page could not be read.
//!
//! The offset is 1 + the last id of a page that is wholly durable, and after every start there is none until a page has
//! come.

use bytes::Bytes;

use super::page::RawPage;
use crate::intake::{AppendError, Page};
use crate::mutation::{self, Mutation};

/// An answer that breaks off, or that an element breaks, is asked for so many times before that element is taken for
/// one that cannot be read.
const DAMAGED_TRIES: u32 = 3;

const DAMAGED: &str = "Telegram's answer breaks off or has an element without an end; asking for it again";
const PASSING: &str =
    "Telegram's next update cannot be read; it is quarantined (`switchboard quarantine`), passing it";
/// Without an offset: it only begins with a readable id.
const IN_FRONT: &str = "Telegram's next update cannot be read; it is quarantined (`switchboard quarantine`), and the \
                        next one that can be read takes it along";

/// Where polling stands.
#[derive(Clone, Debug, Default)]
pub struct Position {
    /// What to ask for next; none until a page has come.
    offset: Option<i64>,
    /// The unreadable elements of the last page, which are quarantined already: they come again until they are passed.
    set_aside: Vec<Bytes>,
    /// How many answers in a row had nothing new before the element that breaks them.
    damaged: u32,
}

/// What became of a page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Passed {
    /// It is durable: the next poll confirms it.
    All,
    /// It begins with what cannot be read. In words, what becomes of that.
    Stuck(&'static str),
    /// It could not be made durable: it comes again.
    Refused(AppendError),
}

impl Position {
    /// What to ask for next. Telegram forgets everything below.
    #[must_use]
    pub fn offset(&self) -> Option<i64> {
        self.offset
    }

    /// The elements of an answer that are to be made durable.
    ///
    /// # Errors
    /// Why it shall be asked for again.
    pub fn take(&mut self, page: RawPage) -> Result<Vec<Bytes>, &'static str> {
        let RawPage { mut elements, damaged } = page;
        // Else what is new is stored first; the rest comes again behind it.
        if let Some(broken) = damaged.first()
            && elements.iter().all(|element| self.is_set_aside(element))
        {
            self.damaged += 1;
            if self.damaged < DAMAGED_TRIES && !self.is_set_aside(broken) {
                return Err(DAMAGED);
            }
            elements.extend(damaged);
        }
        self.damaged = 0;
        Ok(elements)
    }

    /// Whether an unreadable element has been quarantined before.
    #[must_use]
    pub fn is_set_aside(&self, element: &Bytes) -> bool {
        self.set_aside.contains(element)
    }

    /// The elements are durable, or they are not.
    pub fn pass(&mut self, elements: &[Bytes], stored: Result<Page, AppendError>) -> Passed {
        let page = match stored {
            Ok(page) => page,
            Err(error) => {
                if mutation::on(Mutation::ConfirmRefusedPage) {
                    self.offset = self.offset.map(|offset| offset.saturating_add(1));
                }
                return Passed::Refused(error);
            }
        };
        self.set_aside.retain(|element| elements.contains(element));
        self.set_aside.extend(page.quarantined.into_iter().map(|(element, _)| element));
        match (page.last_id, elements.is_empty()) {
            (Some(last), _) => {
                let unseen = i64::from(mutation::on(Mutation::PassUnseen));
                self.offset = Some(last.saturating_add(1 + unseen));
            }
            (None, true) => {}
            // Nothing here says its id. Ids grow and the first element is at the offset or above it: one step
            // confirms that element or nothing, never an update that was not seen.
            (None, false) => match &mut self.offset {
                Some(offset) => {
                    *offset = offset.saturating_add(1);
                    return Passed::Stuck(PASSING);
                }
                None => return Passed::Stuck(IN_FRONT),
            },
        }
        Passed::All
    }
}
