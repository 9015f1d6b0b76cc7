//! `switchboard groups show`.

use clap::Args;

use super::super::failure::Failure;
use super::super::session::Session;
use super::super::table::{Column, Facts, Table};
use super::super::times::{Times, setting};
use super::super::words;
use super::{filter, lag, state};
use crate::grpc::proto::client::{BlockedKey, Consumer, GetGroupRequest, Group, GroupSettings, GroupStatus};

#[derive(Args, Clone, Debug)]
pub(super) struct ShowArgs {
    /// The group
    #[arg(value_name = "NAME")]
    name: String,
}

impl ShowArgs {
    pub(super) async fn run(self, session: &mut Session) -> Result<(), Failure> {
        let group = get(session, self.name).await?;
        session.show(&group, |session| lines(session, &group))
    }
}

/// The group as it is at the moment.
pub(super) async fn get(session: &mut Session, group: String) -> Result<Group, Failure> {
    let request = GetGroupRequest { bot: session.bot.clone(), group };
    Ok(session.client.get_group(request).await?.into_inner().group.unwrap_or_default())
}

fn lines(session: &Session, group: &Group) -> Vec<String> {
    let times = session.times();
    let status = group.status.clone().unwrap_or_default();
    let mut lines = facts(&times, group, &status).lines();
    if !status.consumers.is_empty() {
        lines.push(String::new());
        let rows: Vec<_> = status.consumers.iter().map(|consumer| consumer_row(&times, consumer)).collect();
        lines.extend(consumer_table(session).lines(&rows));
    }
    if !status.blocked_keys.is_empty() {
        lines.push(String::new());
        let rows: Vec<_> = status.blocked_keys.iter().map(|key| blocked_row(&times, key)).collect();
        lines.extend(blocked_table(session).lines(&rows));
        let first = status.blocked_keys.first().map_or(0, |key| key.sequence);
        let command = session.command(&format!("timeline {first}"));
        lines.extend([String::new(), format!("What holds a key up: {command}")]);
    }
    lines
}

fn facts(times: &Times, group: &Group, status: &GroupStatus) -> Facts {
    let mut facts = Facts::default();
    facts.add("group", format!("{} of bot {}", group.name, group.bot));
    let since = times.show_both(group.pause_time.as_ref());
    facts.add(
        "state",
        if since.is_empty() { state(group).to_owned() } else { format!("paused since {since}") },
    );
    facts.add("gets", filter(group));
    facts.add("ordering", words::ordering(group.ordering()));
    let oldest = match status.oldest_unsettled_sequence {
        0 => String::new(),
        oldest => {
            let received = times.show_both(status.oldest_unsettled_time.as_ref());
            format!("; the oldest is sequence {oldest}, received {received}")
        }
    };
    facts.add("lag", format!("{} unsettled{oldest}", lag(group)));
    let mut work = format!("{} out, {} waiting after a failure", status.outstanding, status.backing_off);
    if status.replaying > 0 {
        work.push_str(&format!(", {} replaying", status.replaying));
    }
    facts.add("deliveries", work);
    if let Some(rates) = &status.rates {
        let (come, done) = (rates.arrivals, rates.settled);
        facts.add(
            "last minute",
            format!("{come:.1}/s came, {done:.1}/s settled, {:.1}/s failed", rates.failures),
        );
    }
    facts.add_some(
        "lag, 10 min",
        sparkline(&status.samples.iter().map(|sample| sample.lag).collect::<Vec<_>>()),
    );
    facts.add("dead letters", status.dead_letter_count.to_string());
    facts.add(
        "progress",
        format!("settled up to {}, begun at {}", status.cursor_sequence, group.start_sequence),
    );
    facts.add_some("created", times.show_both(group.create_time.as_ref()));
    facts.add_some("settings", settings(group.settings.as_ref()));
    facts
}

/// How a number went, oldest first, in bars up to its highest.
fn sparkline(numbers: &[i64]) -> String {
    let Some(&highest) = numbers.iter().max() else { return String::new() };
    // The highest of each piece: a short peak is what one looks for.
    let pieces = numbers.chunks(numbers.len().div_ceil(SPARKLINE_BARS).max(1));
    let height = |piece: &[i64]| {
        let share = piece.iter().max().map_or(0, |&top| top.max(0) as usize * (BARS.len() - 1));
        share.div_ceil(highest.max(1) as usize)
    };
    let bars: String = pieces.filter_map(|piece| BARS.get(height(piece))).collect();
    format!("{bars} (at most {highest})")
}

/// Settings with their names in the API, as the flags that make them.
pub(super) fn flags(settings: &GroupSettings) -> Vec<(&'static str, String)> {
    let durations = [
        ("min_failure_span", settings.min_failure_span),
        ("backoff_initial", settings.backoff_initial),
        ("backoff_max", settings.backoff_max),
        ("member_grace", settings.member_grace),
        ("max_lease", settings.max_lease),
        ("max_unsettled_age", settings.max_unsettled_age),
    ];
    let failures = settings.max_failures.map(|failures| ("max_failures", failures.to_string()));
    let durations = durations.iter().filter_map(|(name, value)| Some((*name, setting(&(*value)?))));
    let mut ages: Vec<_> =
        settings.max_age.iter().map(|(kind, age)| ("max_age", format!("{kind}={}", setting(age)))).collect();
    ages.sort();
    let all = failures.into_iter().chain(durations).chain(ages);
    all.map(|(name, value)| (name, format!("{} {value}", name.replace('_', "-")))).collect()
}

