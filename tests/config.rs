//! The configuration as an operator meets it.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

use std::path::Path;
use std::time::Duration;

use clap::{Args, FromArgMatches};
use switchboard::config::{self, Config, Environment, Flags, KEYS, Key};
use switchboard::telegram::Mode;

const TOKEN: &str = "42:AAE-very_secret";

fn load(env: &[(&str, &str)], file: &str, flags: &[&str]) -> Result<Config, String> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("switchboard.toml");
    std::fs::write(&path, file).unwrap();
    let command = Flags::augment_args(clap::Command::new("serve"));
    let matches = command.try_get_matches_from(["serve"].iter().chain(flags)).unwrap();
    let mut flags = Flags::from_arg_matches(&matches).unwrap();
    flags.file = Some(path);
    config::load(&flags, &Environment::from_iter(env.iter().copied()))
        .map_err(|error| error.to_string().replace(&dir.path().display().to_string(), ""))
}

fn with(env: &[(&str, &str)]) -> Config {
    let token = [("TELEGRAM_BOT_TOKEN", TOKEN)];
    load(&[&token, env].concat(), "", &[]).unwrap()
}

fn refused(env: &[(&str, &str)], file: &str, said: &[&str]) {
    let error = load(env, file, &[]).unwrap_err();
    for said in said {
        assert!(error.contains(said), "`{said}` is not in: {error}");
    }
    assert!(!error.contains("very_secret"), "{error}");
}

#[test]
fn one_bot_needs_a_token_in_the_environment_and_nothing_else() {
    let config = with(&[]);
    assert_eq!(config.bots.len(), 1);
    let bot = &config.bots[0];
    assert_eq!((bot.name(), bot.telegram.token.expose()), ("default", TOKEN));
    assert_eq!(config.grpc_listen.to_string(), "127.0.0.1:50051");
    assert_eq!(config.public_listen.to_string(), "127.0.0.1:8080");
    assert_eq!(config.ops_listen.to_string(), "127.0.0.1:9090");
    assert_eq!(config.data_dir, Path::new("./data"));
    assert_eq!(&*bot.telegram.api_url, "https://api.telegram.org");
    assert_eq!(bot.telegram.mode, Mode::Auto);
    assert_eq!(&*bot.telegram.webhook_path, "/telegram/webhook/default");
    assert_eq!(bot.telegram.poll_timeout, Duration::from_secs(50));
    assert_eq!(bot.retention.max_age, Duration::from_secs(24 * 3_600));
    assert_eq!(bot.dead_letters.max_age, Duration::from_secs(30 * 24 * 3_600));
    assert_eq!(bot.dead_letters.max_bytes, 1 << 30);
    assert_eq!(config.shutdown_grace, Duration::from_secs(20));
    assert!(config.findings.is_empty(), "{:?}", config.findings);
}

#[test]
fn a_flag_goes_before_the_environment_the_environment_before_the_file_the_file_before_the_default() {
    let token = ("BOT_TOKEN", TOKEN);
    let file = "grpc.listen = '127.0.0.1:2'\nops.listen = '127.0.0.1:2'\npublic.listen = '127.0.0.1:2'";
    let env = [token, ("SWITCHBOARD_GRPC_LISTEN", "127.0.0.1:3"), ("SWITCHBOARD_OPS_LISTEN", "127.0.0.1:3")];
    let config = load(&env, file, &["--grpc-listen", "127.0.0.1:4"]).unwrap();
    let ports = [config.grpc_listen, config.ops_listen, config.public_listen].map(|listen| listen.port());
    assert_eq!(ports, [4, 3, 2]);
}

#[test]
fn every_key_can_be_set_wherever_the_table_says() {
    for key in KEYS {
        let value = sample(key);
        let shown = |config: &Config| {
            let of_key = |entry: &&config::Effective| entry.key == key.name.trim_end_matches("_file");
            config.effective.iter().find(of_key).map(|entry| entry.origin.to_string()).unwrap()
        };
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(&file, "7:long_enough-secret").unwrap();
        let path = file.path().display().to_string();
        let is_file = key.name.ends_with("_file");
        // A webhook's secret and a bot's token have different forms; each file holds what its key asks for.
        if key.name == "webhook.secret_file" {
            std::fs::write(&file, "long_enough-secret").unwrap();
        }
        let value = if is_file { path.as_str() } else { value };
        let token = if key.name.starts_with("token") { vec![] } else { vec![("BOT_TOKEN", TOKEN)] };
        if let Some(variable) = key.variable() {
            let env = [token.as_slice(), &[(variable.as_str(), value)]].concat();
            assert_eq!(shown(&load(&env, "", &[]).unwrap()), format!("environment {variable}"));
        }
        if let Some(variable) = key.bot_variable("default") {
            let env = [token.as_slice(), &[(variable.as_str(), value)]].concat();
            assert_eq!(shown(&load(&env, "", &[]).unwrap()), format!("environment {variable}"));
        }
        if key.in_file(false) {
            let config = load(&token, &format!("{} = '{value}'", key.name), &[]).unwrap();
            assert!(shown(&config).ends_with("switchboard.toml:1"), "{}", key.name);
        }
        if let Some(flag) = key.flag() {
            let config = load(&token, "", &[&format!("--{flag}={value}")]).unwrap();
            assert_eq!(shown(&config), format!("--{flag}"));
        }
    }
}

