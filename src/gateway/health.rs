//! What the gateway knows of itself, for the ops listener.

use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::driver::{BotHandle, IntakeState};
use crate::http::ops::{BotReadiness, Health, Paused, Readiness};
use crate::telegram::StatusReader;

use super::failure::Failure;

/// How far the gateway is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Phase {
    /// The journals are being recovered.
    #[default]
    Starting,
    /// gRPC is up.
    Running,
    /// No new streams.
    Stopping,
}

/// One bot that runs.
pub(super) struct Bot {
    pub(super) handle: BotHandle,
    pub(super) status: StatusReader,
}

#[derive(Default)]
pub(super) struct State {
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    phase: Phase,
    bots: Vec<Bot>,
    /// What the process must be restarted for.
    failure: Option<String>,
}

impl State {
    /// The journals are recovered and gRPC is about to be served on a port that takes connections already.
    pub(super) fn running(&self, bots: impl Iterator<Item = Bot>) {
        let mut inner = self.lock();
        inner.bots = bots.collect();
        inner.phase = Phase::Running;
    }

    pub(super) fn enter(&self, phase: Phase) {
        self.lock().phase = phase;
    }

    pub(super) fn fail(&self, failure: &Failure) {
        self.lock().failure.get_or_insert_with(|| failure.to_string());
    }

    /// Nothing that could panic happens under the lock; its content is whole in any case.
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Health for State {
    fn failure(&self) -> Option<String> {
        self.lock().failure.clone()
    }

    fn readiness(&self) -> Readiness {
        let inner = self.lock();
        let why = match (&inner.failure, inner.phase) {
            (Some(failure), _) => Some(failure.clone()),
            (None, Phase::Starting) => Some("the journals are being recovered".to_owned()),
            (None, Phase::Stopping) => Some("the gateway is stopping".to_owned()),
            (None, Phase::Running) => None,
        };
        Readiness { ready: why.is_none(), why, bots: inner.bots.iter().map(readiness).collect() }
    }
}

fn readiness(bot: &Bot) -> BotReadiness {
    let status = bot.status.current();
    let intake_paused = match *bot.handle.intake().borrow() {
        IntakeState::Open => None,
        IntakeState::Paused { reason, since } => {
            Some(Paused { reason: reason.to_string(), since_ms: since.0 })
        }
    };
    BotReadiness {
        bot: bot.handle.bot().to_owned(),
        mode: status.mode.map(|mode| mode.name()),
        connected: status.connected_since.is_some(),
        connected_since_ms: status.connected_since.map(|since| since.0),
        last_update_ms: status.last_update.map(|last| last.0),
        conflict: status.conflict.map(String::from),
        trouble: status.last_error.map(String::from),
        intake_paused,
    }
}
