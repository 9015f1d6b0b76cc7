//! Every key, once: its name in the file, from which follow its environment variable and its flag; its default and its
//! meaning. The flags, the checks for unknown keys, `check` and the documentation's test all read this table.

/// What a key holds for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// The process.
    Gateway,
    /// One bot; outside a bot's own table it is the default for all bots.
    Bot,
}

/// Where a key may be set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sources {
    /// Flag, environment and file.
    All,
    /// Environment and file: it makes no sense, or no safe one, as a flag.
    NoFlag,
    /// The environment alone: a secret. The file names another file in its place.
    Secret,
    /// A bot's table in the file alone.
    BotTable,
    /// A flag alone: it is meant for one start.
    FlagOnly,
}

/// One key of the configuration.
#[derive(Debug, PartialEq, Eq)]
pub struct Key {
    /// Its dotted name: `grpc.listen` is `listen` in the table `[grpc]`.
    pub name: &'static str,
    /// What it holds for.
    pub scope: Scope,
    /// Where it may be set.
    pub sources: Sources,
    /// The form of its value, for help and documentation.
    pub form: &'static str,
    /// The value it has where it is not set; empty for none.
    pub default: &'static str,
    /// What it does, in one sentence.
    pub help: &'static str,
}

impl Key {
    /// The key with this name.
    #[must_use]
    pub fn named(name: &str) -> Option<&'static Self> {
        KEYS.iter().find(|key| key.name == name)
    }

    /// Its part of an environment variable's name: `GRPC_LISTEN`.
    fn upper(&self) -> String {
        self.name.replace('.', "_").to_ascii_uppercase()
    }

    /// Its environment variable, where it has one.
    #[must_use]
    pub fn variable(&self) -> Option<String> {
        match self.sources {
            Sources::FlagOnly | Sources::BotTable => None,
            _ if self.is_token() => Some(format!("SWITCHBOARD_BOT_{}", self.upper())),
            _ => Some(format!("SWITCHBOARD_{}", self.upper())),
        }
    }

    /// Its environment variable for one bot, where it has one.
    #[must_use]
    pub fn bot_variable(&self, bot: &str) -> Option<String> {
        let settable = !matches!(self.sources, Sources::FlagOnly | Sources::BotTable);
        (settable && self.scope == Scope::Bot)
            .then(|| format!("SWITCHBOARD_BOT_{}_{}", bot_variable_part(bot), self.upper()))
    }

    /// Its flag without the dashes, where it has one.
    #[must_use]
    pub fn flag(&self) -> Option<String> {
        matches!(self.sources, Sources::All | Sources::FlagOnly).then(|| self.name.replace(['.', '_'], "-"))
    }

    /// Whether it may stand in the file, in a bot's table or outside.
    #[must_use]
    pub fn in_file(&self, bot_table: bool) -> bool {
        match self.sources {
            Sources::All | Sources::NoFlag => !bot_table || self.scope == Scope::Bot,
            Sources::BotTable => bot_table,
            Sources::Secret | Sources::FlagOnly => false,
        }
    }

    /// Whether its value is a secret.
    #[must_use]
    pub fn is_secret(&self) -> bool {
        self.sources == Sources::Secret
    }

    /// Whether its value is `true` or `false`.
    #[must_use]
    pub fn is_switch(&self) -> bool {
        self.form == SWITCH
    }

    /// The token's keys have `BOT_` in their general variables: `SWITCHBOARD_BOT_TOKEN`.
    fn is_token(&self) -> bool {
        matches!(self.name, "token" | "token_file")
    }
}

/// A bot's name as a part of an environment variable's name.
#[must_use]
pub fn bot_variable_part(bot: &str) -> String {
    bot.replace('-', "_").to_ascii_uppercase()
}

/// The variable and the flag that say where the file is; not a key of the file itself.
pub const CONFIG_VARIABLE: &str = "SWITCHBOARD_CONFIG";

/// The variable that declares bots without a file.
pub const BOTS_VARIABLE: &str = "SWITCHBOARD_BOTS";

const SWITCH: &str = "true|false";

