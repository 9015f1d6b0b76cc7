//! The loop that a driver lives in, turn by turn: when it takes inputs, hands a batch to the commit thread, holds
//! settlements back, and how long it may wait then. Whoever runs it brings the threads and the clocks.

use std::time::Duration;

use super::core::{Core, Work};
use super::handle::Input;
use super::run::Failure;
use crate::journal::{CommitError, JournalReader, Usage};
use crate::model::{Now, StreamEnd};

/// Inputs taken in one turn, so that commits and deliveries keep their pace under any load.
const INPUTS_PER_TURN: usize = 4096;
/// While a commit takes longer than this, inputs are taken in all the same.
const COMMIT_PATIENCE: Duration = Duration::from_millis(5);
/// Settlements wait for updates to share their commit, for twice as long as a commit takes, but not longer than this.
const LONGEST_HOLD: Duration = Duration::from_millis(2);
/// The loop looks around at least this often.
const LONGEST_WAIT: Duration = Duration::from_secs(1);
/// A gap between two turns that is longer than it should have been by more than this is taken for a standstill of the
/// gateway itself: a SIGSTOP, a blocked disk, a suspended machine.
const STALL: Duration = Duration::from_secs(1);

/// Where the loop has its time from.
pub(super) trait Clocks {
    /// Both clocks. The wall clock never goes back.
    fn now(&mut self) -> Now;

    /// The time since any moment, as finely as the machine tells it.
    fn fine(&self) -> Duration;
}

/// What the commit thread has done, and how long it took.
#[derive(Debug)]
pub(super) struct Done {
    pub(super) result: Result<Usage, CommitError>,
    pub(super) took: Duration,
}

/// What is to be done after a turn.
#[derive(Debug)]
pub(super) enum Next {
    /// Wait until something comes in, at most for as long as [`Turns::wait`] says.
    Wait,
    /// The same, and let the commit thread do this meanwhile.
    Work(Work),
    /// The driver has ended.
    End,
}

/// A driver between two turns.
#[derive(Debug)]
pub(super) struct Turns<R> {
    pub(super) core: Core<R>,
    /// When the last turn was.
    now: Now,
    /// How long it was to be until the next one.
    wait: Duration,
    /// When the last commit was done, by [`Clocks::fine`].
    idle_since: Duration,
    /// How long settlements are held back after that.
    hold: Duration,
}

impl<R: JournalReader> Turns<R> {
    pub(super) fn new(core: Core<R>, clocks: &mut impl Clocks) -> Self {
        let (now, idle_since) = (clocks.now(), clocks.fine());
        Self { core, now, wait: Duration::ZERO, idle_since, hold: Duration::ZERO }
    }

    /// Whether the commit thread is at work. Then nothing that comes in can be carried out anyway: whoever sends it need
    /// not wake the loop, and it is all taken in at once when the commit is done.
    pub(super) fn awaits_commit(&self) -> bool {
        self.core.awaits_commit()
    }

    /// How long the loop may wait for what it waits for: an answer of the commit thread if it is at work, else an input.
    pub(super) fn wait(&mut self) -> Duration {
        if self.awaits_commit() {
            self.wait = self.wait.min(COMMIT_PATIENCE);
        }
        self.wait
    }

    /// One turn, with the commit thread's answer if there is one, and the inputs that have come.
    pub(super) fn turn(
        &mut self,
        clocks: &mut impl Clocks,
        done: Option<Done>,
        inputs: impl Iterator<Item = Input>,
    ) -> Result<Next, Failure> {
        let before = std::mem::replace(&mut self.now, clocks.now());
        let now = self.now;
        if let Some(ms) = stalled_ms(self.wait, Duration::from_millis(now.mono.since(before.mono))) {
            self.core.stood_still(ms);
        }
        if let Some(Done { result, took }) = done {
            self.core.committed(now, result, took)?;
            self.idle_since = clocks.fine();
            self.hold = (took * 2).min(LONGEST_HOLD);
        }
        for input in inputs.take(INPUTS_PER_TURN) {
            self.core.handle(now, input);
        }
        self.core.turn(now)?;
        if self.core.may_hold() && !self.core.awaits_commit() {
            let left = self.hold.saturating_sub(clocks.fine().saturating_sub(self.idle_since));
            if !left.is_zero() {
                self.wait = left;
                return Ok(Next::Wait);
            }
        }
        let work = self.core.next_work(now)?;
        if self.core.is_finished(now) {
            return Ok(Next::End);
        }
        let until = self.core.next_wake(now).since(now.mono);
        self.wait = Duration::from_millis(until).min(LONGEST_WAIT);
        Ok(work.map_or(Next::Wait, Next::Work))
    }

    /// The loop has looked around up to now without a need to turn.
    #[cfg(any(test, feature = "simulation"))]
    pub(super) fn looked_around(&mut self, now: Now) {
        self.now.mono = self.now.mono.max(now.mono);
    }

    /// The loop is over: says what is left, and ends the streams.
    pub(super) fn end(&mut self, clocks: &mut impl Clocks, result: &Result<(), Failure>) {
        let now = clocks.now();
        self.core.say_what_is_left(now);
        self.core.flights.finish(now);
        self.core.end_streams(if result.is_ok() { StreamEnd::Drained } else { StreamEnd::Failed });
    }
}

/// How long the gateway stood still, in milliseconds, if it did: it meant to wait for `meant` at most, and `passed`
/// has passed.
fn stalled_ms(meant: Duration, passed: Duration) -> Option<u64> {
    let over = passed.saturating_sub(meant);
    (over > STALL).then(|| u64::try_from(over.as_millis()).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_late_turn_is_a_stall_only_when_it_is_much_too_late() {
        let s = Duration::from_secs;
        assert_eq!(stalled_ms(s(5), s(5)), None);
        assert_eq!(stalled_ms(s(0), s(1)), None);
        assert_eq!(stalled_ms(s(5), s(65)), Some(60_000));
    }
}
