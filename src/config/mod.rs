//! File, environment and flags become one checked configuration. Only this module reads the environment.
//!
//! A value is looked for in the flags, then in the environment, then in the file; a bot's own value goes before the
//! one for all bots. Everything that is wrong is found in one go.

mod bot;
mod environment;
mod file;
mod flags;
mod foreign;
#[cfg(feature = "fuzzing")]
mod fuzz;
mod group;
mod keys;
mod layers;
mod problem;
mod reader;
pub(crate) mod units;
mod values;
mod webhook;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

pub use bot::{Bot, Retention};
pub use environment::Environment;
pub use flags::Flags;
pub use foreign::names as foreign_names;
#[cfg(feature = "fuzzing")]
pub use fuzz::fuzz;
pub use keys::{BOTS_VARIABLE, CONFIG_VARIABLE, KEYS, Key, Scope, Sources};
pub use layers::is_bot_name;
pub use problem::{ConfigError, Origin, Problem};
pub use reader::{Effective, Secret};
pub use values::without_credentials;

use crate::grpc::AccessToken;
use crate::observe::{logging, spans};
use layers::Layers;
use reader::Reader;

/// The name of the bot that there is where none is declared.
pub const DEFAULT_BOT: &str = "default";

/// The file that is read where none is named.
pub const DEFAULT_FILE: &str = "switchboard.toml";

/// Younger streams would do little but reconnect; older ones keep a client on one gateway for ever.
const STREAM_AGE: std::ops::RangeInclusive<Duration> =
    Duration::from_secs(10)..=Duration::from_secs(7 * 24 * 3_600);

/// A configuration that can be started.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where the journals are; each bot's in a directory of its name.
    pub data_dir: PathBuf,
    /// What gRPC and the ops listener ask for.
    pub access_token: Option<Secret>,
    /// Where handlers subscribe.
    pub grpc_listen: SocketAddr,
    /// The age at which a stream is asked to reconnect.
    pub max_stream_age: Duration,
    /// Where webhooks come in.
    pub public_listen: SocketAddr,
    /// Where metrics and health are.
    pub ops_listen: SocketAddr,
    /// How long a stop waits for settlements.
    pub shutdown_grace: Duration,
    /// How logs are written.
    pub log: logging::Settings,
    /// Where traces go; `None` for no tracing.
    pub tracing: Option<spans::Settings>,
    /// At least one.
    pub bots: Vec<Bot>,
    /// What is worth a warning.
    pub findings: Vec<String>,
    /// Every key as it holds, secrets redacted.
    pub effective: Vec<Effective>,
}

impl Config {
    /// Every secret in it, so that none ever reaches a log.
    pub fn secrets(&self) -> impl Iterator<Item = &str> {
        let of_bots = self.bots.iter().flat_map(|bot| {
            let secret = bot.telegram.webhook_secret.as_deref();
            let password = bot.telegram.proxy.as_deref().and_then(password_of);
            let webhook = bot.telegram.webhook_url.as_deref().and_then(password_of);
            [Some(bot.telegram.token.expose()), secret, password, webhook].into_iter().flatten()
        });
        let collector = self.tracing.as_ref().and_then(|tracing| password_of(&tracing.endpoint));
        of_bots.chain(self.access_token.as_ref().map(Secret::expose)).chain(collector)
    }
}

/// Reads and checks the whole configuration.
///
/// # Errors
/// [`ConfigError`] has everything that is wrong.
pub fn load(flags: &Flags, environment: &Environment) -> Result<Config, ConfigError> {
    let mut layers = Layers::default();
    layers.add_flags(flags);
    if let Some((path, text)) = read_file(flags, environment)? {
        file::add_file(&mut layers, &path.display().to_string(), &text);
    }
    layers.add_environment(environment);
    layers.check_bot_names();
    layers.drop_ambiguous_tokens();

    let (config, mut problems) = assemble(&layers, environment);
    problems.splice(..0, layers.problems);
    match config {
        Some(config) if problems.is_empty() => Ok(config),
        _ => Err(ConfigError(problems)),
    }
}

/// The data directory alone, for commands that need no bot.
///
/// # Errors
/// [`ConfigError`].
pub fn data_dir(flags: &Flags, environment: &Environment) -> Result<PathBuf, ConfigError> {
    let mut layers = Layers::default();
    layers.add_flags(flags);
    if let Some((path, text)) = read_file(flags, environment)? {
        file::add_file(&mut layers, &path.display().to_string(), &text);
    }
    layers.add_environment(environment);
    let mut reader = Reader { layers: &layers, problems: Vec::new(), effective: Vec::new(), bot: None };
    let data_dir = reader.get("data_dir", values::non_empty);
    data_dir.map(PathBuf::from).ok_or(ConfigError(reader.problems))
}

fn read_file(flags: &Flags, environment: &Environment) -> Result<Option<(PathBuf, String)>, ConfigError> {
    let (path, named_by) = match (&flags.file, environment.get(CONFIG_VARIABLE)) {
        (Some(path), _) => (path.clone(), "--config"),
        (None, Some(path)) => (path.into(), CONFIG_VARIABLE),
        (None, None) if Path::new(DEFAULT_FILE).exists() => (DEFAULT_FILE.into(), "the working directory"),
        (None, None) => return Ok(None),
    };
    match std::fs::read_to_string(&path) {
        Ok(text) => Ok(Some((path, text))),
        Err(why) => Err(ConfigError(vec![Problem(format!(
            "the file {} (from {named_by}) cannot be read: {why}",
            path.display()
        ))])),
    }
}

