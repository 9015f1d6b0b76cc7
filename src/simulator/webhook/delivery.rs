//! Sends a bot's updates to its webhook: one task plans, and one more for each connection.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;

use super::connection::{Connection, Exchange, Reply};
use super::schedule::{Attempt, Consequence, Failure};
use super::settings::Settings;
use super::{ActiveWebhook, Signals};
use crate::simulator::Shared;
use crate::simulator::args::Args;
use crate::simulator::bot::{Bot, State};
use crate::simulator::faults::{Fault, WEBHOOK};
use crate::simulator::ledger::Moment;
use crate::simulator::queue::Fate;

/// With nothing to wait for, the plan is looked at this often all the same, so that expired updates leave.
const IDLE_CHECK: Duration = Duration::from_secs(60);

/// What the tasks of one webhook share.
#[derive(Clone)]
pub(super) struct Delivery {
    pub shared: Arc<Shared>,
    pub bot: Arc<Bot>,
    pub number: u64,
    pub settings: Arc<Settings>,
    pub address: SocketAddr,
    pub signals: Arc<Signals>,
}

/// This webhook is no longer the bot's.
struct Replaced;

impl Delivery {
    /// Opens connections as they are needed, and wakes them when a retry is due. Ends with the webhook.
    pub(super) async fn run(self) {
        let mut connections = JoinSet::new();
        loop {
            let signals = Arc::clone(&self.signals);
            let woken = signals.plan.notified();
            let Ok((open, wake_at)) = self.plan() else { return };
            for _ in 0..open {
                connections.spawn(self.clone().serve_connection());
            }
            self.signals.work.notify_one();
            let pause = wake_at.map_or(IDLE_CHECK, |at| at.saturating_sub(self.shared.clock.now()));
            // Timers are no finer than a millisecond; a shorter pause would spin.
            let pause = pause.clamp(Duration::from_millis(1), IDLE_CHECK);
            tokio::select! {
                () = woken => {}
                () = tokio::time::sleep(pause) => {}
                Some(_) = connections.join_next(), if !connections.is_empty() => {
                    let disconnect = |_: &mut State, webhook: &mut ActiveWebhook| webhook.schedule.disconnected();
                    if self.with_webhook(disconnect).is_err() {
                        return;
                    }
                }
            }
        }
    }

    fn plan(&self) -> Result<(usize, Option<Duration>), Replaced> {
        let moment = self.shared.moment();
        self.with_webhook(|state, webhook| {
            load(state, webhook, moment);
            let connects = webhook.schedule.connect(moment.now);
            // What is ready is taken by the connections themselves; only what becomes ready later needs a timer.
            let ready_at = webhook.schedule.next_ready_at().filter(|at| *at > moment.now);
            (connects.now, [connects.ask_again_at, ready_at].into_iter().flatten().min())
        })
    }

    async fn serve_connection(self) {
        let mut connection = match Connection::open(&self.settings, self.address).await {
            Ok(connection) => connection,
            Err(error) => {
                // No update has failed, since none was sent.
                let _ = self.with_webhook(|_, webhook| self.note_error(webhook, error));
                return;
            }
        };
        loop {
            let work = self.signals.work.notified();
            tokio::pin!(work);
            // Registered before the schedule is looked at, so that what comes in between is not missed.
            work.as_mut().enable();
            if !connection.is_open() {
                return;
            }
            match self.next_attempt() {
                Err(Replaced) => return,
                Ok(Some(attempt)) => {
                    if !self.carry_out(&mut connection, attempt).await {
                        return;
                    }
                }
                Ok(None) => tokio::select! {
                    () = work => {}
                    () = connection.closed() => return,
                },
            }
        }
    }

    fn next_attempt(&self) -> Result<Option<Attempt>, Replaced> {
        let moment = self.shared.moment();
        let (attempt, more) = self.with_webhook(|state, webhook| {
            load(state, webhook, moment);
            let attempt = webhook.schedule.next(moment.now);
            if let Some(attempt) = &attempt {
                state.ledger.sent(attempt.record, moment.unix_us);
            }
            (attempt, webhook.schedule.next_ready_at().is_some_and(|at| at <= moment.now))
        })?;
        if attempt.is_some() && more {
            // One wakes the next, so that as many wake as there is work for.
            self.signals.work.notify_one();
        }
        Ok(attempt)
    }

