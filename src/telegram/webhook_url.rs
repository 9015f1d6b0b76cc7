//! What a webhook's URL must be before Telegram is asked to take it.

use reqwest::Url;

use super::settings::Settings;

/// The ports that Telegram sends webhooks to.
const PORTS: [u16; 4] = [443, 80, 88, 8443];

/// Why a URL cannot be a webhook's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidWebhookUrl {
    /// It is none.
    #[error("`{0}` is no URL; expected the form https://bot.example.com/telegram/webhook/default")]
    NotAUrl(Box<str>),
    /// Its scheme.
    #[error(
        "`{0}` is not https, and Telegram sends webhooks to https only; put a proxy or ingress with a certificate in \
         front, or use mode `polling`. (Only a local Bot API server takes http: then set `local_api`)"
    )]
    NotHttps(Box<str>),
    /// Its port.
    #[error(
        "`{url}` has port {port}, and Telegram sends webhooks to ports 443, 80, 88 and 8443 only; a local Bot API \
         server takes any: then set `local_api`"
    )]
    Port {
        /// The URL.
        url: Box<str>,
        /// Its port.
        port: u16,
    },
    /// The token is a part of it.
    #[error("holds the bot token, which would then stand in the logs of everything in between; leave it out")]
    HoldsToken,
}

/// Checks the webhook's URL against what Telegram takes.
///
/// # Errors
/// [`InvalidWebhookUrl`].
pub fn check_webhook_url(url: &str, settings: &Settings) -> Result<(), InvalidWebhookUrl> {
    if url.contains(settings.token.expose()) {
        return Err(InvalidWebhookUrl::HoldsToken);
    }
    check_url(url, settings.local_api)
}

/// The same without a bot: whether Telegram, or a Bot API server with `--local`, takes such a URL.
///
/// # Errors
/// [`InvalidWebhookUrl`].
pub fn check_url(url: &str, local_api: bool) -> Result<(), InvalidWebhookUrl> {
    let parsed = Url::parse(url).ok().filter(Url::has_host);
    let parsed = parsed.ok_or_else(|| InvalidWebhookUrl::NotAUrl(url.into()))?;
    let taken = match parsed.scheme() {
        "https" => true,
        "http" => local_api,
        _ => return Err(InvalidWebhookUrl::NotAUrl(url.into())),
    };
    if !taken {
        return Err(InvalidWebhookUrl::NotHttps(url.into()));
    }
    match parsed.port_or_known_default() {
        Some(port) if !local_api && !PORTS.contains(&port) => {
            Err(InvalidWebhookUrl::Port { url: url.into(), port })
        }
        _ => Ok(()),
    }
}

/// A URL without what may be secret in it: user, password and query, and the path of one that is not our own.
pub(super) fn shown(url: &str, own: bool) -> Box<str> {
    let Ok(mut parsed) = Url::parse(url) else { return Box::default() };
    parsed.set_query(None);
    parsed.set_fragment(None);
    if !own {
        parsed.set_path("");
    }
    // A URL that cannot have a user has none.
    let _ = parsed.set_username("").and_then(|()| parsed.set_password(None));
    String::from(parsed).into()
}

/// The host of a URL, for messages: a URL itself may hold somebody's secrets.
pub(super) fn host_of(url: &str) -> String {
    let host = Url::parse(url).ok().and_then(|url| url.host_str().map(str::to_owned));
    host.unwrap_or_else(|| "an unknown host".to_owned())
}
