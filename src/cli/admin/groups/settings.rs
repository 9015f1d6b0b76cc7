//! Flags for a group's filter and settings: the same where one is created and where it is changed.

use std::collections::HashMap;
use std::str::FromStr;

use clap::Args;
use prost_types::Duration;

use super::super::values;
use crate::config::units;
use crate::grpc::proto::client::{Filter, GroupSettings};

/// Which updates the group gets. Given several times, or with commas.
#[derive(Args, Clone, Debug, Default)]
#[command(
    next_help_heading = "Which updates it gets (all, or those that match all of these; of commands and callback prefixes either)"
)]
pub(super) struct FilterArgs {
    /// Of these kinds, such as message,callback_query
    #[arg(long, value_name = "KIND,…", value_delimiter = ',', value_parser = values::word)]
    kinds: Option<Vec<String>>,

    /// Of these chats
    #[arg(long, value_name = "ID,…", value_delimiter = ',', allow_hyphen_values = true,
        value_parser = values::chat_id)]
    chats: Option<Vec<i64>>,

    /// Of chats of these types: private, group, supergroup, channel
    #[arg(long, value_name = "TYPE,…", value_delimiter = ',', value_parser = values::word)]
    chat_types: Option<Vec<String>>,

    /// With these bot commands, without the slash
    #[arg(long, value_name = "NAME,…", value_delimiter = ',', value_parser = values::word)]
    commands: Option<Vec<String>>,

    /// With callback data that begins like this, such as order:
    #[arg(long, value_name = "TEXT,…", value_delimiter = ',', value_parser = values::word)]
    callback_prefixes: Option<Vec<String>>,
}

impl FilterArgs {
    /// The filter with what the flags name in place of what it had; nothing if they name nothing.
    pub(super) fn applied_to(&self, filter: Option<&Filter>) -> Option<Filter> {
        let named = self.kinds.is_some()
            || self.chats.is_some()
            || self.chat_types.is_some()
            || self.commands.is_some()
            || self.callback_prefixes.is_some();
        if !named {
            return None;
        }
        let mut filter = filter.cloned().unwrap_or_default();
        let texts = [
            (&self.kinds, &mut filter.kinds),
            (&self.chat_types, &mut filter.chat_types),
            (&self.commands, &mut filter.commands),
            (&self.callback_prefixes, &mut filter.callback_data_prefixes),
        ];
        for (given, part) in texts {
            if let Some(given) = given {
                part.clone_from(given);
            }
        }
        if let Some(chats) = &self.chats {
            filter.chat_ids.clone_from(chats);
        }
        Some(filter)
    }
}

/// How the group treats its updates. Durations are written like 150s, 5m, 7d.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "How it treats them (durations like 150s, 5m, 7d)")]
pub(super) struct SettingsArgs {
    /// Failures that make a dead letter, once they span --min-failure-span
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = values::failures)]
    max_failures: Option<i32>,

    /// The least time from the first failure to the one that makes a dead letter
    #[arg(long, value_name = "DURATION", allow_hyphen_values = true, value_parser = duration)]
    min_failure_span: Option<Duration>,

    /// The wait after the first failure; doubles with each one
    #[arg(long, value_name = "DURATION", allow_hyphen_values = true, value_parser = duration)]
    backoff_initial: Option<Duration>,

    /// The longest wait after a failure
    #[arg(long, value_name = "DURATION", allow_hyphen_values = true, value_parser = duration)]
    backoff_max: Option<Duration>,

    /// How long a lost consumer's shards and deliveries wait for it
    #[arg(long, value_name = "DURATION", allow_hyphen_values = true, value_parser = duration)]
    member_grace: Option<Duration>,

    /// How far from its delivery a lease can be extended
    #[arg(long, value_name = "DURATION", allow_hyphen_values = true, value_parser = duration)]
    max_lease: Option<Duration>,

    /// How old an unsettled update gets before it expires
    #[arg(long, value_name = "DURATION", allow_hyphen_values = true, value_parser = duration)]
    max_unsettled_age: Option<Duration>,

    /// Updates of this kind expire at this age instead of being delivered late, such as callback_query=150s;
    /// KIND=none for no such age
    #[arg(long, value_name = "KIND=DURATION", value_delimiter = ',', allow_hyphen_values = true)]
    max_age: Vec<KindAge>,
}

