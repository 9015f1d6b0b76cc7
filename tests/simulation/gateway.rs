//! One gateway process: the real driver turned by hand, the real intake in front of it, and the loop that polls.

mod poller;

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use switchboard::driver::{
    ConsumerStream, Failure, Input, IntakeState, LeaveError, SettleError, Steer, Stepped, SubscribeError,
    Subscription, Turned,
};
use switchboard::http::public::status_for;
use switchboard::intake::{Appended, Intake, WebhookError};
use switchboard::model::{GroupName, Now, SettledResult, Settlement, StreamEvent, Token};
use switchboard::observe::metrics::Metrics;
use tokio::sync::oneshot::Receiver;

use self::poller::Poller;
use crate::checker::{Expected, Wish};
use crate::clock;
use crate::disk::Disk;
use crate::network::Packet;
use crate::scene::Scene;
use crate::telegram::{Answer, Post};

/// Something that the driver hears with its next turn, in this order.
pub enum Heard {
    Settle { group: GroupName, tokens: Vec<Token>, settlement: Settlement, call: u64 },
    Subscribe { subscription: Subscription },
    Closed { stream: u64 },
    Drain { stream: u64 },
    Leave { group: GroupName, consumer: String },
    Wish(Wish),
    Shutdown,
}

/// A call that waits for its answer.
pub enum Call {
    Settle {
        number: u64,
        consumer: Option<usize>,
        group: GroupName,
        tokens: Vec<Token>,
        settlement: Settlement,
        /// One for each token, once it was heard.
        expected: Vec<Expected>,
        hears: bool,
        reply: Receiver<Result<Vec<SettledResult>, SettleError>>,
    },
    Subscribe {
        consumer: usize,
        named: Vec<Token>,
        reply: Receiver<Result<ConsumerStream, SubscribeError>>,
    },
    Leave {
        reply: Receiver<Result<u32, LeaveError>>,
    },
    Steer {
        wish: Wish,
        reply: Box<dyn FnMut() -> Option<Result<(), String>>>,
    },
}

/// A stream, with whose it is.
pub struct Open {
    pub consumer: usize,
    pub stream: ConsumerStream,
}

type Stored = Pin<Box<dyn Future<Output = Result<Appended, WebhookError>>>>;

/// One process.
pub struct Gateway {
    pub uid: u32,
    pub driver: Stepped<Disk>,
    intake: Intake,
    poller: Poller,
    /// Posts that wait for their commit.
    posts: Vec<(u64, Stored)>,
    pub heard: Vec<Heard>,
    pub calls: Vec<Call>,
    pub streams: Vec<Open>,
    /// When what the commit thread is at is done.
    pub commit_due: u64,
    pub commit_began: u64,
    pub turned: u64,
    pub stopping: bool,
    /// Whether the intake has said something that the driver has not heard.
    stirred: bool,
    last_call: u64,
}

impl Gateway {
    pub fn start(uid: u32, disk: Disk, scene: &Scene, now: Now) -> Result<Self, String> {
        let metrics = Metrics::new();
        let driver = Stepped::start("shop", disk, scene.settings(), metrics.clone(), now);
        let driver = driver.map_err(|error| error.to_string())?;
        let intake = Intake::new(driver.handle().clone(), metrics).with_clock(clock::wall);
        Ok(Self {
            uid,
            driver,
            poller: Poller::new(intake.clone()),
            intake,
            posts: Vec::new(),
            heard: Vec::new(),
            calls: Vec::new(),
            streams: Vec::new(),
            commit_due: 0,
            commit_began: 0,
            turned: now.mono.0,
            stopping: false,
            stirred: false,
            last_call: 0,
        })
    }

    pub fn turn(&mut self, now: Now) -> Result<Turned, Failure> {
        self.stirred = false;
        self.turned = now.mono.0;
        self.driver.turn(now)
    }

