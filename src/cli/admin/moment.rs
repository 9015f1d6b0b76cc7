//! Times as people write them on the command line.

use std::str::FromStr;
use std::time::Duration;

use prost_types::Timestamp;

use super::failure::Failure;
use crate::config::units;

/// A moment: absolute, or so long ago.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Moment {
    /// At that time.
    At(Timestamp),
    /// So long before now.
    Ago(Duration),
}

/// What was written names no time.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("is no time; give one like 2026-05-01T12:00:00Z, or how long ago like 1h, 30m, 2d")]
pub(super) struct NoMoment;

impl FromStr for Moment {
    type Err = NoMoment;

    fn from_str(text: &str) -> Result<Self, NoMoment> {
        let text = text.trim();
        let ago = text.strip_prefix('-').unwrap_or_else(|| text.strip_suffix("ago").unwrap_or(text)).trim();
        match units::duration(ago) {
            // `0` alone could be meant as anything.
            Ok(_) if ago.bytes().all(|byte| byte.is_ascii_digit()) => Err(NoMoment),
            Ok(duration) => Ok(Self::Ago(duration)),
            Err(_) => text.parse().map(Self::At).map_err(|_| NoMoment),
        }
    }
}

/// Nothing was received so early: an operator means another time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("that is before 1970, when there was nothing yet")]
pub(super) struct Before1970;

impl Moment {
    /// As a time, if it is `now`.
    pub(super) fn resolve(self, now: Timestamp) -> Result<Timestamp, Before1970> {
        let time = match self {
            Self::At(time) => time,
            Self::Ago(ago) => before(now, ago),
        };
        if time.seconds < 0 { Err(Before1970) } else { Ok(time) }
    }

    /// The same for a group's beginning, which this flag names.
    pub(super) fn begin(self, now: Timestamp, flag: &str) -> Result<Timestamp, Failure> {
        self.resolve(now).map_err(|why| {
            Failure::Usage(format!("{flag}: {why}; `earliest` begins at the first update that is kept"))
        })
    }
}

/// So long before.
pub(super) fn before(time: Timestamp, ago: Duration) -> Timestamp {
    let seconds = i64::try_from(ago.as_secs()).unwrap_or(i64::MAX);
    // The subtrahend is below 2^30, so this stays within an i32; normalize carries it.
    let nanos = time.nanos - ago.subsec_nanos().cast_signed();
    let mut earlier = Timestamp { seconds: time.seconds.saturating_sub(seconds), nanos };
    earlier.normalize();
    earlier
}

/// A place in a bot's journal.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Position {
    /// The earliest update that is kept.
    Earliest,
    /// After the newest update.
    Latest,
    /// This sequence.
    Sequence(i64),
    /// The first update received from then on.
    Time(Moment),
}

/// What was written names no position.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "is no position; give earliest, latest, a sequence like 1200, a time like 2026-05-01T12:00:00Z, or -1h"
)]
pub(super) struct NoPosition;

impl FromStr for Position {
    type Err = NoPosition;

    fn from_str(text: &str) -> Result<Self, NoPosition> {
        match text.trim() {
            "earliest" => Ok(Self::Earliest),
            "latest" => Ok(Self::Latest),
            text if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) => {
                text.parse().map(Self::Sequence).map_err(|_| NoPosition)
            }
            text => text.parse().map(Self::Time).map_err(|_| NoPosition),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_absolute_or_so_long_ago() {
        let hour = Moment::Ago(Duration::from_secs(3_600));
        for text in ["1h", "-1h", "60m", "1h ago", "3600s"] {
            assert_eq!(text.parse(), Ok(hour), "{text}");
        }
        assert_eq!("1970-01-01T01:00:00+01:00".parse(), Ok(Moment::At(Timestamp::default())));
        let day = Moment::At(Timestamp { seconds: 86_400, nanos: 0 });
        assert_eq!("1970-01-02T00:00:00Z".parse(), Ok(day));
        assert_eq!("1970-01-02".parse(), Ok(day));
        assert_eq!("1970-01-02T00:00:00".parse(), Ok(day), "without a zone it is UTC");
        for text in
            ["", "-", "ago", "yesterday", "12", "0", "-0", "1.5h", "1w", "--1h", "2026-13-01T00:00:00Z"]
        {
            assert_eq!(text.parse::<Moment>(), Err(NoMoment), "{text}");
        }
    }

    #[test]
    fn so_long_ago_counts_from_now() {
        let now = Timestamp { seconds: 100, nanos: 200_000_000 };
        let moment = Moment::Ago(Duration::from_millis(10_300));
        assert_eq!(moment.resolve(now), Ok(Timestamp { seconds: 89, nanos: 900_000_000 }));
        for early in ["101s", "999999d", "1969-12-31T23:59:59Z"] {
            assert_eq!(early.parse::<Moment>().unwrap().resolve(now), Err(Before1970), "{early}");
        }
    }

    #[test]
    fn a_position_is_an_end_a_sequence_or_a_time() {
        assert_eq!("earliest".parse(), Ok(Position::Earliest));
        assert_eq!("latest".parse(), Ok(Position::Latest));
        assert_eq!("1200".parse(), Ok(Position::Sequence(1_200)));
        assert_eq!("0".parse(), Ok(Position::Sequence(0)));
        assert_eq!("-1h".parse(), Ok(Position::Time(Moment::Ago(Duration::from_secs(3_600)))));
        for text in ["", "-5", "newest", "99999999999999999999"] {
            assert_eq!(text.parse::<Position>(), Err(NoPosition), "{text}");
        }
    }
}
