//! An open Subscribe stream, as whoever opened it sees it.

use std::sync::mpsc;

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender};

use super::handle::Input;
use crate::model::{Opened, StreamEvent};

/// The driver's end of an open Subscribe stream. Dropping it closes the stream at the driver.
#[derive(Debug)]
pub struct ConsumerStream {
    /// Names the stream to the driver.
    pub id: u64,
    /// What holds for it.
    pub opened: Opened,
    /// What it is told; ends with [`StreamEvent::End`].
    pub events: UnboundedReceiver<StreamEvent>,
    /// Says `Closed` when dropped.
    pub closer: StreamCloser,
}

/// Tells the driver that a stream is gone when it is dropped.
#[derive(Debug)]
pub struct StreamCloser {
    stream: u64,
    inputs: mpsc::Sender<Input>,
}

impl Drop for StreamCloser {
    fn drop(&mut self) {
        // A driver that has ended has no streams to close.
        let _ = self.inputs.send(Input::Closed { stream: self.stream });
    }
}

impl ConsumerStream {
    /// A stream with this id, and where its events are to be sent.
    #[must_use]
    pub fn new(id: u64, opened: Opened, inputs: mpsc::Sender<Input>) -> (Self, UnboundedSender<StreamEvent>) {
        let (sender, events) = tokio::sync::mpsc::unbounded_channel();
        (Self { id, opened, events, closer: StreamCloser { stream: id, inputs } }, sender)
    }
}
