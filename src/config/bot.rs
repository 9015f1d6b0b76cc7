//! One bot's part of the configuration.

use std::time::Duration;

use crate::model::{GroupName, GroupSettings};
use crate::telegram::{self, BotToken, Mode, Settings};

use super::keys::Key;
use super::layers::where_to_set;
use super::problem::Origin;
use super::reader::Reader;
use super::{Environment, group, units, values, webhook};

/// One bot, checked.
#[derive(Clone, Debug)]
pub struct Bot {
    /// Its side towards Telegram; has the bot's name.
    pub telegram: Settings,
    /// The most that its journal takes on the disk.
    pub journal_max_bytes: u64,
    /// What of the settled updates stays for replay.
    pub retention: Retention,
    /// What of the dead letters stays.
    pub dead_letters: Retention,
    /// Groups that exist from the start.
    pub groups: Vec<GroupName>,
    /// How new groups treat their updates.
    pub group: GroupSettings,
}

impl Bot {
    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.telegram.bot
    }

    /// Whether updates come in by webhook, `auto` resolved.
    #[must_use]
    pub fn by_webhook(&self) -> bool {
        self.telegram.mode != Mode::Polling && self.telegram.webhook_url.is_some()
    }
}

/// How long and how much of something stays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// For how long.
    pub max_age: Duration,
    /// For settled updates: up to which use of the journal; for dead letters: up to how many of their own. In bytes.
    pub max_bytes: u64,
}

/// Less does not hold the reserve that settlements and trims need; more than any disk a gateway runs on.
const JOURNAL_BYTES: std::ops::RangeInclusive<u64> = 64 << 20..=1 << 40;
const MAX_CONNECTIONS: std::ops::RangeInclusive<u8> = 1..=100;
/// Telegram waits no longer; less than a second would be asking in a circle.
const POLL_TIMEOUT: std::ops::RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(50);
/// More than the clock's range is a mistake.
const MAX_RETENTION: Duration = Duration::from_secs(366 * 24 * 3_600);

/// Reads the bot that `reader` is set to. What is wrong is noted there.
pub(super) fn read(reader: &mut Reader<'_>, environment: &Environment, name: &str) -> Option<Bot> {
    let token = token(reader, environment);
    let mode = reader.get("mode", values::mode);
    let takeover = reader.get("takeover", values::switch);
    let drop_pending_updates = reader.get("drop_pending_updates", values::switch);
    let api_url = reader.get("telegram.api_url", values::api_url);
    let local_api = reader.get("telegram.local_api", values::switch);
    let proxy = reader.get("telegram.proxy", values::proxy);
    let no_proxy = reader.get("telegram.no_proxy", values::non_empty);
    let allowed_updates = reader.get("telegram.allowed_updates", values::kinds);
    let poll_timeout = reader.get("polling.timeout", |text| {
        units::duration(text).and_then(|time| values::within(time, POLL_TIMEOUT, "1s to 50s"))
    });
    let max_connections = reader.get("webhook.max_connections", |text| {
        const RIGHT: &str = "1 to 100";
        text.parse().map_err(|_| RIGHT).and_then(|number| values::within(number, MAX_CONNECTIONS, RIGHT))
    });
    let webhook_secret = webhook_secret(reader);
    let place = webhook_place(reader, name, mode, local_api);
    let journal_max_bytes = reader.get("journal.max_bytes", |text| {
        units::size(text).and_then(|size| values::within(size, JOURNAL_BYTES, "64MiB to 1TiB"))
    });
    let retention = retention(reader, journal_max_bytes);
    let dead_letters = dead_letters(reader);
    let groups = group::names(reader);
    let group = group::settings(reader);

    let telegram = Settings {
        bot: name.into(),
        token: token?,
        api_url: api_url?,
        local_api: local_api?,
        proxy: proxy.flatten(),
        no_proxy: no_proxy.map(Into::into),
        mode: mode?,
        webhook_url: place.url.map(Into::into),
        webhook_path: place.path.into(),
        webhook_secret,
        max_connections: max_connections?,
        allowed_updates,
        takeover: takeover?,
        drop_pending_updates: drop_pending_updates?,
        poll_timeout: poll_timeout?,
    };
    Some(Bot {
        telegram,
        journal_max_bytes: journal_max_bytes?,
        retention: retention?,
        dead_letters: dead_letters?,
        groups,
        group: group?,
    })
}

