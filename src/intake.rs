//! Raw bytes to parsed updates to the driver: the only door for the Telegram side.

#[cfg(test)]
pub(crate) mod fake_driver;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use bytes::Bytes;
use tokio::sync::watch;

use crate::driver::{BotHandle, NewUpdate};
use crate::model::{KeyHash, Label, Payload, Quarantined};
use crate::observe::metrics::{BotLabels, IntakeLabels, Metrics};
use crate::update::{KindCode, ParseError, Update, parse};
use crate::wire::encode_update;

pub use crate::driver::{AppendError, Appended, IntakeState, PauseReason, WantedKinds};
pub use crate::model::UnixMillis;

/// Of a polled element that cannot be read no more is kept: Telegram's limit for one update is half of this.
const MAX_QUARANTINED_BYTES: usize = 1 << 20;

/// The door to one bot's driver. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Intake {
    handle: BotHandle,
    bot: Arc<str>,
    /// When the last update came, in milliseconds since 1970; 0 if none did.
    last_received: Arc<AtomicU64>,
    metrics: Metrics,
}

/// Why a webhook's body was not stored.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WebhookError {
    /// It is no update: it never will be stored.
    #[error("the body {0}")]
    NoUpdate(#[from] ParseError),
    /// It could not be made durable: Telegram must send it again.
    #[error(transparent)]
    NotDurable(#[from] AppendError),
}

/// What became of a polled page: all of it is durable.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// What became of its readable updates.
    pub appended: Appended,
    /// The id of its last element that has one.
    pub last_id: Option<i64>,
    /// Its unreadable elements that were quarantined now, with the reason, for the alarm.
    pub quarantined: Vec<(Bytes, Box<str>)>,
}

impl Intake {
    /// The door to the driver behind the handle.
    #[must_use]
    pub fn new(handle: BotHandle, metrics: Metrics) -> Self {
        let bot = handle.bot().into();
        Self { handle, bot, last_received: Arc::default(), metrics }
    }

    /// The bot's name.
    #[must_use]
    pub fn bot(&self) -> &Arc<str> {
        &self.bot
    }

    /// Stores the update in a webhook's body; answers when it is durable.
    ///
    /// # Errors
    /// [`WebhookError`]: nothing may be confirmed to Telegram.
    pub async fn webhook(&self, body: Bytes) -> Result<Appended, WebhookError> {
        let received = now();
        let update = self.new_update(&parse(&body)?, received);
        // The update has its own copy of the JSON: the body must not be held twice until the commit.
        drop(body);
        self.count("webhook", std::slice::from_ref(&update), received);
        Ok(self.handle.append(vec![update], Vec::new()).await?)
    }

    /// Stores a page of polled elements; answers when all of it is durable. What is no readable update is stored as
    /// quarantined, but for those that `known` says are already: they come again until they can be passed.
    ///
    /// # Errors
    /// [`AppendError`]: nothing of the page may be confirmed to Telegram.
    pub async fn page(
        &self,
        elements: &[Bytes],
        known: impl Fn(&Bytes) -> bool,
    ) -> Result<Page, AppendError> {
        let received = now();
        let mut page = Page::default();
        let mut updates = Vec::with_capacity(elements.len());
        let mut quarantined = Vec::new();
        for element in elements {
            match parse(element) {
                Ok(update) => {
                    page.last_id = Some(update.update_id);
                    updates.push(self.new_update(&update, received));
                }
                Err(error) => {
                    page.last_id = salvaged_id(element).or(page.last_id);
                    if !known(element) {
                        let reason: Box<str> = format!("a polled element {error}").into();
                        // A copy: the element is a part of the whole page's memory.
                        let element = Bytes::copy_from_slice(element);
                        let bytes = element.slice(..element.len().min(MAX_QUARANTINED_BYTES));
                        quarantined.push(Quarantined { received, reason: reason.clone(), bytes });
                        page.quarantined.push((element, reason));
                    }
                }
            }
        }
        if !updates.is_empty() || !quarantined.is_empty() {
            self.count("polling", &updates, received);
            page.appended = self.handle.append(updates, quarantined).await?;
        }
        Ok(page)
    }

    /// When the last update came, stored or not.
    #[must_use]
    pub fn last_received(&self) -> Option<UnixMillis> {
        Some(UnixMillis(self.last_received.load(Ordering::Relaxed))).filter(|time| time.0 > 0)
    }

    /// Whether updates are taken, and its changes.
    #[must_use]
    pub fn state(&self) -> watch::Receiver<IntakeState> {
        self.handle.intake()
    }

    /// The webhook URL that this gateway has set at Telegram, if any; from the journal.
    #[must_use]
    pub fn own_webhook(&self) -> Option<Box<str>> {
        self.handle.own_webhook().filter(|url| !url.is_empty())
    }

    /// The kinds that the groups want, and their changes.
    #[must_use]
    pub fn wanted(&self) -> watch::Receiver<WantedKinds> {
        self.handle.wanted()
    }

    /// Remembers the webhook URL that was set at Telegram; empty for none. Answers when that is durable.
    ///
    /// # Errors
    /// [`AppendError`].
    pub async fn remember_webhook(&self, url: &str) -> Result<(), AppendError> {
        self.handle.remember_webhook(url).await
    }

