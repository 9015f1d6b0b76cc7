//! Posts updates to a web server: a 2xx acks, anything else gives back as failed.

mod reply;
pub(super) mod target;

use std::collections::BTreeMap;
use std::io::Write;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::task::{Id, JoinSet};
use tonic::Status;

use self::target::{Accepted, Failure, Target};
use super::TailError;
use super::follow::Settler;
use super::line;
use crate::cli::client::{self, Backoff};
use crate::cli::{clock, note};
use crate::grpc::proto::client::{Deliveries, Delivery, NackOutcome, Opened, SettleCode};

/// Updates on their way to the web server.
pub(super) struct Forward {
    target: Target,
    /// As many as may be at the web server at once. The group's credit says the same, but a delivery whose lease was
    /// lost no longer counts there.
    connections: Arc<Semaphore>,
    /// How many updates are still to be acked, where that is limited. At least as many as there are posts.
    left: Option<u64>,
    posts: JoinSet<Posted>,
    /// The tokens of the posts.
    held: BTreeMap<Id, String>,
    ephemeral: bool,
    greeted: bool,
    told_of_replies: bool,
}

/// What became of one update.
struct Posted {
    delivery: Delivery,
    answer: Result<Accepted, Failure>,
    took: Duration,
    /// What the gateway says to the settlement, if it is not as expected.
    settled: Result<(), String>,
}

impl Forward {
    pub(super) fn new(target: Target, left: Option<u64>, connections: i32, ephemeral: bool) -> Self {
        let connections = Arc::new(Semaphore::new(usize::try_from(connections).unwrap_or(1)));
        let (posts, held) = (JoinSet::new(), BTreeMap::new());
        Self { target, connections, left, posts, held, ephemeral, greeted: false, told_of_replies: false }
    }

    /// Says once what will happen.
    pub(super) fn opened(&mut self, opened: &Opened) {
        if std::mem::replace(&mut self.greeted, true) {
            return;
        }
        let span_s = opened.min_failure_span.map_or(0, |span| span.seconds);
        let end = if self.ephemeral {
            "what is not taken when this command ends is gone (--group NAME makes a group that stays)"
        } else {
            "what is not taken when this command ends comes again"
        };
        note(&format!(
            "posting to {}: a 2xx acks; anything else comes again, later each time, and goes to the dead letters after \
             {} failures over at least {span_s} s; {end}",
            self.target.shown(),
            opened.max_failures
        ));
    }

    pub(super) fn is_done(&self) -> bool {
        self.left == Some(0)
    }

    pub(super) fn held_tokens(&self) -> Vec<String> {
        self.held.values().cloned().collect()
    }

    /// Starts a post for each; what may be beyond `--count` goes back for a moment.
    pub(super) async fn take(&mut self, deliveries: Deliveries, settler: &mut Settler) -> Result<(), Status> {
        let mut surplus = Vec::new();
        for delivery in deliveries.deliveries {
            if self.left.is_some_and(|left| self.posts.len() as u64 >= left) {
                surplus.push(delivery.token);
            } else {
                let token = delivery.token.clone();
                let (target, connections) = (self.target.clone(), Arc::clone(&self.connections));
                let post = self.posts.spawn(post(target, connections, delivery, settler.clone()));
                self.held.insert(post.id(), token);
            }
        }
        settler.nack(surplus, NackOutcome::Released, String::new(), Some(SURPLUS_DELAY)).await
    }

    /// Waits for the next answer and prints it. Safe to cancel.
    pub(super) async fn done_with_one(&mut self) -> Result<(), TailError> {
        let Some(ended) = self.posts.join_next_with_id().await else {
            return std::future::pending().await;
        };
        match ended {
            Ok((id, posted)) => {
                self.held.remove(&id);
                if posted.answer.is_ok() && posted.settled.is_ok() {
                    self.left = self.left.map(|left| left.saturating_sub(1));
                }
                self.print(&posted)?;
            }
            // Only a bug ends one like this; its lease brings the update back.
            Err(error) => {
                self.held.remove(&error.id());
                note(&format!("a post has failed: {error}; the update comes again"));
            }
        }
        Ok(())
    }