fn sample(key: &Key) -> &'static str {
    match key.form {
        "ADDRESS:PORT" => "127.0.0.1:1",
        "URL" => "https://example.com/x",
        "DURATION" => "17s",
        "SIZE" => "100MiB",
        "true|false" => "true",
        "NUMBER" => "7",
        "RATIO" => "0.25",
        "FILTER" => "debug",
        "auto|text|json" => "json",
        "auto|polling|webhook" => "polling",
        "TOKEN" => "7:long_enough-secret",
        "KINDS" | "NAMES" => "a,b",
        "HOSTS" => "example.com",
        "SECRET" => "long_enough-secret",
        "PATH" => "/some/path",
        "NAME" => "SHOP_TOKEN",
        other => panic!("no sample for {other}"),
    }
}

#[test]
fn several_bots_have_their_own_tables_and_variables_over_shared_defaults() {
    let file = "
        mode = 'polling'
        [bots.shop]
        token_env = 'SHOP'
        [bots.help-desk]
        mode = 'webhook'
        webhook.url = 'https://example.com'
    ";
    let env = [("SHOP", "1:a"), ("SWITCHBOARD_BOT_HELP_DESK_TOKEN", "2:b"), ("BOT_TOKEN", TOKEN)];
    let config = load(&env, file, &[]).unwrap();
    let [desk, shop] = config.bots.as_slice() else { panic!("{:?}", config.bots) };
    assert_eq!(
        (desk.name(), desk.telegram.token.bot_id(), desk.telegram.mode),
        ("help-desk", 2, Mode::Webhook)
    );
    assert_eq!((shop.name(), shop.telegram.token.bot_id(), shop.telegram.mode), ("shop", 1, Mode::Polling));
    assert_eq!(desk.telegram.webhook_url.as_deref(), Some("https://example.com/telegram/webhook/help-desk"));
    assert!(config.findings[0].contains("environment BOT_TOKEN is not used"), "{:?}", config.findings);
}

#[test]
fn bots_can_be_declared_without_a_file() {
    let env = [
        ("SWITCHBOARD_BOTS", "a,b"),
        ("SWITCHBOARD_BOT_A_TOKEN", "1:a"),
        ("SWITCHBOARD_BOT_B_TOKEN", "2:b"),
        ("SWITCHBOARD_BOT_B_MODE", "polling"),
    ];
    let config = load(&env, "", &[]).unwrap();
    assert_eq!(
        config.bots.iter().map(|bot| bot.telegram.mode).collect::<Vec<_>>(),
        [Mode::Auto, Mode::Polling]
    );
}

#[test]
fn names_that_bots_in_the_field_use_are_understood() {
    let bot = |env: &[(&str, &str)]| with(env).bots.remove(0).telegram;
    let url = |env: &[(&str, &str)]| bot(env).webhook_url.map(String::from);
    let default = "/telegram/webhook/default";
    assert_eq!(url(&[("WEBHOOK_URL", "https://a.example")]), Some(format!("https://a.example{default}")));
    assert_eq!(
        url(&[("TELEGRAM_WEBHOOK_URL", "https://a.example/hook")]),
        Some("https://a.example/hook".into())
    );
    let both = [("WEBHOOK_URL", "https://a.example"), ("WEBHOOK_PATH", "/hook")];
    assert_eq!(url(&both), Some("https://a.example/hook".into()));
    assert_eq!(url(&[("RAILWAY_PUBLIC_DOMAIN", "a.example")]), Some(format!("https://a.example{default}")));
    assert_eq!(url(&[("WEBHOOK_URL", "http://localhost:1"), ("USE_WEBHOOK", "false")]), None);
    let on = [("WEBHOOK_ENABLED", "1"), ("WEBHOOK_URL", "https://a.example")];
    assert_eq!(bot(&on).mode, Mode::Webhook);
    assert_eq!(bot(&[("HTTPS_PROXY", "http://p:1")]).proxy.as_deref(), Some("http://p:1"));
    assert_eq!(bot(&[("ALL_PROXY", "socks5://p:1")]).proxy.as_deref(), Some("socks5://p:1"));
    assert_eq!(bot(&[("HTTPS_PROXY", "http://p:1"), ("SWITCHBOARD_TELEGRAM_PROXY", "none")]).proxy, None);
    let listen = |env: &[(&str, &str)]| with(env).public_listen.to_string();
    assert_eq!(listen(&[("PORT", "5000")]), "0.0.0.0:5000");
    assert_eq!(listen(&[("WEBAPP_HOST", "127.0.0.1"), ("WEBAPP_PORT", "5001")]), "127.0.0.1:5001");
    assert_eq!(listen(&[("WEBAPP_HOST", "localhost")]), "127.0.0.1:8080");
    assert_eq!(listen(&[("PORT", "5000"), ("SWITCHBOARD_PUBLIC_LISTEN", "127.0.0.1:1")]), "127.0.0.1:1");
}

