//! How fast a replay may go.

use std::str::FromStr;

/// So many a second.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Rate(pub(super) f64);

/// What was written is no rate.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("is no rate; give 0.1/s to 100000/s, or by the minute like 30/m")]
pub(super) struct NoRate;

impl FromStr for Rate {
    type Err = NoRate;

    fn from_str(text: &str) -> Result<Self, NoRate> {
        let (number, seconds) = match text.trim().split_once('/') {
            None => (text.trim(), 1.0),
            Some((number, "s")) => (number, 1.0),
            Some((number, "m")) => (number, 60.0),
            Some(_) => return Err(NoRate),
        };
        let rate = number.trim().parse::<f64>().map_err(|_| NoRate)? / seconds;
        // The API's limits.
        if (0.1..=100_000.0).contains(&rate) { Ok(Self(rate)) } else { Err(NoRate) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_by_second_or_by_minute_within_the_apis_limits() {
        assert_eq!("50/s".parse(), Ok(Rate(50.0)));
        assert_eq!("0.5".parse(), Ok(Rate(0.5)));
        assert_eq!("30/m".parse(), Ok(Rate(0.5)));
        for text in ["", "/s", "0", "0.01/s", "100001/s", "-1/s", "5/h", "NaN", "inf"] {
            assert_eq!(text.parse::<Rate>(), Err(NoRate), "{text}");
        }
    }
}
