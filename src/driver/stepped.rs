//! A driver without threads and clocks, for simulations and tests: whoever holds it says what time it is, when the loop
//! turns, and what becomes of each commit.

use std::sync::mpsc;
use std::time::Duration;

use super::clock::Steady;
use super::core::Work;
use super::handle::BotHandle;
use super::run::{Begun, Failure, StartError, begin, carry_out};
use super::settings::Settings;
use super::turns::{Clocks, Done, Next, Turns};
use super::{Input, IntakeState};
use crate::journal::{CommitError, Journal, JournalReader, Usage};
use crate::model::{Batch, Monotonic, Now};
use crate::observe::metrics::Metrics;

/// One bot's driver between two turns, with its journal.
#[derive(Debug)]
pub struct Stepped<J: Journal> {
    journal: J,
    pub(super) turns: Turns<J::Reader>,
    handle: BotHandle,
    inputs: mpsc::Receiver<Input>,
    clocks: Given,
    /// What the commit thread would be at.
    work: Option<Work>,
    /// Its answer, which the next turn takes in.
    done: Option<Done>,
    /// When the last turn was.
    turned: Monotonic,
}

/// Whether a driver goes on after a turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turned {
    /// It does.
    On,
    /// It has ended, as it was told to.
    Ended,
}

/// Clocks that say what they are told.
#[derive(Debug)]
struct Given {
    steady: Steady,
    now: Now,
}

impl Clocks for Given {
    fn now(&mut self) -> Now {
        self.steady.read(self.now)
    }

    fn fine(&self) -> Duration {
        Duration::from_millis(self.now.mono.0)
    }
}

impl<J: Journal> Stepped<J> {
    /// Starts a driver on its journal, as [`start`](super::start) does.
    ///
    /// # Errors
    /// [`StartError`].
    pub fn start(
        bot: &str,
        mut journal: J,
        settings: Settings,
        metrics: Metrics,
        now: Now,
    ) -> Result<Self, StartError> {
        let recovered = journal.reader().recover()?;
        let mut clocks = Given { steady: Steady::new(recovered.last_time), now };
        let Begun { turns, handle, inputs } =
            begin(bot, &mut journal, recovered, settings, metrics, &mut clocks)?;
        Ok(Self { journal, turns, handle, inputs, clocks, work: None, done: None, turned: now.mono })
    }

    /// How to talk to it. What is said waits for the next turn.
    #[must_use]
    pub fn handle(&self) -> &BotHandle {
        &self.handle
    }

    /// The same, without waiting for an answer.
    pub fn say(&self, input: Input) {
        self.handle.say(input);
    }

    /// Its journal.
    #[must_use]
    pub fn journal(&self) -> &J {
        &self.journal
    }

    /// Its journal's reader.
    #[must_use]
    pub fn reader(&self) -> J::Reader {
        self.journal.reader()
    }

    /// Whether updates are taken.
    #[must_use]
    pub fn intake(&self) -> IntakeState {
        *self.handle.intake().borrow()
    }

    /// One turn of the loop: takes in the commit thread's answer and all that was said, and lets happen what is due.
    ///
    /// # Errors
    /// [`Failure`]: the process would end.
    pub fn turn(&mut self, now: Now) -> Result<Turned, Failure> {
        self.clocks.now = now;
        self.turned = now.mono;
        let done = self.done.take();
        let inputs = std::iter::from_fn(|| self.inputs.try_recv().ok());
        match self.turns.turn(&mut self.clocks, done, inputs)? {
            Next::Wait => {}
            Next::Work(work) => self.work = Some(work),
            Next::End => return Ok(Turned::Ended),
        }
        Ok(Turned::On)
    }

    /// Until when the loop would wait now if nothing came in.
    pub fn wakes(&mut self) -> Monotonic {
        let wait = self.turns.wait();
        self.turned.plus(u64::try_from(wait.as_millis()).unwrap_or(u64::MAX))
    }

    /// The loop has looked around up to now, and nothing was to do: what is late then is so for no standstill.
    pub fn looked_around(&mut self, now: Now) {
        self.turns.looked_around(now);
    }

    /// Whether the commit thread has something to do.
    #[must_use]
    pub fn has_work(&self) -> bool {
        self.work.is_some()
    }

    /// What the commit thread is to make durable, if it is that.
    #[must_use]
    pub fn batch(&self) -> Option<&Batch> {
        match &self.work {
            Some(Work::Commit(batch)) => Some(batch),
            Some(Work::Probe) | None => None,
        }
    }

    /// The commit thread does what it has to do, if there is something; the next turn hears of it. Whether it succeeded.
    pub fn commit(&mut self, took: Duration) -> bool {
        let Some(work) = self.work.take() else { return false };
        let result = carry_out(&mut self.journal, work);
        let succeeded = result.is_ok();
        self.done = Some(Done { result, took });
        succeeded
    }

    /// Instead of that, the commit thread gives this answer. The journal knows nothing of it.
    pub fn answer(&mut self, result: Result<Usage, CommitError>, took: Duration) {
        if self.work.take().is_some() {
            self.done = Some(Done { result, took });
        }
    }

    /// The commit thread's answer that the next turn takes in.
    pub fn answered(&mut self) -> Option<&mut Result<Usage, CommitError>> {
        self.done.as_mut().map(|done| &mut done.result)
    }

    /// The loop has ended as `result` says: says what is left and ends the streams. Gives the journal back.
    pub fn end(mut self, result: &Result<(), Failure>) -> J {
        self.turns.end(&mut self.clocks, result);
        self.journal
    }
}
