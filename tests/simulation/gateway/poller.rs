//! Long polling, as `telegram::polling` does it, with its own idea of which offset comes next.

use std::future::Future;
use std::pin::Pin;
use std::task::Poll;

use bytes::Bytes;
use switchboard::intake::{AppendError, Intake, Page};
use switchboard::telegram::{Passed, Position, read_page};

use super::poll;
use crate::telegram::{Answer, Ask};

const LIMIT: usize = 100;
const POLL_MS: u64 = 50_000;
/// What a poll may take beyond its timeout.
const MARGIN_MS: u64 = 15_000;
/// After trouble.
const WAIT_MS: u64 = 1_000;

type Stored = Pin<Box<dyn Future<Output = Result<Page, AppendError>>>>;

enum State {
    Idle { not_before: u64 },
    Asked { number: u64, until: u64 },
    Storing { elements: Vec<Bytes>, stored: Stored },
    Ended,
}

/// The loop that polls.
pub(super) struct Poller {
    intake: Intake,
    position: Position,
    state: State,
    fresh: bool,
    last: u64,
}

impl Poller {
    pub(super) fn new(intake: Intake) -> Self {
        let state = State::Idle { not_before: 0 };
        Self { intake, position: Position::default(), state, fresh: true, last: 0 }
    }

    /// When it does something by itself.
    pub(super) fn wakes(&self) -> Option<u64> {
        match self.state {
            State::Idle { not_before } => Some(not_before).filter(|at| *at > 0),
            State::Asked { until, .. } => Some(until),
            State::Storing { .. } | State::Ended => None,
        }
    }

    /// Goes on as far as it can; the request that it makes.
    pub(super) fn go_on(&mut self, now: u64, polls: bool, gateway: u32) -> Option<Ask> {
        if let State::Storing { elements, stored } = &mut self.state
            && let Poll::Ready(stored) = poll(stored.as_mut())
        {
            self.state = match self.position.pass(elements, stored) {
                Passed::All => {
                    self.fresh = false;
                    State::Idle { not_before: 0 }
                }
                Passed::Stuck(_) | Passed::Refused(AppendError::Paused(_)) => {
                    State::Idle { not_before: now + WAIT_MS }
                }
                Passed::Refused(AppendError::Stopped) => State::Ended,
            };
        }
        if let State::Asked { until, .. } = self.state
            && until <= now
        {
            self.trouble(now);
        }
        match self.state {
            State::Idle { not_before } if not_before <= now && polls => {
                self.last += 1;
                let timeout_ms = if self.fresh { 0 } else { POLL_MS };
                self.state = State::Asked { number: self.last, until: now + timeout_ms + MARGIN_MS };
                let (number, offset) = (self.last, self.position.offset());
                Some(Ask { gateway, number, offset, limit: LIMIT, timeout_ms })
            }
            State::Idle { not_before } if not_before <= now => {
                self.state = State::Idle { not_before: 0 };
                None
            }
            _ => None,
        }
    }

    pub(super) fn answered(&mut self, now: u64, answer: Answer) {
        // One that comes too late, or twice, finds nobody.
        if !matches!(self.state, State::Asked { number, .. } if number == answer.number) {
            return;
        }
        let page = answer.page.as_ref().and_then(read_page);
        let Some(page) = page else {
            self.trouble(now);
            return;
        };
        let Ok(elements) = self.position.take(page) else {
            self.state = State::Idle { not_before: now + WAIT_MS };
            return;
        };
        let (intake, position, page) = (self.intake.clone(), self.position.clone(), elements.clone());
        let store = async move { intake.page(&page, |element| position.is_set_aside(element)).await };
        let mut stored: Stored = Box::pin(store);
        // The driver is told now; what it says is seen after its turn, but for a page without anything to store.
        self.state = match poll(stored.as_mut()) {
            Poll::Pending => State::Storing { elements, stored },
            Poll::Ready(done) => State::Storing { elements, stored: Box::pin(std::future::ready(done)) },
        };
    }

    fn trouble(&mut self, now: u64) {
        self.fresh = true;
        self.state = State::Idle { not_before: now + WAIT_MS };
    }
}