#[test]
fn two_foreign_tokens_that_differ_are_not_chosen_from() {
    let env = [("BOT_TOKEN", TOKEN), ("TELEGRAM_BOT_TOKEN", "43:very_secret")];
    refused(&env, "", &["TELEGRAM_BOT_TOKEN and BOT_TOKEN", "different tokens"]);
}

#[test]
fn an_unknown_key_is_named_with_its_line_and_the_nearest_known_one() {
    let env = [("BOT_TOKEN", TOKEN)];
    refused(
        &env,
        "\n[grpc]\nlistn = 'x'",
        &["`grpc.listn` (/switchboard.toml:3): no such key", "`grpc.listen`"],
    );
    refused(
        &env,
        "[bots.a]\nmod = 'x'",
        &["`mod` (/switchboard.toml:2): no such key", "did you mean `mode`"],
    );
    refused(&env, "bots = 3", &["`bots` (/switchboard.toml:1): expected a table"]);
    refused(&env, "a = ", &["/switchboard.toml:1: this is not TOML"]);
    let misspelt = [("BOT_TOKEN", TOKEN), ("SWITCHBOARD_GRPC_LISTN", "x")];
    refused(
        &misspelt,
        "",
        &["SWITCHBOARD_GRPC_LISTN: no such setting", "did you mean `SWITCHBOARD_GRPC_LISTEN`"],
    );
}

#[test]
fn everything_that_is_wrong_is_said_at_once_with_value_source_and_what_would_be_right() {
    let env = [
        ("BOT_TOKEN", "very_secret"),
        ("SWITCHBOARD_OPS_LISTEN", "9090"),
        ("SWITCHBOARD_JOURNAL_MAX_BYTES", "1KiB"),
    ];
    let file = "mode = 'both'\nshutdown.grace = 20\nlog.level = 'x=y=z'";
    refused(
        &env,
        file,
        &[
            "`token` (environment BOT_TOKEN) is not a bot token: expected the form",
            "`ops.listen` = \"9090\" (environment SWITCHBOARD_OPS_LISTEN): expected an IP address and a port",
            "`journal.max_bytes` = \"1KiB\" (environment SWITCHBOARD_JOURNAL_MAX_BYTES): expected 64MiB to 1TiB",
            "`mode` = \"both\" (/switchboard.toml:1): expected auto, polling or webhook",
            "`shutdown.grace` = \"20\" (/switchboard.toml:2): expected a whole number with ms, s",
            "`log.level` = \"x=y=z\"",
        ],
    );
}

#[test]
fn a_missing_token_says_where_to_get_and_to_put_it() {
    refused(&[], "", &["@BotFather", "SWITCHBOARD_BOT_DEFAULT_TOKEN", "TELEGRAM_BOT_TOKEN", "token_file"]);
    refused(&[], "[bots.shop]\ntoken_env = 'NOPE'", &["`token_env` = \"NOPE\"", "that variable is not set"]);
    refused(&[], "token_file = '/nowhere'", &["`token_file` = \"/nowhere\"", "cannot be read"]);
}

#[test]
fn a_secret_in_the_file_is_refused_without_being_repeated() {
    refused(
        &[],
        "token = '42:AAE-very_secret'",
        &["`token` (/switchboard.toml:1)", "does not belong in the file"],
    );
    refused(
        &[],
        "[bots.sales]\ntoken = '42:AAE-very_secret'",
        &["`token` (/switchboard.toml:2)", "ends in `_file`, or set SWITCHBOARD_BOT_SALES_TOKEN"],
    );
    refused(&[], "access_token = 'very_secret'", &["`access_token`", "SWITCHBOARD_ACCESS_TOKEN"]);
}

