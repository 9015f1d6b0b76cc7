//! What looks like a bot's token is not repeated, wherever somebody typed it.

use std::borrow::Cow;

/// Instead of the token.
const REDACTED: &str = "[redacted]";

/// The text without whatever looks like a bot's token: digits, a colon, and letters as well as digits after it.
///
/// Wide on purpose: a word that only looks like a token costs the reader little. Addresses with a port are none.
pub(super) fn tokens(text: &str) -> Cow<'_, str> {
    let mut clean = String::new();
    let mut kept_to = 0;
    for (colon, _) in text.match_indices(':') {
        let (before, after) = (&text[kept_to..colon], &text[colon + 1..]);
        let digits = before.bytes().rev().take_while(u8::is_ascii_digit).count();
        // An IPv4 address, or a time with seconds.
        let is_part = before[..before.len() - digits].ends_with(['.', ':']);
        let secret = after.bytes().take_while(|byte| is_of_secret(*byte)).count();
        let is_number = after[..secret].bytes().all(|byte| byte.is_ascii_digit());
        if digits == 0 || is_part || is_number {
            continue;
        }
        clean.push_str(&before[..before.len() - digits]);
        clean.push_str(REDACTED);
        kept_to = colon + 1 + secret;
    }
    if kept_to == 0 { Cow::Borrowed(text) } else { Cow::Owned(clean + &text[kept_to..]) }
}

fn is_of_secret(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_found_alone_in_a_url_and_short() {
        assert_eq!(tokens("argument '123456789:AAHfi_qks-KZ8' found"), "argument '[redacted]' found");
        assert_eq!(
            tokens("http://x/bot42:AAE-x/getMe and 1:any"),
            "http://x/bot[redacted]/getMe and [redacted]"
        );
        assert_eq!(tokens("123:TOKEN"), "[redacted]");
        assert_eq!(tokens("§42:a§"), "§[redacted]§");
    }

    #[test]
    fn addresses_times_and_prose_stay() {
        for text in [
            "127.0.0.1:50051",
            "http://localhost:3000/hook",
            "[::1]:8081",
            "at 12:30:59",
            "rate: updates a second",
            "Usage: switchboard serve [OPTIONS]",
            "42: no",
            "::",
            "",
        ] {
            assert_eq!(tokens(text), text);
        }
    }
}