    /// When it would do something by itself.
    pub fn wakes(&mut self) -> u64 {
        let driver = self.driver.wakes().0;
        self.poller.wakes().map_or(driver, |at| driver.min(at))
    }

    /// Whether the driver has something to hear.
    pub fn is_stirred(&mut self) -> bool {
        self.stirred || !self.heard.is_empty() || self.driver.answered().is_some()
    }

    /// A settle call's tokens were heard, and must be answered like this.
    pub fn expect(&mut self, call: u64, answers: Vec<Expected>) {
        for waiting in &mut self.calls {
            if let Call::Settle { number, expected, .. } = waiting
                && *number == call
            {
                *expected = answers;
                return;
            }
        }
    }

    /// Says something to the driver.
    pub fn say(&mut self, input: Input, heard: Heard) {
        self.driver.say(input);
        self.heard.push(heard);
    }

    pub fn steer(&mut self, wish: Wish, steer: Steer, reply: Box<dyn FnMut() -> Option<Result<(), String>>>) {
        self.say(Input::Steer(steer), Heard::Wish(wish.clone()));
        self.calls.push(Call::Steer { wish, reply });
    }

    pub fn next_call(&mut self) -> u64 {
        self.last_call += 1;
        self.last_call
    }

    /// Closes a stream, as a client does that is gone.
    pub fn close(&mut self, stream: u64) {
        self.streams.retain(|open| open.stream.id != stream);
        self.heard.push(Heard::Closed { stream });
    }

    /// A post arrives; the answer, if it is one at once.
    pub fn posted(&mut self, post: Post) -> Option<Packet> {
        if let IntakeState::Paused { reason, .. } = self.driver.intake() {
            let refused = Err(switchboard::intake::AppendError::Paused(reason).into());
            return Some(reply(post.number, &refused));
        }
        let intake = self.intake.clone();
        let body: Bytes = post.body;
        self.posts.push((post.number, Box::pin(async move { intake.webhook(body).await })));
        self.stirred = true;
        self.answer_posts().pop()
    }

    /// Lets what waits for a commit go on; the answers to posts.
    pub fn answer_posts(&mut self) -> Vec<Packet> {
        let mut replies = Vec::new();
        self.posts.retain_mut(|(number, stored)| match poll(stored.as_mut()) {
            Poll::Pending => true,
            Poll::Ready(stored) => {
                replies.push(reply(*number, &stored));
                false
            }
        });
        replies
    }

    /// Lets the loop that polls go on; the request that it makes.
    pub fn poll_telegram(&mut self, now: u64, polls: bool) -> Option<Packet> {
        let open = self.driver.intake() == IntakeState::Open;
        self.poller.go_on(now, polls && open, self.uid).map(Packet::Ask)
    }

    /// An answer to a poll arrives.
    pub fn polled(&mut self, now: u64, answer: Answer) {
        self.stirred = true;
        self.poller.answered(now, answer);
    }

    /// All that the streams have been told and nobody has taken yet: a consumer's stream and the event.
    pub fn events(&mut self) -> Vec<(usize, u64, StreamEvent)> {
        let mut events = Vec::new();
        for Open { consumer, stream } in &mut self.streams {
            while let Ok(event) = stream.events.try_recv() {
                events.push((*consumer, stream.id, event));
            }
        }
        events
    }

    pub fn took(&self, now: u64) -> Duration {
        Duration::from_millis(now - self.commit_began)
    }
}

fn reply(post: u64, stored: &Result<Appended, WebhookError>) -> Packet {
    let status = status_for(stored);
    // Its length has a test of its own.
    let retry_after_ms = (status == 503).then_some(1_000);
    Packet::Reply { post, status, retry_after_ms }
}

/// Asks a future whether it is ready. Nothing wakes it: it is asked again after every turn.
pub fn poll<T>(future: Pin<&mut (dyn Future<Output = T> + '_)>) -> Poll<T> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}
