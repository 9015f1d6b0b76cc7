//! Long polling. What was not made durable is never confirmed: the offset is 1 + the last id of a page that is wholly
//! durable, and after every start there is none until a page has come.

use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;

use super::api::GetUpdates;
use super::backoff::Backoff;
use super::page::RawPage;
use super::status::ActiveMode;
use super::{CallError, Conflict, Ended, Telegram};
use crate::intake::{AppendError, IntakeState};

/// The most that Telegram gives at once.
const LIMIT: u8 = 100;
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
struct Position {
    /// What to ask for next; none until a page has come.
    offset: Option<i64>,
    /// The unreadable elements of the last page, which are quarantined already: they come again until they are passed.
    set_aside: Vec<Bytes>,
    /// How many answers in a row had nothing new before the element that breaks them.
    damaged: u32,
    trouble: Backoff,
    conflict: Backoff,
    last_conflict: Option<Instant>,
    /// Whether it is unknown if polling works, or if what cannot be read is passed: then the answer is wanted at once,
    /// not after a whole long poll.
    fresh: bool,
}

/// What became of a page.
enum Stored {
    /// It is durable and can be confirmed.
    Durable,
    /// It begins with what cannot be read. In words, what becomes of that.
    Stuck(&'static str),
    /// It could not be made durable.
    Refused(AppendError),
}

impl Telegram {
    /// Polls until polling is not the way any more.
    pub(super) async fn poll(&self) -> Ended {
        let mut at = Position {
            offset: None,
            set_aside: Vec::new(),
            damaged: 0,
            trouble: self.backoff(self.pace.trouble),
            conflict: self.backoff(self.pace.conflict),
            last_conflict: None,
            fresh: true,
        };
        let mut kinds = self.kinds();
        loop {
            if self.wait_until_open().await.is_err() {
                return Ended::DriverStopped;
            }
            let timeout = if at.fresh { Duration::ZERO } else { self.settings.poll_timeout };
            let asked = kinds.current();
            let request = GetUpdates {
                offset: at.offset,
                limit: LIMIT,
                timeout: timeout.as_secs(),
                allowed_updates: &asked,
            };
            let answer = tokio::select! {
                answer = self.api.get_updates(&request) => answer,
                // What a dropped poll would have brought comes with the next one.
                () = kinds.other_than(&asked) => continue,
            };
            if answer.is_ok() {
                self.reporter.asked_for(&asked);
            }
            match answer {
                Ok(page) => match self.store(page, &mut at).await {
                    Stored::Durable => self.polled(&mut at, None),
                    Stored::Stuck(why) => {
                        self.polled(&mut at, Some(why));
                        tokio::time::sleep(at.trouble.jitter(self.pace.stuck)).await;
                    }
                    Stored::Refused(AppendError::Stopped) => return Ended::DriverStopped,
                    Stored::Refused(AppendError::Paused(_)) => {
                        tokio::time::sleep(at.trouble.wait()).await;
                    }
                },
                Err(CallError::Unauthorized | CallError::NotFound) => return Ended::TokenRefused,
                Err(CallError::Conflict(Conflict::WebhookActive | Conflict::WebhookSet)) => {
                    return Ended::WebhookSet;
                }
                Err(CallError::Conflict(conflict)) => {
                    self.reporter.conflict(&format!(
                        "{conflict}. Telegram gives each update to only one of them: stop the other process, or give \
                         it a bot of its own. This one keeps trying and takes over when the other has stopped"
                    ));
                    at.last_conflict = Some(Instant::now());
                    tokio::time::sleep(at.conflict.wait()).await;
                }
                Err(error) => {
                    at.fresh = true;
                    self.wait_out(&error, &mut at.trouble).await;
                }
            }
        }
    }

    /// Waits while the journal takes no updates; an error if it never will again.
    async fn wait_until_open(&self) -> Result<(), tokio::sync::watch::error::RecvError> {
        self.intake.state().wait_for(|state| *state == IntakeState::Open).await.map(drop)
    }

    /// Makes a page durable and moves the offset past it.
    async fn store(&self, page: RawPage, at: &mut Position) -> Stored {
        let RawPage { mut elements, damaged } = page;
        let is_known = |element: &Bytes| at.set_aside.contains(element);
        // Else what is new is stored first; the rest comes again behind it.
        if let Some(broken) = damaged.first()
            && elements.iter().all(is_known)
        {
            at.damaged += 1;
            if at.damaged < DAMAGED_TRIES && !is_known(broken) {
                return Stored::Stuck(DAMAGED);
            }
            elements.extend(damaged);
        }
        at.damaged = 0;
        let stored = self.intake.page(&elements, |element| at.set_aside.contains(element)).await;
        let page = match stored {
            Ok(page) => page,
            Err(error) => return Stored::Refused(error),
        };
        for (element, reason) in &page.quarantined {
            // The content is somebody's message: it is in the journal, not in the log.
            let bytes = element.len();
            tracing::error!(bot = &*self.settings.bot, bytes, "{reason}: quarantined in the journal");
        }
        at.set_aside.retain(|element| elements.contains(element));
        at.set_aside.extend(page.quarantined.into_iter().map(|(element, _)| element));
        match (page.last_id, elements.is_empty()) {
            (Some(last), _) => at.offset = Some(last.saturating_add(1)),
            (None, true) => {}
            // Nothing here says its id. Ids grow and the first element is at the offset or above it: one step
            // confirms that element or nothing, never an update that was not seen.
            (None, false) => match &mut at.offset {
                Some(offset) => {
                    *offset = offset.saturating_add(1);
                    return Stored::Stuck(PASSING);
                }
                None => return Stored::Stuck(IN_FRONT),
            },
        }
        Stored::Durable
    }

    /// A poll has worked, with or without trouble about what came. Whether somebody else polls too is only known after
    /// a while without a conflict: two that take turns both get pages.
    fn polled(&self, at: &mut Position, trouble: Option<&str>) {
        at.fresh = trouble.is_some();
        at.trouble.reset();
        if at.last_conflict.is_none_or(|last| last.elapsed() > self.pace.conflict_memory) {
            at.last_conflict = None;
            at.conflict.reset();
            self.reporter.conflict_over();
            match trouble {
                None => self.reporter.connected(ActiveMode::Polling),
                Some(why) => self.reporter.hampered(ActiveMode::Polling, why),
            }
        }
    }
}
