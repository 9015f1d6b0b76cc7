//! How a group treats its updates, between the API and the model.

use std::collections::HashMap;

use prost_types::Duration;

use crate::grpc::fields::{InvalidField, duration_within, invalid};
use crate::grpc::filters;
use crate::grpc::messages::{duration, saturating_i32};
use crate::grpc::proto::server as pb;
use crate::model::{GroupRecord, GroupSettings, MAX_FAILURES, MAX_SETTING_MS};
use crate::update::KindCode;

/// The fields of a GroupSettings.
pub(super) const FIELDS: [&str; 8] = [
    "max_failures",
    "min_failure_span",
    "backoff_initial",
    "backoff_max",
    "member_grace",
    "max_lease",
    "max_unsettled_age",
    "max_age",
];

const SECOND_MS: u64 = 1_000;
const MINUTE_MS: u64 = 60 * SECOND_MS;
const HOUR_MS: u64 = 60 * MINUTE_MS;

/// All of a group's settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Treatment {
    pub(super) settings: GroupSettings,
    /// By kind, ascending: after how long an update expires.
    pub(super) max_ages: Vec<(KindCode, u64)>,
}

impl Treatment {
    /// How groups treat their updates where nothing else is said.
    pub(super) fn new(settings: GroupSettings) -> Self {
        Self { settings, max_ages: Vec::new() }
    }

    pub(super) fn of(group: &GroupRecord) -> Self {
        Self { settings: group.settings, max_ages: group.max_ages.clone() }
    }

    /// Takes one of the [`FIELDS`] from a message; what is absent there becomes what it is in `default`.
    pub(super) fn take(
        &mut self,
        field: &str,
        from: &pb::GroupSettings,
        default: &GroupSettings,
    ) -> Result<(), InvalidField> {
        let path = || format!("group.settings.{field}");
        let time = |value: &Option<Duration>, default, range, right| match value {
            Some(value) => duration_within(path(), *value, range, right),
            None => Ok(default),
        };
        let settings = &mut self.settings;
        match field {
            "max_failures" => {
                settings.max_failures = match from.max_failures {
                    None => default.max_failures,
                    Some(count) => u32::try_from(count)
                        .ok()
                        .filter(|count| (1..=MAX_FAILURES).contains(count))
                        .ok_or_else(|| {
                            invalid(path(), format!("is {count}; it must be 1 to {MAX_FAILURES}"))
                        })?,
                };
            }
            "min_failure_span" => {
                let (range, right) = ((0, MAX_SETTING_MS), "must be 0 s to 366 days");
                settings.min_failure_span_ms =
                    time(&from.min_failure_span, default.min_failure_span_ms, range, right)?;
            }
            "backoff_initial" => {
                let range = (0, HOUR_MS);
                settings.backoff_initial_ms =
                    time(&from.backoff_initial, default.backoff_initial_ms, range, "must be 0 s to 1 h")?;
            }
            "backoff_max" => {
                let range = (0, HOUR_MS);
                settings.backoff_max_ms =
                    time(&from.backoff_max, default.backoff_max_ms, range, "must be 0 s to 1 h")?;
            }
            "member_grace" => {
                let range = (0, 10 * MINUTE_MS);
                settings.member_grace_ms =
                    time(&from.member_grace, default.member_grace_ms, range, "must be 0 s to 10 min")?;
            }
            "max_lease" => {
                let range = (SECOND_MS, 24 * HOUR_MS);
                settings.max_lease_ms =
                    time(&from.max_lease, default.max_lease_ms, range, "must be 1 s to 24 h")?;
            }
            "max_unsettled_age" => {
                let (range, right) = ((MINUTE_MS, MAX_SETTING_MS), "must be 1 min to 366 days");
                settings.max_unsettled_age_ms =
                    time(&from.max_unsettled_age, default.max_unsettled_age_ms, range, right)?;
            }
            _ => self.max_ages = max_ages(&path(), &from.max_age)?,
        }
        Ok(())
    }
}

impl Treatment {
    /// Refuses a first wait that is longer than the longest, if it is the request that makes it so: `asks` says of which
    /// fields it speaks.
    pub(super) fn check_backoff(&self, asks: impl Fn(&str) -> bool) -> Result<(), InvalidField> {
        let GroupSettings { backoff_initial_ms: initial, backoff_max_ms: most, .. } = self.settings;
        let asked = ["backoff_initial", "backoff_max"].into_iter().find(|field| asks(field));
        match asked.filter(|_| initial > most) {
            None => Ok(()),
            Some(field) => Err(invalid(
                format!("group.settings.{field}"),
                format!(
                    "makes the first wait ({}) longer than the longest ({}): set backoff_initial to at most backoff_max",
                    duration(initial),
                    duration(most)
                ),
            )),
        }
    }
}

/// Whether a message has one of the [`FIELDS`].
pub(super) fn has(field: &str, message: &pb::GroupSettings) -> bool {
    match field {
        "max_failures" => message.max_failures.is_some(),
        "min_failure_span" => message.min_failure_span.is_some(),
        "backoff_initial" => message.backoff_initial.is_some(),
        "backoff_max" => message.backoff_max.is_some(),
        "member_grace" => message.member_grace.is_some(),
        "max_lease" => message.max_lease.is_some(),
        "max_unsettled_age" => message.max_unsettled_age.is_some(),
        _ => !message.max_age.is_empty(),
    }
}

fn max_ages(path: &str, ages: &HashMap<String, Duration>) -> Result<Vec<(KindCode, u64)>, InvalidField> {
    let (names, ages): (Vec<_>, Vec<_>) = ages.iter().map(|(name, age)| (name.clone(), *age)).unzip();
    let kinds = filters::kinds(path, &names)?;
    let mut parsed = kinds
        .into_iter()
        .zip(ages)
        .map(|(kind, age)| {
            let (range, right) = ((SECOND_MS, MAX_SETTING_MS), "must be 1 s to 366 days for every kind");
            Ok((kind, duration_within(path.to_owned(), age, range, right)?))
        })
        .collect::<Result<Vec<_>, InvalidField>>()?;
    parsed.sort_unstable();
    Ok(parsed)
}

pub(super) fn message(group: &GroupRecord) -> pb::GroupSettings {
    let settings = &group.settings;
    let time = |ms| Some(duration(ms));
    pb::GroupSettings {
        max_failures: Some(saturating_i32(settings.max_failures)),
        min_failure_span: time(settings.min_failure_span_ms),
        backoff_initial: time(settings.backoff_initial_ms),
        backoff_max: time(settings.backoff_max_ms),
        member_grace: time(settings.member_grace_ms),
        max_lease: time(settings.max_lease_ms),
        max_unsettled_age: time(settings.max_unsettled_age_ms),
        max_age: group.max_ages.iter().map(|(kind, ms)| (kind.name().to_owned(), duration(*ms))).collect(),
    }
}
