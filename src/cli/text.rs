//! Text that strangers wrote, made fit for a terminal.

use serde_json::Value;

use crate::grpc::proto::client::Update;

/// The first thing a person would call the update's text.
pub(crate) fn of_update(update: &Update) -> Option<String> {
    // Too deep for a value tree: then there is no text, and nothing else is lost.
    let whole: Value = serde_json::from_str(&update.json).ok()?;
    let payload = whole.get(&update.kind)?;
    ["text", "caption", "data", "query", "question", "emoji"]
        .iter()
        .find_map(|name| payload.get(name)?.as_str())
        .map(str::to_owned)
}

/// The text in one line, without what could steer the terminal.
pub(crate) fn printable(text: &str) -> String {
    text.chars().map(printable_char).collect()
}

/// A line break or a tab as a space, what steers as a replacement character.
pub(crate) fn printable_char(character: char) -> char {
    match character {
        '\n' | '\r' | '\t' => ' ',
        character if character.is_control() || is_direction(character) => '\u{FFFD}',
        character => character,
    }
}

/// At most so many characters, the last of them `…` if something was cut.
pub(crate) fn clipped(text: &str, most: usize) -> String {
    if text.chars().nth(most).is_none() {
        return text.to_owned();
    }
    text.chars().take(most.saturating_sub(1)).chain(['…']).collect()
}

/// The text's words in lines of at most so many characters; a longer word has a line of its own.
pub(crate) fn wrapped(text: &str, most: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= most => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

/// Marks that turn the reading direction of everything after them.
fn is_direction(character: char) -> bool {
    matches!(character, '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_steers_a_terminal_is_replaced() {
        assert_eq!(printable("a\u{1b}[2J\n\u{202e}b\u{9b}"), "a\u{FFFD}[2J \u{FFFD}b\u{FFFD}");
    }

    #[test]
    fn words_are_wrapped_where_the_line_ends() {
        assert_eq!(wrapped("it failed  once;\nmend it", 9), ["it failed", "once;", "mend it"]);
        assert_eq!(wrapped("incomprehensible it is", 5), ["incomprehensible", "it is"]);
        assert!(wrapped(" ", 5).is_empty());
    }

    #[test]
    fn a_text_is_cut_only_where_it_is_too_long() {
        assert_eq!(clipped("привет", 6), "привет");
        assert_eq!(clipped("приветы", 6), "приве…");
    }
}
