//! How a group was done with an update.

use super::{clock, consumer};
use crate::inspect::{Attempt, Timeline};
use crate::model::{Sequence, SettledAs, UnixMillis};

/// How the group of this timeline was done with its update, as far as that is known, and what to do if nobody got an
/// answer.
#[must_use]
pub fn settled(sequence: Sequence, timeline: &Timeline, how: Option<SettledAs>, now: UnixMillis) -> String {
    let at = timeline.settled.map_or_else(String::new, |time| format!(" at {}", clock(time, now)));
    let last = timeline.attempts.last();
    let who = consumer(last.map_or("", |attempt| &attempt.consumer));
    let words = match how {
        Some(SettledAs::Acked) => format!(
            "was handled: {who} acked it{at}{}. If the user got no answer, that handler's own log says why.",
            number(last)
        ),
        Some(SettledAs::Rejected) => format!(
            "was rejected by {who}{at}{}{} and went to the dead letters. Once the handler is mended, replay it.",
            number(last),
            reason(last)
        ),
        Some(SettledAs::DeadLettered) => format!(
            "failed too often and went to the dead letters{at}; the last failure was at {who}{}. Once the handler is \
             mended, replay it.",
            reason(last)
        ),
        Some(SettledAs::Expired) => format!(
            "got older than the group lets it get and expired{at}, without having been handled. To have it delivered \
             all the same, replay it."
        ),
        Some(SettledAs::Purged) => format!("was removed by an operator{at}."),
        None => {
            "is done with; how is not known any more, or a seek passed over it. To have it delivered again, \
                 replay it."
                .to_owned()
        }
    };
    format!("group {}: update {} {words}", timeline.group, sequence.0)
}

fn number(attempt: Option<&Attempt>) -> String {
    attempt.map_or_else(String::new, |attempt| format!(" (attempt {})", attempt.number))
}

fn reason(attempt: Option<&Attempt>) -> String {
    let said = attempt.filter(|attempt| !attempt.reason.is_empty());
    said.map_or_else(String::new, |attempt| format!(" (\"{}\")", attempt.reason))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inspect::UpdateState;
    use crate::model::{AttemptOutcome, GroupName};

    /// 1970-01-01 00:01:40 UTC.
    const NOW: UnixMillis = UnixMillis(100_000);

    fn said(how: Option<SettledAs>, outcome: AttemptOutcome, reason: &str) -> String {
        let attempt = Attempt {
            number: 2,
            consumer: "pod-3".into(),
            delivered: Some(UnixMillis(30_000)),
            end: Some((UnixMillis(40_000), outcome)),
            reason: reason.into(),
            replayed: false,
            deadline: None,
        };
        let timeline = Timeline {
            group: GroupName::parse("orders").unwrap(),
            state: UpdateState::Settled(how),
            attempts: vec![attempt],
            settled: how.map(|_| UnixMillis(40_000)),
            next_attempt: None,
            blocked_by: None,
            owner: None,
        };
        settled(Sequence(17), &timeline, how, NOW)
    }

    #[test]
    fn each_end_is_said_with_what_to_do() {
        assert_eq!(
            said(Some(SettledAs::Acked), AttemptOutcome::Acked, ""),
            "group orders: update 17 was handled: pod-3 acked it at 00:00:40 UTC (attempt 2). If the user got no \
             answer, that handler's own log says why."
        );
        assert_eq!(
            said(Some(SettledAs::Rejected), AttemptOutcome::Rejected, "no such order"),
            "group orders: update 17 was rejected by pod-3 at 00:00:40 UTC (attempt 2) (\"no such order\") and went \
             to the dead letters. Once the handler is mended, replay it."
        );
        assert_eq!(
            said(Some(SettledAs::DeadLettered), AttemptOutcome::Nacked, "TypeError"),
            "group orders: update 17 failed too often and went to the dead letters at 00:00:40 UTC; the last failure \
             was at pod-3 (\"TypeError\"). Once the handler is mended, replay it."
        );
        for (how, words) in [
            (Some(SettledAs::Expired), "expired at 00:00:40 UTC, without having been handled"),
            (Some(SettledAs::Purged), "was removed by an operator at 00:00:40 UTC."),
            (None, "how is not known any more, or a seek passed over it"),
        ] {
            let said = said(how, AttemptOutcome::Revoked, "");
            assert!(said.starts_with("group orders: update 17 ") && said.contains(words), "{said}");
        }
    }
}
