//! Why a gateway did not start, or ended by itself.

use std::net::SocketAddr;
use std::path::PathBuf;

use crate::driver;
use crate::grpc;
use crate::journal::ReadError;
use crate::journal::lmdb::{OpenError, RestoreError};
use crate::telegram::Fatal;

/// Why a gateway did not start, or ended by itself. Each says what is wrong, where, and what to do.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// A port is taken, or an address is not this machine's.
    #[error(
        "cannot listen on {address}: {source}; {key} says so: stop what listens there, or set another one"
    )]
    Listen {
        /// The key of the configuration.
        key: &'static str,
        /// The address.
        address: SocketAddr,
        /// What the system says.
        source: std::io::Error,
    },
    /// The data directory cannot be made.
    #[error("the data directory {dir} cannot be made: {source}; data_dir says so")]
    DataDir {
        /// The directory.
        dir: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// A journal cannot be opened.
    #[error("bot `{bot}`: {source}")]
    Journal {
        /// The bot.
        bot: Box<str>,
        /// Why.
        source: OpenError,
    },
    /// A driver cannot be started.
    #[error("bot `{bot}`: {source}")]
    Start {
        /// The bot.
        bot: Box<str>,
        /// Why.
        source: driver::StartError,
    },
    /// A driver has failed.
    #[error("the driver of bot `{bot}` has failed: {source}{}", next_start(source))]
    Driver {
        /// The bot.
        bot: Box<str>,
        /// Why.
        source: driver::Failure,
    },
    /// Telegram's side of every bot has something that an operator must mend.
    #[error("no bot can work: {}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Telegram(Vec<Fatal>),
    /// The gRPC server has failed.
    #[error("{0}")]
    Grpc(#[source] grpc::ServeError),
    /// Something has panicked.
    #[error("{0} has panicked: a bug in Switchboard, please report it with what the log says")]
    Panicked(String),
    /// Something has ended that must not.
    #[error("{0} has ended unasked")]
    Ended(String),
    /// Streams and updates did not end within the grace.
    #[error(
        "not everything could be brought to its end within the grace period; what is not settled comes again"
    )]
    Overdue,
    /// A backup was not restored.
    #[error(transparent)]
    Restore(RestoreError),
    /// A journal cannot be looked through.
    #[error(transparent)]
    Verify(OpenError),
    /// Asked twice to stop.
    #[error("stopped at once, as asked; what is not settled comes again")]
    Interrupted,
}

/// What a restart will do about it; one does not mend damage, and the error says itself what does.
fn next_start(failure: &driver::Failure) -> &'static str {
    match failure {
        driver::Failure::Read(ReadError::Damaged { .. }) => "",
        _ => "; what is on the disk is recovered at the next start",
    }
}
