//! The composition root: what starts and stops in which order.
//!
//! ```text
//! start   ports ─▶ ops ─▶ traces ─▶ journals recovered, drivers ─▶ gRPC ─▶ Telegram
//! stop    Telegram ─▶ drivers and streams drain, settlements until the grace is over ─▶ gRPC ─▶ traces ─▶ ops
//! ```
//!
//! The webhook stays registered and the offset unmoved, so that Telegram holds what comes meanwhile. A driver that
//! fails takes the gateway down the same way, with less grace: what is on the disk is recovered at the next start.

mod api;
mod bots;
mod connection;
mod failure;
mod health;
mod listeners;
mod open_files;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use tokio::task::{JoinError, JoinHandle, JoinSet};

use crate::config::{Config, Secret};
use crate::driver::BotHandle;
use crate::grpc;
use crate::http::{ops, public};
use crate::observe::metrics::Metrics;
use crate::observe::spans;

use bots::{DriverEnd, TelegramEnd};
pub use failure::Failure;
use health::{Phase, State};
use listeners::Listeners;

/// With a failed driver there is little to wait for: only the other bots' settlements.
const GRACE_AFTER_FAILURE: Duration = Duration::from_secs(5);
/// Over the grace: the last commit, the last status on every stream, the connections' end.
const CLOSING_TIME: Duration = Duration::from_secs(8);

/// What the outside asks of a running gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ask {
    /// Stop in order. Asked again: stop at once.
    Stop,
}

/// Runs the gateway until it is asked to stop, or fails. Without anybody left who could ask, it stops.
///
/// # Errors
/// [`Failure`]; its text says what to do.
pub async fn run(config: Config, metrics: Metrics, mut asks: mpsc::Receiver<Ask>) -> Result<(), Failure> {
    let connections = open_files::raise();
    let listeners = Listeners::bind(&config).await?;
    let state = Arc::new(State::default());
    let (stop_ops, ops_stopped) = watch::channel(false);
    let ops_token = config.access_token.as_ref().map(|token| token.expose().into());
    let settings = grpc_settings(&config, connections.grpc)?;
    let api = Arc::new(settings.json_door.clone());
    let ops = ops::Ops::new(state.clone(), metrics.clone(), api, ops_token);
    let ops = tokio::spawn(ops::serve(listeners.ops, ops, ops_stopped));

    let (recorder, exporter) = tracing_of(&config, &metrics);
    let served = Served {
        grpc: listeners.grpc,
        grpc_settings: settings,
        public: listeners.public,
        public_connections: connections.public,
    };
    let mut ended = start_and_run(&config, &metrics, recorder.as_ref(), &state, served, &mut asks).await;
    if let Some(exporter) = exporter {
        exporter.finish().await;
    }
    if let Err(failure) = &mut ended {
        state.fail(failure);
    }
    // Nobody listens any more; the listener has ended if its task has.
    let _ = stop_ops.send(true);
    let ops = ops.await.map_err(|error| panicked("the ops listener", &error));
    ended.and(ops)
}

/// The listeners that wait for the journals, and how they serve.
struct Served {
    grpc: TcpListener,
    grpc_settings: grpc::Settings,
    /// `None` where no bot has a webhook.
    public: Option<TcpListener>,
    public_connections: usize,
}

async fn start_and_run(
    config: &Config,
    metrics: &Metrics,
    recorder: Option<&spans::Recorder>,
    state: &Arc<State>,
    served: Served,
    asks: &mut mpsc::Receiver<Ask>,
) -> Result<(), Failure> {
    let (bots, mut drivers) = bots::recover(config, metrics, recorder).await?;
    let telegrams = bots::connections(config, &bots, metrics)?;
    let routes = bots::routes(config, &bots)?;
    state.running(
        bots.iter()
            .zip(&telegrams)
            .map(|(bot, telegram)| health::Bot { handle: bot.handle.clone(), status: telegram.status() }),
    );

    let (stop_grpc, grpc_stopped) = watch::channel(false);
    let mut grpc = tokio::spawn(grpc::serve(
        served.grpc,
        bots.iter().zip(&telegrams).map(|(bot, telegram)| bot.for_grpc(telegram.status())).collect(),
        served.grpc_settings,
        told(grpc_stopped),
    ));
    let (stop_intake, intake_stopped) = watch::channel(false);
    let mut public = JoinSet::new();
    if let Some(listener) = served.public {
        let (metrics, stopped) = (metrics.clone(), intake_stopped.clone());
        public.spawn(public::serve(listener, routes, metrics, served.public_connections, stopped));
    }
    let mut intakes = bots::spawn(telegrams, &intake_stopped);
    tracing::info!(bots = bots.len(), "ready");

    // Until something ends.
    let mut refused = Vec::new();
    let ended = loop {
        tokio::select! {
            ask = asks.recv() => {
                tracing::info!(asked = ask.is_some(), grace = ?config.shutdown_grace, "stopping");
                break Ok(());
            }
            Some(ended) = drivers.join_next() => break Err(driver_failure(ended)),
            ended = &mut grpc => break Err(grpc_failure(ended)),
            Some(ended) = public.join_next() => break Err(public_failure(ended)),
            Some(ended) = intakes.join_next() => match ended {
                // Its driver has ended, and says why itself.
                Ok(Ok(())) => {}
                Ok(Err(fatal)) => {
                    // Its status says it, and stays.
                    refused.push(fatal);
                    if intakes.is_empty() {
                        break Err(Failure::Telegram(refused));
                    }
                }
                Err(error) => break Err(panicked("the connection to Telegram", &error)),
            },
        }
    };
    if let Err(failure) = &ended {
        state.fail(failure);
        tracing::error!("stopping: {failure}");
    }
    state.enter(Phase::Stopping);

    let grace = match &ended {
        Ok(()) | Err(Failure::Telegram(_)) => config.shutdown_grace,
        Err(_) => config.shutdown_grace.min(GRACE_AFTER_FAILURE),
    };
    let handles = bots.into_iter().map(|bot| bot.handle).collect();
    let grpc = (!grpc.is_finished()).then_some(grpc);
    let parts = Parts { handles, drivers, grpc, public, intakes, stop_intake, stop_grpc };
    tokio::select! {
        biased;
        stopped = parts.stop(grace) => ended.and(stopped),
        Some(Ask::Stop) = asks.recv() => {
            tracing::warn!("stopping at once; what is not settled comes again after the next start");
            ended.and(Err(Failure::Interrupted))
        }
    }
}

