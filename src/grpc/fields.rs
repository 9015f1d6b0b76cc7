//! What the fields of requests must be, by the comments in the protos.

use std::borrow::Cow;

use prost_types::{Duration, Timestamp};

use super::proto::server::subscribe_request;
use crate::model::{
    ConsumerSettings, GroupName, MAX_CONSUMER_ID_BYTES, MAX_LEASE_MS, MIN_LEASE_MS, Outcome, Sequence, Start,
    Token, UnixMillis,
};

/// A field has a value that it must not have.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{field}` {problem}")]
pub(super) struct InvalidField {
    pub(super) field: Cow<'static, str>,
    pub(super) problem: Cow<'static, str>,
}

/// The most characters of a problem. It can quote what was sent, and goes into HTTP/2 headers three times: clients refuse
/// large ones, and would show that instead of the problem.
const MAX_PROBLEM_CHARS: usize = 500;
/// The most updates out to one consumer: what a gateway's memory carries for many consumers at once.
const MAX_OUTSTANDING: i32 = 100_000;
/// The most bytes of JSON out to one consumer, for the same reason.
const MAX_OUTSTANDING_BYTES: i64 = 1 << 30;
/// As many as can be out.
const MAX_HELD_TOKENS: usize = 100_000;
/// A batch that one commit takes easily, and whose request stays under 64 KiB.
const MAX_TOKENS: usize = 1_000;
/// The longest a handler may put an update off.
const MAX_NACK_DELAY_MS: u64 = 3_600_000;

pub(super) fn invalid(
    field: impl Into<Cow<'static, str>>,
    problem: impl Into<Cow<'static, str>>,
) -> InvalidField {
    let problem = problem.into();
    let problem = match problem.char_indices().nth(MAX_PROBLEM_CHARS) {
        Some((end, _)) => Cow::Owned(format!("{}…", problem.get(..end).unwrap_or_default())),
        None => problem,
    };
    InvalidField { field: field.into(), problem }
}

pub(super) fn group(text: &str) -> Result<GroupName, InvalidField> {
    group_at("group", text)
}

pub(super) fn group_at(field: &'static str, text: &str) -> Result<GroupName, InvalidField> {
    GroupName::parse(text).map_err(|error| invalid(field, error.to_string()))
}

pub(super) fn optional_consumer_id(text: &str) -> Result<Box<str>, InvalidField> {
    if text.len() > MAX_CONSUMER_ID_BYTES {
        return Err(invalid(
            "consumer_id",
            format!("has {} bytes; at most {MAX_CONSUMER_ID_BYTES} are allowed", text.len()),
        ));
    }
    Ok(text.into())
}

pub(super) fn consumer_id(text: &str) -> Result<Box<str>, InvalidField> {
    if text.is_empty() {
        return Err(invalid("consumer_id", "is empty; pass the `consumer_id` from `opened`"));
    }
    optional_consumer_id(text)
}

pub(super) fn consumer_settings(
    max_outstanding: Option<i32>,
    max_outstanding_bytes: Option<i64>,
    lease_duration: Option<Duration>,
) -> Result<ConsumerSettings, InvalidField> {
    let mut settings = ConsumerSettings::DEFAULT;
    if let Some(count) = max_outstanding {
        settings.max_outstanding = u32::try_from(count)
            .ok()
            .filter(|_| (1..=MAX_OUTSTANDING).contains(&count))
            .ok_or_else(|| {
                let problem =
                    format!("is {count}; it must be 1 to {MAX_OUTSTANDING}, or absent for the default");
                invalid("max_outstanding", problem)
            })?;
    }
    if let Some(bytes) = max_outstanding_bytes {
        settings.max_outstanding_bytes = u64::try_from(bytes)
            .ok()
            .filter(|_| (1..=MAX_OUTSTANDING_BYTES).contains(&bytes))
            .ok_or_else(|| {
                let problem =
                    format!("is {bytes}; it must be 1 to {MAX_OUTSTANDING_BYTES}, or absent for the default");
                invalid("max_outstanding_bytes", problem)
            })?;
    }
    if let Some(lease) = lease_duration {
        settings.lease_ms = lease_ms("lease_duration", lease)?;
    }
    Ok(settings)
}