const fn key(
    name: &'static str,
    scope: Scope,
    sources: Sources,
    form: &'static str,
    default: &'static str,
    help: &'static str,
) -> Key {
    Key { name, scope, sources, form, default, help }
}

/// All of them, in the order of the documentation.
#[rustfmt::skip]
pub static KEYS: &[Key] = {
    use Scope::{Bot, Gateway};
    use Sources::{All, BotTable, FlagOnly, NoFlag, Secret};
    &[
    key("data_dir", Gateway, All, "PATH", "./data", "Where the journals are, one directory for each bot; a local disk"),
    key("access_token", Gateway, Secret, "TOKEN", "", "The bearer token that gRPC and the ops listener ask for"),
    key("access_token_file", Gateway, NoFlag, "PATH", "", "The file that holds the access token"),
    key("allow_unauthenticated", Gateway, All, SWITCH, "false", "Listen beyond loopback without an access token: whoever reaches the port can read and settle every update"),
    key("grpc.listen", Gateway, All, "ADDRESS:PORT", "127.0.0.1:50051", "Where handlers subscribe"),
    key("grpc.max_stream_age", Gateway, All, "DURATION", "1h", "The age at which a stream is asked to reconnect, give or take a tenth; 10s to 7d"),
    key("public.listen", Gateway, All, "ADDRESS:PORT", "127.0.0.1:8080", "Where webhooks come in, behind whatever ends TLS; used when a bot has a webhook"),
    key("public.url", Gateway, All, "URL", "", "What Telegram reaches the public listener by: https://bots.example.com"),
    key("ops.listen", Gateway, All, "ADDRESS:PORT", "127.0.0.1:9090", "Where the live view, its API, /metrics, /healthz and /readyz are"),
    key("shutdown.grace", Gateway, All, "DURATION", "20s", "How long a stop waits for handlers to settle what they have"),
    key("tracing.otlp_endpoint", Gateway, All, "URL", "", "The OTLP collector, for gRPC, that traces are exported to: http://127.0.0.1:4317; not set: no tracing"),
    key("tracing.sample_ratio", Gateway, All, "RATIO", "1", "The part of the updates that are traced, 0 to 1; the same ones in every group and after a restart"),
    key("tracing.service_name", Gateway, All, "NAME", "switchboard", "What traces know the gateway by: service.name"),
    key("log.format", Gateway, All, "auto|text|json", "auto", "auto: text on a terminal, JSON elsewhere"),
    key("log.level", Gateway, All, "FILTER", "info", "What is logged, as in RUST_LOG: debug, or info,switchboard::telegram=debug"),
    key("token", Bot, Secret, "TOKEN", "", "The bot's token from @BotFather"),
    key("token_file", Bot, NoFlag, "PATH", "", "The file that holds the bot's token"),
    key("token_env", Bot, BotTable, "NAME", "", "The environment variable that holds the bot's token"),
    key("mode", Bot, All, "auto|polling|webhook", "auto", "How updates come in; auto: by webhook where its URL is known, else by polling"),
    key("takeover", Bot, All, SWITCH, "false", "Delete or overwrite a webhook that somebody else has set"),
    key("drop_pending_updates", Bot, FlagOnly, SWITCH, "false", "Drop, at this start, what is pending at Telegram"),
    key("telegram.api_url", Bot, All, "URL", "https://api.telegram.org", "Where the Bot API is"),
    key("telegram.local_api", Bot, All, SWITCH, "false", "The Bot API server runs with --local: webhooks may be on http and on any port"),
    key("telegram.proxy", Bot, NoFlag, "URL", "", "The proxy towards Telegram: http, https, socks5 or socks5h; none for no proxy"),
    key("telegram.no_proxy", Bot, NoFlag, "HOSTS", "", "Hosts that are reached without the proxy"),
    key("telegram.allowed_updates", Bot, All, "KINDS", "", "The kinds to ask Telegram for; not set: those that the groups want, with those that only come if asked for where a filter names them"),
    key("polling.timeout", Bot, All, "DURATION", "50s", "How long one getUpdates waits, 1s to 50s"),
    key("webhook.url", Bot, NoFlag, "URL", "", "The whole URL of the webhook, where it is not public.url and the path"),
    key("webhook.path", Bot, NoFlag, "PATH", "/telegram/webhook/<bot>", "The path at which the public listener takes the webhook"),
    key("webhook.secret", Bot, Secret, "SECRET", "", "The webhook's secret; not set: derived from the bot's token"),
    key("webhook.secret_file", Bot, NoFlag, "PATH", "", "The file that holds the webhook's secret"),
    key("webhook.max_connections", Bot, All, "NUMBER", "100", "Connections that Telegram may use at once, 1 to 100"),
    key("journal.max_bytes", Bot, All, "SIZE", "8GiB", "The most a bot's journal takes on the disk, 64MiB to 1TiB; at the limit Telegram keeps the updates"),
    key("retention.max_age", Bot, All, "DURATION", "24h", "How long settled updates stay for replay"),
    key("retention.max_bytes", Bot, All, "SIZE", "", "When the journal uses more, settled updates go earlier, oldest first; not set: half of journal.max_bytes"),
    key("dead_letters.max_age", Bot, All, "DURATION", "30d", "How long dead letters stay"),
    key("dead_letters.max_bytes", Bot, All, "SIZE", "1GiB", "The most that the dead letters of all groups take; beyond it the oldest go"),
    key("groups", Bot, All, "NAMES", "", "Groups that exist before the first update is taken, so that none is missed; others are created by their first Subscribe"),
    key("group.max_failures", Bot, All, "NUMBER", "5", "How many failures make a dead letter, for groups created from now on; 1 to 1000"),
    key("group.min_failure_span", Bot, All, "DURATION", "5m", "The time between the first and the last failure below which nothing becomes a dead letter, for groups created from now on"),
    key("group.backoff_initial", Bot, All, "DURATION", "1s", "The wait after the first failure, doubling with each further one, for groups created from now on; 1ms to 1h"),
    key("group.backoff_max", Bot, All, "DURATION", "60s", "The longest wait after a failure, for groups created from now on; up to 1h"),
    key("group.member_grace", Bot, All, "DURATION", "5s", "How long a lost consumer's chats and deliveries wait for its return, for groups created from now on; up to 10m"),
    key("group.max_unsettled_age", Bot, All, "DURATION", "7d", "How old an unsettled update gets before it expires, for groups created from now on; 1s to 366d"),
    ]
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fixed_names_come_out_of_the_table() {
        let variable = |name| Key::named(name).and_then(Key::variable).unwrap();
        assert_eq!(variable("grpc.listen"), "SWITCHBOARD_GRPC_LISTEN");
        assert_eq!(variable("public.listen"), "SWITCHBOARD_PUBLIC_LISTEN");
        assert_eq!(variable("ops.listen"), "SWITCHBOARD_OPS_LISTEN");
        assert_eq!(variable("data_dir"), "SWITCHBOARD_DATA_DIR");
        assert_eq!(variable("telegram.api_url"), "SWITCHBOARD_TELEGRAM_API_URL");
        assert_eq!(variable("mode"), "SWITCHBOARD_MODE");
        assert_eq!(variable("access_token"), "SWITCHBOARD_ACCESS_TOKEN");
        assert_eq!(variable("token"), "SWITCHBOARD_BOT_TOKEN");
        let token = Key::named("token").unwrap();
        assert_eq!(token.bot_variable("my-shop").unwrap(), "SWITCHBOARD_BOT_MY_SHOP_TOKEN");
    }

    #[test]
    fn no_secret_has_a_flag_or_a_place_in_the_file() {
        for key in KEYS.iter().filter(|key| key.is_secret()) {
            assert_eq!((key.flag(), key.in_file(false), key.in_file(true)), (None, false, false), "{key:?}");
        }
    }

    #[test]
    fn no_two_keys_share_a_variable_or_a_flag() {
        let mut names: Vec<_> = KEYS.iter().filter_map(Key::variable).collect();
        names.extend(KEYS.iter().filter_map(Key::flag));
        let all = names.len();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), all);
    }
}