    fn new_update(&self, update: &Update<'_>, received: UnixMillis) -> NewUpdate {
        let text = update.key.to_string();
        let key = KeyHash::of(&text);
        let user = update.user_id.map_or(key, KeyHash::of_user);
        let topic = match (update.chat_id, update.thread_id) {
            (Some(chat), Some(thread)) => KeyHash::of(&format!("topic:{chat}:{thread}")),
            _ => key,
        };
        NewUpdate {
            update_id: update.update_id,
            key,
            user,
            topic,
            kind: update.kind,
            chat_type: update.chat_type,
            label: update.label.as_deref().map_or(Label::EMPTY, Label::new),
            // Bodies are bounded far below 4 GiB.
            size: u32::try_from(update.json.len()).unwrap_or(u32::MAX),
            received,
            payload: Payload { key: text.into(), update: encode_update(&self.bot, update, received) },
        }
    }

    fn count(&self, mode: &'static str, updates: &[NewUpdate], received: UnixMillis) {
        if updates.is_empty() {
            return;
        }
        self.last_received.store(received.0, Ordering::Relaxed);
        let seconds = i64::try_from(received.0 / 1_000).unwrap_or(i64::MAX);
        self.metrics.last_update.get_or_create(&BotLabels { bot: self.bot.clone() }).set(seconds);
        let mut kinds: BTreeMap<KindCode, u64> = BTreeMap::new();
        for update in updates {
            *kinds.entry(update.kind).or_default() += 1;
        }
        for (kind, count) in kinds {
            let labels = IntakeLabels { bot: self.bot.clone(), mode, kind: kind.name() };
            self.metrics.received.get_or_create(&labels).inc_by(count);
        }
    }
}

/// The wall clock, for what is stored and shown.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "this is the edge where an update's received time is taken")]
pub fn now() -> UnixMillis {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    UnixMillis(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

/// The id of an element that is no readable update but begins as Telegram begins every one, `{"update_id":N,`: enough
/// to pass it, not enough to route it.
fn salvaged_id(element: &[u8]) -> Option<i64> {
    let rest = element.trim_ascii_start().strip_prefix(b"{")?.trim_ascii_start();
    let rest = rest.strip_prefix(b"\"update_id\"")?.trim_ascii_start().strip_prefix(b":")?.trim_ascii_start();
    let (digits, rest) = rest.split_at(rest.iter().take_while(|byte| byte.is_ascii_digit()).count());
    let ended = matches!(rest.trim_ascii_start().first(), Some(b',' | b'}'));
    let id = std::str::from_utf8(digits).ok()?.parse().ok().filter(|id| *id >= 1)?;
    ended.then_some(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    use super::fake_driver::FakeDriver;
    use prost::Message;

    use crate::grpc::proto::client;

    #[tokio::test]
    async fn a_webhook_update_is_stored_with_the_hashes_that_order_it() {
        let (driver, intake) = FakeDriver::start(Metrics::new());
        let json = r#"{"update_id":7,"message":{"message_thread_id":3,"from":{"id":2},"chat":{"id":-5}}}"#;
        let stored = intake.webhook(Bytes::from_static(json.as_bytes())).await;
        assert_eq!(stored, Ok(Appended { stored: 1, duplicates: 0 }));
        let update = driver.stored().updates.remove(0);
        assert_eq!((update.key, update.user), (KeyHash::of("chat:-5"), KeyHash::of("user:2")));
        assert_eq!(
            (update.topic, update.kind),
            (KeyHash::of("topic:-5:3"), KindCode::from_name("message").unwrap())
        );
        assert_eq!((update.size as usize, &*update.payload.key), (json.len(), "chat:-5"));
        let wire = client::Update::decode(update.payload.update).unwrap();
        assert_eq!((wire.bot.as_str(), wire.update_id, wire.json.as_str()), ("default", 7, json));
        assert_eq!(intake.last_received(), Some(update.received));
    }

    #[tokio::test]
    async fn without_a_user_or_topic_their_hashes_are_the_keys() {
        let (driver, intake) = FakeDriver::start(Metrics::new());
        intake.webhook(Bytes::from_static(br#"{"update_id":7,"poll":{"id":"50"}}"#)).await.unwrap();
        let update = driver.stored().updates.remove(0);
        assert_eq!((update.user, update.topic), (update.key, update.key));
        assert_eq!(update.key, KeyHash::of("poll:50"));
    }

    #[tokio::test]
    async fn a_page_is_stored_whole_with_its_unreadable_elements_set_aside_once() {
        let (driver, intake) = FakeDriver::start(Metrics::new());
        let elements =
            [&br#"{"update_id":5}"#[..], br#"{"update_id":"x"}"#, b"{\"update_id\":9,\"m\":\"\xff\"}"];
        let elements = elements.map(Bytes::copy_from_slice);
        let page = intake.page(&elements, |_| false).await.unwrap();
        assert_eq!((page.last_id, page.appended.stored, page.quarantined.len()), (Some(9), 1, 2));
        let again = intake.page(&elements, |element| *element == elements[1]).await.unwrap();
        assert_eq!((again.appended.duplicates, again.quarantined.len()), (1, 1));
        let stored = driver.stored();
        let kept: Vec<_> = stored.quarantined.iter().map(|element| element.bytes.clone()).collect();
        assert_eq!(kept, [&elements[1], &elements[2], &elements[2]]);
    }

    #[test]
    fn an_unreadable_element_that_begins_like_an_update_gives_its_id() {
        assert_eq!(salvaged_id(b"{\"update_id\":17,\n\"message\":{\"text\":\"\xff\"}}"), Some(17));
        assert_eq!(salvaged_id(b" { \"update_id\" : 17 }"), Some(17));
        for other in [
            &b"{\"update_id\":17.5}"[..],
            b"{\"update_id\":\"17\"}",
            b"{\"update_id\":0,",
            b"null",
            b"",
            b"{\"update_id\":17",
        ] {
            assert_eq!(salvaged_id(other), None);
        }
    }
}
