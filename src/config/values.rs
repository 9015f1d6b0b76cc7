//! How each form of value is read. The error says what would be right.

use std::net::{Ipv4Addr, SocketAddr};

use reqwest::Url;

use crate::observe::logging::Format;
use crate::telegram::Mode;

pub(super) fn switch(text: &str) -> Result<bool, &'static str> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "1" | "yes" | "on" => Ok(true),
        "false" | "0" | "no" | "off" => Ok(false),
        _ => Err("true or false"),
    }
}

pub(super) fn address(text: &str) -> Result<SocketAddr, &'static str> {
    const RIGHT: &str =
        "an IP address and a port, such as 127.0.0.1:50051, or 0.0.0.0:50051 for all interfaces";
    match text.strip_prefix("localhost:") {
        Some(port) => port.parse().map(|port| (Ipv4Addr::LOCALHOST, port).into()).map_err(|_| RIGHT),
        None => text.parse().map_err(|_| RIGHT),
    }
}

pub(super) fn mode(text: &str) -> Result<Mode, &'static str> {
    match text {
        "auto" => Ok(Mode::Auto),
        "polling" => Ok(Mode::Polling),
        "webhook" => Ok(Mode::Webhook),
        _ => Err("auto, polling or webhook"),
    }
}

pub(super) fn log_format(text: &str) -> Result<Format, &'static str> {
    match text {
        "auto" => Ok(Format::Auto),
        "text" => Ok(Format::Text),
        "json" => Ok(Format::Json),
        _ => Err("auto, text or json"),
    }
}

pub(super) fn log_level(text: &str) -> Result<Box<str>, String> {
    // As a filter a lone word that is no level is a module's name: with `inof` nothing at all would be logged.
    let is_word =
        |part: &&str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    let is_level = |part: &&str| part.parse::<tracing_subscriber::filter::LevelFilter>().is_ok();
    if let Some(word) = text.split(',').map(str::trim).filter(is_word).find(|word| !is_level(word)) {
        return Err(format!("error, warn, info, debug, trace or off; for a module `{word}`: {word}=debug"));
    }
    tracing_subscriber::EnvFilter::builder()
        .parse(text)
        .map(|_| text.into())
        .map_err(|why| format!("a level (error, warn, info, debug, trace) or a filter as in RUST_LOG: {why}"))
}

pub(super) fn non_empty(text: &str) -> Result<&str, &'static str> {
    if text.trim().is_empty() { Err("a text that is not empty") } else { Ok(text) }
}

/// An http or https URL with a host; without a trailing slash.
pub(super) fn http_url(text: &str) -> Result<Url, &'static str> {
    const RIGHT: &str = "a URL such as https://example.com, without `?` and `#`";
    let url = Url::parse(text).map_err(|_| RIGHT)?;
    let right = matches!(url.scheme(), "http" | "https")
        && url.has_host()
        && url.query().is_none()
        && url.fragment().is_none();
    if right { Ok(url) } else { Err(RIGHT) }
}

pub(super) fn api_url(text: &str) -> Result<Box<str>, &'static str> {
    http_url(text).map(|_| text.trim_end_matches('/').into())
}

/// A part of the whole.
pub(super) fn ratio(text: &str) -> Result<f64, &'static str> {
    const RIGHT: &str = "a number from 0 to 1, such as 0.1";
    text.parse().map_err(|_| RIGHT).and_then(|ratio| within(ratio, 0.0..=1.0, RIGHT))
}

/// A proxy; `None` for `none`.
pub(super) fn proxy(text: &str) -> Result<Option<Box<str>>, &'static str> {
    const RIGHT: &str = "http://…, https://…, socks5://… or socks5h://… with a host, or none";
    if text == "none" {
        return Ok(None);
    }
    let url = Url::parse(text).map_err(|_| RIGHT)?;
    if matches!(url.scheme(), "http" | "https" | "socks5" | "socks5h") && url.has_host() {
        Ok(Some(text.into()))
    } else {
        Err(RIGHT)
    }
}

/// A path for the public listener.
pub(super) fn path(text: &str) -> Result<&str, &'static str> {
    let plain = |b: u8| b.is_ascii_graphic() && !b"?#\"<>\\^`{|}".contains(&b);
    if text.len() > 1 && text.starts_with('/') && text.bytes().all(plain) {
        Ok(text)
    } else {
        Err("a path that begins with `/`, such as /telegram/webhook, without `?` and `#`")
    }
}

pub(super) fn kinds(text: &str) -> Result<Vec<Box<str>>, &'static str> {
    let kind = |name: &str| {
        let right = name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
        if right { Ok(name.into()) } else { Err("kinds such as message,callback_query") }
    };
    text.split(',').map(str::trim).filter(|name| !name.is_empty()).map(kind).collect()
}

/// A number or size within bounds.
pub(super) fn within<T: PartialOrd>(
    value: T,
    bounds: std::ops::RangeInclusive<T>,
    right: &'static str,
) -> Result<T, &'static str> {
    if bounds.contains(&value) { Ok(value) } else { Err(right) }
}

/// A value without the credentials that a URL may carry.
#[must_use]
pub fn without_credentials(text: &str) -> String {
    let Some((scheme, rest)) = text.split_once("://") else {
        return text.to_owned();
    };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or(rest);
    match authority.rsplit_once('@') {
        Some((credentials, _)) => format!("{scheme}://[redacted]{}", &rest[credentials.len()..]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_in_a_url_are_not_shown() {
        assert_eq!(without_credentials("socks5://me:pw@host:1/x"), "socks5://[redacted]@host:1/x");
        assert_eq!(without_credentials("https://host/a@b"), "https://host/a@b");
        assert_eq!(without_credentials("plain"), "plain");
    }

    #[test]
    fn a_mistyped_level_is_no_filter_that_silences_everything() {
        for good in
            ["info", "WARN", "off", "0", "info,switchboard::telegram=debug", "warn,hyper=trace", "[s]=debug"]
        {
            assert!(log_level(good).is_ok(), "{good}");
        }
        for bad in ["inof", "verbose", "info,hyper", "=,="] {
            assert!(log_level(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn an_address_is_an_ip_or_localhost_with_a_port() {
        assert_eq!(address("localhost:1"), address("127.0.0.1:1"));
        assert!(address("[::]:50051").is_ok());
        for bad in ["50051", ":50051", "example.com:1", "127.0.0.1", "127.0.0.1:70000", "localhost:"] {
            assert!(address(bad).is_err(), "{bad}");
        }
    }
}
