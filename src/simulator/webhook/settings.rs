//! `setWebhook`'s arguments and what Telegram refuses among them.

use std::net::{IpAddr, Ipv4Addr};

use super::super::args::Args;

/// Largest certificate (Telegram's number).
const MAX_CERTIFICATE_BYTES: usize = 3 << 20;
const MAX_SECRET_BYTES: usize = 256;
const DEFAULT_CONNECTIONS: i64 = 40;
const MAX_CONNECTIONS: i64 = 100;
/// The ports that a webhook may have, but for `--local`.
const PORTS: [u16; 4] = [80, 88, 443, 8443];

/// Which rules are in force: Telegram's own, or those of a server that was started with `--local`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Strictness {
    /// https, four ports, public IPv4 addresses.
    Public,
    /// http too, any port, any address.
    Local,
}

/// A webhook as set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Settings {
    /// As it was given.
    pub url: String,
    pub https: bool,
    pub host: String,
    pub port: u16,
    /// Path and query.
    pub path: String,
    /// `user:password` of the URL, for Basic authentication.
    pub user_info: Option<String>,
    pub secret: Option<String>,
    pub max_connections: usize,
    /// A fixed address, as given.
    pub ip_address: Option<String>,
    pub has_certificate: bool,
}

impl Settings {
    /// Reads the arguments; the error is a `description`.
    pub(crate) fn from_args(url: &str, args: &Args) -> Result<Self, String> {
        let invalid = || "Bad Request: invalid webhook URL specified".to_owned();
        let (https, rest) = match url.split_once("://") {
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("https") => (true, rest),
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("http") => (false, rest),
            Some(_) => return Err(invalid()),
            None => (true, url),
        };
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (authority, tail) = rest.split_at(end);
        let (user_info, host_port) = match authority.rsplit_once('@') {
            Some((user_info, host_port)) => (Some(user_info.to_owned()), host_port),
            None => (None, authority),
        };
        let parsed: http::uri::Authority = host_port.parse().map_err(|_| invalid())?;
        let has_port = host_port.rsplit_once(':').is_some_and(|(_, port)| !port.contains(']'));
        let port = match parsed.port_u16() {
            Some(port) if port > 0 => port,
            None if !has_port => {
                if https {
                    443
                } else {
                    80
                }
            }
            _ => return Err(invalid()),
        };
        let tail = tail.split('#').next().unwrap_or_default();
        let path = if tail.starts_with('/') { tail.to_owned() } else { format!("/{tail}") };
        path.parse::<http::uri::PathAndQuery>().map_err(|_| invalid())?;
        if parsed.host().is_empty() {
            return Err(invalid());
        }
        let secret = args.get("secret_token").unwrap_or_default();
        if secret.len() > MAX_SECRET_BYTES {
            return Err("Bad Request: secret token is too long".to_owned());
        }
        if !secret.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-') {
            return Err("Bad Request: secret token contains unallowed characters".to_owned());
        }
        if let Some(bytes) = args.certificate_bytes.filter(|bytes| *bytes > MAX_CERTIFICATE_BYTES) {
            return Err(format!("Bad Request: certificate size is too big ({bytes} bytes)"));
        }
        let connections =
            args.integer("max_connections").unwrap_or(DEFAULT_CONNECTIONS).clamp(1, MAX_CONNECTIONS);
        Ok(Self {
            url: url.to_owned(),
            https,
            host: parsed.host().trim_matches(['[', ']']).to_owned(),
            port,
            path,
            user_info,
            secret: Some(secret.to_owned()).filter(|secret| !secret.is_empty()),
            max_connections: usize::try_from(connections).unwrap_or(1),
            ip_address: args.get("ip_address").map(str::to_owned),
            has_certificate: args.certificate_bytes.is_some(),
        })
    }

    /// Refuses what a public server does not call; the error is a `description`.
    pub(crate) fn check_target(&self, strictness: Strictness) -> Result<(), String> {
        if strictness == Strictness::Local {
            return Ok(());
        }
        if !self.https {
            return Err(bad_webhook("An HTTPS URL must be provided for webhook"));
        }
        if !PORTS.contains(&self.port) {
            return Err(bad_webhook("Webhook can be set up only on ports 80, 88, 443 or 8443"));
        }
        Ok(())
    }

    /// Picks the address to call among those of the host; the error is a `description`.
    pub(crate) fn choose_address(&self, found: &[IpAddr], strictness: Strictness) -> Result<IpAddr, String> {
        let found = match &self.ip_address {
            Some(fixed) => vec![fixed.parse().map_err(|_| bad_webhook("Invalid IP address specified"))?],
            None => found.to_vec(),
        };
        let ipv4 = found.iter().find(|address| address.is_ipv4());
        match (strictness, ipv4.or(found.first())) {
            (_, None) => Err(bad_webhook("Failed to resolve host: No address associated with hostname")),
            (Strictness::Local, Some(address)) => Ok(*address),
            (Strictness::Public, Some(IpAddr::V6(_))) => {
                Err(bad_webhook("IPv6-only addresses are not allowed"))
            }
            (Strictness::Public, Some(IpAddr::V4(address))) if is_reserved(*address) => {
                Err(bad_webhook(&format!("IP address {address} is reserved")))
            }
            (Strictness::Public, Some(address)) => Ok(*address),
        }
    }
}