fn assemble(layers: &Layers, environment: &Environment) -> (Option<Config>, Vec<Problem>) {
    let mut reader = Reader { layers, problems: Vec::new(), effective: Vec::new(), bot: None };
    let data_dir = reader.get("data_dir", values::non_empty);
    let access_token = access_token(&mut reader);
    let allow = reader.get("allow_unauthenticated", values::switch);
    let grpc_listen = reader.get("grpc.listen", values::address);
    let max_stream_age = reader.get("grpc.max_stream_age", |text| {
        units::duration(text).and_then(|age| values::within(age, STREAM_AGE, "10s to 7d"))
    });
    let public_listen = reader.get("public.listen", values::address);
    reader.get("public.url", values::http_url);
    let ops_listen = reader.get("ops.listen", values::address);
    let shutdown_grace = reader.get("shutdown.grace", units::duration);
    let tracing = tracing(&mut reader);
    let format = reader.get("log.format", values::log_format);
    let level = reader.get("log.level", values::log_level);

    let mut findings = layers.findings.clone();
    for (name, listen) in [("grpc.listen", grpc_listen), ("ops.listen", ops_listen)] {
        let Some(listen) = listen.filter(|listen| !listen.ip().is_loopback() && access_token.is_none())
        else {
            continue;
        };
        if allow == Some(true) {
            findings.push(format!(
                "{name} = {listen} WITHOUT AN ACCESS TOKEN: whoever reaches this port can read and settle every update"
            ));
        } else {
            let origin = reader.origin(name);
            reader.wrong(
                name,
                &format!(
                    "= \"{listen}\" ({origin}): listens beyond loopback without an access token; set \
                 SWITCHBOARD_ACCESS_TOKEN or access_token_file, or allow it with --allow-unauthenticated"
                ),
            );
        }
    }

    let names = layers.bot_names();
    let bots: Vec<Option<Bot>> = names
        .iter()
        .map(|name| {
            reader.bot = Some(name);
            bot::read(&mut reader, environment, name)
        })
        .collect();
    reader.bot = None;
    let complete: Vec<Bot> = bots.into_iter().flatten().collect();
    check_distinct(&mut reader, &complete);
    findings.extend(complete.iter().filter_map(cleartext_api));

    let effective = std::mem::take(&mut reader.effective);
    let config = (|| {
        Some(Config {
            data_dir: data_dir?.into(),
            access_token,
            grpc_listen: grpc_listen?,
            max_stream_age: max_stream_age?,
            public_listen: public_listen?,
            ops_listen: ops_listen?,
            shutdown_grace: shutdown_grace?,
            log: logging::Settings { format: format?, filter: level? },
            tracing,
            bots: complete,
            findings,
            effective,
        })
    })();
    (config, reader.problems)
}

fn access_token(reader: &mut Reader<'_>) -> Option<Secret> {
    let found = reader.secret("access_token", "access_token_file")?;
    match AccessToken::parse(found.secret.expose()) {
        Ok(_) => Some(found.secret),
        Err(why) => {
            reader.wrong("access_token", &format!("({}) {why}", found.origin));
            None
        }
    }
}

/// Where traces go; `None` without an endpoint, or if something is wrong with it.
fn tracing(reader: &mut Reader<'_>) -> Option<spans::Settings> {
    let endpoint = reader.get("tracing.otlp_endpoint", values::api_url);
    let sample_ratio = reader.get("tracing.sample_ratio", values::ratio);
    let service_name = reader.get("tracing.service_name", values::non_empty);
    Some(spans::Settings {
        endpoint: endpoint?,
        sample_ratio: sample_ratio?,
        service_name: service_name?.into(),
    })
}

/// Two bots with one token would fight over it, two webhooks on one path could not be told apart.
fn check_distinct(reader: &mut Reader<'_>, bots: &[Bot]) {
    for (i, bot) in bots.iter().enumerate() {
        for other in bots.iter().take(i) {
            let (a, b) = (other.name(), bot.name());
            if bot.telegram.token.bot_id() == other.telegram.token.bot_id() {
                let id = bot.telegram.token.bot_id();
                reader.wrong("token", &format!("is of the same bot ({id}) for \"{a}\" and \"{b}\""));
            }
            if bot.by_webhook()
                && other.by_webhook()
                && bot.telegram.webhook_path == other.telegram.webhook_path
            {
                let path = &bot.telegram.webhook_path;
                reader.wrong(
                    "webhook.path",
                    &format!(
                        "is \"{path}\" for both \"{a}\" and \"{b}\"; set public.url and leave the paths to the gateway"
                    ),
                );
            }
        }
    }
}

/// The token goes out with every call: over plain http only where nobody listens.
fn cleartext_api(bot: &Bot) -> Option<String> {
    let url = reqwest::Url::parse(&bot.telegram.api_url).ok()?;
    let host = url.host_str()?;
    let near = host == "localhost" || host.starts_with("127.") || host == "[::1]";
    (url.scheme() == "http" && !near).then(|| {
        format!(
            "bot \"{}\": telegram.api_url is http: the token crosses the network to {host} readable",
            bot.name()
        )
    })
}

fn password_of(url: &str) -> Option<&str> {
    let (_, rest) = url.split_once("://")?;
    let authority = rest.split(['/', '?', '#']).next()?;
    let (user, _) = authority.rsplit_once('@')?;
    user.split_once(':').map(|(_, password)| password).filter(|password| !password.is_empty())
}
