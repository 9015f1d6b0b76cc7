//! `switchboard serve`: the gateway.

use std::process::ExitCode;

use clap::Args;
use tokio::sync::mpsc;

use super::exit::Exit;
use super::note;
use super::signals::Stops;
use crate::config::{self, Config, Environment, Flags};
use crate::gateway::{self, Ask};
use crate::observe::logging;
use crate::observe::metrics::Metrics;

/// Run the gateway
#[derive(Args, Clone, Debug)]
pub struct ServeArgs {
    #[command(flatten)]
    flags: Flags,
}

/// Runs it until a signal ends it, or a failure.
pub async fn run(args: ServeArgs) -> ExitCode {
    serve(&args.flags).await.into()
}

async fn serve(flags: &Flags) -> Exit {
    let config = match config::load(flags, &Environment::of_process()) {
        Ok(config) => config,
        Err(error) => {
            note(&error.to_string());
            return Exit::Config;
        }
    };
    if let Err(error) = logging::init(&config.log, config.secrets()) {
        eprintln!("{error}");
        return Exit::Failed;
    }
    greet(&config);
    let (asks, asked) = mpsc::channel(2);
    let signals = match stop_on_signals(asks) {
        Ok(signals) => signals,
        Err(error) => {
            tracing::error!("signals cannot be waited for: {error}");
            return Exit::Failed;
        }
    };
    let ended = gateway::run(config, Metrics::new(), asked).await;
    signals.abort();
    match ended {
        Ok(()) => {
            tracing::info!("stopped");
            Exit::Done
        }
        Err(failure) => {
            tracing::error!("{failure}");
            Exit::after(&failure)
        }
    }
}

fn greet(config: &Config) {
    tracing::info!(version = env!("CARGO_PKG_VERSION"), data_dir = %config.data_dir.display(), "switchboard");
    for finding in &config.findings {
        tracing::warn!("{finding}");
    }
}

/// SIGTERM and SIGINT alike: the first begins the stop, the second ends it.
fn stop_on_signals(asks: mpsc::Sender<Ask>) -> std::io::Result<tokio::task::JoinHandle<()>> {
    let mut stops = Stops::listen()?;
    Ok(tokio::spawn(async move {
        loop {
            let signal = stops.next().await;
            tracing::info!(signal, "asked to stop");
            // The gateway may have ended by itself.
            if asks.send(Ask::Stop).await.is_err() {
                return;
            }
        }
    }))
}
