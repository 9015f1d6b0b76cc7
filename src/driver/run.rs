//! The driver's two threads: one that turns, one that commits.

use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use tokio::sync::{oneshot, watch};

use super::clock::{Clock, stalled_ms, stopwatch};
use super::core::{Core, Work};
use super::handle::{BotHandle, Input, IntakeState};
use super::settings::Settings;
use super::tally::Tally;
use crate::journal::{CommitError, Journal, JournalReader, ReadError};
use crate::model::StreamEnd;
use crate::observe::metrics::Metrics;

/// Inputs taken in one turn, so that commits and deliveries keep their pace under any load.
const INPUTS_PER_TURN: usize = 4096;
/// The loop looks around at least this often.
const LONGEST_WAIT: Duration = Duration::from_secs(1);

/// A driver that runs.
#[derive(Debug)]
pub struct Running {
    /// How to talk to it.
    pub handle: BotHandle,
    /// Resolves when it has ended: after a shutdown, or because it failed. Dropped without a value if it panicked.
    pub ended: oneshot::Receiver<Result<(), Failure>>,
}

/// Why a driver ended by itself. The process must end too: what is on the disk is recovered at the next start.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// A commit failed for another reason than want of room.
    #[error(transparent)]
    Commit(#[from] CommitError),
    /// The journal could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The commit thread is gone.
    #[error("the commit thread has panicked")]
    Panicked,
}

/// Why a driver could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The journal could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// No thread could be had.
    #[error("no thread can be started: {0}")]
    Thread(#[from] std::io::Error),
}

/// Starts a bot's driver on its journal.
///
/// # Errors
/// [`StartError`].
pub fn start<J: Journal>(
    bot: &str,
    mut journal: J,
    settings: Settings,
    metrics: Metrics,
) -> Result<Running, StartError> {
    let reader = journal.reader();
    let recovered = reader.recover()?;
    tracing::info!(
        bot,
        groups = recovered.groups.len(),
        last_sequence = recovered.last_sequence.0,
        boot = recovered.boot,
        "journal recovered"
    );
    let (sender, inputs) = mpsc::channel();
    let (intake, intake_seen) = watch::channel(IntakeState::Open);
    let (own_webhook, own_webhook_seen) = watch::channel(None);
    let handle = BotHandle::new(bot, sender.clone(), intake_seen, own_webhook_seen);
    let clock = Clock::new(recovered.last_time);
    let tally = Tally::new(metrics, bot);
    let core = Core::new(reader, recovered, settings, tally, sender.clone(), intake, own_webhook);

    let (work, to_do) = mpsc::channel::<Work>();
    thread::Builder::new().name(format!("commit-{bot}")).spawn(move || {
        while let Ok(work) = to_do.recv() {
            let started = stopwatch();
            let result = match work {
                Work::Commit(batch) => {
                    let result = journal.commit(&batch);
                    // Given back before the answer, so that the driver can take the batch apart.
                    drop(batch);
                    result
                }
                Work::Probe => journal.usage(),
            };
            if sender.send(Input::Committed { result, took: started.elapsed() }).is_err() {
                break;
            }
        }
    })?;
    let (ended_sender, ended) = oneshot::channel();
    thread::Builder::new().name(format!("driver-{bot}")).spawn(move || {
        let result = run(core, clock, &inputs, &work);
        // Whoever started it may be gone already.
        let _gone = ended_sender.send(result);
    })?;
    Ok(Running { handle, ended })
}

fn run<R: JournalReader>(
    mut core: Core<R>,
    mut clock: Clock,
    inputs: &mpsc::Receiver<Input>,
    work: &mpsc::Sender<Work>,
) -> Result<(), Failure> {
    let result = turns(&mut core, &mut clock, inputs, work);
    core.end_streams(if result.is_ok() { StreamEnd::Drained } else { StreamEnd::Failed });
    result
}

fn turns<R: JournalReader>(
    core: &mut Core<R>,
    clock: &mut Clock,
    inputs: &mpsc::Receiver<Input>,
    work: &mpsc::Sender<Work>,
) -> Result<(), Failure> {
    let mut now = clock.now();
    let mut wait = Duration::ZERO;
    loop {
        let first = match inputs.recv_timeout(wait) {
            Ok(input) => Some(input),
            Err(mpsc::RecvTimeoutError::Timeout) => None,
            Err(mpsc::RecvTimeoutError::Disconnected) => return Err(Failure::Panicked),
        };
        let before = std::mem::replace(&mut now, clock.now());
        let passed = Duration::from_millis(now.mono.since(before.mono));
        if let Some(ms) = stalled_ms(wait, passed) {
            core.stood_still(ms);
        }
        let rest = std::iter::from_fn(|| inputs.try_recv().ok());
        for input in first.into_iter().chain(rest).take(INPUTS_PER_TURN) {
            core.handle(now, input)?;
        }
        if let Some(next) = core.turn(now)? {
            work.send(next).map_err(|_| Failure::Panicked)?;
        }
        if core.is_finished(now) {
            return Ok(());
        }
        let until = core.next_wake(now).since(now.mono);
        wait = Duration::from_millis(until).min(LONGEST_WAIT);
    }
}
