//! Long polling. What was not made durable is never confirmed: the offset is 1 + the last id of a page that is wholly
//! durable, and after every start there is none until a page has come.

use std::time::Duration;

use tokio::time::Instant;

use super::api::GetUpdates;
use super::backoff::Backoff;
use super::page::RawPage;
use super::position::{Passed, Position};
use super::status::ActiveMode;
use super::{CallError, Conflict, Ended, Telegram};
use crate::intake::{AppendError, IntakeState};

/// The most that Telegram gives at once.
const LIMIT: u8 = 100;

/// Where polling stands, and how it fares.
struct Standing {
    position: Position,
    trouble: Backoff,
    conflict: Backoff,
    last_conflict: Option<Instant>,
    /// Whether it is unknown if polling works, or if what cannot be read is passed: then the answer is wanted at once,
    /// not after a whole long poll.
    fresh: bool,
}

impl Telegram {
    /// Polls until polling is not the way any more.
    pub(super) async fn poll(&self) -> Ended {
        let mut at = Standing {
            position: Position::default(),
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
                offset: at.position.offset(),
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
                    Passed::All => self.polled(&mut at, None),
                    Passed::Stuck(why) => {
                        self.polled(&mut at, Some(why));
                        tokio::time::sleep(at.trouble.jitter(self.pace.stuck)).await;
                    }
                    Passed::Refused(AppendError::Stopped) => return Ended::DriverStopped,
                    Passed::Refused(AppendError::Paused(_)) => {
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
    async fn store(&self, page: RawPage, at: &mut Standing) -> Passed {
        let elements = match at.position.take(page) {
            Ok(elements) => elements,
            Err(why) => return Passed::Stuck(why),
        };
        let position = &at.position;
        let stored = self.intake.page(&elements, |element| position.is_set_aside(element)).await;
        for (element, reason) in stored.iter().flat_map(|page| &page.quarantined) {
            // The content is somebody's message: it is in the journal, not in the log.
            let bytes = element.len();
            tracing::error!(bot = &*self.settings.bot, bytes, "{reason}: quarantined in the journal");
        }
        at.position.pass(&elements, stored)
    }

    /// A poll has worked, with or without trouble about what came. Whether somebody else polls too is only known after
    /// a while without a conflict: two that take turns both get pages.
    fn polled(&self, at: &mut Standing, trouble: Option<&str>) {
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
