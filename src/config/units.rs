//! Sizes like `8GiB` and durations like `30s`.

use std::time::Duration;

const SIZES: [(&str, u64); 9] = [
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("TiB", 1 << 40),
    ("KB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("TB", 1_000_000_000_000),
    ("B", 1),
];

const DURATIONS: [(&str, u64); 5] =
    [("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000), ("d", 24 * 3_600_000)];

/// Bytes from a whole number and a unit.
pub(super) fn size(text: &str) -> Result<u64, &'static str> {
    const RIGHT: &str = "a whole number with B, KB, KiB, MB, MiB, GB, GiB, TB or TiB, such as 8GiB";
    scaled(text, &SIZES).map_err(|wrong| wrong.instead(RIGHT, "a smaller size"))
}

/// A duration from a whole number and a unit; 0 needs no unit.
pub(crate) fn duration(text: &str) -> Result<Duration, &'static str> {
    const RIGHT: &str = "a whole number with ms, s, m, h or d, such as 30s";
    if text.trim() == "0" {
        return Ok(Duration::ZERO);
    }
    scaled(text, &DURATIONS)
        .map(Duration::from_millis)
        .map_err(|wrong| wrong.instead(RIGHT, "a shorter time"))
}

/// What is wrong with a number and its unit.
enum Wrong {
    /// It has another form.
    Form,
    /// It is more than anything can be.
    TooMuch,
}

impl Wrong {
    fn instead(self, form: &'static str, less: &'static str) -> &'static str {
        match self {
            Self::Form => form,
            Self::TooMuch => less,
        }
    }
}

fn scaled(text: &str, units: &[(&str, u64)]) -> Result<u64, Wrong> {
    let text = text.trim();
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let known = units.iter().find(|(name, _)| name.eq_ignore_ascii_case(unit.trim()));
    let (_, factor) = known.filter(|_| digits > 0).ok_or(Wrong::Form)?;
    number.parse::<u64>().ok().and_then(|number| number.checked_mul(*factor)).ok_or(Wrong::TooMuch)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_durations_are_a_number_and_a_unit() {
        assert_eq!(size("8GiB"), Ok(8 << 30));
        assert_eq!(size("8 gib"), Ok(8 << 30));
        assert_eq!(size("10MB"), Ok(10_000_000));
        assert_eq!(duration("30s"), Ok(Duration::from_secs(30)));
        assert_eq!(duration("250ms"), Ok(Duration::from_millis(250)));
        assert_eq!(duration("7d"), Ok(Duration::from_secs(7 * 24 * 3_600)));
        assert_eq!(duration("0"), Ok(Duration::ZERO));
    }

    #[test]
    fn what_is_too_much_is_not_said_to_have_the_wrong_form() {
        assert_eq!(duration("99999999999999999999s"), Err("a shorter time"));
        assert_eq!(duration("999999999999d"), Err("a shorter time"));
        assert_eq!(size("99999999999TiB"), Err("a smaller size"));
        assert!(duration("99999999999999999999").is_err_and(|right| right.contains("such as 30s")));
    }

    #[test]
    fn what_has_no_unit_a_sign_a_fraction_or_no_room_is_refused() {
        for bad in ["", "8", "GiB", "-1GiB", "1.5GiB", "8 GiBs", "99999999999TiB", "８GiB"] {
            assert!(size(bad).is_err(), "{bad}");
        }
        for bad in ["", "30", "s", "-1s", "1h30m", "1.5s", "99999999999999999999s"] {
            assert!(duration(bad).is_err(), "{bad}");
        }
    }
}
