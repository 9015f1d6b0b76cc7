//! The driver's two threads: one that turns, one that commits.

use std::collections::BTreeSet;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use tokio::sync::{oneshot, watch};

use super::clock::{Clock, stalled_ms, stopwatch};
use super::core::{Core, Told, Work};
use super::handle::{BotHandle, Input, IntakeState};
use super::settings::Settings;
use super::tally::Tally;
use super::wanted::WantedKinds;
use crate::journal::{CommitError, Journal, JournalReader, ReadError, Recovered, Usage};
use crate::model::{Batch, GroupId, GroupName, GroupRecord, Now, Sequence, StreamEnd};
use crate::observe::metrics::Metrics;

/// Inputs taken in one turn, so that commits and deliveries keep their pace under any load.
const INPUTS_PER_TURN: usize = 4096;
/// While a commit takes longer than this, inputs are taken in all the same.
const COMMIT_PATIENCE: Duration = Duration::from_millis(5);
/// Settlements wait for updates to share their commit, for twice as long as a commit takes, but not longer than this.
const LONGEST_HOLD: Duration = Duration::from_millis(2);
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
    /// The declared groups could not be made durable.
    #[error(transparent)]
    Commit(#[from] CommitError),
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
    let mut recovered = reader.recover()?;
    let mut clock = Clock::new(recovered.last_time);
    let declared = declare(bot, &settings, &recovered, clock.now());
    if !declared.is_empty() {
        match journal.commit(&declared) {
            Ok(_) => recovered = reader.recover()?,
            // What is there must be settled first; the group is made by its first Subscribe, or at the next start.
            Err(CommitError::NoRoom { path, why }) => {
                tracing::warn!(bot, path, why, "declared groups cannot be made for want of room");
            }
            Err(error) => return Err(error.into()),
        }
    }
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
    let (wanted, wanted_seen) = watch::channel(WantedKinds::default());
    let handle = BotHandle::new(bot, sender.clone(), intake_seen, own_webhook_seen, wanted_seen);
    let tally = Tally::new(metrics, bot);
    let told = Told { intake, own_webhook, wanted };
    let core = Core::new(reader, recovered, settings, tally, sender.clone(), told);

    let (work, to_do) = mpsc::channel();
    let (done, results) = mpsc::channel();
    thread::Builder::new()
        .name(format!("commit-{bot}"))
        .spawn(move || carry_out_commits(journal, &to_do, &done))?;
    let (ended_sender, ended) = oneshot::channel();
    thread::Builder::new().name(format!("driver-{bot}")).spawn(move || {
        let channels = Channels { inputs, work, results };
        let result = run(core, clock, &channels);
        // Whoever started it may be gone already.
        let _gone = ended_sender.send(result);
    })?;
    Ok(Running { handle, ended })
}

/// The declared groups that do not exist, but for those that an operator has deleted. The first ones of a bot start at
/// the earliest update, like any first group.
fn declare(bot: &str, settings: &Settings, recovered: &Recovered, now: Now) -> Batch {
    let exists = |name: &GroupName| recovered.groups.iter().any(|group| group.record.name == *name);
    let start = if recovered.groups.is_empty() { Sequence(1) } else { recovered.last_sequence.next() };
    let missing = settings.groups.iter().filter(|name| !exists(name));
    let (deleted, missing): (BTreeSet<_>, BTreeSet<_>) =
        missing.partition(|name| recovered.deleted.contains(name));
    for group in deleted {
        tracing::warn!(
            bot,
            %group,
            "a declared group was deleted and is not made again: create it with `switchboard groups create`, or take it \
             out of `groups`"
        );
    }
    let records = (recovered.last_group.0 + 1..).zip(missing).map(|(number, name)| {
        GroupRecord::new(GroupId(number), name.clone(), start, settings.group, now.unix)
    });
    let groups: Vec<_> = records.collect();
    let first_groups = recovered.groups.is_empty() && !groups.is_empty();
    Batch { groups, first_groups, ..Batch::default() }
}

/// What the commit thread has done, and how long it took.
struct Done {
    result: Result<Usage, CommitError>,
    took: Duration,
}

fn carry_out_commits(mut journal: impl Journal, to_do: &mpsc::Receiver<Work>, done: &mpsc::Sender<Done>) {
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
        if done.send(Done { result, took: started.elapsed() }).is_err() {
            break;
        }
    }
}

/// The driver thread's ends.
struct Channels {
    inputs: mpsc::Receiver<Input>,
    work: mpsc::Sender<Work>,
    results: mpsc::Receiver<Done>,
}

fn run<R: JournalReader>(mut core: Core<R>, mut clock: Clock, channels: &Channels) -> Result<(), Failure> {
    let result = turns(&mut core, &mut clock, channels);
    let now = clock.now();
    core.say_what_is_left(now);
    core.flights.finish(now);
    core.end_streams(if result.is_ok() { StreamEnd::Drained } else { StreamEnd::Failed });
    result
}

fn turns<R: JournalReader>(
    core: &mut Core<R>,
    clock: &mut Clock,
    channels: &Channels,
) -> Result<(), Failure> {
    let Channels { inputs, work, results } = channels;
    let mut now = clock.now();
    let mut wait = Duration::ZERO;
    let mut idle_since = stopwatch();
    let mut hold = Duration::ZERO;
    loop {
        // While a commit is on its way nothing that comes in can be carried out anyway: whoever sends it need not wake
        // this thread, and it is all taken in at once when the commit is done.
        let mut done = None;
        let mut first = None;
        if core.awaits_commit() {
            wait = wait.min(COMMIT_PATIENCE);
            match results.recv_timeout(wait) {
                Ok(result) => done = Some(result),
                Err(mpsc::RecvTimeoutError::Timeout) => {}
                Err(mpsc::RecvTimeoutError::Disconnected) => return Err(Failure::Panicked),
            }
        } else {
            // The core keeps a sender: this cannot be disconnected.
            first = inputs.recv_timeout(wait).ok();
        }
        let before = std::mem::replace(&mut now, clock.now());
        let passed = Duration::from_millis(now.mono.since(before.mono));
        if let Some(ms) = stalled_ms(wait, passed) {
            core.stood_still(ms);
        }
        if let Some(Done { result, took }) = done {
            core.committed(now, result, took)?;
            idle_since = stopwatch();
            hold = (took * 2).min(LONGEST_HOLD);
        }
        let rest = std::iter::from_fn(|| inputs.try_recv().ok());
        for input in first.into_iter().chain(rest).take(INPUTS_PER_TURN) {
            core.handle(now, input);
        }
        core.turn(now)?;
        if core.may_hold()
            && !core.awaits_commit()
            && let Some(left) = hold.checked_sub(idle_since.elapsed())
        {
            wait = left;
            continue;
        }
        if let Some(next) = core.next_work(now)? {
            work.send(next).map_err(|_| Failure::Panicked)?;
        }
        if core.is_finished(now) {
            return Ok(());
        }
        let until = core.next_wake(now).since(now.mono);
        wait = Duration::from_millis(until).min(LONGEST_WAIT);
    }
}
