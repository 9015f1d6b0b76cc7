//! The simulated Telegram that `demo` and `bench` run inside themselves, with one bot.

use std::net::{Ipv4Addr, SocketAddr};

use crate::simulator::{Counts, Running, Simulator, SimulatorConfig, Source, Traffic};

/// A simulator at work, with the bot of [`TOKEN`].
pub(crate) struct Simulation(Running);

impl Simulation {
    /// Starts it on a free port. It sends nothing yet.
    pub(crate) async fn start() -> std::io::Result<Self> {
        let config = SimulatorConfig {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            // So that webhooks may go to plain HTTP on loopback.
            local: true,
            // The ledger proves completeness: it has to list everything.
            ledger_limit: usize::MAX,
            ..SimulatorConfig::default()
        };
        Ok(Self(Simulator::start(config).await?))
    }

    /// What the gateway is to take for Telegram.
    pub(crate) fn url(&self) -> String {
        self.0.url()
    }

    pub(crate) fn send(&self, traffic: Traffic) {
        self.0.feed(BOT_ID, Source::Generated(traffic));
    }

    /// Sends nothing more, and waits until all is confirmed that was sent.
    pub(crate) async fn stop_and_settle(&self) {
        self.0.stop_feed(BOT_ID);
        self.settled().await;
    }

    /// Waits until all was sent and is confirmed.
    pub(crate) async fn settled(&self) {
        self.0.settled(BOT_ID).await;
    }

    /// How many connections the simulated Telegram has opened to the webhook.
    pub(crate) fn webhook_connections(&self) -> usize {
        self.0.webhook_connections(BOT_ID)
    }

    pub(crate) fn counts(&self) -> Counts {
        self.0.counts(BOT_ID)
    }

    /// What the gateway has confirmed, in the order in which Telegram got it.
    pub(crate) fn confirmed_ids(&self) -> Vec<i64> {
        self.0.confirmed_ids(BOT_ID)
    }
}

const BOT_ID: i64 = 1;
/// Of that bot: the simulator takes whatever follows the colon.
pub(crate) const TOKEN: &str = "1:simulated";
