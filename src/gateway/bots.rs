//! The bots: their journals, drivers and connections to Telegram.

use tokio::sync::{oneshot, watch};
use tokio::task::JoinSet;

use super::connection;
use super::failure::Failure;
use crate::config::{self, Config};
use crate::driver::{self, BotHandle};
use crate::grpc;
use crate::http::public::Routes;
use crate::inspect::{Configured, Inspector};
use crate::intake::Intake;
use crate::journal::{Journal, lmdb};
use crate::observe::metrics::Metrics;
use crate::observe::spans::Recorder;
use crate::telegram::{Fatal, StatusReader, Telegram, webhook_secret};

/// A bot whose driver runs.
pub(super) struct Bot {
    pub(super) handle: BotHandle,
    pub(super) intake: Intake,
    inspector: Inspector,
}

/// How a driver ended: as asked, or not.
pub(super) type DriverEnd = Result<(), Failure>;

/// How a connection to Telegram ended; an error names the bot.
pub(super) type TelegramEnd = Result<(), Fatal>;

impl Bot {
    pub(super) fn for_grpc(&self, status: StatusReader) -> grpc::Bot {
        let inspector = self.inspector.clone().with_connection(connection::reader(status));
        grpc::Bot { handle: self.handle.clone(), inspector }
    }
}

/// Opens every bot's journal and starts its driver on it. All at once: recovery takes time.
pub(super) async fn recover(
    config: &Config,
    metrics: &Metrics,
    spans: Option<&Recorder>,
) -> Result<(Vec<Bot>, JoinSet<DriverEnd>), Failure> {
    let data_dir = config.data_dir.clone();
    let made = tokio::task::spawn_blocking(move || {
        std::fs::create_dir_all(&data_dir).map_err(|source| Failure::DataDir { dir: data_dir, source })
    });
    made.await.map_err(|error| super::panicked("making the data directory", &error))??;
    let starting: Vec<_> = config
        .bots
        .iter()
        .map(|bot| {
            let (bot, metrics, spans) = (bot.clone(), metrics.clone(), spans.cloned());
            let dir = config.data_dir.join(bot.name());
            let drain_grace_ms = millis(config.shutdown_grace);
            tokio::task::spawn_blocking(move || start(&bot, &dir, drain_grace_ms, metrics, spans))
        })
        .collect();
    let mut bots = Vec::new();
    let mut ends = JoinSet::new();
    for starting in starting {
        let (bot, ended) =
            starting.await.map_err(|error| super::panicked("recovering a journal", &error))??;
        ends.spawn(end_of(bot.handle.bot().into(), ended));
        bots.push(bot);
    }
    Ok((bots, ends))
}

type Ended = oneshot::Receiver<Result<(), driver::Failure>>;

async fn end_of(bot: Box<str>, ended: Ended) -> DriverEnd {
    match ended.await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(source)) => Err(Failure::Driver { bot, source }),
        Err(_) => Err(Failure::Panicked(format!("the driver of bot `{bot}`"))),
    }
}

fn start(
    bot: &config::Bot,
    dir: &std::path::Path,
    drain_grace_ms: u64,
    metrics: Metrics,
    spans: Option<Recorder>,
) -> Result<(Bot, Ended), Failure> {
    let name = bot.name();
    let options = lmdb::Options::with_max_bytes(bot.journal_max_bytes);
    let journal = lmdb::open(dir, bot.telegram.token.bot_id(), &options)
        .map_err(|source| Failure::Journal { bot: name.into(), source })?;
    let inspector = Inspector::new(journal.reader()).with_configured(Configured {
        group: bot.group,
        retention_max_age_ms: millis(bot.retention.max_age),
        retention_max_bytes: bot.retention.max_bytes,
        dead_letter_max_age_ms: Some(millis(bot.dead_letters.max_age)),
        dead_letter_max_bytes: Some(bot.dead_letters.max_bytes),
    });
    let settings = driver::Settings {
        retention_max_age_ms: millis(bot.retention.max_age),
        retention_max_bytes: bot.retention.max_bytes,
        dead_letter_max_age_ms: millis(bot.dead_letters.max_age),
        dead_letter_max_bytes: bot.dead_letters.max_bytes,
        drain_grace_ms,
        groups: bot.groups.clone(),
        group: bot.group,
        seed: super::seed(),
        spans,
    };
    let driver::Running { handle, ended } = driver::start(name, journal, settings, metrics.clone())
        .map_err(|source| Failure::Start { bot: name.into(), source })?;
    let intake = Intake::new(handle.clone(), metrics);
    Ok((Bot { handle, intake, inspector }, ended))
}

fn millis(time: std::time::Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// Prepares every bot's connection to Telegram, in the order of the bots; nothing is sent yet.
pub(super) fn connections(
    config: &Config,
    bots: &[Bot],
    metrics: &Metrics,
) -> Result<Vec<Telegram>, Failure> {
    let connection = |(bot, running): (&config::Bot, &Bot)| {
        Telegram::new(bot.telegram.clone(), running.intake.clone(), metrics.clone())
    };
    let all: Result<_, Fatal> = config.bots.iter().zip(bots).map(connection).collect();
    all.map_err(|fatal| Failure::Telegram(vec![fatal]))
}

/// Which webhook is whose.
pub(super) fn routes(config: &Config, bots: &[Bot]) -> Result<Routes, Failure> {
    let mut routes = Routes::new();
    for (bot, running) in config.bots.iter().zip(bots).filter(|(bot, _)| bot.by_webhook()) {
        let secret = webhook_secret(&bot.telegram).map_err(|error| {
            Failure::Telegram(vec![Fatal::InvalidSecret { bot: bot.telegram.bot.clone(), error }])
        })?;
        routes.add(&bot.telegram.webhook_path, running.intake.clone(), &secret);
    }
    Ok(routes)
}

/// Lets updates in.
pub(super) fn spawn(telegrams: Vec<Telegram>, stop: &watch::Receiver<bool>) -> JoinSet<TelegramEnd> {
    telegrams.into_iter().map(|telegram| telegram.run(stop.clone())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_driver_that_fails_or_panics_is_a_failure_of_the_gateway() {
        let (tell, ended) = oneshot::channel();
        tell.send(Err(driver::Failure::Panicked)).unwrap();
        let failure = end_of("shop".into(), ended).await.unwrap_err();
        assert!(failure.to_string().starts_with("the driver of bot `shop` has failed"), "{failure}");

        let (tell, ended) = oneshot::channel();
        drop(tell);
        assert!(matches!(end_of("shop".into(), ended).await, Err(Failure::Panicked(_))));

        let (tell, ended) = oneshot::channel();
        tell.send(Ok(())).unwrap();
        end_of("shop".into(), ended).await.unwrap();
    }
}
