//! A bot's traffic: generated or replayed updates, put into its queue at a rate.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::Shared;
use super::bot::{AbortOnDrop, Bot, Feed, NewUpdate};
use super::generator::{Generator, Traffic};
use super::kind::Kind;
use super::peek::Peek;
use super::queue::{MAX_UPDATE_BYTES, Refused};

/// As fast as possible means: the queue is kept about so long. Longer would only cost memory.
const LEAD: usize = 10_000;
/// So many updates join the queue under one lock.
const BATCH: u64 = 256;
/// Timers are no finer.
const TICK: Duration = Duration::from_millis(1);

/// What a bot's traffic consists of.
#[derive(Clone, Debug)]
pub enum Source {
    /// Generated updates.
    Generated(Traffic),
    /// Recorded ones, in order.
    Replayed {
        /// The updates.
        replay: Arc<Replay>,
        /// Updates a second; 0 means as fast as they are taken.
        rate: f64,
    },
}

/// Recorded updates, checked. Their bytes and their ids stay as they are.
#[derive(Debug)]
pub struct Replay(Vec<(Peek, Bytes)>);

/// The recording cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// The file cannot be read.
    #[error("cannot read {path}: {source}")]
    Read {
        /// The file.
        path: Box<Path>,
        /// Why.
        source: std::io::Error,
    },
    /// A line is no update object.
    #[error(
        "{path}, line {line}: not an update object of one line, at most {MAX_UPDATE_BYTES} bytes long: {reason}"
    )]
    Line {
        /// The file.
        path: Box<Path>,
        /// Counted from 1.
        line: usize,
        /// What is wrong.
        reason: String,
    },
}

impl Replay {
    /// Reads a file with one update object in each line; empty lines are skipped.
    ///
    /// # Errors
    /// [`ReplayError`], with the line.
    pub fn from_file(path: &Path) -> Result<Self, ReplayError> {
        let content =
            std::fs::read(path).map_err(|source| ReplayError::Read { path: path.into(), source })?;
        let content = Bytes::from(content);
        let mut updates = Vec::new();
        for (index, line) in content.split(|byte| *byte == b'\n').enumerate() {
            let line = line.trim_ascii();
            if line.is_empty() {
                continue;
            }
            let invalid = |reason: String| ReplayError::Line { path: path.into(), line: index + 1, reason };
            let text = std::str::from_utf8(line).map_err(|error| invalid(error.to_string()))?;
            let peek = Peek::into_update(text).map_err(|error| invalid(error.to_string()))?;
            if line.len() > MAX_UPDATE_BYTES {
                return Err(invalid(format!("it has {} bytes", line.len())));
            }
            updates.push((peek, content.slice_ref(line)));
        }
        Ok(Self(updates))
    }

    /// How many updates it has.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether it has none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Starts a bot's traffic, in place of what ran before.
pub(super) fn start(shared: &Arc<Shared>, bot: &Arc<Bot>, source: Source) {
    let mut state = bot.lock();
    let (shared, fed) = (Arc::clone(shared), Arc::clone(bot));
    let task = tokio::spawn(async move {
        match source {
            Source::Generated(traffic) => {
                let total = traffic.total.unwrap_or(u64::MAX);
                let mut generator = Generator::new(&traffic);
                let paced = traffic.rate > 0.0;
                run(&shared, &fed, traffic.rate, total, |bot, most| {
                    generate(&shared, bot, &mut generator, most, paced)
                })
                .await;
            }
            Source::Replayed { replay, rate } => {
                let mut left = replay.0.as_slice();
                run(&shared, &fed, rate, replay.len() as u64, |bot, most| {
                    play(&shared, bot, &mut left, most)
                })
                .await;
            }
        }
        let settled = {
            let mut state = fed.lock();
            state.feed = Feed::Over;
            state.is_settled()
        };
        fed.announce_left(settled);
    });
    state.feed = Feed::Running { _task: AbortOnDrop(task.abort_handle()) };
}

/// Stops a bot's traffic, and what would have started with its first call.
pub(super) fn stop(bot: &Bot) {
    let settled = {
        let mut state = bot.lock();
        state.feed = Feed::Over;
        state.is_settled()
    };
    bot.announce_left(settled);
}

/// Feeds until `total` is reached. `feed` puts up to so many updates into the queue and says how many.
async fn run(shared: &Shared, bot: &Bot, rate: f64, total: u64, mut feed: impl FnMut(&Bot, u64) -> u64) {
    let started = shared.clock.now();
    let mut fed = 0;
    while fed < total {
        let due = due(rate, shared.clock.now().saturating_sub(started)).min(total);
        if fed >= due {
            let pause = started + Duration::from_secs_f64(fed as f64 / rate);
            tokio::time::sleep(pause.saturating_sub(shared.clock.now()).max(TICK)).await;
            continue;
        }
        let room = bot.room.notified();
        let now_fed = feed(bot, (due - fed).min(BATCH));
        if now_fed == 0 {
            room.await;
            continue;
        }
        fed += now_fed;
        bot.announce();
        tokio::task::yield_now().await;
    }
}

/// How many are due after so long; the first one at once.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "rate and time are not negative, and `as` saturates"
)]
fn due(rate: f64, elapsed: Duration) -> u64 {
    if rate > 0.0 { ((elapsed.as_secs_f64() * rate) as u64).saturating_add(1) } else { u64::MAX }
}

