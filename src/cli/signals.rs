//! When somebody wants a command to end.

use std::time::{Duration, Instant};

use tokio::signal::unix::{Signal as Stream, SignalKind, signal};

use super::clock;

/// Waits for Ctrl-C or SIGTERM.
pub(crate) async fn stop_requested() -> std::io::Result<()> {
    Stops::listen()?.next().await;
    Ok(())
}

/// The requests to stop, one after another.
pub(crate) struct Stops {
    terminate: Stream,
    interrupt: Stream,
    requests: Requests,
}

impl Stops {
    /// From now on the signals end nothing by themselves.
    pub(crate) fn listen() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            requests: Requests::default(),
        })
    }

    /// Waits for the next request; answers the signal's name. Safe to cancel.
    pub(crate) async fn next(&mut self) -> &'static str {
        loop {
            let signal = tokio::select! {
                _ = self.terminate.recv() => Signal::Terminate,
                _ = self.interrupt.recv() => Signal::Interrupt,
            };
            if self.requests.is_new(signal, clock::now()) {
                return signal.name();
            }
            tracing::debug!(signal = signal.name(), "the same request to stop once more");
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Signal {
    Terminate,
    Interrupt,
}

impl Signal {
    fn name(self) -> &'static str {
        match self {
            Self::Terminate => "SIGTERM",
            Self::Interrupt => "SIGINT",
        }
    }
}

/// Tells a second request from the first one's echo: `timeout` signals its child and then the child's whole process
/// group, and so do some supervisors.
#[derive(Debug, Default)]
struct Requests {
    /// The last SIGTERM that counted.
    terminated: Option<Instant>,
}

impl Requests {
    fn is_new(&mut self, signal: Signal, now: Instant) -> bool {
        // Who presses Ctrl-C twice means it, however fast.
        if signal == Signal::Interrupt {
            return true;
        }
        let echo = self.terminated.is_some_and(|before| now.saturating_duration_since(before) < ECHO);
        if !echo {
            self.terminated = Some(now);
        }
        !echo
    }
}

const ECHO: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    fn after_ms(start: Instant, ms: u64) -> Instant {
        start + Duration::from_millis(ms)
    }

    #[test]
    fn a_sigterm_within_a_second_of_one_is_the_same_request() {
        let (start, mut requests) = (clock::now(), Requests::default());
        assert!(requests.is_new(Signal::Terminate, start));
        assert!(!requests.is_new(Signal::Terminate, after_ms(start, 3)));
        assert!(!requests.is_new(Signal::Terminate, after_ms(start, 999)));
        // Counted from the first, so that one who repeats it every half second is heard.
        assert!(requests.is_new(Signal::Terminate, after_ms(start, 1_000)));
    }

    #[test]
    fn a_second_ctrl_c_counts_however_fast_it_comes() {
        let (start, mut requests) = (clock::now(), Requests::default());
        assert!(requests.is_new(Signal::Interrupt, start));
        assert!(requests.is_new(Signal::Interrupt, after_ms(start, 40)));
        assert!(requests.is_new(Signal::Terminate, after_ms(start, 50)));
        assert!(requests.is_new(Signal::Interrupt, after_ms(start, 60)));
    }
}
