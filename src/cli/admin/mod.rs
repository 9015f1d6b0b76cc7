//! The commands that look into a gateway and steer it, over its AdminService: on this machine or another.
//!
//! Results go to stdout, as tables or as JSON; questions, remarks and progress to stderr.

mod bots;
mod console;
mod dead_letters;
pub(super) mod failure;
mod groups;
mod json;
mod moment;
mod outstanding;
mod pages;
mod quarantine;
mod rate;
mod replay;
mod seek;
mod selection;
mod session;
mod table;
mod timeline;
mod times;
mod updates;
mod values;
mod words;

#[cfg(test)]
mod tests;

use std::process::ExitCode;

use clap::Subcommand;

use super::exit::{ADMIN_EXIT_CODES, Exit};
use super::{complain, redact};
use console::Console;
use failure::Failure;
use session::{Session, Target};

/// The commands on the AdminService.
#[derive(Clone, Debug, Subcommand)]
pub enum AdminCommand {
    /// Show the gateway's bots and how they stand with Telegram
    #[command(after_help = ADMIN_EXIT_CODES)]
    Bots(bots::BotsArgs),
    /// List the groups, or look into one and change it
    #[command(after_help = ADMIN_EXIT_CODES)]
    Groups(groups::GroupsArgs),
    /// Move a group to another position: from there on everything is delivered (again)
    #[command(after_help = ADMIN_EXIT_CODES)]
    Seek(seek::SeekArgs),
    /// List the updates that are kept, show or purge them
    #[command(after_help = ADMIN_EXIT_CODES)]
    Updates(updates::UpdatesArgs),
    /// Find out what became of an update, or of a chat's newest ones: why did chat X get no answer?
    #[command(after_help = ADMIN_EXIT_CODES)]
    Timeline(timeline::TimelineArgs),
    /// List the updates that groups gave up, show, replay or purge them
    #[command(after_help = ADMIN_EXIT_CODES)]
    DeadLetters(dead_letters::DeadLettersArgs),
    /// Hand settled updates to a group again
    #[command(after_help = ADMIN_EXIT_CODES)]
    Replay(replay::ReplayArgs),
    /// List what is delivered and not settled
    #[command(after_help = ADMIN_EXIT_CODES)]
    Outstanding(outstanding::OutstandingArgs),
    /// List what Telegram sent and could not be read as an update
    #[command(after_help = ADMIN_EXIT_CODES)]
    Quarantine(quarantine::QuarantineArgs),
}

impl AdminCommand {
    fn target(&self) -> &Target {
        match self {
            Self::Bots(args) => &args.target,
            Self::Groups(args) => &args.target,
            Self::Seek(args) => &args.target,
            Self::Updates(args) => &args.target,
            Self::Timeline(args) => &args.target,
            Self::DeadLetters(args) => &args.target,
            Self::Replay(args) => &args.target,
            Self::Outstanding(args) => &args.target,
            Self::Quarantine(args) => &args.target,
        }
    }

    fn name(&self) -> &'static str {
        match self {
            Self::Bots(_) => "bots",
            Self::Groups(_) => "groups",
            Self::Seek(_) => "seek",
            Self::Updates(_) => "updates",
            Self::Timeline(_) => "timeline",
            Self::DeadLetters(_) => "dead-letters",
            Self::Replay(_) => "replay",
            Self::Outstanding(_) => "outstanding",
            Self::Quarantine(_) => "quarantine",
        }
    }

    async fn carry_out(self, session: &mut Session) -> Result<(), Failure> {
        match self {
            Self::Bots(args) => args.run(session).await,
            Self::Groups(args) => args.run(session).await,
            Self::Seek(args) => args.run(session).await,
            Self::Updates(args) => args.run(session).await,
            Self::Timeline(args) => args.run(session).await,
            Self::DeadLetters(args) => args.run(session).await,
            Self::Replay(args) => args.run(session).await,
            Self::Outstanding(args) => args.run(session).await,
            Self::Quarantine(args) => args.run(session).await,
        }?;
        session.console.flush()
    }
}

/// Runs the command.
pub async fn run(command: AdminCommand) -> ExitCode {
    run_on(command, Console::of_process()).await.into()
}

async fn run_on(command: AdminCommand, console: Console) -> Exit {
    let name = command.name();
    let address = command.target().address().to_owned();
    let mut session = match Session::new(command.target(), console) {
        Ok(session) => session,
        Err(failure) => {
            complain(name, &failure);
            return failure.exit();
        }
    };
    match command.carry_out(&mut session).await {
        Ok(()) => Exit::Done,
        Err(failure) => {
            if failure.is_worth_a_word() {
                let words = failure.words(&address);
                // Somebody may have given a token in place of a name, which the gateway then repeats.
                session.console.note(&format!("switchboard {name}: {}", redact::tokens(&words)));
            }
            failure.exit()
        }
    }
}
