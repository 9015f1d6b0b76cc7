//! What requests may say of positions and times: nothing beyond what there is, and nothing in the future.

use prost_types::Timestamp;

use super::clock::now;
use crate::grpc::fields::{InvalidField, invalid, unix_ms};
use crate::grpc::messages::timestamp;
use crate::model::{Sequence, UnixMillis};

/// A position to begin at: that of an update, or the one after the newest.
pub(super) fn reached(
    field: &'static str,
    from: Sequence,
    newest: Sequence,
) -> Result<Sequence, InvalidField> {
    if from <= newest.next() {
        return Ok(from);
    }
    let instead = match newest.0 {
        0 => "there is no update yet: `latest` begins at the first that comes".to_owned(),
        newest => format!("the newest update has {newest}: `latest` begins after it"),
    };
    Err(invalid(field, format!("is {}; {instead}", from.0)))
}

/// A time to begin at.
pub(super) fn begun(field: &'static str, time: Timestamp) -> Result<UnixMillis, InvalidField> {
    past(field, time, ": `latest` begins at what comes from now on")
}

/// A time since which something was received.
pub(super) fn since(field: &'static str, time: Timestamp) -> Result<UnixMillis, InvalidField> {
    past(field, time, ": nothing has come from then on yet")
}

fn past(field: &'static str, time: Timestamp, so: &str) -> Result<UnixMillis, InvalidField> {
    let (time, now) = (unix_ms(field, time)?, now());
    if time <= now {
        return Ok(time);
    }
    Err(invalid(field, format!("is in the future; it is {} now{so}", timestamp(now))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_is_at_most_the_one_after_the_newest() {
        let reached = |from, newest| reached("sequence", Sequence(from), Sequence(newest));
        assert_eq!(reached(0, 0), Ok(Sequence(0)));
        assert_eq!(reached(8, 7), Ok(Sequence(8)));
        let beyond = reached(9, 7).unwrap_err().to_string();
        assert_eq!(beyond, "`sequence` is 9; the newest update has 7: `latest` begins after it");
        assert!(reached(2, 0).unwrap_err().to_string().contains("there is no update yet"));
    }

    #[test]
    fn a_time_is_not_in_the_future() {
        let at = |seconds| Timestamp { seconds, nanos: 0 };
        assert_eq!(begun("time", at(7)), Ok(UnixMillis(7_000)));
        let future = begun("time", at(99_999_999_999)).unwrap_err().to_string();
        assert!(future.starts_with("`time` is in the future") && future.contains("`latest`"), "{future}");
        let nothing = since("start_time", at(99_999_999_999)).unwrap_err().to_string();
        assert!(nothing.ends_with("nothing has come from then on yet"), "{nothing}");
    }
}
