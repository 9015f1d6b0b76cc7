//! `switchboard backup`: a copy of a bot's journal, from the gateway that has it open.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use tokio::fs;
use tokio::io::AsyncWriteExt;

use super::admin::failure::Failure;
use super::client::ConnectArgs;
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

    /// Where to write the copy; must not exist. Nobody else can read it
    #[arg(value_name = "FILE")]
    to: PathBuf,
}

/// Why there is no backup.
#[derive(Debug, thiserror::Error)]
enum BackupError {
    #[error(transparent)]
    Gateway(#[from] Failure),
    #[error("{file} exists already: name another file, or move that one away")]
    Exists { file: PathBuf },
    #[error(
        "{file} cannot be written: {source}; name a file in a directory that exists, is writable and has room"
    )]
    File { file: PathBuf, source: std::io::Error },
}

impl BackupError {
    fn words(&self, address: &str) -> String {
        match self {
            Self::Gateway(failure) => failure.words(address),
            error => error.to_string(),
        }
    }
}

impl From<&BackupError> for Exit {
    fn from(error: &BackupError) -> Self {
        match error {
            BackupError::Gateway(failure) => failure.exit(),
            BackupError::Exists { .. } => Self::Precondition,
            BackupError::File { .. } => Self::Place,
        }
    }
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
            complain("backup", &error.words(&args.connect.address));
            Exit::from(&error).into()
        }
    }
}

async fn backup(args: &BackupArgs) -> Result<u64, BackupError> {
    if args.to.exists() {
        return Err(BackupError::Exists { file: args.to.clone() });
    }
    let mut name = args.to.as_os_str().to_owned();
    name.push(".partial");
    let partial = PathBuf::from(name);
    let copied = copy(args, &partial).await;
    if copied.is_err() {
        // The first error is the one to report.
        let _ = fs::remove_file(&partial).await;
    }
    let bytes = copied?;
    let failed = |source| BackupError::File { file: args.to.clone(), source };
    fs::rename(&partial, &args.to).await.map_err(failed)?;
    Ok(bytes)
}

async fn copy(args: &BackupArgs, partial: &Path) -> Result<u64, BackupError> {
    let failed = |source| BackupError::File { file: args.to.clone(), source };
    let mut client = args.connect.admin_client().map_err(Failure::from)?;
    let request = BackupRequest { bot: args.bot.clone() };
    let mut chunks = client.backup(request).await.map_err(Failure::from)?.into_inner();
    let mut file = create(partial).await.map_err(failed)?;
    let mut bytes = 0;
    while let Some(response) = chunks.message().await.map_err(Failure::Lost)? {
        file.write_all(&response.chunk).await.map_err(failed)?;
        bytes += response.chunk.len() as u64;
    }
    // A backup that a crash takes away is none.
    file.sync_all().await.map_err(failed)?;
    Ok(bytes)
}

/// A new file for what people wrote to a bot, which is nobody else's business. One that a broken-off backup left may be
/// readable for others.
async fn create(partial: &Path) -> std::io::Result<fs::File> {
    match fs::remove_file(partial).await {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    fs::File::options().write(true).create_new(true).mode(0o600).open(partial).await
}
