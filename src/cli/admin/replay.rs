//! `switchboard replay` and `switchboard dead-letters replay`: hands updates to a group again, and shows how far it is.

use std::future::Future;

use clap::Args;
use tokio_stream::{Stream, StreamExt};
use tonic::Status;

use super::console::progress_bar;
use super::failure::Failure;
use super::json::ApiMessage;
use super::rate::Rate;
use super::selection::ChangeArgs;
use super::session::{Session, Target};
use super::words::count;
use crate::cli::signals;
use crate::grpc::proto::client::{
    ReplayDeadLettersRequest, ReplayDeadLettersResponse, ReplayUpdatesRequest, ReplayUpdatesResponse,
};

/// Hand updates that a group is done with to it again, whether or not its filter matches them
#[derive(Args, Clone, Debug)]
pub struct ReplayArgs {
    #[command(flatten)]
    what: What,

    #[command(flatten)]
    pub(super) target: Target,
}

/// What to replay, and how.
#[derive(Args, Clone, Debug)]
pub(super) struct What {
    /// The group
    #[arg(value_name = "GROUP")]
    group: String,

    #[command(flatten)]
    which: ChangeArgs,

    /// At most so many: 50/s, 30/m
    #[arg(long, value_name = "RATE", allow_hyphen_values = true)]
    rate: Option<Rate>,

    /// Only count them
    #[arg(long)]
    dry_run: bool,
}

impl ReplayArgs {
    pub(super) async fn run(self, session: &mut Session) -> Result<(), Failure> {
        let what = self.what;
        let request = ReplayUpdatesRequest {
            bot: session.bot.clone(),
            group: what.group.clone(),
            selection: Some(what.which.selection(session.now())?),
            max_rate: what.rate.map(|Rate(rate)| rate),
            dry_run: what.dry_run,
        };
        let steps = session.client.replay_updates(request).await?.into_inner();
        what.follow(session, Source::Updates, steps, signals::stop_requested()).await
    }
}

/// What is replayed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Source {
    Updates,
    DeadLetters,
}

impl Source {
    fn one(self) -> &'static str {
        match self {
            Self::Updates => "update",
            Self::DeadLetters => "dead letter",
        }
    }
}

/// `dead-letters replay`.
pub(super) async fn dead_letters(what: &What, session: &mut Session) -> Result<(), Failure> {
    let request = ReplayDeadLettersRequest {
        bot: session.bot.clone(),
        group: what.group.clone(),
        selection: Some(what.which.selection(session.now())?),
        max_rate: what.rate.map(|Rate(rate)| rate),
        dry_run: what.dry_run,
    };
    let steps = session.client.replay_dead_letters(request).await?.into_inner();
    what.follow(session, Source::DeadLetters, steps, signals::stop_requested()).await
}

/// How far a replay is.
pub(super) trait Progress: ApiMessage + Default {
    fn replayed(&self) -> i64;
    fn total(&self) -> i64;
}

impl Progress for ReplayDeadLettersResponse {
    fn replayed(&self) -> i64 {
        self.replayed
    }

    fn total(&self) -> i64 {
        self.total
    }
}

impl Progress for ReplayUpdatesResponse {
    fn replayed(&self) -> i64 {
        self.replayed
    }

    fn total(&self) -> i64 {
        self.total
    }
}

impl What {
    /// Shows the steps until they end or somebody wants to stop; that ends the replay.
    pub(super) async fn follow<P: Progress>(
        &self,
        session: &mut Session,
        source: Source,
        steps: impl Stream<Item = Result<P, Status>>,
        stop: impl Future<Output = std::io::Result<()>>,
    ) -> Result<(), Failure> {
        let one = source.one();
        let bar = if self.dry_run { None } else { Some(progress_bar("replaying")) };
        let mut reached = P::default();
        let mut steps = std::pin::pin!(steps);
        let mut stop = std::pin::pin!(stop);
        let ended = loop {
            let step = tokio::select! {
                step = steps.next() => step,
                stopped = &mut stop => break Err(match stopped {
                    Ok(()) => Failure::Interrupted(self.so_far(&reached, one)),
                    Err(error) => Failure::Signal(error),
                }),
            };
            match step {
                Some(Ok(step)) => reached = step,
                Some(Err(status)) => {
                    if reached.replayed() > 0 {
                        session.console.note(&self.so_far(&reached, one));
                    }
                    break Err(Failure::Lost(status));
                }
                None => break Ok(()),
            }
            if let Some(bar) = &bar {
                bar.set_length(u64::try_from(reached.total()).unwrap_or(0));
                bar.set_position(u64::try_from(reached.replayed()).unwrap_or(0));
            }
        };
        if let Some(bar) = bar {
            bar.finish_and_clear();
        }
        ended?;
        if reached.total() == 0
            && let Some(failure) = self.which.not_found(session, &self.lacks(source))
        {
            // Scripts that read JSON get their answer all the same.
            session.show(&reached, |_| Vec::new())?;
            return Err(failure);
        }
        session.show(&reached, |_| vec![self.result(&reached, one)])?;
        if !self.dry_run && reached.replayed() > 0 {
            let show = session.command(&format!("groups show {}", self.group));
            session.remark(&format!("They are handed over, not yet settled; how they fare shows: {show}"));
        }
        Ok(())
    }

    /// What an update is not that could be replayed.
    fn lacks(&self, source: Source) -> String {
        match source {
            Source::Updates => format!("not kept, or group {} is not done with it yet", self.group),
            Source::DeadLetters => format!("no dead letter of group {}", self.group),
        }
    }

    /// As far as is known: a few more can have gone before the gateway learned of the end.
    fn so_far<P: Progress>(&self, reached: &P, one: &str) -> String {
        format!(
            "at least {} of {} replayed to group {}",
            reached.replayed(),
            count(reached.total(), one),
            self.group
        )
    }

    fn result<P: Progress>(&self, reached: &P, one: &str) -> String {
        match self.dry_run {
            true => format!("Would replay {} to group {}.", count(reached.total(), one), self.group),
            false => format!("Replayed {} to group {}.", count(reached.replayed(), one), self.group),
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::super::console::Console;
    use super::super::tests::Written;
    use super::*;
    use crate::cli::exit::Exit;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        replay: ReplayArgs,
    }

    #[tokio::test]
    async fn a_replay_that_is_stopped_says_how_far_it_was() {
        let args = Line::try_parse_from(["x", "orders", "--all"]).unwrap().replay;
        let console = Console::new(Written::default(), Written::default(), None);
        let mut session = Session::new(&args.target, console).unwrap();
        let (send, receive) = tokio::sync::oneshot::channel();
        let mut stop = Some(send);
        let first = ReplayUpdatesResponse { replayed: 5, total: 9 };
        let steps = tokio_stream::iter([Ok(first)]).chain(tokio_stream::pending()).map(|step| {
            if let Some(stop) = stop.take() {
                stop.send(()).unwrap();
            }
            step
        });
        let stopped = async { receive.await.map_err(std::io::Error::other) };
        let ended = args.what.follow(&mut session, Source::Updates, steps, stopped).await.unwrap_err();
        assert_eq!(ended.exit(), Exit::Interrupted);
        assert_eq!(ended.to_string(), "stopped: at least 5 of 9 updates replayed to group orders");
    }
}