impl SettingsArgs {
    /// The settings that the flags name; their names in the API. Ages by kind are put into `ages`, what a group has.
    pub(super) fn named(&self, ages: HashMap<String, Duration>) -> (GroupSettings, Vec<&'static str>) {
        let mut settings = GroupSettings {
            max_failures: self.max_failures,
            min_failure_span: self.min_failure_span,
            backoff_initial: self.backoff_initial,
            backoff_max: self.backoff_max,
            member_grace: self.member_grace,
            max_lease: self.max_lease,
            max_unsettled_age: self.max_unsettled_age,
            max_age: HashMap::new(),
        };
        if !self.max_age.is_empty() {
            settings.max_age = ages;
            for KindAge { kind, age } in &self.max_age {
                match age {
                    Some(age) => settings.max_age.insert(kind.clone(), *age),
                    None => settings.max_age.remove(kind),
                };
            }
        }
        let named = [
            ("max_failures", self.max_failures.is_some()),
            ("min_failure_span", self.min_failure_span.is_some()),
            ("backoff_initial", self.backoff_initial.is_some()),
            ("backoff_max", self.backoff_max.is_some()),
            ("member_grace", self.member_grace.is_some()),
            ("max_lease", self.max_lease.is_some()),
            ("max_unsettled_age", self.max_unsettled_age.is_some()),
            ("max_age", !self.max_age.is_empty()),
        ];
        (settings, named.into_iter().filter(|(_, is_named)| *is_named).map(|(name, _)| name).collect())
    }
}

/// The age at which updates of a kind expire; none for never.
#[derive(Clone, Debug, PartialEq)]
struct KindAge {
    kind: String,
    age: Option<Duration>,
}

impl FromStr for KindAge {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || "is no age of a kind; give KIND=DURATION like callback_query=150s".to_owned();
        let (kind, age) = text.split_once('=').ok_or_else(wrong)?;
        if kind.is_empty() {
            return Err(wrong());
        }
        let age = if age == "none" { None } else { Some(duration(age)?) };
        Ok(Self { kind: kind.to_owned(), age })
    }
}

fn duration(text: &str) -> Result<Duration, String> {
    let duration = units::duration(text).map_err(|right| format!("give {right}"))?;
    Duration::try_from(duration).map_err(|_| "is too long".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(seconds: i64) -> Duration {
        Duration { seconds, nanos: 0 }
    }

    #[test]
    fn an_age_of_a_kind_is_a_duration_or_none() {
        let parsed = |text: &str| text.parse::<KindAge>().map(|age| (age.kind, age.age));
        assert_eq!(parsed("callback_query=150s"), Ok(("callback_query".into(), Some(seconds(150)))));
        assert_eq!(parsed("message=none"), Ok(("message".into(), None)));
        for wrong in ["", "message", "=150s", "message=", "message=150", "message=soon"] {
            assert!(parsed(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_filter_flag_takes_the_place_of_its_own_part_only() {
        let had = Filter { kinds: vec!["message".into()], chat_ids: vec![-100], ..Filter::default() };
        let flags = FilterArgs { kinds: Some(vec!["poll".into()]), ..FilterArgs::default() };
        let now = Filter { kinds: vec!["poll".into()], chat_ids: vec![-100], ..Filter::default() };
        assert_eq!(flags.applied_to(Some(&had)), Some(now));
        assert_eq!(FilterArgs::default().applied_to(Some(&had)), None);
    }

    #[test]
    fn ages_of_kinds_are_put_to_those_that_the_group_has() {
        let flags = SettingsArgs {
            max_failures: Some(3),
            max_age: vec!["message=1h".parse().unwrap(), "poll=none".parse().unwrap()],
            ..SettingsArgs::default()
        };
        let has = [("poll", seconds(1)), ("callback_query", seconds(150))];
        let (settings, named) = flags.named(has.map(|(kind, age)| (kind.to_owned(), age)).into());
        let ages = [("message", seconds(3_600)), ("callback_query", seconds(150))];
        assert_eq!(settings.max_age, ages.map(|(kind, age)| (kind.to_owned(), age)).into());
        assert_eq!(settings.max_failures, Some(3));
        assert_eq!(named, ["max_failures", "max_age"]);
    }
}