/// All of them, in lines that fit.
fn settings(settings: Option<&GroupSettings>) -> String {
    let flags: Vec<String> =
        settings.map(flags).unwrap_or_default().into_iter().map(|(_, flag)| flag).collect();
    let lines: Vec<String> = flags.chunks(SETTINGS_IN_A_LINE).map(|line| line.join(", ")).collect();
    lines.join(",\n")
}

fn consumer_table(session: &Session) -> Table {
    session.table(vec![
        Column::elastic("CONSUMER"),
        Column::left("STATE"),
        Column::left("SINCE"),
        Column::right("OUT"),
        Column::right("CREDIT"),
        Column::right("LEASE"),
        Column::right("SHARDS"),
        Column::elastic("RANGES"),
    ])
}

fn consumer_row(times: &Times, consumer: &Consumer) -> Vec<String> {
    let range =
        |first: i32, last: i32| if first == last { first.to_string() } else { format!("{first}–{last}") };
    let ranges: Vec<_> = consumer.shards.iter().map(|shards| range(shards.first, shards.last)).collect();
    vec![
        consumer.consumer_id.clone(),
        words::consumer(consumer.state()).to_owned(),
        times.show(consumer.connect_time.as_ref()),
        consumer.outstanding.to_string(),
        consumer.max_outstanding.to_string(),
        consumer.lease_duration.as_ref().map(setting).unwrap_or_default(),
        consumer.shard_count.to_string(),
        ranges.join(" "),
    ]
}

fn blocked_table(session: &Session) -> Table {
    session.table(vec![
        Column::left("BLOCKED KEY"),
        Column::right("BY SEQUENCE"),
        Column::right("FAILURES"),
        Column::left("NEXT ATTEMPT"),
        Column::right("WAITING"),
        Column::elastic("LAST REASON"),
    ])
}

fn blocked_row(times: &Times, key: &BlockedKey) -> Vec<String> {
    let next = times.show(key.next_attempt_time.as_ref());
    vec![
        key.ordering_key.clone(),
        key.sequence.to_string(),
        key.failures.to_string(),
        if next.is_empty() { "out now".to_owned() } else { next },
        key.waiting.to_string(),
        key.last_reason.clone(),
    ]
}

const SETTINGS_IN_A_LINE: usize = 3;
const SPARKLINE_BARS: usize = 60;
const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

#[cfg(test)]
mod tests {
    use prost_types::{Duration, Timestamp};

    use super::super::super::times::TimeStyle;
    use super::*;

    #[test]
    fn a_group_in_full_says_its_lag_and_its_settings() {
        let group = Group {
            bot: "default".into(),
            name: "orders".into(),
            settings: Some(GroupSettings {
                max_failures: Some(5),
                backoff_max: Some(Duration { seconds: 60, nanos: 0 }),
                max_age: [("callback_query".to_owned(), Duration { seconds: 150, nanos: 0 })].into(),
                ..GroupSettings::default()
            }),
            ..Group::default()
        };
        let status = GroupStatus {
            oldest_unsettled_sequence: 17,
            oldest_unsettled_time: Some(Timestamp { seconds: 40, nanos: 0 }),
            ..GroupStatus::default()
        };
        let times = Times::new(TimeStyle::Relative, Timestamp { seconds: 100, nanos: 0 });
        let lines = facts(&times, &group, &status).lines().join("\n");
        let oldest = "the oldest is sequence 17, received 1970-01-01T00:00:40Z (1m ago)";
        assert!(lines.contains(oldest), "{lines}");
        assert!(lines.contains("max-failures 5, backoff-max 1m, max-age callback_query=150s"), "{lines}");
    }

    #[test]
    fn the_last_minutes_lag_is_drawn_up_to_its_highest() {
        assert_eq!(sparkline(&[]), "");
        assert_eq!(sparkline(&[0, 0]), "▁▁ (at most 0)");
        assert_eq!(sparkline(&[0, 1, 35, 70]), "▁▂▅█ (at most 70)");
        let many: Vec<i64> = (0..120).collect();
        assert_eq!(sparkline(&many).chars().take_while(|bar| *bar != ' ').count(), 60);
    }

    #[test]
    fn a_consumers_shards_are_shown_as_ranges() {
        let shards = [(0, 511), (600, 600)];
        let ranges = shards.map(|(first, last)| crate::grpc::proto::client::ShardRange { first, last });
        let consumer = Consumer { shards: ranges.to_vec(), shard_count: 513, ..Consumer::default() };
        let times = Times::new(TimeStyle::Relative, Timestamp::default());
        assert_eq!(consumer_row(&times, &consumer).last().map(String::as_str), Some("0–511 600"));
    }
}