/// At a rate, what finds no room is lost, as at Telegram; as fast as possible, it waits for room.
fn generate(shared: &Shared, bot: &Bot, generator: &mut Generator, most: u64, paced: bool) -> u64 {
    let moment = shared.moment();
    let mut state = bot.lock();
    if !paced && state.queue.len() >= LEAD {
        return 0;
    }
    for _ in 0..most {
        let kind = generator.next_kind();
        if !state.allowed.contains(kind) {
            state.ledger.counts.filtered += 1;
            continue;
        }
        let id = state.queue.next_id();
        let generated = generator.next(kind, id, moment.unix_us);
        let update = NewUpdate { id, kind, lane: generated.lane, body: generated.body };
        // Refused ones are counted by the ledger; Telegram tells nobody either.
        let _ = state.push(update, moment);
    }
    most
}

/// Recorded updates are never lost: they wait until there is room, and those whose ids start anew until the queue
/// is empty. They come whatever `allowed_updates` says, since they are what Telegram had queued.
fn play(shared: &Shared, bot: &Bot, left: &mut &[(Peek, Bytes)], most: u64) -> u64 {
    let moment = shared.moment();
    let mut state = bot.lock();
    let mut played = 0;
    while let Some(((peek, body), rest)) = left.split_first()
        && played < most
    {
        let (id, body) = match peek.update_id {
            Some(id) => (id, body.clone()),
            None => numbered(state.queue.next_id(), body),
        };
        let accepts = state.queue.accepts(id, body.len());
        if matches!(accepts, Err(Refused::Full | Refused::NotAbove)) {
            break;
        }
        let _ = state.push(NewUpdate { id, kind: peek.kind, lane: peek.lane, body }, moment);
        *left = rest;
        played += 1;
    }
    played
}

/// The object with an id put before its other members, in Telegram's form on the wire; and the id.
#[must_use]
pub fn numbered(id: i64, object: &[u8]) -> (i64, Bytes) {
    let members = object.trim_ascii().strip_prefix(b"{").unwrap_or_default();
    let separator = if members.trim_ascii_start().starts_with(b"}") { "" } else { ",\n" };
    let mut body = format!("{{\"update_id\":{id}{separator}").into_bytes();
    body.extend_from_slice(members);
    (id, Bytes::from(body))
}

/// Whether a bot wants this kind, when it is asked on its behalf.
pub(super) fn is_wanted(bot: &Bot, kind: Kind) -> bool {
    let mut state = bot.lock();
    let wanted = state.allowed.contains(kind);
    if !wanted {
        state.ledger.counts.filtered += 1;
    }
    wanted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_put_before_the_other_members() {
        assert_eq!(numbered(7, b"{\"message\":{}}").1, "{\"update_id\":7,\n\"message\":{}}");
        assert_eq!(numbered(7, b" { } ").1, "{\"update_id\":7 }");
    }

    #[test]
    fn the_first_update_is_due_at_once_and_the_rest_at_the_rate() {
        assert_eq!(due(10.0, Duration::ZERO), 1);
        assert_eq!(due(10.0, Duration::from_secs(1)), 11);
        assert_eq!(due(0.0, Duration::ZERO), u64::MAX);
    }

    #[test]
    fn a_recording_keeps_its_bytes_and_names_the_line_that_is_wrong() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("updates.jsonl");
        std::fs::write(&path, "{\"update_id\": 5, \"message\":{}}\n\n{\"poll\":{\"id\":\"9\"}}\r\n").unwrap();
        let replay = Replay::from_file(&path).unwrap();
        assert_eq!(replay.len(), 2);
        assert_eq!(replay.0[0].1, "{\"update_id\": 5, \"message\":{}}");
        std::fs::write(&path, "{}\n[1]\n").unwrap();
        let error = Replay::from_file(&path).unwrap_err().to_string();
        assert!(error.contains("line 2"), "{error}");
    }
}
