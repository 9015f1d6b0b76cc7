//! Numbers and words on the command line. What is wrong with one is said with what would be right.

use crate::model::MAX_FAILURES;

/// A position in a bot's journal.
pub(super) fn sequence(text: &str) -> Result<i64, &'static str> {
    from_one(text).ok_or("is no sequence; give a whole number from 1 on, as lists show it")
}

/// Telegram's number of an update.
pub(super) fn update_id(text: &str) -> Result<i64, &'static str> {
    from_one(text).ok_or("is no update_id; Telegram's are whole numbers from 1 on")
}

/// How many failures make a dead letter.
pub(super) fn failures(text: &str) -> Result<i32, String> {
    let count = text.parse::<i32>().ok();
    let within =
        count.filter(|&count| u32::try_from(count).is_ok_and(|count| (1..=MAX_FAILURES).contains(&count)));
    within.ok_or_else(|| format!("give 1 to {MAX_FAILURES}"))
}

/// A word of a filter or a selection. An empty one would let everything pass, which nobody asks for like that.
pub(super) fn word(text: &str) -> Result<String, &'static str> {
    if text.is_empty() { Err(EMPTY) } else { Ok(text.to_owned()) }
}

/// The same of a chat's id.
pub(super) fn chat_id(text: &str) -> Result<i64, &'static str> {
    if text.is_empty() {
        Err(EMPTY)
    } else {
        text.parse().map_err(|_| "is no id of a chat, such as 42 or -1001234567890")
    }
}

fn from_one(text: &str) -> Option<i64> {
    text.parse().ok().filter(|number| *number >= 1)
}

const EMPTY: &str = "is empty, which does not mean all: is a shell variable not set? Leave the flag out for all; \
                     `switchboard groups update NAME --reset filter` takes a group's filter away";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_begin_at_one() {
        assert_eq!((sequence("17"), update_id("700"), failures("1000")), (Ok(17), Ok(700), Ok(1_000)));
        for wrong in ["-5", "0", "", "1.5", "x", "99999999999999999999"] {
            assert!(sequence(wrong).is_err_and(|right| right.contains("from 1 on")), "{wrong}");
            assert!(update_id(wrong).is_err(), "{wrong}");
        }
        for wrong in ["-1", "0", "1001", "2000000000", "9999999999"] {
            assert_eq!(failures(wrong).unwrap_err(), "give 1 to 1000", "{wrong}");
        }
    }

    #[test]
    fn an_empty_word_is_not_everything() {
        assert_eq!((word("start"), chat_id("-100")), (Ok("start".to_owned()), Ok(-100)));
        assert!(word("").is_err_and(|why| why.contains("shell variable")));
        assert!(chat_id("").is_err_and(|why| why.contains("--reset filter")));
        assert!(chat_id("me").is_err_and(|why| why.contains("no id of a chat")));
    }
}
