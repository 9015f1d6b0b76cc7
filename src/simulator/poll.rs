//! The rules around `getUpdates` that are not the queue's: clamped arguments, throttling, delayed conflicts.

use std::time::Duration;

use super::args::Args;

pub(super) const CONFLICT_WEBHOOK: &str = "Conflict: can't use getUpdates method while webhook is active; use deleteWebhook to delete the webhook first";
pub(super) const CONFLICT_POLL: &str =
    "Conflict: terminated by other getUpdates request; make sure that only one bot instance is running";
pub(super) const CONFLICT_SET_WEBHOOK: &str = "Conflict: terminated by setWebhook request";

/// Asked again with the same offset within this time, a shorter timeout becomes as long as this.
const THROTTLED_TIMEOUT: Duration = Duration::from_secs(3);
/// Asked again with the same offset within this time, the limit becomes 1.
const THROTTLED_LIMIT_WITHIN: Duration = Duration::from_millis(500);
/// A second conflict within this time is answered this much later.
const CONFLICT_DELAY: Duration = Duration::from_secs(3);

/// The arguments of one `getUpdates`, within their bounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct PollArgs {
    pub offset: i64,
    pub limit: usize,
    pub timeout: Duration,
}

impl PollArgs {
    /// Clamps, as Telegram does: no value is refused.
    pub(super) fn from_args(args: &Args) -> Self {
        let limit = args.integer("limit").unwrap_or(100).clamp(1, 100);
        let timeout = args.integer("timeout").unwrap_or(0).clamp(0, 50);
        Self {
            offset: args.integer("offset").unwrap_or(0),
            limit: usize::try_from(limit).unwrap_or(100),
            timeout: Duration::from_secs(timeout.unsigned_abs()),
        }
    }
}

/// What one bot's former polls mean for the next.
#[derive(Debug, Default)]
pub(super) struct PollRules {
    last: Option<(i64, Duration)>,
    next_prompt_conflict: Duration,
}

impl PollRules {
    /// Throttles a poll that repeats the former one's offset.
    pub(super) fn admit(&mut self, mut args: PollArgs, now: Duration) -> PollArgs {
        if let Some((offset, started)) = self.last
            && offset == args.offset
        {
            if now < started + THROTTLED_TIMEOUT {
                args.timeout = args.timeout.max(THROTTLED_TIMEOUT);
            }
            if now < started + THROTTLED_LIMIT_WITHIN {
                args.limit = 1;
            }
        }
        self.last = Some((args.offset, now));
        args
    }

    /// How long the answer 409 is held back.
    pub(super) fn conflict_delay(&mut self, now: Duration) -> Duration {
        if now < self.next_prompt_conflict {
            return CONFLICT_DELAY;
        }
        self.next_prompt_conflict = now + CONFLICT_DELAY;
        Duration::ZERO
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(query: &str) -> PollArgs {
        PollArgs::from_args(&Args::from_query(query))
    }

    #[test]
    fn limit_and_timeout_are_clamped_and_never_refused() {
        let seconds = Duration::from_secs;
        assert_eq!(args(""), PollArgs { offset: 0, limit: 100, timeout: seconds(0) });
        assert_eq!(
            args("limit=1000&timeout=900&offset=-5"),
            PollArgs { offset: -5, limit: 100, timeout: seconds(50) }
        );
        assert_eq!(
            args("limit=0&timeout=-1&offset=x"),
            PollArgs { offset: 0, limit: 1, timeout: seconds(0) }
        );
    }

    #[test]
    fn the_same_offset_within_three_seconds_gets_a_timeout_of_three_and_within_half_a_second_a_limit_of_one()
    {
        let mut rules = PollRules::default();
        let at = Duration::from_millis;
        let first = rules.admit(args("offset=5"), at(10_000));
        assert_eq!((first.limit, first.timeout), (100, at(0)));
        let at_once = rules.admit(args("offset=5"), at(10_400));
        assert_eq!((at_once.limit, at_once.timeout), (1, at(3000)));
        let soon = rules.admit(args("offset=5&timeout=1"), at(11_400));
        assert_eq!((soon.limit, soon.timeout), (100, at(3000)));
        let longer = rules.admit(args("offset=5&timeout=30"), at(12_000));
        assert_eq!(longer.timeout, at(30_000), "a longer timeout stays");
        let other = rules.admit(args("offset=6"), at(12_100));
        assert_eq!((other.limit, other.timeout), (100, at(0)), "another offset is free");
        let later = rules.admit(args("offset=6"), at(15_100));
        assert_eq!((later.limit, later.timeout), (100, at(0)));
    }

    #[test]
    fn a_second_conflict_within_three_seconds_is_delayed_by_three() {
        let mut rules = PollRules::default();
        let at = Duration::from_millis;
        assert_eq!(rules.conflict_delay(at(5000)), at(0));
        assert_eq!(rules.conflict_delay(at(7999)), at(3000));
        assert_eq!(rules.conflict_delay(at(8000)), at(0));
    }
}