fn token(reader: &mut Reader<'_>, environment: &Environment) -> Option<BotToken> {
    let before = reader.problems.len();
    match reader.token(environment) {
        Some(found) => BotToken::parse(found.secret.expose())
            .map_err(|why| reader.wrong("token", &format!("({}) {why}", found.origin)))
            .ok(),
        None => {
            if reader.problems.len() == before {
                let own = reader.bot.zip(Key::named("token"));
                let variable = own.and_then(|(bot, key)| key.bot_variable(bot)).unwrap_or_default();
                reader.wrong(
                    "token",
                    &format!(
                        "is not set: get one from @BotFather and set {variable} (for a single bot TELEGRAM_BOT_TOKEN \
                         will do), or name the file that holds it with token_file"
                    ),
                );
            }
            None
        }
    }
}

fn webhook_secret(reader: &mut Reader<'_>) -> Option<Box<str>> {
    let found = reader.secret("webhook.secret", "webhook.secret_file")?;
    match telegram::check_secret(found.secret.expose()) {
        Ok(()) => Some(found.secret.expose().into()),
        Err(why) => {
            reader.wrong("webhook.secret", &format!("({}) {why}", found.origin));
            None
        }
    }
}

/// Without a mode, since that is wrong, only the keys themselves are read.
fn webhook_place(
    reader: &mut Reader<'_>,
    bot: &str,
    mode: Option<Mode>,
    local_api: Option<bool>,
) -> webhook::Place {
    let default_path = format!("/telegram/webhook/{bot}");
    let layers = reader.layers;
    let public_url = layers.find(None, "public.url").map(|entry| entry.value.trim());
    let place = webhook::Parts {
        public_url,
        url: reader.get("webhook.url", values::non_empty),
        path: reader.get("webhook.path", values::path),
        default_path: &default_path,
    }
    .place();
    let by = if reader.origin("webhook.url") == Origin::Default { "public.url" } else { "webhook.url" };
    let (Some(mode), Some(local_api)) = (mode, local_api) else {
        return place;
    };
    match (&place.url, mode) {
        // Not used: what stands there does no harm.
        (_, Mode::Polling) => return webhook::Place { url: None, ..place },
        (Some(url), _) => {
            if let Err(why) = telegram::check_url(url, local_api) {
                // The message repeats the URL, which may hold a password.
                let why = why.to_string().replace(url, &values::without_credentials(url));
                reader.wrong(by, &format!("({}): {why}", reader.origin(by)));
            }
        }
        (None, Mode::Webhook) => {
            let origin = reader.origin("mode");
            let set = Key::named("public.url").map(where_to_set).unwrap_or_default();
            reader.wrong(
                "mode",
                &format!(
                    "= \"webhook\" ({origin}): needs the URL that Telegram calls; set public.url ({set})"
                ),
            );
        }
        (None, Mode::Auto) => {}
    }
    place
}

fn retention(reader: &mut Reader<'_>, journal_max_bytes: Option<u64>) -> Option<Retention> {
    let max_age = max_age(reader, "retention.max_age");
    let max_bytes = reader.get("retention.max_bytes", units::size);
    let journal = journal_max_bytes?;
    if max_bytes.is_some_and(|bytes| bytes >= journal) {
        let origin = reader.origin("retention.max_bytes");
        reader.wrong(
            "retention.max_bytes",
            &format!("({origin}): expected less than journal.max_bytes ({journal}B)"),
        );
    }
    Some(Retention { max_age: max_age?, max_bytes: max_bytes.unwrap_or(journal / 2) })
}

fn dead_letters(reader: &mut Reader<'_>) -> Option<Retention> {
    let max_age = max_age(reader, "dead_letters.max_age");
    let max_bytes = reader.get("dead_letters.max_bytes", units::size);
    Some(Retention { max_age: max_age?, max_bytes: max_bytes? })
}

fn max_age(reader: &mut Reader<'_>, key: &'static str) -> Option<Duration> {
    reader.get(key, |text| {
        units::duration(text).and_then(|age| values::within(age, Duration::ZERO..=MAX_RETENTION, "0 to 366d"))
    })
}
