//! How many files the process may have open, and how many of them are for connections: a listener that took them all
//! would leave none for Telegram, for the journals, and for the other listeners. The public one is in everybody's reach.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// For the ops listener, the journals, calls to Telegram, logs and the runtime.
const KEPT_BACK: usize = 256;
/// Whatever the limit, so many of each listener's connections are served.
const LEAST: usize = 16;

/// How many connections each listener may serve at once, as far as files are concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Connections {
    pub(super) grpc: usize,
    pub(super) public: usize,
}

/// Raises the soft limit to the hard one: many systems begin with 1,024, for programs that use `select`.
pub(super) fn raise() -> Connections {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: maximum, maximum };
    let limit = match setrlimit(Resource::Nofile, raised) {
        Ok(()) => maximum,
        // Some systems take less than they name.
        Err(_) => current,
    };
    // No limit at all is `None`.
    connections(limit.map_or(usize::MAX, |limit| usize::try_from(limit).unwrap_or(usize::MAX)))
}

/// A third for the public listener, two for gRPC.
fn connections(limit: usize) -> Connections {
    let third = limit.saturating_sub(KEPT_BACK) / 3;
    Connections { grpc: (third * 2).max(LEAST), public: third.max(LEAST) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_connections_together_leave_files_for_the_rest() {
        for limit in [1024, 4096, 20_000, usize::MAX] {
            let Connections { grpc, public } = connections(limit);
            assert!(grpc + public + KEPT_BACK <= limit, "{limit}: {grpc} and {public}");
        }
        assert_eq!(connections(64), Connections { grpc: LEAST, public: LEAST });
    }
}
