//! The ports. All are taken before anything else happens: one that is in use stops the start without a trace.

use std::net::SocketAddr;

use tokio::net::TcpListener;

use super::failure::Failure;
use crate::config::{Bot, Config};

pub(super) struct Listeners {
    pub(super) grpc: TcpListener,
    pub(super) ops: TcpListener,
    /// `None` where no bot has a webhook.
    pub(super) public: Option<TcpListener>,
}

impl Listeners {
    pub(super) async fn bind(config: &Config) -> Result<Self, Failure> {
        let grpc = bind("grpc.listen", config.grpc_listen).await?;
        let ops = bind("ops.listen", config.ops_listen).await?;
        let public = if config.bots.iter().any(Bot::by_webhook) {
            Some(bind("public.listen", config.public_listen).await?)
        } else {
            None
        };
        Ok(Self { grpc, ops, public })
    }
}

async fn bind(key: &'static str, address: SocketAddr) -> Result<TcpListener, Failure> {
    let failed = |source| Failure::Listen { key, address, source };
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    // Where the port was 0, this one is worth knowing.
    let address = listener.local_addr().map_err(failed)?;
    tracing::info!(%address, "listening ({key})");
    Ok(listener)
}