#[test]
fn a_webhook_url_is_https_unless_the_api_is_local() {
    let env = [("BOT_TOKEN", TOKEN), ("WEBHOOK_URL", "http://me:very_secret@a.example/hook")];
    refused(&env, "", &["http://[redacted]@a.example/hook", "(environment WEBHOOK_URL)", "is not https"]);
    assert!(load(&env, "telegram.local_api = true", &[]).is_ok());
    refused(&[("BOT_TOKEN", TOKEN)], "mode = 'webhook'", &["needs the URL", "SWITCHBOARD_PUBLIC_URL"]);
}

#[test]
fn beyond_loopback_there_is_an_access_token_or_a_loud_word() {
    let open = [("BOT_TOKEN", TOKEN), ("SWITCHBOARD_GRPC_LISTEN", "0.0.0.0:50051")];
    refused(
        &open,
        "",
        &["`grpc.listen` = \"0.0.0.0:50051\"", "SWITCHBOARD_ACCESS_TOKEN", "--allow-unauthenticated"],
    );
    let allowed = load(&open, "", &["--allow-unauthenticated"]).unwrap();
    assert!(allowed.findings[0].contains("WITHOUT AN ACCESS TOKEN"));
    let closed = [open.as_slice(), &[("SWITCHBOARD_ACCESS_TOKEN", "very_secret")]].concat();
    let config = load(&closed, "", &[]).unwrap();
    assert!(config.findings.is_empty());
    assert!(!format!("{config:?}").contains("very_secret"), "{config:?}");
    assert!(config.secrets().any(|secret| secret == "very_secret"));
}

#[test]
fn two_bots_share_neither_a_token_nor_a_webhook_path_nor_their_variables() {
    let tokens = [("SWITCHBOARD_BOT_A_TOKEN", "1:a"), ("SWITCHBOARD_BOT_B_TOKEN", "1:b")];
    let file = "webhook.url = 'https://x.example/hook'\n[bots.a]\n[bots.b]";
    refused(&tokens, file, &["is of the same bot (1) for \"a\" and \"b\"", "is \"/hook\" for both"]);
    refused(&[], "[bots.a-b]\n[bots.a_b]\n[bots.Shop]", &["cannot be told from", "bot \"Shop\""]);
}

#[test]
fn variables_of_kubernetes_and_of_other_programs_are_left_alone() {
    with(&[
        ("SWITCHBOARD_SERVICE_HOST", "10.0.0.1"),
        ("SWITCHBOARD_PORT", "tcp://10.0.0.1:1"),
        ("OTHER", "x"),
    ]);
}

#[test]
fn the_documentation_has_every_key_variable_and_foreign_name() {
    let page =
        std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/configuration.md")).unwrap();
    let row = |key: &Key| format!("| `{}` |", key.name);
    for key in KEYS {
        let row = page.lines().find(|line| line.starts_with(&row(key)));
        let row = row.unwrap_or_else(|| panic!("docs/configuration.md has no row for `{}`", key.name));
        let names = [key.variable(), key.flag().map(|flag| format!("--{flag}"))];
        for said in names.into_iter().flatten().chain([key.default.to_owned()]) {
            assert!(row.contains(&said), "`{}`: docs/configuration.md does not say {said}", key.name);
        }
    }
    for name in config::foreign_names().filter(|name| name.to_ascii_uppercase() == *name) {
        assert!(page.contains(&format!("`{name}`")), "docs/configuration.md does not say {name}");
    }
}

#[test]
fn the_example_file_is_a_configuration() {
    let example =
        std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/switchboard.example.toml")).unwrap();
    let env = [("BOT_TOKEN", TOKEN)];
    load(&env, &example, &[]).unwrap();
    // What is commented out is right too. Those keys begin in the first column after `#`, without a blank.
    let all: String = example
        .lines()
        .map(|line| {
            line.strip_prefix('#')
                .filter(|rest| !rest.is_empty() && !rest.starts_with([' ', '#']))
                .unwrap_or(line)
                .to_owned()
                + "\n"
        })
        .collect();
    let env =
        [("SHOP_TOKEN", "1:a"), ("SWITCHBOARD_BOT_SUPPORT_TOKEN", "2:b"), ("SWITCHBOARD_ACCESS_TOKEN", "x")];
    let problems = load(&env, &all, &[]).err().unwrap_or_default();
    let unexpected: Vec<_> =
        problems.lines().skip(1).filter(|line| !line.contains("the file cannot be read")).collect();
    assert!(unexpected.is_empty(), "{unexpected:?}");
}
