//! Times and durations as they are shown.

use clap::ValueEnum;
use prost_types::{Duration, Timestamp};

/// How tables show times.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum TimeStyle {
    /// As a distance from now, like `3m ago`
    #[default]
    Relative,
    /// As RFC 3339 in UTC
    Absolute,
}

/// Shows times as they are at one moment.
#[derive(Clone, Copy, Debug)]
pub(super) struct Times {
    style: TimeStyle,
    now: Timestamp,
}

impl Times {
    pub(super) fn new(style: TimeStyle, now: Timestamp) -> Self {
        Self { style, now }
    }

    /// Empty if there is none.
    pub(super) fn show(&self, time: Option<&Timestamp>) -> String {
        match (time, self.style) {
            (None, _) => String::new(),
            (Some(time), TimeStyle::Relative) => relative(time, &self.now),
            (Some(time), TimeStyle::Absolute) => absolute(time),
        }
    }

    /// Both, for where there is room.
    pub(super) fn show_both(&self, time: Option<&Timestamp>) -> String {
        time.map_or_else(String::new, |time| format!("{} ({})", absolute(time), relative(time, &self.now)))
    }

    pub(super) fn now(&self) -> Timestamp {
        self.now
    }
}

/// RFC 3339 in UTC, to the second.
pub(super) fn absolute(time: &Timestamp) -> String {
    Timestamp { nanos: 0, ..*time }.to_string()
}

/// The time of the day, to the millisecond.
pub(super) fn time_of_day(time: &Timestamp) -> String {
    let whole = absolute(time);
    let day = whole.find('T').and_then(|at| whole.get(at + 1..)).unwrap_or(&whole).trim_end_matches('Z');
    format!("{day}.{:03}", time.nanos.clamp(0, 999_999_999) / 1_000_000)
}

fn relative(time: &Timestamp, now: &Timestamp) -> String {
    match millis_between(time, now) {
        0..1_000 => "now".to_owned(),
        ago @ 1_000.. => format!("{} ago", coarse(ago)),
        // Rounded up: what is said to happen in 5 s has not happened after 5 s otherwise.
        ahead => format!("in {}", coarse(ahead.saturating_neg().saturating_add(999))),
    }
}

/// From one time to another; negative if that one is earlier.
pub(super) fn millis_between(from: &Timestamp, to: &Timestamp) -> i64 {
    let seconds = to.seconds.saturating_sub(from.seconds);
    seconds.saturating_mul(1_000).saturating_add(i64::from((to.nanos - from.nanos) / 1_000_000))
}

/// A length in its largest whole unit: `59s`, `3m`, `26h`, `3d`.
fn coarse(millis: i64) -> String {
    let seconds = millis / 1_000;
    match seconds {
        ..60 => format!("{seconds}s"),
        60..3_600 => format!("{}m", seconds / 60),
        // A number of hours says more than "1d" up to two days.
        3_600..172_800 => format!("{}h", seconds / 3_600),
        _ => format!("{}d", seconds / 86_400),
    }
}

/// A length as measured: `85 ms`, `1.2 s`, `4m`.
pub(super) fn elapsed(millis: i64) -> String {
    match millis {
        ..1_000 => format!("{millis} ms"),
        1_000..60_000 => format!("{}.{} s", millis / 1_000, millis % 1_000 / 100),
        _ => coarse(millis),
    }
}

/// A setting, as flags take it: `150s`, `5m`, `7d`.
pub(super) fn setting(duration: &Duration) -> String {
    if duration.nanos != 0 {
        let millis =
            duration.seconds.saturating_mul(1_000).saturating_add(i64::from(duration.nanos / 1_000_000));
        return format!("{millis}ms");
    }
    let seconds = duration.seconds;
    let units = [("d", 86_400), ("h", 3_600), ("m", 60)];
    let whole = units.into_iter().find(|(_, unit)| seconds != 0 && seconds % unit == 0);
    whole.map_or_else(|| format!("{seconds}s"), |(name, unit)| format!("{}{name}", seconds / unit))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64, millis: i32) -> Timestamp {
        Timestamp { seconds, nanos: millis * 1_000_000 }
    }

    #[test]
    fn a_time_is_shown_as_its_distance_in_the_largest_unit() {
        let now = at(1_000_000, 500);
        let shown = |time: Timestamp| Times::new(TimeStyle::Relative, now).show(Some(&time));
        assert_eq!(shown(at(1_000_000, 0)), "now");
        assert_eq!(shown(at(999_990, 0)), "10s ago");
        assert_eq!(shown(at(1_000_000 - 3_599, 500)), "59m ago");
        assert_eq!(shown(at(1_000_000 - 30 * 3_600, 500)), "30h ago");
        assert_eq!(shown(at(1_000_000 - 3 * 86_400, 500)), "3d ago");
        assert_eq!(shown(at(1_000_012, 0)), "in 12s");
        assert_eq!(shown(at(1_000_000, 501)), "in 1s");
    }

    #[test]
    fn absolute_times_are_utc_and_no_time_is_shown_as_nothing() {
        let times = Times::new(TimeStyle::Absolute, at(0, 0));
        assert_eq!(times.show(Some(&at(1_780_000_000, 123))), "2026-05-28T20:26:40Z");
        assert_eq!(times.show(None), "");
        assert_eq!(time_of_day(&at(1_780_000_000, 123)), "20:26:40.123");
    }

    #[test]
    fn a_setting_is_shown_as_it_is_written() {
        let shown = |seconds, nanos| setting(&Duration { seconds, nanos });
        assert_eq!(shown(150, 0), "150s");
        assert_eq!(shown(300, 0), "5m");
        assert_eq!(shown(7 * 86_400, 0), "7d");
        assert_eq!(shown(1, 500_000_000), "1500ms");
        assert_eq!(shown(0, 0), "0s");
    }

    #[test]
    fn what_was_measured_is_shown_with_its_unit() {
        assert_eq!(elapsed(85), "85 ms");
        assert_eq!(elapsed(1_249), "1.2 s");
        assert_eq!(elapsed(240_000), "4m");
    }
}
