//! `switchboard check`: the configuration as it holds, and whether the gateway could run with it.

use std::fmt::Write as _;
use std::io::Write as _;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;

use super::exit::Exit;
use super::verify::{self, Verdict};
use super::{note, redact};
use crate::config::{self, Bot, Config, Effective, Environment, Flags};
use crate::telegram::{self, Finding};

/// Show the configuration as it holds, and try the token, the ports and the disk
#[derive(Args, Clone, Debug)]
pub struct CheckArgs {
    /// Do not ask Telegram
    #[arg(long)]
    offline: bool,

    /// Read every row of the journals too; no gateway may have them open
    #[arg(long)]
    deep: bool,

    #[command(flatten)]
    flags: Flags,
}

/// Checks. Changes nothing, at Telegram or on the disk.
pub async fn run(args: CheckArgs) -> ExitCode {
    let config = match config::load(&args.flags, &Environment::of_process()) {
        Ok(config) => config,
        Err(error) => {
            note(&error.to_string());
            return Exit::Config.into();
        }
    };
    let mut report = Report::default();
    report.effective(&config);
    report.ports(&config);
    report.disk(&config);
    if args.deep {
        for bot in &config.bots {
            report.journal(&config.data_dir.join(bot.name())).await;
        }
    }
    if !args.offline {
        for bot in &config.bots {
            report.telegram(bot).await;
        }
    }
    // Nobody is left to tell where standard output is closed.
    let _ = std::io::stdout().write_all(redact::tokens(&report.text).as_bytes());
    report.worst.into()
}

struct Report {
    text: String,
    worst: Exit,
}

impl Default for Report {
    fn default() -> Self {
        Self { text: String::new(), worst: Exit::Done }
    }
}

impl Report {
    fn line(&mut self, line: std::fmt::Arguments<'_>) {
        // Writing to a `String` does not fail.
        let _ = writeln!(self.text, "{line}");
    }

    fn good(&mut self, what: &str) {
        self.line(format_args!("  ok    {what}"));
    }

    fn note(&mut self, what: &str) {
        self.line(format_args!("  note  {what}"));
    }

    fn bad(&mut self, exit: Exit, what: &str) {
        self.line(format_args!("  BAD   {what}"));
        if self.worst == Exit::Done {
            self.worst = exit;
        }
    }

    fn effective(&mut self, config: &Config) {
        let mut table: Option<&Option<String>> = None;
        for Effective { bot, key, value, origin } in &config.effective {
            if table != Some(bot) {
                let name = bot.as_deref();
                self.line(format_args!(
                    "{}",
                    name.map_or("gateway".to_owned(), |name| format!("bot {name}"))
                ));
                table = Some(bot);
            }
            self.line(format_args!("  {key} = {value}  ({origin})"));
        }
        self.line(format_args!("checks"));
        for bot in &config.bots {
            if let Some(url) = bot.telegram.webhook_url.as_deref().filter(|_| bot.by_webhook()) {
                let (name, path) = (bot.name(), &bot.telegram.webhook_path);
                let url = config::without_credentials(url);
                self.note(&format!(
                    "bot {name}: Telegram calls {url}, taken at {path} on {}",
                    config.public_listen
                ));
            }
        }
        for finding in &config.findings {
            self.note(finding);
        }
    }

    fn ports(&mut self, config: &Config) {
        let public = config.bots.iter().any(Bot::by_webhook).then_some(config.public_listen);
        let listens = [
            ("grpc.listen", Some(config.grpc_listen)),
            ("ops.listen", Some(config.ops_listen)),
            ("public.listen", public),
        ];
        // Held until all are tried: two of them may be the same.
        let mut held = Vec::new();
        for (key, address) in listens.into_iter().filter_map(|(key, address)| Some((key, address?))) {
            held.extend(self.port(key, address));
        }
    }

    fn port(&mut self, key: &str, address: SocketAddr) -> Option<TcpListener> {
        let bound = TcpListener::bind(address);
        match &bound {
            Ok(_) => self.good(&format!("{key}: {address} is free")),
            Err(why) => self.bad(
                Exit::Place,
                &format!(
                    "{key}: {address}: {why} (by this gateway, if it runs already; else set another one)"
                ),
            ),
        }
        bound.ok()
    }

    fn disk(&mut self, config: &Config) {
        for bot in &config.bots {
            let dir = config.data_dir.join(bot.name());
            let shown = dir.display();
            let Some(existing) = nearest_existing(&dir) else {
                self.bad(Exit::Place, &format!("{shown}: there is no such place"));
                continue;
            };
            if !existing.is_dir() {
                self.bad(Exit::Place, &format!("{shown}: {} is not a directory", existing.display()));
                continue;
            }
            if let Err(why) =
                rustix::fs::access(&existing, rustix::fs::Access::READ_OK | rustix::fs::Access::WRITE_OK)
            {
                self.bad(
                    Exit::Place,
                    &format!("{shown}: {} is not writable for this user: {why}", existing.display()),
                );
                continue;
            }
            match rustix::fs::statvfs(&existing) {
                Ok(disk) => {
                    let free = disk.f_bavail.saturating_mul(disk.f_frsize);
                    let (free_mib, max_mib) = (free >> 20, bot.journal_max_bytes >> 20);
                    if free < bot.journal_max_bytes {
                        self.note(&format!(
                            "{shown}: the disk has {free_mib} MiB free, journal.max_bytes is {max_mib} MiB: when the \
                             disk is full, intake pauses until there is room"
                        ));
                    } else {
                        self.good(&format!(
                            "{shown}: writable, {free_mib} MiB free for at most {max_mib} MiB"
                        ));
                    }
                }
                Err(why) => self.bad(Exit::Place, &format!("{shown}: {why}")),
            }
        }
    }

    async fn journal(&mut self, dir: &Path) {
        let shown = dir.display();
        if !dir.exists() {
            self.note(&format!("{shown}: there is no journal yet"));
            return;
        }
        match verify::look(dir).await {
            Verdict::Whole(what) => self.good(&format!("{shown}: {what}")),
            Verdict::Bad(damage) => {
                for what in damage {
                    self.bad(Exit::Place, &format!("{shown}: {what}"));
                }
            }
        }
    }

    async fn telegram(&mut self, bot: &Bot) {
        for finding in telegram::probe(&bot.telegram).await.findings {
            let name = bot.name();
            match finding {
                Finding::Good(what) => self.good(&format!("bot {name}: {what}")),
                Finding::Note(what) => self.note(&format!("bot {name}: {what}")),
                Finding::Bad(what) => self.bad(Exit::Refused, &format!("bot {name}: {what}")),
            }
        }
    }
}

/// The directory itself, or the nearest one above it that exists.
fn nearest_existing(dir: &Path) -> Option<PathBuf> {
    let here = |dir: &Path| if dir.as_os_str().is_empty() { PathBuf::from(".") } else { dir.to_owned() };
    dir.ancestors().map(here).find(|dir| dir.exists())
}
