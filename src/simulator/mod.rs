//! A faithful local Bot API server, for development, tests and load.
//!
//! It behaves as Telegram's own server does towards a bot: `getUpdates` with its offsets, throttling, long polling
//! and conflicts; webhooks with their refusals, queues, retries and limits; expiry; the limits of the queue. Facts
//! and their source: tdlib/telegram-bot-api and tdlib/td. Every token of the form `digits:…` is accepted and is a bot
//! of its own; the digits are its id.
//!
//! Beyond what Telegram has there are generated or replayed updates, faults on request, and a ledger that says what
//! became of every update. They are controlled through [`Running`] or over HTTP:
//!
//! ```text
#![doc = include_str!("control.txt")]
//! ```

mod answer;
mod args;
mod bot;
mod clock;
mod control;
mod faults;
mod feed;
mod generator;
mod kind;
mod ledger;
mod methods;
mod peek;
mod poll;
mod polling;
mod queue;
mod rng;
mod samples;
mod server;
mod webhook;

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use self::bot::{Bot, Feed};
use self::clock::Clock;
use self::faults::Faults;
pub use self::faults::{Fault, FaultRule, InvalidFault};
pub use self::feed::{Replay, ReplayError, Source, numbered};
pub use self::generator::Traffic;
pub use self::ledger::Counts;
use self::ledger::Moment;
use self::rng::Rng;
pub use self::samples::{Sample, SampleError, SampleValues, UnknownSample};
use self::webhook::Strictness;

/// The control interface, as `--help` shows it.
pub const CONTROL_HELP: &str = include_str!("control.txt");

/// How a simulator is to run.
#[derive(Clone, Debug)]
pub struct SimulatorConfig {
    /// Where to listen; port 0 picks a free one.
    pub listen: SocketAddr,
    /// What every bot gets from its first call on; none for nothing.
    pub source: Option<Source>,
    /// Whether webhooks may be on http, on any port and on any address, as with `telegram-bot-api --local`.
    pub local: bool,
    /// Faults from the start on.
    pub faults: Vec<FaultRule>,
    /// Ids of bots whose token is answered 401.
    pub revoked: Vec<i64>,
    /// So many updates of each bot are listed in its ledger (32 bytes each); those beyond are only counted.
    pub ledger_limit: usize,
    /// Where pseudo-random choices start: probabilities of faults, first update ids, backoff.
    pub seed: u64,
}

impl Default for SimulatorConfig {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 8081)),
            source: None,
            local: false,
            faults: Vec::new(),
            revoked: Vec::new(),
            ledger_limit: 4_000_000,
            seed: 1,
        }
    }
}

/// The simulator; [`Simulator::start`] makes it run.
#[derive(Debug)]
pub struct Simulator;

impl Simulator {
    /// Binds the address and serves until [`Running::shutdown`], or until what it returns is dropped.
    ///
    /// # Errors
    /// The address cannot be bound.
    pub async fn start(config: SimulatorConfig) -> io::Result<Running> {
        let listener = TcpListener::bind(config.listen).await?;
        let addr = listener.local_addr()?;
        let shared = Arc::new(Shared::new(config));
        let (stop, stopped) = watch::channel(());
        let task = tokio::spawn(server::serve(listener, Arc::clone(&shared), stopped));
        Ok(Running { addr, shared, stop, task })
    }
}

/// A simulator at work. Dropping it stops it.
#[derive(Debug)]
pub struct Running {
    addr: SocketAddr,
    shared: Arc<Shared>,
    stop: watch::Sender<()>,
    task: JoinHandle<()>,
}