    /// Says whether the connection is still good.
    async fn carry_out(&self, connection: &mut Connection, attempt: Attempt) -> bool {
        let strike = self.shared.faults().strike(WEBHOOK);
        strike.wait().await;
        let sent = match strike.fault {
            None => connection.send(attempt.body.clone()).await,
            Some(Fault::ReplyLost) => {
                connection.send(attempt.body.clone()).await;
                Exchange::Lost("Connection reset by peer".to_owned())
            }
            Some(_) => {
                self.bot.lock().ledger.not_sent(attempt.record);
                Exchange::Lost("Connection closed".to_owned())
            }
        };
        match sent {
            Exchange::NotSent => {
                let _ = self.with_webhook(|state, webhook| {
                    state.ledger.not_sent(attempt.record);
                    webhook.schedule.not_sent(attempt.lane);
                });
                self.signals.plan.notify_one();
                false
            }
            Exchange::Lost(error) => {
                self.failed(&attempt, Failure::default(), error);
                false
            }
            Exchange::Answered(reply) if reply.status.is_success() => {
                self.succeeded(&attempt, &reply);
                true
            }
            Exchange::Answered(reply) => {
                let status = reply.status;
                let reason = status.canonical_reason().unwrap_or_default();
                let failure = Failure { status: Some(status.as_u16()), retry_after_s: reply.retry_after_s };
                self.failed(
                    &attempt,
                    failure,
                    format!("Wrong response from the webhook: {} {reason}", status.as_u16()),
                );
                true
            }
        }
    }

    fn succeeded(&self, attempt: &Attempt, reply: &Reply) {
        let moment = self.shared.moment();
        let mut called = Args::default();
        if !reply.body.is_empty() {
            called.add_body(&reply.content_type, &reply.body);
        }
        let method =
            called.get("method").map(str::to_ascii_lowercase).filter(|method| may_be_in_a_reply(method));
        let settled = self.with_webhook(|state, webhook| {
            state.forget(attempt.id, Fate::Confirmed, moment);
            webhook.schedule.succeeded(attempt.lane, moment.now);
            if let Some(method) = &method {
                state.ledger.called_by_webhook_reply(method);
            }
            (state.is_settled(), webhook.schedule.may_connect())
        });
        if let Ok((settled, may_connect)) = settled {
            self.bot.announce_left(settled);
            if may_connect {
                // A first success lifts the limit on connections.
                self.signals.plan.notify_one();
            }
        }
    }

    fn failed(&self, attempt: &Attempt, failure: Failure, error: String) {
        let moment = self.shared.moment();
        let after = self.with_webhook(|state, webhook| {
            self.note_error(webhook, error);
            let consequence = webhook.schedule.failed(attempt.lane, failure, moment.now);
            if let Consequence::GiveUp { id } = consequence {
                state.forget(id, Fate::Expired, moment);
            }
            (consequence, state.is_settled())
        });
        if let Ok((consequence, settled)) = after {
            if consequence == Consequence::Delete {
                self.delete();
            }
            self.bot.announce_left(settled);
            self.signals.plan.notify_one();
        }
    }

    /// Deletes the webhook, as Telegram does after long 410s. Its tasks, this one too, end with it.
    fn delete(&self) {
        let mut state = self.bot.lock();
        if state.webhook.as_ref().is_some_and(|webhook| webhook.number == self.number) {
            state.webhook = None;
        }
    }

    fn note_error(&self, webhook: &mut ActiveWebhook, error: String) {
        webhook.last_error = Some((self.shared.clock.unix_s(self.shared.clock.now()), error));
    }

    /// Runs `change` on the bot's state and this webhook, if it is still in force.
    fn with_webhook<T>(
        &self,
        change: impl FnOnce(&mut State, &mut ActiveWebhook) -> T,
    ) -> Result<T, Replaced> {
        let mut state = self.bot.lock();
        let mut webhook = match state.webhook.take() {
            Some(webhook) if webhook.number == self.number => webhook,
            other => {
                state.webhook = other;
                return Err(Replaced);
            }
        };
        let result = change(&mut state, &mut webhook);
        state.webhook = Some(webhook);
        Ok(result)
    }
}

fn load(state: &mut State, webhook: &mut ActiveWebhook, moment: Moment) {
    state.expire(moment);
    let (from, room) = webhook.schedule.room();
    if room > 0 {
        webhook.schedule.load(state.read(from, room, moment), moment.now);
    }
}

/// Telegram carries out what an answer asks for, but for a few methods.
fn may_be_in_a_reply(method: &str) -> bool {
    !method.starts_with("get") && !["setwebhook", "deletewebhook", "close", "logout"].contains(&method)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reply_may_ask_for_all_but_get_set_webhook_delete_webhook_close_and_log_out() {
        assert!(may_be_in_a_reply("sendmessage"));
        for refused in ["getme", "getupdates", "setwebhook", "deletewebhook", "close", "logout"] {
            assert!(!may_be_in_a_reply(refused), "{refused}");
        }
    }
}
