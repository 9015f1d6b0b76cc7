//! `switchboard backup`: a copy of a bot's journal, from the gateway that has it open.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use tokio::io::AsyncWriteExt;
use tonic::Status;

use super::client::{ConnectArgs, ConnectError};
use super::exit::Exit;
use super::{complain, note};
use crate::grpc::proto::client::BackupRequest;

/// Copy a bot's journal while the gateway goes on
#[derive(Args, Clone, Debug)]
pub struct BackupArgs {
    #[command(flatten)]
    connect: ConnectArgs,

    /// The bot; may be left out where the gateway has only one
    #[arg(long, default_value = "")]
    bot: String,

    /// Where to write the copy; must not exist
    #[arg(value_name = "FILE")]
    to: PathBuf,
}

/// Why there is no backup.
#[derive(Debug, thiserror::Error)]
enum BackupError {
    #[error(transparent)]
    Connect(#[from] ConnectError),
    #[error("the gateway at {address}: {}", .status.message())]
    Gateway { address: String, status: Status },
    #[error("{file}: {source}")]
    File { file: PathBuf, source: std::io::Error },
}

/// Copies. What is only a part of a copy does not keep the name that was asked for.
pub async fn run(args: BackupArgs) -> ExitCode {
    match backup(&args).await {
        Ok(bytes) => {
            note(&format!(
                "wrote {} ({bytes} bytes); `switchboard restore` brings it back",
                args.to.display()
            ));
            Exit::Done.into()
        }
        Err(error) => {
            complain("backup", &error);
            Exit::from(&error).into()
        }
    }
}

impl From<&BackupError> for Exit {
    fn from(error: &BackupError) -> Self {
        match error {
            BackupError::Connect(_) => Self::Config,
            BackupError::Gateway { .. } => Self::Failed,
            BackupError::File { .. } => Self::Place,
        }
    }
}

async fn backup(args: &BackupArgs) -> Result<u64, BackupError> {
    let failed = |source| BackupError::File { file: args.to.clone(), source };
    if args.to.exists() {
        return Err(failed(std::io::ErrorKind::AlreadyExists.into()));
    }
    let mut name = args.to.as_os_str().to_owned();
    name.push(".partial");
    let partial = PathBuf::from(name);
    let copied = copy(args, &partial).await;
    if copied.is_err() {
        // The first error is the one to report.
        let _ = tokio::fs::remove_file(&partial).await;
    }
    let bytes = copied?;
    tokio::fs::rename(&partial, &args.to).await.map_err(failed)?;
    Ok(bytes)
}

async fn copy(args: &BackupArgs, partial: &Path) -> Result<u64, BackupError> {
    let gateway = |status| BackupError::Gateway { address: args.connect.address.clone(), status };
    let failed = |source| BackupError::File { file: partial.to_owned(), source };
    let mut client = args.connect.admin_client()?;
    let request = BackupRequest { bot: args.bot.clone() };
    let mut chunks = client.backup(request).await.map_err(gateway)?.into_inner();
    let mut file = tokio::fs::File::create(partial).await.map_err(failed)?;
    let mut bytes = 0;
    while let Some(response) = chunks.message().await.map_err(gateway)? {
        file.write_all(&response.chunk).await.map_err(failed)?;
        bytes += response.chunk.len() as u64;
    }
    // A backup that a crash takes away is none.
    file.sync_all().await.map_err(failed)?;
    Ok(bytes)
}
