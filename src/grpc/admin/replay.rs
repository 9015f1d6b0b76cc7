//! ReplayUpdates and ReplayDeadLetters: what is found is handed over a part at a time, with a word on how far it is.

use std::time::Duration;

use tokio::sync::mpsc::{self, Sender};
use tokio::time::Instant;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;

use super::dead_letters;
use super::refused::{self, look, refused};
use super::selections;
use super::standings;
use crate::driver::SteerError;
use crate::grpc::bots::{Bot, Bots};
use crate::grpc::fields::{self, InvalidField, invalid};
use crate::grpc::messages::saturating_i64;
use crate::grpc::proto::server as pb;
use crate::inspect::Selection;
use crate::model::{GroupView, Head, Sequence};

/// At the latest after this long the client hears how far it is.
const PROGRESS_EVERY: Duration = Duration::from_millis(500);
/// When to try again to hand over what found too much that is not settled yet.
const RETRY_AFTER: Duration = Duration::from_millis(250);
/// As many as one commit takes easily.
const AT_ONCE: usize = 500;
/// With a rate, what is handed over at once is what is due in this time, so that the rate is even.
const EVEN_SECONDS: f64 = 0.1;
const MAX_RATE: f64 = 100_000.0;
const MIN_RATE: f64 = 0.1;
/// Words on the progress that wait for a slow client; then the replay waits, too.
const WORDS_AHEAD: usize = 4;

/// What is replayed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Source {
    Updates,
    DeadLetters,
}

/// How far a replay is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Progress {
    replayed: u64,
    total: u64,
}

impl From<Progress> for pb::ReplayUpdatesResponse {
    fn from(Progress { replayed, total }: Progress) -> Self {
        Self { replayed: saturating_i64(replayed), total: saturating_i64(total) }
    }
}

impl From<Progress> for pb::ReplayDeadLettersResponse {
    fn from(Progress { replayed, total }: Progress) -> Self {
        Self { replayed: saturating_i64(replayed), total: saturating_i64(total) }
    }
}

/// The stream of a replay's progress.
pub(super) type Words<T> = ReceiverStream<Result<T, Status>>;

pub(super) async fn updates(
    bots: &Bots,
    request: pb::ReplayUpdatesRequest,
) -> Result<Words<pb::ReplayUpdatesResponse>, Status> {
    let pb::ReplayUpdatesRequest { bot, group, selection, max_rate, dry_run } = request;
    begin(bots, &bot, &group, selection.as_ref(), max_rate, (Source::Updates, dry_run)).await
}

pub(super) async fn dead_letters(
    bots: &Bots,
    request: pb::ReplayDeadLettersRequest,
) -> Result<Words<pb::ReplayDeadLettersResponse>, Status> {
    let pb::ReplayDeadLettersRequest { bot, group, selection, max_rate, dry_run } = request;
    begin(bots, &bot, &group, selection.as_ref(), max_rate, (Source::DeadLetters, dry_run)).await
}

async fn begin<T: From<Progress> + Send + 'static>(
    bots: &Bots,
    bot: &str,
    group: &str,
    selection: Option<&pb::Selection>,
    max_rate: Option<f64>,
    (source, dry_run): (Source, bool),
) -> Result<Words<T>, Status> {
    let selection = selections::required(selection)?;
    let rate = rate(max_rate)?;
    let name = fields::group(group)?;
    let bot = bots.find(bot)?.clone();
    let group = refused::durable_group(&bot, name).await?;
    let (sender, words) = mpsc::channel(WORDS_AHEAD);
    let mut replay = Replay {
        bot,
        group,
        selection,
        source,
        rate,
        dry_run,
        progress: Progress::default(),
        said: Instant::now(),
        words: sender,
    };
    tokio::spawn(async move {
        let last = match replay.run().await {
            Ok(()) => Ok(replay.progress.into()),
            Err(Ended::Refused(status)) => Err(*status),
            Err(Ended::ClientGone) => return,
        };
        // A client that has gone needs no word.
        let _ = replay.words.send(last).await;
    });
    Ok(ReceiverStream::new(words))
}

fn rate(max_rate: Option<f64>) -> Result<Option<f64>, InvalidField> {
    match max_rate {
        Some(rate) if !(MIN_RATE..=MAX_RATE).contains(&rate) => {
            Err(invalid("max_rate", format!("is {rate:?}; it must be 0.1 to 100000, or absent")))
        }
        rate => Ok(rate),
    }
}

/// Why a replay ended early.
enum Ended {
    ClientGone,
    Refused(Box<Status>),
}

