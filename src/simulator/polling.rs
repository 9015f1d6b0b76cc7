//! `getUpdates`: the waiting, around the rules of `poll` and the queue.

use std::sync::Arc;
use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use http::StatusCode;
use tokio::sync::oneshot;

use super::Shared;
use super::answer::{self, Answer};
use super::args::Args;
use super::bot::{Bot, WaitingPoll};
use super::poll::{CONFLICT_POLL, CONFLICT_WEBHOOK, PollArgs};

/// Telegram answers a waiting poll this long after the first update came, so that a burst makes one page.
const GATHER: Duration = Duration::from_millis(1);

/// Answers one `getUpdates`.
pub(super) async fn get_updates(shared: &Shared, bot: &Arc<Bot>, args: &Args) -> Answer {
    let (poll, deadline) = match admit(shared, bot, args) {
        Ok(admitted) => admitted,
        Err(delay) => return conflict(CONFLICT_WEBHOOK, delay).await,
    };
    if let Some(page) = page(shared, bot, poll, deadline) {
        return page;
    }
    let (waiting, mut terminated) = wait_in_line(shared, bot);
    loop {
        let arrived = bot.arrived.notified();
        tokio::pin!(arrived);
        // Registered before the queue is looked at, so that what comes in between is not missed.
        arrived.as_mut().enable();
        if let Ok((description, delay)) = terminated.try_recv() {
            return conflict(description, delay).await;
        }
        if let Some(page) = page(shared, bot, poll, deadline) {
            return page;
        }
        let left = deadline.saturating_sub(shared.clock.now());
        let gathered = async {
            let _ = tokio::time::timeout(left, arrived).await;
            if shared.clock.now() < deadline {
                tokio::time::sleep(GATHER).await;
            }
        };
        tokio::select! {
            biased;
            ended = &mut terminated => {
                drop(waiting);
                let (description, delay) = ended.unwrap_or((CONFLICT_POLL, Duration::ZERO));
                return conflict(description, delay).await;
            }
            () = gathered => {}
        }
    }
}

/// The poll and when it ends; with a webhook in force, how long to hold the conflict back.
fn admit(shared: &Shared, bot: &Bot, args: &Args) -> Result<(PollArgs, Duration), Duration> {
    let now = shared.clock.now();
    let mut state = bot.lock();
    if state.webhook.is_some() {
        return Err(state.polls.conflict_delay(now));
    }
    state.allowed.update(args.get("allowed_updates"));
    let poll = state.polls.admit(PollArgs::from_args(args), now);
    Ok((poll, now + poll.timeout))
}

/// The page, unless there is nothing and time to wait.
fn page(shared: &Shared, bot: &Bot, poll: PollArgs, deadline: Duration) -> Option<Answer> {
    let moment = shared.moment();
    let (bodies, settled) = {
        let mut state = bot.lock();
        (state.poll(poll.offset, poll.limit, moment), state.is_settled())
    };
    bot.announce_left(settled);
    (!bodies.is_empty() || moment.now >= deadline).then(|| answer::json_body(StatusCode::OK, joined(&bodies)))
}

fn joined(bodies: &[Bytes]) -> Bytes {
    const OPEN: &[u8] = b"{\"ok\":true,\"result\":[";
    const CLOSE: &[u8] = b"]}";
    let length = bodies.iter().map(|body| body.len() + 2).sum::<usize>();
    let mut out = BytesMut::with_capacity(OPEN.len() + length + CLOSE.len());
    out.put_slice(OPEN);
    for (index, body) in bodies.iter().enumerate() {
        if index > 0 {
            out.put_slice(b",\n");
        }
        out.put_slice(body);
    }
    out.put_slice(CLOSE);
    out.freeze()
}

/// Becomes the one poll that waits; the one that did gets the conflict.
fn wait_in_line(shared: &Shared, bot: &Arc<Bot>) -> (InLine, oneshot::Receiver<(&'static str, Duration)>) {
    let (terminate, terminated) = oneshot::channel();
    let mut state = bot.lock();
    state.terminate_waiting_poll(CONFLICT_POLL, shared.clock.now());
    let number = state.waiting_number;
    state.waiting_number += 1;
    state.waiting = Some(WaitingPoll { number, terminate });
    (InLine { bot: Arc::clone(bot), number }, terminated)
}

/// A place in line; given up when the answer is ready or the client has gone.
struct InLine {
    bot: Arc<Bot>,
    number: u64,
}

impl Drop for InLine {
    fn drop(&mut self) {
        let mut state = self.bot.lock();
        if state.waiting.as_ref().is_some_and(|waiting| waiting.number == self.number) {
            state.waiting = None;
        }
    }
}

async fn conflict(description: &str, delay: Duration) -> Answer {
    if !delay.is_zero() {
        tokio::time::sleep(delay).await;
    }
    answer::error(StatusCode::CONFLICT, description)
}
