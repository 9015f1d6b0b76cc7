//! `switchboard updates show`.

use clap::Args;

use super::super::failure::Failure;
use super::super::session::Session;
use super::super::table::Facts;
use super::super::times::Times;
use super::super::{values, words};
use crate::cli::text;
use crate::grpc::proto::client::get_update_request::Id;
use crate::grpc::proto::client::{GetUpdateRequest, StoredUpdate};

#[derive(Args, Clone, Debug)]
#[group(required = true, multiple = false)]
pub(super) struct ShowArgs {
    /// Its sequence
    #[arg(value_name = "SEQUENCE", allow_negative_numbers = true, value_parser = values::sequence)]
    sequence: Option<i64>,

    /// By Telegram's id instead; of several the newest
    #[arg(long, value_name = "ID", allow_negative_numbers = true, value_parser = values::update_id)]
    update_id: Option<i64>,
}

impl ShowArgs {
    pub(super) async fn run(self, session: &mut Session) -> Result<(), Failure> {
        let id = self.sequence.map(Id::Sequence).or(self.update_id.map(Id::UpdateId));
        let request = GetUpdateRequest { bot: session.bot.clone(), id };
        let response = match (session.client.get_update(request).await, self.sequence) {
            (Err(status), Some(sequence)) => return Err(Failure::from(status).or_an_update_id(sequence)),
            (response, _) => response?.into_inner(),
        };
        session.show(&response, |session| {
            let stored = response.update.clone().unwrap_or_default();
            let mut lines = facts(&session.times(), &stored).lines();
            let states = response.timelines.iter();
            let states: Vec<_> =
                states.map(|line| format!("{}: {}", line.group, words::state(line.state()))).collect();
            if !states.is_empty() {
                let more = session.command(&format!("timeline {}", stored.sequence));
                lines.extend([String::new(), format!("{}   ({more})", states.join(", "))]);
            }
            lines.push(String::new());
            lines.extend(indented(&stored.update.unwrap_or_default().json));
            lines
        })
    }
}

/// What is known of an update besides its JSON.
pub(in crate::cli::admin) fn facts(times: &Times, stored: &StoredUpdate) -> Facts {
    let update = stored.update.clone().unwrap_or_default();
    let mut facts = Facts::default();
    facts.add("sequence", stored.sequence.to_string());
    facts.add("update id", format!("{} of bot {}", update.update_id, update.bot));
    facts.add("kind", update.kind);
    facts.add_some("chat", words::id(update.chat_id));
    facts.add_some("topic", words::id(update.thread_id));
    facts.add_some("user", words::id(update.user_id));
    facts.add("key", &stored.ordering_key);
    facts.add("received", times.show_both(update.received_time.as_ref()));
    facts.add("size", words::bytes(stored.size_bytes));
    facts
}

/// JSON with line breaks, everything else as it was sent: no number is rewritten, no name is sorted.
pub(in crate::cli::admin) fn indented(json: &str) -> Vec<String> {
    let mut lines = Vec::new();
    let (mut line, mut depth) = (String::new(), 0_usize);
    let (mut in_string, mut escaped) = (false, false);
    let mut characters = json.chars().peekable();
    while let Some(character) = characters.next() {
        if in_string {
            line.push(text::printable_char(character));
            in_string = escaped || character != '"';
            escaped = !escaped && character == '\\';
            continue;
        }
        match character {
            '{' | '[' => {
                line.push(character);
                while characters.next_if(|next| next.is_ascii_whitespace()).is_some() {}
                if let Some(end) = characters.next_if(|next| matches!(next, '}' | ']')) {
                    line.push(end);
                } else {
                    depth += 1;
                    lines.push(std::mem::replace(&mut line, margin(depth)));
                }
            }
            '}' | ']' => {
                depth = depth.saturating_sub(1);
                lines.push(std::mem::replace(&mut line, margin(depth)));
                line.push(character);
            }
            ',' => {
                line.push(character);
                lines.push(std::mem::replace(&mut line, margin(depth)));
            }
            ':' => line.push_str(": "),
            character if character.is_ascii_whitespace() => {}
            character => {
                in_string = character == '"';
                line.push(text::printable_char(character));
            }
        }
    }
    lines.push(line);
    lines
}

/// Nobody reads what is nested deeper than a line is long.
fn margin(depth: usize) -> String {
    "  ".repeat(depth.min(MAX_DEPTH))
}

const MAX_DEPTH: usize = 40;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_broken_into_lines_and_nothing_else_is_changed() {
        let sent = r#"{"b":1.0e2, "a":{"t":"x,{\"y\"}: \\","e":[],"o":{ }},"l":[1,-2]}"#;
        let lines = indented(sent);
        let expected = [
            "{",
            r#"  "b": 1.0e2,"#,
            r#"  "a": {"#,
            r#"    "t": "x,{\"y\"}: \\","#,
            r#"    "e": [],"#,
            r#"    "o": {}"#,
            "  },",
            r#"  "l": ["#,
            "    1,",
            "    -2",
            "  ]",
            "}",
        ];
        assert_eq!(lines, expected);
        let value = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();
        assert_eq!(value(&lines.join("\n")), value(sent));
    }

    #[test]
    fn what_steers_a_terminal_is_replaced_in_json_too() {
        assert_eq!(indented("\"a\u{9b}b\u{202e}\""), ["\"a\u{FFFD}b\u{FFFD}\""]);
    }
}