impl Running {
    /// The bound address.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// What the gateway needs as `SWITCHBOARD_TELEGRAM_API_URL`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.addr)
    }

    /// The counts of a bot's ledger; zeros for one that has not been seen.
    #[must_use]
    pub fn counts(&self, bot_id: i64) -> Counts {
        self.shared.known_bot(bot_id).map(|bot| bot.lock().counts()).unwrap_or_default()
    }

    /// The ids of the updates that the bot has confirmed, in the order of their acceptance.
    #[must_use]
    pub fn confirmed_ids(&self, bot_id: i64) -> Vec<i64> {
        self.shared.known_bot(bot_id).map(|bot| bot.lock().ledger.confirmed_ids()).unwrap_or_default()
    }

    /// How many connections to the bot's webhook are open or being opened.
    #[must_use]
    pub fn webhook_connections(&self, bot_id: i64) -> usize {
        let connections = |bot: Arc<Bot>| Some(bot.lock().webhook.as_ref()?.connections());
        self.shared.known_bot(bot_id).and_then(connections).unwrap_or_default()
    }

    /// Starts a bot's traffic, in place of what ran before. It need not have called yet.
    pub fn feed(&self, bot_id: i64, source: Source) {
        feed::start(&self.shared, &self.shared.bot(bot_id), source);
    }

    /// Stops a bot's traffic. What is queued stays.
    pub fn stop_feed(&self, bot_id: i64) {
        feed::stop(&self.shared.bot(bot_id));
    }

    /// Adds fault rules.
    pub fn add_faults(&self, rules: Vec<FaultRule>) {
        self.shared.faults().add(rules);
    }

    /// Waits until nothing of the bot is pending and its traffic is over.
    pub async fn settled(&self, bot_id: i64) {
        control::settled(&self.shared.bot(bot_id)).await;
    }

    /// The ledgers of all bots as one JSON object, each with all its updates.
    #[must_use]
    pub fn ledgers(&self) -> Vec<u8> {
        control::all_ledgers(&self.shared)
    }

    /// Stops listening and closes all connections.
    pub async fn shutdown(self) {
        drop(self.stop);
        // It fails only by a panic, which has been reported.
        let _ = self.task.await;
    }
}

/// What all parts of a simulator share.
#[derive(Debug)]
struct Shared {
    clock: Clock,
    strictness: Strictness,
    source: Option<Source>,
    revoked: Vec<i64>,
    ledger_limit: usize,
    seed: u64,
    faults: Mutex<Faults>,
    bots: Mutex<BTreeMap<i64, Arc<Bot>>>,
}

impl Shared {
    fn new(config: SimulatorConfig) -> Self {
        Self {
            clock: Clock::start(),
            strictness: if config.local { Strictness::Local } else { Strictness::Public },
            source: config.source,
            revoked: config.revoked,
            ledger_limit: config.ledger_limit,
            seed: config.seed,
            faults: Mutex::new(Faults::new(config.faults, config.seed)),
            bots: Mutex::new(BTreeMap::new()),
        }
    }

    fn moment(&self) -> Moment {
        let now = self.clock.now();
        Moment { now, unix_us: self.clock.unix_us(now) }
    }

    fn faults(&self) -> MutexGuard<'_, Faults> {
        self.faults.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The bot, made if it has not been seen.
    fn bot(&self, id: i64) -> Arc<Bot> {
        let mut bots = self.bots();
        let bot = bots.entry(id).or_insert_with(|| {
            // Telegram starts somewhere between 2 million and a thousand million.
            let first_id = 2_000_001 + Rng::new(self.seed ^ id.unsigned_abs()).below(998_000_000);
            let feed = if self.source.is_some() { Feed::Due } else { Feed::Over };
            let bot = Bot::new(id, i64::try_from(first_id).unwrap_or(2_000_001), self.ledger_limit, feed);
            bot.lock().revoked = self.revoked.contains(&id);
            bot
        });
        Arc::clone(bot)
    }

    fn known_bot(&self, id: i64) -> Option<Arc<Bot>> {
        self.bots().get(&id).cloned()
    }

    fn bots(&self) -> MutexGuard<'_, BTreeMap<i64, Arc<Bot>>> {
        self.bots.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The bot of a call to the Bot API. The first call starts its traffic.
    fn calling_bot(self: &Arc<Self>, id: i64) -> Arc<Bot> {
        let bot = self.bot(id);
        let due = matches!(bot.lock().feed, Feed::Due);
        if let Some(source) = self.source.clone().filter(|_| due) {
            feed::start(self, &bot, source);
        }
        bot
    }
}