    /// Gives what is at the web server a last chance, and the rest back.
    pub(super) async fn finish(&mut self, settler: &mut Settler) -> Result<(), TailError> {
        if self.posts.is_empty() {
            return Ok(());
        }
        let count = self.posts.len();
        note(&format!(
            "{count} still at the web server; waiting at most {FINISH:?}, Ctrl-C again ends at once"
        ));
        let all = async {
            while !self.posts.is_empty() {
                self.done_with_one().await?;
            }
            Ok(())
        };
        if let Ok(finished) = tokio::time::timeout(FINISH, all).await {
            return finished;
        }
        self.posts.abort_all();
        let reason = "the web server had not answered when its forwarder was stopped".to_owned();
        let back = settler.nack(self.held_tokens(), NackOutcome::Released, reason, None);
        // Without it their leases bring them back.
        if let Ok(Err(status)) = tokio::time::timeout(FINISH, back).await {
            note(&format!("not given back: {}", client::describe(&status)));
        }
        Ok(())
    }

    fn print(&mut self, posted: &Posted) -> std::io::Result<()> {
        let mut out = std::io::stdout().lock();
        writeln!(out, "{}", posted.line(clock::unix_micros()))?;
        out.flush()?;
        let Ok(Accepted { method: Some(method), .. }) = &posted.answer else { return Ok(()) };
        if !std::mem::replace(&mut self.told_of_replies, true) {
            note(&format!(
                "\nNOT CARRIED OUT: the web server replied with a call of {method}. Telegram carries such a reply out; \
                 behind a gateway nobody does, so nothing was sent.\nMake the bot call \
                 https://api.telegram.org/bot<token>/{method} itself and reply with an empty 200. Most frameworks have \
                 a switch for it, often called \"webhook reply\". This is said once; the lines of such replies say so.\n"
            ));
        }
        Ok(())
    }
}

async fn post(
    target: Target,
    connections: Arc<Semaphore>,
    mut delivery: Delivery,
    mut settler: Settler,
) -> Posted {
    // It is never closed.
    let _connection = connections.acquire().await;
    let json = delivery.update.as_mut().map(|update| std::mem::take(&mut update.json)).unwrap_or_default();
    let began = clock::now();
    let answer = target.post(json).await;
    let took = clock::now().saturating_duration_since(began);
    let settled = settle(&mut settler, &delivery, &answer).await;
    Posted { delivery, answer, took, settled }
}

/// Tries for as long as the lease holds anyway: a gateway that is started anew takes it too.
async fn settle(
    settler: &mut Settler,
    delivery: &Delivery,
    answer: &Result<Accepted, Failure>,
) -> Result<(), String> {
    let began = clock::now();
    let mut backoff = Backoff::default();
    loop {
        let token = vec![delivery.token.clone()];
        let settled = match answer {
            Ok(_) => settler.ack(token).await.map(|results| results.first().map(|result| result.code())),
            Err(failure) => {
                let (reason, delay) = (failure.reason.clone(), failure.delay);
                settler.nack(token, NackOutcome::Failed, reason, delay).await.map(|()| None)
            }
        };
        match settled {
            Ok(Some(SettleCode::Superseded | SettleCode::Unknown | SettleCode::Malformed)) => {
                return Err("too late: the update was handed out again".to_owned());
            }
            Ok(_) => return Ok(()),
            Err(status) if client::is_transient(&status) && began.elapsed() < LEASE_MARGIN => {
                tokio::time::sleep(backoff.after_failure()).await;
            }
            Err(status) => return Err(format!("not settled: {}", client::describe(&status))),
        }
    }
}

