//! One open Subscribe stream: the driver's events on their way to the client.
//!
//! The client's reading drives it: [`ConsumerBody`] is polled only while HTTP/2 lets more be sent, so nothing is
//! encoded ahead of a slow reader. A client that does not read at all never polls, so a task of the stream's own
//! watches over it ([`watch_over`]): it keeps the maximum age, and forgets deliveries whose lease was lost before they
//! were sent, so that no more than the consumer's credit is ever held here.

use std::collections::{HashSet, VecDeque};
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::AbortHandle;
use tokio::time::{Instant, MissedTickBehavior, Sleep};
use tokio_stream::Stream;
use tonic::Status;

use super::messages::{self, Batch};
use super::proto::server::SubscribeResponse;
use super::streams::OpenStream;
use crate::driver::{BotHandle, ConsumerStream};
use crate::model::{Delivery, Ordering, StreamEnd, StreamEvent, Token};

/// What tonic sends. Dropping it closes the stream at the driver.
#[derive(Debug)]
pub(super) struct ConsumerBody {
    state: Arc<Mutex<State>>,
    watcher: AbortHandle,
    heartbeat: Pin<Box<Sleep>>,
    heartbeat_after: Duration,
    last_sent: Instant,
    /// Counts the stream as open until the client has its end.
    _open: OpenStream,
}

#[derive(Debug)]
struct State {
    /// What the group's order is kept by.
    ordering: Ordering,
    /// The driver's end; gone once the stream has ended.
    stream: Option<ConsumerStream>,
    /// The first message, until it is sent.
    opened: Option<SubscribeResponse>,
    /// Deliveries taken from the driver and not sent yet; before everything in `queue`.
    sending: VecDeque<Delivery>,
    /// Events taken from the driver and not sent yet; before everything still in `stream`.
    queue: VecDeque<StreamEvent>,
    /// Whom to wake when something changes that is not in `stream.events`.
    waker: Option<Waker>,
}

impl ConsumerBody {
    /// The body of a stream that the driver has opened.
    pub(super) fn new(handle: &BotHandle, stream: ConsumerStream, open: OpenStream) -> Self {
        let (id, lease_ms) = (stream.id, stream.opened.settings.lease_ms);
        let opened = messages::opened(handle.bot(), &stream.opened);
        let state = Arc::new(Mutex::new(State {
            ordering: stream.opened.ordering,
            stream: Some(stream),
            opened: Some(opened),
            sending: VecDeque::new(),
            queue: VecDeque::new(),
            waker: None,
        }));
        let lifetime = open.lifetime();
        let watcher = tokio::spawn(watch_over(
            Arc::clone(&state),
            Watch {
                handle: handle.clone(),
                id,
                max_age: open.max_age,
                drain_grace: lifetime.drain_grace,
                // No lease can be lost before it is over.
                absorb_every: Duration::from_millis(lease_ms),
            },
            open.stopping(),
        ))
        .abort_handle();
        Self {
            state,
            watcher,
            heartbeat: Box::pin(tokio::time::sleep(lifetime.heartbeat)),
            heartbeat_after: lifetime.heartbeat,
            last_sent: Instant::now(),
            _open: open,
        }
    }
}

impl Drop for ConsumerBody {
    fn drop(&mut self) {
        self.watcher.abort();
        // The watcher may hold the state for a while yet; the driver should hear of the end now.
        lock(&self.state).stream = None;
    }
}

impl Stream for ConsumerBody {
    type Item = Result<SubscribeResponse, Status>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        if let Poll::Ready(item) = lock(&this.state).poll_message(cx) {
            this.last_sent = Instant::now();
            return Poll::Ready(item);
        }
        // The timer is not set anew with each message, which would cost more than looking at the time when it rings.
        loop {
            ready!(this.heartbeat.as_mut().poll(cx));
            let now = Instant::now();
            let silent = now.duration_since(this.last_sent) >= this.heartbeat_after;
            if silent {
                this.last_sent = now;
            }
            this.heartbeat.as_mut().reset(this.last_sent + this.heartbeat_after);
            if silent {
                return Poll::Ready(Some(Ok(messages::heartbeat())));
            }
        }
    }
}

