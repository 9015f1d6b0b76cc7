//! The webhook's secret token.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use super::settings::Settings;

/// What is signed with the bot token where no secret is configured.
const DERIVED_FROM: &[u8] = b"switchboard webhook secret";
/// Telegram's limit.
const MAX_SECRET_BYTES: usize = 256;

/// The configured secret cannot be one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be 1 to 256 characters of A-Z, a-z, 0-9, `_` and `-`: Telegram takes no others")]
pub struct InvalidSecret;

/// The secret that Telegram sends with every webhook request: the configured one, or one derived from the token, so
/// that restarts and replicas agree without keeping anything.
///
/// # Errors
/// [`InvalidSecret`]; it does not repeat the secret.
pub fn webhook_secret(settings: &Settings) -> Result<Box<str>, InvalidSecret> {
    if let Some(secret) = &settings.webhook_secret {
        return check_secret(secret).map(|()| secret.clone());
    }
    // HMAC takes keys of any length.
    let mut mac =
        Hmac::<Sha256>::new_from_slice(settings.token.expose().as_bytes()).map_err(|_| InvalidSecret)?;
    mac.update(DERIVED_FROM);
    Ok(mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect::<String>().into())
}

/// Whether Telegram takes this secret.
///
/// # Errors
/// [`InvalidSecret`]; it does not repeat the secret.
pub fn check_secret(secret: &str) -> Result<(), InvalidSecret> {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b == b'-';
    let fits = (1..=MAX_SECRET_BYTES).contains(&secret.len()) && secret.bytes().all(allowed);
    if fits { Ok(()) } else { Err(InvalidSecret) }
}
