//! Exit codes: scripts and supervisors tell apart by them what went wrong.

use std::process::ExitCode;

use tonic::Code;

use crate::gateway::Failure;

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Exit {
    /// As asked.
    Done,
    /// A failure at run time.
    Failed,
    /// The command line or the configuration is wrong.
    Config,
    /// A port, the data directory or a file cannot be used.
    Place,
    /// Telegram refuses the token at the start, or the webhook.
    Refused,
    /// There is no such bot, group or update.
    NotFound,
    /// As things stand it is refused, or nobody confirmed it.
    Precondition,
    /// The gateway cannot be reached, or has no room at the moment.
    Unavailable,
    /// The access token is missing or wrong.
    Denied,
    /// Stopped at once by a second signal.
    Interrupted,
    /// Nobody reads the output any more. What a shell shows for a program that SIGPIPE ended.
    Unread,
}

/// The same for `--help`, of the commands that run a gateway.
pub(super) const EXIT_CODES: &str = "\
Exit codes:
  0    stopped as asked
  1    a failure at run time
  2    the command line or the configuration is wrong
  3    a port is in use, or the data directory cannot be used
  4    Telegram refuses the token at the start, or the webhook, for every bot
  130  a second signal ended the process at once
  141  nobody reads the output any more";

/// The same, of the commands that ask a gateway.
pub(super) const ADMIN_EXIT_CODES: &str = "\
Exit codes:
  0    done
  1    a failure at run time
  2    the command line is wrong, or the gateway refuses a value
  5    there is no such bot, group or update, or none of the sequences that were named
  6    refused as things stand (it exists already, needs --force, …), or answered with no
  7    the gateway cannot be reached or has no room; the same may work later
  8    the access token is missing or wrong
  130  stopped by Ctrl-C
  141  nobody reads the output any more

With --json every line is one JSON object; `jq -s .` makes a list of them. It is proto3 JSON,
as grpcurl prints it: 64-bit numbers are strings, enums are names.";

/// The same, of the command that copies a gateway's journal.
pub(super) const BACKUP_EXIT_CODES: &str = "\
Exit codes:
  0    done
  1    a failure at run time
  2    the command line is wrong, or the gateway has several bots and none is named
  3    the file cannot be written
  5    there is no such bot
  6    the file exists already
  7    the gateway cannot be reached or is busy with another backup; the same may work later
  8    the access token is missing or wrong";

/// The same, of the command that makes a journal from a backup.
pub(super) const RESTORE_EXIT_CODES: &str = "\
Exit codes:
  0    done
  1    a failure at run time
  2    the command line or the configuration is wrong
  3    the backup or the directory cannot be used: the message says why";

impl Exit {
    /// After output that could not be written.
    pub(super) fn after_output(error: &std::io::Error) -> Self {
        if error.kind() == std::io::ErrorKind::BrokenPipe { Self::Unread } else { Self::Failed }
    }

    pub(super) fn after(failure: &Failure) -> Self {
        match failure {
            Failure::Listen { .. }
            | Failure::DataDir { .. }
            | Failure::Journal { .. }
            | Failure::Restore(_)
            | Failure::Verify(_) => Self::Place,
            Failure::Telegram(_) => Self::Refused,
            Failure::Interrupted => Self::Interrupted,
            Failure::Start { .. }
            | Failure::Driver { .. }
            | Failure::Grpc(_)
            | Failure::Panicked(_)
            | Failure::Ended(_)
            | Failure::Overdue => Self::Failed,
        }
    }

    /// After a gateway's answer.
    pub(super) fn answered(code: Code) -> Self {
        match code {
            Code::Ok => Self::Done,
            Code::InvalidArgument | Code::OutOfRange => Self::Config,
            Code::NotFound => Self::NotFound,
            Code::AlreadyExists | Code::FailedPrecondition | Code::Aborted => Self::Precondition,
            Code::Unavailable | Code::DeadlineExceeded | Code::ResourceExhausted => Self::Unavailable,
            Code::Unauthenticated | Code::PermissionDenied => Self::Denied,
            Code::Cancelled | Code::Unknown | Code::Unimplemented | Code::Internal | Code::DataLoss => {
                Self::Failed
            }
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(match exit {
            Exit::Done => 0,
            Exit::Failed => 1,
            Exit::Config => 2,
            Exit::Place => 3,
            Exit::Refused => 4,
            Exit::NotFound => 5,
            Exit::Precondition => 6,
            Exit::Unavailable => 7,
            Exit::Denied => 8,
            Exit::Interrupted => 130,
            Exit::Unread => 141,
        })
    }
}