pub(crate) fn bad_webhook(reason: &str) -> String {
    format!("Bad Request: bad webhook: {reason}")
}

/// Addresses that no public service has (IANA's registry of special-purpose addresses).
fn is_reserved(address: Ipv4Addr) -> bool {
    let [a, b, ..] = address.octets();
    address.is_private()
        || address.is_loopback()
        || address.is_link_local()
        || address.is_documentation()
        || address.is_multicast()
        || a == 0
        || a >= 240
        || (a == 100 && b & 0xc0 == 64)
        || (a == 198 && b & 0xfe == 18)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(url: &str, query: &str) -> Result<Settings, String> {
        Settings::from_args(url, &Args::from_query(query))
    }

    #[test]
    fn a_url_without_a_scheme_is_https_and_a_bad_one_is_refused() {
        let settings = set("bot.example.com/hook?x=1#frag", "").unwrap();
        assert_eq!((settings.https, settings.port, settings.path.as_str()), (true, 443, "/hook?x=1"));
        let settings = set("http://me:pw@bot.example.com:8081", "").unwrap();
        assert_eq!(
            (settings.host.as_str(), settings.port, settings.path.as_str()),
            ("bot.example.com", 8081, "/")
        );
        assert_eq!(settings.user_info.as_deref(), Some("me:pw"));
        for bad in [
            "ftp://x",
            "https://",
            "https:///x",
            "https://a b/",
            "https://a:99999/",
            "https://a:0/",
            "https://a:x/",
        ] {
            assert_eq!(set(bad, "").unwrap_err(), "Bad Request: invalid webhook URL specified", "{bad}");
        }
    }

    #[test]
    fn a_secret_is_at_most_256_of_letters_digits_underscore_and_dash() {
        assert!(set("https://x.example", &format!("secret_token={}", "a".repeat(256))).is_ok());
        let too_long = set("https://x.example", &format!("secret_token={}", "a".repeat(257)));
        assert_eq!(too_long.unwrap_err(), "Bad Request: secret token is too long");
        let bad = set("https://x.example", "secret_token=a.b").unwrap_err();
        assert_eq!(bad, "Bad Request: secret token contains unallowed characters");
    }

    #[test]
    fn a_certificate_has_at_most_three_mebibytes() {
        let mut args = Args::default();
        args.certificate_bytes = Some(MAX_CERTIFICATE_BYTES + 1);
        let refused = Settings::from_args("https://x.example", &args).unwrap_err();
        assert_eq!(refused, "Bad Request: certificate size is too big (3145729 bytes)");
    }

    #[test]
    fn max_connections_is_clamped_to_100_and_40_by_default() {
        let connections = |query| set("https://x.example", query).unwrap().max_connections;
        assert_eq!(["", "max_connections=0", "max_connections=500"].map(connections), [40, 1, 100]);
    }

    #[test]
    fn a_public_server_wants_https_on_one_of_four_ports_and_a_local_one_takes_all() {
        let check = |url, strictness| set(url, "").unwrap().check_target(strictness);
        assert!(
            check("http://x.example", Strictness::Public)
                .unwrap_err()
                .contains("An HTTPS URL must be provided")
        );
        assert!(
            check("https://x.example:444", Strictness::Public).unwrap_err().contains("80, 88, 443 or 8443")
        );
        assert_eq!(check("https://x.example:8443", Strictness::Public), Ok(()));
        assert_eq!(check("http://x.example:1234", Strictness::Local), Ok(()));
    }

    #[test]
    fn a_public_server_refuses_reserved_and_ipv6_only_addresses() {
        let settings = set("https://x.example", "").unwrap();
        let choose = |text: &str, strictness| settings.choose_address(&[text.parse().unwrap()], strictness);
        for reserved in
            ["127.0.0.1", "10.1.2.3", "192.168.0.1", "169.254.1.1", "100.64.0.1", "198.19.0.1", "240.0.0.1"]
        {
            let refused = choose(reserved, Strictness::Public).unwrap_err();
            assert_eq!(refused, format!("Bad Request: bad webhook: IP address {reserved} is reserved"));
            assert!(choose(reserved, Strictness::Local).is_ok());
        }
        let refused = choose("2001:db8::1", Strictness::Public).unwrap_err();
        assert_eq!(refused, "Bad Request: bad webhook: IPv6-only addresses are not allowed");
        assert!(choose("149.154.167.220", Strictness::Public).is_ok());
        let fixed =
            set("https://x.example", "ip_address=nonsense").unwrap().choose_address(&[], Strictness::Public);
        assert_eq!(fixed.unwrap_err(), "Bad Request: bad webhook: Invalid IP address specified");
    }
}
