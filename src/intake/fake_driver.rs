//! A driver that keeps everything in memory, for tests of what lies in front of it.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, mpsc};

use tokio::sync::watch;

use super::Intake;
use crate::driver::{
    AppendError, Appended, BotHandle, Input, IntakeState, NewUpdate, PauseReason, WantedKinds,
};
use crate::model::{Quarantined, UnixMillis};
use crate::observe::metrics::Metrics;

/// What the driver has been given.
#[derive(Debug, Default)]
pub(crate) struct Stored {
    pub(crate) updates: Vec<NewUpdate>,
    pub(crate) quarantined: Vec<Quarantined>,
    /// Appends are taken and neither stored nor answered while this is true.
    pub(crate) stuck: bool,
    pub(crate) unanswered: Vec<Input>,
    /// The append after so many is refused, once.
    pub(crate) refuse_after: Option<usize>,
}

#[derive(Debug)]
pub(crate) struct FakeDriver {
    stored: Arc<Mutex<Stored>>,
    state: Arc<watch::Sender<IntakeState>>,
    pub(crate) own_webhook: Arc<watch::Sender<Option<Box<str>>>>,
    pub(crate) wanted: watch::Sender<WantedKinds>,
    changed: watch::Receiver<u64>,
}

impl FakeDriver {
    pub(crate) fn start(metrics: Metrics) -> (Self, Intake) {
        let (inputs, received) = mpsc::channel();
        let state = Arc::new(watch::Sender::new(IntakeState::Open));
        let own_webhook = Arc::new(watch::Sender::new(None));
        let wanted = watch::Sender::new(WantedKinds::default());
        let handle =
            BotHandle::new("default", inputs, state.subscribe(), own_webhook.subscribe(), wanted.subscribe());
        let stored = Arc::new(Mutex::new(Stored::default()));
        let (changes, changed) = watch::channel(0);
        let driver = Self {
            stored: stored.clone(),
            state: state.clone(),
            own_webhook: own_webhook.clone(),
            wanted,
            changed,
        };
        std::thread::spawn(move || {
            while let Ok(input) = received.recv() {
                carry_out(input, &stored, &state, &own_webhook);
                changes.send_modify(|count| *count += 1);
            }
        });
        (driver, Intake::new(handle, metrics))
    }

    pub(crate) fn stored(&self) -> MutexGuard<'_, Stored> {
        self.stored.lock().unwrap()
    }

    pub(crate) fn ids(&self) -> Vec<i64> {
        self.stored().updates.iter().map(|update| update.update_id).collect()
    }

    pub(crate) fn pause(&self, reason: PauseReason) {
        self.state.send_replace(IntakeState::Paused { reason, since: UnixMillis(1) });
    }

    pub(crate) fn resume(&self) {
        self.state.send_replace(IntakeState::Open);
    }

    /// Stores and answers what was stuck, and is stuck no more.
    pub(crate) fn release(&self) {
        let unanswered = {
            let mut stored = self.stored();
            stored.stuck = false;
            std::mem::take(&mut stored.unanswered)
        };
        for input in unanswered {
            carry_out(input, &self.stored, &self.state, &self.own_webhook);
        }
    }

    /// Waits until what is stored is such.
    pub(crate) async fn wait_until(&self, is: impl Fn(&Stored) -> bool) {
        let wait = async {
            let mut changed = self.changed.clone();
            while !is(&self.stored()) {
                changed.changed().await.unwrap();
            }
        };
        tokio::time::timeout(std::time::Duration::from_secs(20), wait).await.expect("it is stored in time");
    }
}

fn carry_out(
    input: Input,
    stored: &Mutex<Stored>,
    state: &watch::Sender<IntakeState>,
    own_webhook: &watch::Sender<Option<Box<str>>>,
) {
    let mut stored = stored.lock().unwrap();
    match input {
        input @ Input::Append { .. } if stored.stuck => stored.unanswered.push(input),
        Input::Append { updates, quarantined, reply } => {
            if let IntakeState::Paused { reason, .. } = *state.borrow() {
                let _ = reply.send(Err(AppendError::Paused(reason)));
                return;
            }
            let refused = stored.refuse_after == Some(0);
            stored.refuse_after = stored.refuse_after.and_then(|appends| appends.checked_sub(1));
            if refused {
                let _ = reply.send(Err(AppendError::Paused(PauseReason::Overloaded)));
                return;
            }
            let mut known: BTreeSet<i64> = stored.updates.iter().map(|update| update.update_id).collect();
            let all = updates.len();
            let new: Vec<_> = updates.into_iter().filter(|update| known.insert(update.update_id)).collect();
            let appended = Appended { stored: new.len(), duplicates: all - new.len() };
            stored.updates.extend(new);
            stored.quarantined.extend(quarantined);
            let _ = reply.send(Ok(appended));
        }
        Input::RememberWebhook { url, reply } => {
            own_webhook.send_replace(Some(url));
            let _ = reply.send(Ok(()));
        }
        other => panic!("the Telegram side asks for nothing else: {other:?}"),
    }
}
