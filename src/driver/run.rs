//! The driver's two threads: one that turns, one that commits.

use std::collections::BTreeSet;
use std::sync::mpsc;
use std::thread;

use tokio::sync::{oneshot, watch};

use super::clock::{Clock, stopwatch};
use super::core::{Core, Told, Work};
use super::handle::{BotHandle, Input, IntakeState};
use super::settings::Settings;
use super::tally::Tally;
use super::turns::{Clocks, Done, Next, Turns};
use super::wanted::WantedKinds;
use crate::journal::{CommitError, Journal, JournalReader, ReadError, Recovered, Usage};
use crate::model::{Batch, GroupId, GroupName, GroupRecord, Now, Sequence};
use crate::observe::metrics::Metrics;

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
    let recovered = journal.reader().recover()?;
    let mut clock = Clock::new(recovered.last_time);
    let Begun { turns, handle, inputs } = begin(bot, &mut journal, recovered, settings, metrics, &mut clock)?;
    let (work, to_do) = mpsc::channel();
    let (done, results) = mpsc::channel();
    thread::Builder::new()
        .name(format!("commit-{bot}"))
        .spawn(move || carry_out_commits(journal, &to_do, &done))?;
    let (ended_sender, ended) = oneshot::channel();
    thread::Builder::new().name(format!("driver-{bot}")).spawn(move || {
        let channels = Channels { inputs, work, results };
        let result = run(turns, clock, &channels);
        // Whoever started it may be gone already.
        let _gone = ended_sender.send(result);
    })?;
    Ok(Running { handle, ended })
}

/// A driver that has recovered what its journal holds, and waits for its first turn.
#[derive(Debug)]
pub(super) struct Begun<R> {
    pub(super) turns: Turns<R>,
    pub(super) handle: BotHandle,
    pub(super) inputs: mpsc::Receiver<Input>,
}

/// Makes the declared groups durable, and a driver of what the journal holds then.
pub(super) fn begin<J: Journal>(
    bot: &str,
    journal: &mut J,
    mut recovered: Recovered,
    settings: Settings,
    metrics: Metrics,
    clocks: &mut impl Clocks,
) -> Result<Begun<J::Reader>, StartError> {
    let reader = journal.reader();
    let declared = declare(bot, &settings, &recovered, clocks.now());
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
    let core = Core::new(reader, recovered, settings, tally, sender, told);
    Ok(Begun { turns: Turns::new(core, clocks), handle, inputs })
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

fn carry_out_commits(mut journal: impl Journal, to_do: &mpsc::Receiver<Work>, done: &mpsc::Sender<Done>) {
    while let Ok(work) = to_do.recv() {
        let started = stopwatch();
        let result = carry_out(&mut journal, work);
        if done.send(Done { result, took: started.elapsed() }).is_err() {
            break;
        }
    }
}

/// What the commit thread does.
pub(super) fn carry_out(journal: &mut impl Journal, work: Work) -> Result<Usage, CommitError> {
    match work {
        // The batch is given back before the answer, so that the driver can take it apart.
        Work::Commit(batch) => journal.commit(&batch),
        Work::Probe => journal.usage(),
    }
}

/// The driver thread's ends.
struct Channels {
    inputs: mpsc::Receiver<Input>,
    work: mpsc::Sender<Work>,
    results: mpsc::Receiver<Done>,
}

fn run<R: JournalReader>(mut turns: Turns<R>, mut clock: Clock, channels: &Channels) -> Result<(), Failure> {
    let result = turn_until_the_end(&mut turns, &mut clock, channels);
    turns.end(&mut clock, &result);
    result
}

fn turn_until_the_end<R: JournalReader>(
    turns: &mut Turns<R>,
    clock: &mut Clock,
    channels: &Channels,
) -> Result<(), Failure> {
    let Channels { inputs, work, results } = channels;
    loop {
        let wait = turns.wait();
        let mut done = None;
        let mut first = None;
        if turns.awaits_commit() {
            match results.recv_timeout(wait) {
                Ok(result) => done = Some(result),
                Err(mpsc::RecvTimeoutError::Timeout) => {}
                Err(mpsc::RecvTimeoutError::Disconnected) => return Err(Failure::Panicked),
            }
        } else {
            // The core keeps a sender: this cannot be disconnected.
            first = inputs.recv_timeout(wait).ok();
        }
        let rest = std::iter::from_fn(|| inputs.try_recv().ok());
        match turns.turn(clock, done, first.into_iter().chain(rest))? {
            Next::Wait => {}
            Next::Work(next) => work.send(next).map_err(|_| Failure::Panicked)?,
            Next::End => return Ok(()),
        }
    }
}