/// Begins to export traces, if that is configured. A gateway whose traces cannot be exported goes on without them.
fn tracing_of(config: &Config, metrics: &Metrics) -> (Option<spans::Recorder>, Option<spans::Exporter>) {
    let Some(settings) = &config.tracing else { return (None, None) };
    match spans::start(settings, metrics.clone()) {
        Ok((recorder, exporter)) => (Some(recorder), Some(exporter)),
        Err(error) => {
            tracing::error!("there are no traces: {error}");
            (None, None)
        }
    }
}

/// All that runs.
struct Parts {
    handles: Vec<BotHandle>,
    drivers: JoinSet<DriverEnd>,
    /// `None` once it has ended.
    grpc: Option<JoinHandle<Result<(), grpc::ServeError>>>,
    /// Empty where no bot has a webhook.
    public: JoinSet<std::io::Result<()>>,
    intakes: JoinSet<TelegramEnd>,
    stop_intake: watch::Sender<bool>,
    stop_grpc: watch::Sender<bool>,
}

impl Parts {
    async fn stop(mut self, grace: Duration) -> Result<(), Failure> {
        // Those that wait for it may have ended; then there is nothing to tell.
        let _ = self.stop_intake.send(true);
        while self.intakes.join_next().await.is_some() {}
        let grace_ms = u64::try_from(grace.as_millis()).unwrap_or(u64::MAX);
        for handle in &self.handles {
            handle.shutdown(grace_ms);
        }
        let _ = self.stop_grpc.send(true);
        let closing = async {
            let mut closed = Ok(());
            while let Some(ended) = self.drivers.join_next().await {
                if !matches!(ended, Ok(Ok(()))) {
                    closed = closed.and(Err(driver_failure(ended)));
                }
            }
            while let Some(ended) = self.public.join_next().await {
                if !matches!(ended, Ok(Ok(()))) {
                    closed = closed.and(Err(public_failure(ended)));
                }
            }
            // One that has ended already has said why.
            if let Some(grpc) = self.grpc {
                match grpc.await {
                    Ok(Ok(())) => {}
                    failed => closed = closed.and(Err(grpc_failure(failed))),
                }
            }
            closed
        };
        tokio::time::timeout(grace + CLOSING_TIME, closing).await.unwrap_or(Err(Failure::Overdue))
    }
}

fn grpc_settings(config: &Config, max_connections: usize) -> Result<grpc::Settings, Failure> {
    let token = config.access_token.as_ref().map(Secret::expose).map(grpc::AccessToken::parse).transpose();
    let access_token = token.map_err(|why| Failure::Ended(format!("the access token {why}; the gateway")))?;
    Ok(grpc::Settings {
        access_token,
        max_stream_age: config.max_stream_age,
        drain_grace: config.shutdown_grace,
        max_connections,
        backup_directory: config.data_dir.clone(),
        jitter_seed: seed(),
        ..grpc::Settings::default()
    })
}

/// Any number that differs between two gateways and two starts.
fn seed() -> u64 {
    getrandom::u64().unwrap_or_else(|_| u64::from(std::process::id()))
}

async fn told(mut stop: watch::Receiver<bool>) {
    // A sender that is gone cannot say it any more, and means the same.
    let _ = stop.wait_for(|stop| *stop).await;
}

fn driver_failure(ended: Result<DriverEnd, JoinError>) -> Failure {
    match ended {
        Ok(Ok(())) => Failure::Ended("a driver".to_owned()),
        Ok(Err(failure)) => failure,
        Err(error) => panicked("waiting for a driver", &error),
    }
}

fn grpc_failure(ended: Result<Result<(), grpc::ServeError>, JoinError>) -> Failure {
    match ended {
        Ok(Ok(())) => Failure::Ended("the gRPC server".to_owned()),
        Ok(Err(error)) => Failure::Grpc(error),
        Err(error) => panicked("the gRPC server", &error),
    }
}

fn public_failure(ended: Result<std::io::Result<()>, JoinError>) -> Failure {
    match ended {
        Ok(Ok(())) => Failure::Ended("the webhook listener".to_owned()),
        Ok(Err(error)) => Failure::Ended(format!("the webhook listener ({error})")),
        Err(error) => panicked("the webhook listener", &error),
    }
}

fn panicked(what: &str, error: &JoinError) -> Failure {
    Failure::Panicked(format!("{what} ({error})"))
}

/// Makes a bot's journal from a backup; answers what it holds, in words.
///
/// # Errors
/// [`Failure::Restore`].
pub fn restore(backup: &Path, data_dir: &Path, bot: &str) -> Result<String, Failure> {
    let dir = data_dir.join(bot);
    let restored = crate::journal::lmdb::restore(backup, &dir).map_err(Failure::Restore)?;
    Ok(format!(
        "restored the journal of the bot with id {} into {}: {} updates, {} groups",
        restored.bot_id,
        dir.display(),
        restored.updates,
        restored.groups.len()
    ))
}
