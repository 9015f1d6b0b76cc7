//! Backups: a copy of the journal, sent while the gateway goes on.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;

use tokio::sync::mpsc::{self, Sender};
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;

use super::Admin;
use crate::grpc::proto::server as pb;
use crate::inspect::{InspectError, Inspector};

/// The stream of a copy's pieces.
pub(super) type Chunks = ReceiverStream<Result<pb::BackupResponse, Status>>;

/// Why there is no backup.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(in crate::grpc) enum BackupError {
    #[error("another backup is running; wait until it is done")]
    Running,
    #[error("the journal could not be copied: {0}")]
    Copy(#[from] InspectError),
    #[error("the copy at {path} failed: {why}; see that its directory exists, is writable and has room")]
    File { path: String, why: String },
    #[error("the copy failed inside the gateway; its log says why")]
    Panicked,
}

/// As the proto promises.
const CHUNK_BYTES: usize = 64 * 1024;
/// Chunks read ahead of the client.
const CHUNKS_AHEAD: usize = 4;

/// Begins a copy, if none is running, and sends it chunk by chunk.
pub(super) fn backup(admin: &Admin, request: &pb::BackupRequest) -> Result<Chunks, Status> {
    let bot = admin.bots.find(&request.bot)?;
    let permit = Arc::clone(&admin.backups).try_acquire_owned().map_err(|_| BackupError::Running)?;
    let (inspector, directory) = (bot.inspector.clone(), Arc::clone(&admin.directory));
    let (sender, chunks) = mpsc::channel(CHUNKS_AHEAD);
    tokio::spawn(async move {
        let chunks = sender.clone();
        let copying = tokio::task::spawn_blocking(move || {
            // Held here, since the copying goes on when the client has gone.
            let _permit = permit;
            let sent = copy(&inspector, &directory).and_then(|copy| send(copy, &chunks));
            if let Err(error) = sent {
                // A client that has gone needs no word.
                let _ = chunks.blocking_send(Err(error.into()));
            }
        });
        // Without a last word the client would take what it has for the whole.
        if copying.await.is_err() {
            let _ = sender.send(Err(BackupError::Panicked.into())).await;
        }
    });
    Ok(ReceiverStream::new(chunks))
}

/// A copy of the journal that has no name any more: however this ends, its room is given back.
fn copy(inspector: &Inspector, directory: &Path) -> Result<File, BackupError> {
    let path = directory.join(format!("backup-{}.tmp", std::process::id()));
    let failed =
        |error: io::Error| BackupError::File { path: path.display().to_string(), why: error.to_string() };
    let leftover = RemoveOnDrop(&path);
    // A gateway that was killed while copying may have had the same process id.
    remove(&path).map_err(failed)?;
    inspector.copy_to(&path)?;
    let file = File::open(&path).map_err(failed)?;
    drop(leftover);
    Ok(file)
}

struct RemoveOnDrop<'a>(&'a Path);

impl Drop for RemoveOnDrop<'_> {
    fn drop(&mut self) {
        if let Err(error) = remove(self.0) {
            tracing::warn!(path = %self.0.display(), %error, "the temporary copy of a backup could not be removed");
        }
    }
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Sends the copy until its end, an error, or the client's going away.
fn send(mut copy: File, chunks: &Sender<Result<pb::BackupResponse, Status>>) -> Result<(), BackupError> {
    loop {
        let chunk = next_chunk(&mut copy).map_err(|error| BackupError::File {
            path: "its temporary file".into(),
            why: error.to_string(),
        })?;
        if chunk.is_empty() || chunks.blocking_send(Ok(pb::BackupResponse { chunk })).is_err() {
            return Ok(());
        }
    }
}

/// The next [`CHUNK_BYTES`]; fewer at the end, none after it.
fn next_chunk(copy: &mut File) -> io::Result<Vec<u8>> {
    let mut chunk = Vec::with_capacity(CHUNK_BYTES);
    copy.take(CHUNK_BYTES as u64).read_to_end(&mut chunk)?;
    Ok(chunk)
}
