//! Accepting connections.
//!
//! tonic's own loop ignores TCP_NODELAY when it is handed connections, spins when the process has no file descriptor
//! left, and cannot close what a client keeps open; so they are accepted here.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::server::Connected;

use crate::connections::{Guest, Place, Room};

/// The most connections that are ever served at once: each takes some 100 KiB. Further ones wait.
pub(super) const MAX_CONNECTIONS: u32 = 4_096;
/// How long to wait after a failure to accept: usually there is no file descriptor left, and the next try would fail
/// at once.
const ACCEPT_RETRY_DELAY: Duration = Duration::from_millis(100);

/// An accepted connection. Reading and writing fail once the server closes, or once there is no room for it any more.
pub(super) struct Connection {
    stream: TcpStream,
    closed: Pin<Box<dyn Future<Output = ()> + Send>>,
    place: Place,
}

/// The connections that come in, `max_connections` of them at once, until the returned stream is dropped. All of them break when `closed` becomes true.
pub(super) fn accept(
    listener: TcpListener,
    max_connections: usize,
    closed: watch::Receiver<bool>,
) -> ReceiverStream<io::Result<Connection>> {
    let (connections, accepted) = mpsc::channel(1);
    let room = Room::new(u32::try_from(max_connections).unwrap_or(u32::MAX).min(MAX_CONNECTIONS));
    tokio::spawn(async move {
        tokio::select! {
            () = accept_all(listener, room, closed, &connections) => {}
            // Dropping the listener refuses new connections at once.
            () = connections.closed() => {}
        }
    });
    ReceiverStream::new(accepted)
}

async fn accept_all(
    listener: TcpListener,
    room: Room,
    closed: watch::Receiver<bool>,
    connections: &mpsc::Sender<io::Result<Connection>>,
) {
    loop {
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(%error, "a gRPC connection could not be accepted");
                tokio::time::sleep(ACCEPT_RETRY_DELAY).await;
                continue;
            }
        };
        // Without it an awaited ack waits for the client's delayed TCP ack. It fails only on a dead connection.
        let _ = stream.set_nodelay(true);
        let place = room.place().await;
        let (mut closed, sent_away) = (closed.clone(), place.sent_away());
        let closed = Box::pin(async move {
            tokio::select! {
                // An error means that the server is gone altogether.
                _ = closed.wait_for(|&closed| closed) => {}
                () = sent_away => {}
            }
        });
        if connections.send(Ok(Connection { stream, closed, place })).await.is_err() {
            return;
        }
    }
}

impl Connection {
    fn check_open(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        match self.closed.as_mut().poll(cx) {
            Poll::Ready(()) => Err(io::Error::new(io::ErrorKind::ConnectionAborted, "the server has closed")),
            Poll::Pending => Ok(()),
        }
    }
}

impl Connected for Connection {
    /// Each request carries it, for the gate.
    type ConnectInfo = Guest;

    fn connect_info(&self) -> Guest {
        self.place.guest().clone()
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.check_open(cx)?;
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.check_open(cx)?;
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.check_open(cx)?;
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
