//! How new groups treat their updates, and which groups exist from the start.

use std::ops::RangeInclusive;
use std::time::Duration;

use super::reader::Reader;
use super::{units, values};
use crate::model::{GroupName, GroupSettings, MAX_FAILURES, MAX_SETTING_MS};

const FAILURES: RangeInclusive<u32> = 1..=MAX_FAILURES;
const HOUR: Duration = Duration::from_secs(3_600);
const LONGEST: Duration = Duration::from_millis(MAX_SETTING_MS);

/// Reads the settings of new groups of the bot that `reader` is set to.
pub(super) fn settings(reader: &mut Reader<'_>) -> Option<GroupSettings> {
    let max_failures = reader.get("group.max_failures", |text| {
        const RIGHT: &str = "1 to 1000";
        text.parse().map_err(|_| RIGHT).and_then(|number| values::within(number, FAILURES, RIGHT))
    });
    let mut time = |name, bounds: RangeInclusive<Duration>, right| {
        let read = |text: &str| units::duration(text).and_then(|time| values::within(time, bounds, right));
        reader.get(name, read).and_then(|time| u64::try_from(time.as_millis()).ok())
    };
    let min_failure_span_ms = time("group.min_failure_span", Duration::ZERO..=LONGEST, "0s to 366d");
    let backoff_initial_ms = time("group.backoff_initial", Duration::from_millis(1)..=HOUR, "1ms to 1h");
    let backoff_max_ms = time("group.backoff_max", Duration::from_millis(1)..=HOUR, "1ms to 1h");
    let member_grace_ms = time("group.member_grace", Duration::ZERO..=HOUR / 6, "0s to 10m");
    let max_unsettled_age_ms =
        time("group.max_unsettled_age", Duration::from_secs(1)..=LONGEST, "1s to 366d");
    Some(GroupSettings {
        max_failures: max_failures?,
        min_failure_span_ms: min_failure_span_ms?,
        backoff_initial_ms: backoff_initial_ms?,
        backoff_max_ms: backoff_max_ms?,
        member_grace_ms: member_grace_ms?,
        max_unsettled_age_ms: max_unsettled_age_ms?,
        ..GroupSettings::default()
    })
}

/// Reads which groups exist from the start.
pub(super) fn names(reader: &mut Reader<'_>) -> Vec<GroupName> {
    let names = reader.get("groups", |text| {
        let names = text.split(',').map(str::trim).filter(|name| !name.is_empty());
        let parsed: Result<Vec<_>, _> = names
            .map(|name| {
                GroupName::parse(name).map_err(|why| format!("names such as orders,audit; \"{name}\" {why}"))
            })
            .collect();
        parsed
    });
    names.unwrap_or_default()
}
