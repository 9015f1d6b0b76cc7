//! `switchboard completions`: what a shell needs to complete this program's commands and flags.

use std::io::Write;
use std::process::ExitCode;

use clap::Args;
use clap_complete::Shell;

use super::complain;
use super::exit::Exit;

/// Print a completion script for a shell
#[derive(Args, Clone, Debug)]
#[command(after_help = INSTALL)]
pub struct CompletionsArgs {
    /// The shell
    shell: Shell,
}

const INSTALL: &str = "\
To have it in every new shell:
  bash  switchboard completions bash > ~/.local/share/bash-completion/completions/switchboard
  zsh   switchboard completions zsh > \"${fpath[1]}/_switchboard\"
  fish  switchboard completions fish > ~/.config/fish/completions/switchboard.fish";

/// Prints the script for `command`.
pub fn run(args: &CompletionsArgs, mut command: clap::Command) -> ExitCode {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut command, "switchboard", &mut script);
    let mut out = std::io::stdout().lock();
    let exit = match out.write_all(&script).and_then(|()| out.flush()) {
        Ok(()) => Exit::Done,
        Err(error) => {
            let exit = Exit::after_output(&error);
            if exit != Exit::Unread {
                complain("completions", &error);
            }
            exit
        }
    };
    exit.into()
}