impl From<Status> for Ended {
    fn from(status: Status) -> Self {
        Self::Refused(Box::new(status))
    }
}

struct Replay<T> {
    bot: Bot,
    group: GroupView,
    selection: Selection,
    source: Source,
    rate: Option<f64>,
    dry_run: bool,
    progress: Progress,
    /// When the client heard last.
    said: Instant,
    words: Sender<Result<T, Status>>,
}

impl<T: From<Progress> + Send> Replay<T> {
    async fn run(&mut self) -> Result<(), Ended> {
        let end = look(&self.bot, |inspector| Ok(inspector.holdings()?.newest)).await?;
        let mut from = Some(Sequence(0));
        while let Some(at) = from {
            let (sequences, next) = self.next(at, end).await?;
            self.progress.total += sequences.len() as u64;
            self.say_if_due().await?;
            from = next;
        }
        if self.dry_run {
            return Ok(());
        }
        let mut due = Instant::now();
        from = Some(Sequence(0));
        while let Some(at) = from {
            let (sequences, next) = self.next(at, end).await?;
            for sequences in sequences.chunks(self.at_once()) {
                self.wait_until(due).await?;
                self.hand_over(sequences).await?;
                if let Some(rate) = self.rate {
                    due = due.max(Instant::now()) + Duration::from_secs_f64(sequences.len() as f64 / rate);
                }
            }
            from = next;
        }
        Ok(())
    }

    /// The next ones up to `end` that match and are settled, and where to go on.
    async fn next(&self, at: Sequence, end: Sequence) -> Result<(Vec<Sequence>, Option<Sequence>), Ended> {
        let (mut sequences, next) = match self.source {
            Source::DeadLetters => {
                dead_letters::next(&self.bot, self.group.record.id, &self.selection, at).await?
            }
            Source::Updates => {
                let selection = self.selection.clone();
                let (heads, next) =
                    look(&self.bot, move |inspector| inspector.matching(&selection, Some(at), AT_ONCE))
                        .await?;
                let settled = self.settled(&heads).await?;
                (settled.iter().map(|head| head.sequence).collect(), next)
            }
        };
        sequences.retain(|sequence| *sequence <= end);
        Ok((sequences, next.filter(|next| *next <= end)))
    }

    /// Those of the updates that the group is done with.
    async fn settled(&self, heads: &[Head]) -> Result<Vec<Head>, Ended> {
        let status = &self.group.status;
        // Below the cursor all is settled but what is replayed.
        let below = heads.last().is_none_or(|last| last.sequence <= status.cursor);
        if below && status.replaying == 0 && self.progress.replayed == 0 {
            return Ok(heads.to_vec());
        }
        Ok(standings::settled(&self.bot, self.group.record.id, heads).await?)
    }

    /// How many are handed over at once.
    fn at_once(&self) -> usize {
        match self.rate {
            // At most 10,000, and not negative.
            Some(rate) => ((rate * EVEN_SECONDS) as usize).clamp(1, AT_ONCE),
            None => AT_ONCE,
        }
    }

    async fn hand_over(&mut self, sequences: &[Sequence]) -> Result<(), Ended> {
        let name = self.group.record.name.clone();
        let from_dead_letters = self.source == Source::DeadLetters;
        loop {
            match self.bot.handle.replay(name.clone(), sequences.to_vec(), from_dead_letters).await {
                Ok(replayed) => {
                    self.progress.replayed += replayed;
                    return self.say_if_due().await;
                }
                Err(SteerError::TooManyReplays { .. }) => {
                    self.wait_until(Instant::now() + RETRY_AFTER).await?;
                }
                Err(why) => return Err(refused(&self.bot, why).await.into()),
            }
        }
    }

    /// Waits, and says how far it is meanwhile. Ends with the client.
    async fn wait_until(&mut self, due: Instant) -> Result<(), Ended> {
        loop {
            self.say_if_due().await?;
            if due <= Instant::now() {
                return Ok(());
            }
            let until = due.min(self.said + PROGRESS_EVERY);
            tokio::select! {
                () = tokio::time::sleep_until(until) => {}
                () = self.words.closed() => return Err(Ended::ClientGone),
            }
        }
    }

    async fn say_if_due(&mut self) -> Result<(), Ended> {
        if self.said.elapsed() >= PROGRESS_EVERY {
            self.words.send(Ok(self.progress.into())).await.map_err(|_| Ended::ClientGone)?;
            self.said = Instant::now();
        }
        if self.words.is_closed() { Err(Ended::ClientGone) } else { Ok(()) }
    }
}