impl Posted {
    /// Time (UTC), kind, key, status, how long the answer took, and what is not as it should be.
    fn line(&self, now_us: u64) -> String {
        let seconds = now_us / 1_000_000 % 86_400;
        let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
        let kind = self.delivery.update.as_ref().map_or("", |update| &update.kind);
        let status = match &self.answer {
            Ok(accepted) => accepted.status.to_string(),
            Err(failure) => failure.status.map_or("-".to_owned(), |status| status.to_string()),
        };
        let mut line = format!(
            "{hours:02}:{minutes:02}:{seconds:02}  {:<16}  {:<22}  {status:>3}  {:>5} ms",
            line::shown(kind, line::MAX_TEXT_CHARS),
            line::shown(&self.delivery.ordering_key, line::MAX_TEXT_CHARS),
            self.took.as_millis()
        );
        if self.delivery.attempt > 1 {
            line += &format!("  (attempt {})", self.delivery.attempt);
        }
        match &self.answer {
            Ok(Accepted { method: Some(method), .. }) => {
                line += &format!("  replied with {method}: NOT carried out");
            }
            Ok(_) => {}
            Err(failure) => {
                // Whether it comes again is the group's to say: this may be the failure that makes a dead letter.
                line += &format!("  failed; {}", line::shown(&failure.reason, MAX_REASON_CHARS));
            }
        }
        if let Err(why) = &self.settled {
            line += &format!("  {}", line::shown(why, MAX_REASON_CHARS));
        }
        line
    }
}

/// The lease of an update that may be at the web server for so long: with room for a gateway that has to be reached
/// again before it can be settled.
pub(super) fn lease(timeout: Duration) -> prost_types::Duration {
    // Neither is near the limit.
    prost_types::Duration::try_from(timeout + LEASE_MARGIN).unwrap_or_default()
}

/// What an answer may take: a lease lasts at most 10 minutes.
pub(super) const TIMEOUTS: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(9 * 60);
/// Telegram opens no more either.
pub(super) const MAX_CONNECTIONS: i32 = 100;
const LEASE_MARGIN: Duration = Duration::from_secs(30);
const FINISH: Duration = Duration::from_secs(10);
/// Long enough not to spin, short enough for whoever waits for the update.
const SURPLUS_DELAY: Duration = Duration::from_secs(1);
const MAX_REASON_CHARS: usize = 160;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::grpc::proto::client::Update;

    fn posted(attempt: i32, answer: Result<Accepted, Failure>) -> Posted {
        let update = Update { kind: "message".into(), ..Update::default() };
        let ordering_key = "chat:42".into();
        let delivery = Delivery { attempt, ordering_key, update: Some(update), ..Delivery::default() };
        Posted { delivery, answer, took: Duration::from_millis(12), settled: Ok(()) }
    }

    #[test]
    fn a_line_has_kind_chat_status_and_milliseconds() {
        let line = posted(1, Ok(Accepted { status: 200, method: None })).line(3_661_000_000);
        assert_eq!(line, "01:01:01  message           chat:42                 200     12 ms");
    }

    #[test]
    fn a_line_says_what_failed_and_cannot_be_steered_by_it() {
        let reason = "HTTP 500: \u{1b}[2Jboom".to_owned();
        let line = posted(3, Err(Failure { status: Some(500), reason, delay: None })).line(0);
        assert!(line.ends_with("500     12 ms  (attempt 3)  failed; HTTP 500: \u{FFFD}[2Jboom"), "{line}");
        let reason = "Connection refused".to_owned();
        let line = posted(1, Err(Failure { status: None, reason, delay: None })).line(0);
        assert!(line.ends_with("  -     12 ms  failed; Connection refused"), "{line}");
    }

    #[test]
    fn a_reply_that_telegram_would_carry_out_is_marked() {
        let line = posted(1, Ok(Accepted { status: 200, method: Some("sendMessage".into()) })).line(0);
        assert!(line.ends_with("replied with sendMessage: NOT carried out"), "{line}");
    }
}