pub(super) fn start(start: Option<subscribe_request::Start>) -> Result<Start, InvalidField> {
    use subscribe_request::Start as Asked;
    match start {
        None => Ok(Start::Default),
        Some(Asked::StartEarliest(true)) => Ok(Start::Earliest),
        Some(Asked::StartLatest(true)) => Ok(Start::Latest),
        Some(Asked::StartEarliest(false)) => {
            Err(invalid("start_earliest", "is false; leave it out, or set it"))
        }
        Some(Asked::StartLatest(false)) => Err(invalid("start_latest", "is false; leave it out, or set it")),
        Some(Asked::StartSequence(sequence)) => match u64::try_from(sequence) {
            Ok(sequence) => Ok(Start::Sequence(Sequence(sequence))),
            Err(_) => Err(invalid("start_sequence", format!("is {sequence}; it must be 0 or more"))),
        },
        Some(Asked::StartTime(time)) => Ok(Start::Time(unix_ms("start_time", time)?)),
    }
}

/// The tokens among these texts; what is none is left out.
pub(super) fn held_tokens(texts: &[String]) -> Result<Vec<Token>, InvalidField> {
    if texts.len() > MAX_HELD_TOKENS {
        let problem = format!("has {} tokens; at most {MAX_HELD_TOKENS} are allowed", texts.len());
        return Err(invalid("held_tokens", problem));
    }
    Ok(texts.iter().filter_map(|text| Token::parse(text).ok()).collect())
}

pub(super) fn tokens(texts: &[String]) -> Result<(), InvalidField> {
    match texts.len() {
        0 => Err(invalid("tokens", "is empty; pass the tokens of 1 to 1000 deliveries")),
        1..=MAX_TOKENS => Ok(()),
        count => {
            Err(invalid("tokens", format!("has {count} tokens; at most {MAX_TOKENS} are allowed in a call")))
        }
    }
}

pub(super) fn nack_outcome(outcome: i32) -> Result<Outcome, InvalidField> {
    use super::proto::server::NackOutcome;
    match NackOutcome::try_from(outcome) {
        Ok(NackOutcome::Unspecified | NackOutcome::Failed) => Ok(Outcome::Failed),
        Ok(NackOutcome::Released) => Ok(Outcome::Released),
        Err(_) => Err(invalid("outcome", format!("is {outcome}, which is no NackOutcome"))),
    }
}

pub(super) fn nack_delay_ms(delay: Option<Duration>) -> Result<Option<u64>, InvalidField> {
    let within = |delay| duration_ms(delay).filter(|&ms| ms <= MAX_NACK_DELAY_MS);
    delay.map(|delay| within(delay).ok_or_else(|| invalid("delay", "must be 0 s to 1 h"))).transpose()
}

pub(super) fn extend_duration_ms(duration: Option<Duration>) -> Result<Option<u64>, InvalidField> {
    duration.map(|duration| lease_ms("duration", duration)).transpose()
}

fn lease_ms(field: &'static str, duration: Duration) -> Result<u64, InvalidField> {
    duration_within(field, duration, (MIN_LEASE_MS, MAX_LEASE_MS), "must be 1 s to 10 min")
}

/// A duration within these milliseconds; `right` says which, in words.
pub(super) fn duration_within(
    field: impl Into<Cow<'static, str>>,
    duration: Duration,
    (least, most): (u64, u64),
    right: &'static str,
) -> Result<u64, InvalidField> {
    // Rounding up must not lift what is below the lower limit either.
    let rounded_down = Duration { nanos: duration.nanos / 1_000_000 * 1_000_000, ..duration };
    duration_ms(duration)
        .filter(|&ms| ms <= most)
        .filter(|_| duration_ms(rounded_down).is_some_and(|ms| ms >= least))
        .ok_or_else(|| invalid(field, right))
}