impl State {
    /// The next message; deliveries that are ready together go together, also those of several events.
    fn poll_message(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<SubscribeResponse, Status>>> {
        if let Some(opened) = self.opened.take() {
            return Poll::Ready(Some(Ok(opened)));
        }
        let mut batch = Batch::new(self.ordering);
        loop {
            batch.reserve(self.sending.len());
            while let Some(delivery) = self.sending.pop_front() {
                if !batch.has_room_for(&delivery) {
                    self.sending.push_front(delivery);
                    return Poll::Ready(Some(Ok(batch.into_message())));
                }
                batch.push(delivery);
            }
            match self.poll_event(cx) {
                Poll::Ready(Some(StreamEvent::Deliveries(deliveries))) => self.sending = deliveries.into(),
                Poll::Ready(Some(event)) if !batch.is_empty() => self.queue.push_front(event),
                Poll::Ready(Some(event)) => {
                    if let Some(message) = self.message(event) {
                        return Poll::Ready(message);
                    }
                    continue;
                }
                Poll::Ready(None) if batch.is_empty() => return Poll::Ready(None),
                Poll::Pending if batch.is_empty() => return Poll::Pending,
                Poll::Ready(None) | Poll::Pending => {}
            }
            if self.sending.is_empty() && !batch.is_empty() {
                return Poll::Ready(Some(Ok(batch.into_message())));
            }
        }
    }

    /// The next event; none after the end.
    fn poll_event(&mut self, cx: &mut Context<'_>) -> Poll<Option<StreamEvent>> {
        if let Some(event) = self.queue.pop_front() {
            return Poll::Ready(Some(event));
        }
        let Some(stream) = &mut self.stream else { return Poll::Ready(None) };
        if let Poll::Ready(event) = stream.events.poll_recv(cx) {
            // A driver that goes without a word has failed.
            return Poll::Ready(Some(event.unwrap_or(StreamEvent::End(StreamEnd::Failed))));
        }
        if !self.waker.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
            self.waker = Some(cx.waker().clone());
        }
        Poll::Pending
    }

    /// What to send for an event that is not `Deliveries`: nothing, the end, or a message.
    #[expect(clippy::option_option, reason = "the inner one is what a stream's end looks like to tonic")]
    fn message(&mut self, event: StreamEvent) -> Option<Option<Result<SubscribeResponse, Status>>> {
        let message = match event {
            StreamEvent::Deliveries(deliveries) => {
                self.sending = deliveries.into();
                return None;
            }
            StreamEvent::Assignment { gained, lost, generation } => {
                messages::assignment(&gained, &lost, generation)
            }
            StreamEvent::LeaseLost(tokens) => {
                let (message, rest) = messages::lease_lost(tokens);
                if !rest.is_empty() {
                    self.queue.push_front(StreamEvent::LeaseLost(rest));
                }
                message
            }
            StreamEvent::Draining { reason, deadline } => messages::draining(reason, deadline),
            StreamEvent::End(end) => {
                self.close();
                return Some(messages::last(end));
            }
        };
        Some(Some(Ok(message)))
    }

    /// Takes over what the driver has said meanwhile, and forgets deliveries that were lost before they were sent.
    fn absorb(&mut self) {
        while let Some(event) = self.stream.as_mut().and_then(|stream| stream.events.try_recv().ok()) {
            match event {
                StreamEvent::LeaseLost(tokens) => {
                    let seen = self.forget(tokens);
                    if !seen.is_empty() {
                        self.queue.push_back(StreamEvent::LeaseLost(seen));
                    }
                }
                event => self.queue.push_back(event),
            }
        }
    }

    /// Forgets those of the deliveries that have not been sent, and returns the others.
    fn forget(&mut self, tokens: Vec<Token>) -> Vec<Token> {
        let mut lost: HashSet<Token> = tokens.iter().copied().collect();
        self.sending.retain(|delivery| !lost.remove(&delivery.token));
        for event in &mut self.queue {
            if let StreamEvent::Deliveries(deliveries) = event {
                deliveries.retain(|delivery| !lost.remove(&delivery.token));
            }
        }
        tokens.into_iter().filter(|token| lost.contains(token)).collect()
    }

    /// Ends the stream now, whatever is waiting to be sent: the driver gives it to others.
    fn cut(&mut self) {
        if self.stream.is_none() {
            return;
        }
        self.close();
        self.queue.push_back(StreamEvent::End(StreamEnd::Drained));
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    fn close(&mut self) {
        self.stream = None;
        self.sending.clear();
        self.queue.clear();
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    // Nothing in here panics halfway through a change.
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

struct Watch {
    handle: BotHandle,
    id: u64,
    max_age: Duration,
    drain_grace: Duration,
    absorb_every: Duration,
}

/// Ends the stream in good time: at its age, or when the gateway stops, it may drain for the grace; then it is cut.
async fn watch_over(state: Arc<Mutex<State>>, watch: Watch, mut stopping: watch::Receiver<bool>) {
    let mut absorb = tokio::time::interval(watch.absorb_every);
    absorb.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut end = std::pin::pin!(tokio::time::sleep(watch.max_age));
    loop {
        tokio::select! {
            () = &mut end => {
                watch.handle.drain(watch.id);
                break;
            }
            // The drivers tell their streams that they drain when they are told to stop themselves.
            _ = stopping.wait_for(|&stopping| stopping) => break,
            _ = absorb.tick() => lock(&state).absorb(),
        }
    }
    end.set(tokio::time::sleep(watch.drain_grace));
    loop {
        tokio::select! {
            () = &mut end => break,
            _ = absorb.tick() => lock(&state).absorb(),
        }
    }
    lock(&state).cut();
}

#[cfg(test)]
mod tests;