/// Whole milliseconds, rounded up so that nothing above a limit passes for it; none if it is negative or not
/// well-formed.
pub(super) fn duration_ms(duration: Duration) -> Option<u64> {
    let seconds = u64::try_from(duration.seconds).ok()?;
    seconds.checked_mul(1_000)?.checked_add(nanos_as_ms(duration.nanos)?)
}

pub(super) fn unix_ms(field: &'static str, time: Timestamp) -> Result<UnixMillis, InvalidField> {
    // What google.protobuf.Timestamp allows: the years 1 to 9999.
    if !(-62_135_596_800..=253_402_300_799).contains(&time.seconds) {
        return Err(invalid(field, "is not a valid google.protobuf.Timestamp"));
    }
    let nanos =
        nanos_as_ms(time.nanos).ok_or_else(|| invalid(field, "has nanos outside 0 to 999,999,999"))?;
    // Nothing was received before 1970.
    Ok(UnixMillis(u64::try_from(time.seconds).map_or(0, |seconds| seconds * 1_000 + nanos)))
}

fn nanos_as_ms(nanos: i32) -> Option<u64> {
    let nanos = u64::try_from(nanos).ok().filter(|&nanos| nanos < 1_000_000_000)?;
    Some(nanos.div_ceil(1_000_000))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(seconds: i64, nanos: i32) -> Option<Duration> {
        Some(Duration { seconds, nanos })
    }

    #[test]
    fn a_problem_that_quotes_something_long_is_cut() {
        let cut = invalid("kinds", format!("has `{}`", "ß".repeat(50_000))).problem;
        assert_eq!(cut.chars().count(), MAX_PROBLEM_CHARS + 1);
        assert!(cut.starts_with("has `ß") && cut.ends_with("ß…"), "{cut}");
        assert_eq!(invalid("kinds", "is empty").problem, "is empty");
    }

    #[test]
    fn durations_are_checked_at_both_ends() {
        assert_eq!(extend_duration_ms(None), Ok(None));
        assert_eq!(extend_duration_ms(seconds(1, 0)), Ok(Some(1_000)));
        assert_eq!(extend_duration_ms(seconds(600, 0)), Ok(Some(600_000)));
        for bad in
            [seconds(0, 999_999_999), seconds(600, 1), seconds(-1, 0), seconds(1, -1), seconds(i64::MAX, 0)]
        {
            assert_eq!(extend_duration_ms(bad).unwrap_err().field, "duration", "{bad:?}");
        }
        assert_eq!(nack_delay_ms(seconds(0, 0)), Ok(Some(0)));
        assert_eq!(nack_delay_ms(seconds(3_600, 0)), Ok(Some(3_600_000)));
        for bad in [seconds(3_600, 1), seconds(-1, 0), seconds(0, 1_000_000_000)] {
            assert_eq!(nack_delay_ms(bad).unwrap_err().field, "delay", "{bad:?}");
        }
    }

    #[test]
    fn a_start_time_is_rounded_up_and_never_before_1970() {
        use subscribe_request::Start::StartTime;
        let at = |seconds, nanos| start(Some(StartTime(Timestamp { seconds, nanos })));
        assert_eq!(at(1, 1), Ok(Start::Time(UnixMillis(1_001))));
        assert_eq!(at(-1, 0), Ok(Start::Time(UnixMillis(0))));
        for (seconds, nanos) in [(i64::MAX, 0), (i64::MIN, 0), (1, -1), (1, 1_000_000_000)] {
            assert_eq!(at(seconds, nanos).unwrap_err().field, "start_time", "{seconds} {nanos}");
        }
    }
}
