//! One update as one line: for people, or as JSON.

use serde::Serialize;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::cli::text;
use crate::grpc::proto::client::{Delivery, Update};

/// Time (UTC), kind, key, user, attempt if it is not the first, and the first text.
pub(super) fn pretty(delivery: &Delivery) -> String {
    let nothing = Update::default();
    let update = delivery.update.as_ref().unwrap_or(&nothing);
    let time = update.received_time.as_ref().map(ToString::to_string).unwrap_or_default();
    let time = time.get(11..19).unwrap_or("--:--:--");
    let user = update.user_id.map_or_else(|| "-".to_owned(), |user| format!("user:{user}"));
    let again =
        if delivery.attempt > 1 { format!("  (attempt {})", delivery.attempt) } else { String::new() };
    let text =
        text::of_update(update).map(|text| format!("  {}", shown(&text, MAX_TEXT_CHARS))).unwrap_or_default();
    let kind = shown(&update.kind, MAX_TEXT_CHARS);
    format!(
        "{time}  {kind:<16}  {:<22}  {user:<16}{again}{text}",
        shown(&delivery.ordering_key, MAX_TEXT_CHARS)
    )
    .trim_end()
    .to_owned()
}

/// The delivery's fields and the update exactly as Telegram sent it, but for line breaks between its tokens.
pub(super) fn json(delivery: &Delivery) -> String {
    #[derive(Serialize)]
    struct Line<'a> {
        bot: &'a str,
        sequence: i64,
        update_id: i64,
        kind: &'a str,
        ordering_key: &'a str,
        shard: i32,
        attempt: i32,
        received_time: Option<String>,
        update: &'a RawValue,
    }
    let nothing = Update::default();
    let update = delivery.update.as_ref().unwrap_or(&nothing);
    // A raw line break can only stand between tokens: inside a JSON string it is always escaped.
    let one_line = update.json.replace(['\n', '\r'], " ");
    let line = serde_json::from_str::<&RawValue>(&one_line).and_then(|json| {
        serde_json::to_string(&Line {
            bot: &update.bot,
            sequence: delivery.sequence,
            update_id: update.update_id,
            kind: &update.kind,
            ordering_key: &delivery.ordering_key,
            shard: delivery.shard,
            attempt: delivery.attempt,
            received_time: update.received_time.as_ref().map(ToString::to_string),
            update: json,
        })
    });
    line.unwrap_or_else(|error| format!("{{\"error\":{}}}", Value::String(error.to_string())))
}

/// Fit for a terminal, and no longer than `max_chars`: what a stranger wrote must not steer it.
pub(super) fn shown(text: &str, max_chars: usize) -> String {
    text::clipped(&text::printable(text), max_chars)
}

/// About what is left of a terminal's line after the other columns.
pub(super) const MAX_TEXT_CHARS: usize = 60;

#[cfg(test)]
mod tests {
    use super::*;

    fn delivery(kind: &str, json: &str) -> Delivery {
        Delivery {
            sequence: 9,
            attempt: 1,
            ordering_key: "chat:-100".into(),
            update: Some(Update {
                bot: "default".into(),
                update_id: 7,
                kind: kind.into(),
                user_id: Some(42),
                received_time: Some(prost_types::Timestamp { seconds: 3_661, nanos: 0 }),
                json: json.into(),
                ..Update::default()
            }),
            ..Delivery::default()
        }
    }

    #[test]
    fn a_message_is_shown_with_time_kind_key_user_and_text() {
        let line = pretty(&delivery("message", r#"{"update_id":7,"message":{"text":"hello\nthere"}}"#));
        assert_eq!(line, "01:01:01  message           chat:-100               user:42           hello there");
    }

    #[test]
    fn a_text_cannot_steer_the_terminal() {
        let sent = "{\"message\":{\"text\":\"\\u001b[2J\\u202eevil\"}}";
        let line = pretty(&delivery("message", sent));
        assert!(line.ends_with("\u{FFFD}[2J\u{FFFD}evil"), "{line}");
    }

    #[test]
    fn a_long_text_is_cut() {
        let sent = format!(r#"{{"message":{{"text":"{}"}}}}"#, "я".repeat(500));
        assert!(pretty(&delivery("message", &sent)).ends_with("я…"));
    }

    #[test]
    fn an_update_nested_deeper_than_a_value_tree_goes_is_printed_all_the_same() {
        let sent = format!(r#"{{"update_id":7,"message":{}{}}}"#, "[".repeat(50_000), "]".repeat(50_000));
        assert!(pretty(&delivery("message", &sent)).contains("message"));
        assert!(json(&delivery("message", &sent)).contains(&sent));
    }

    #[test]
    fn json_is_one_line_with_the_update_verbatim() {
        let sent = "{\"update_id\":7,\n\"message\":{\"text\":\"1.0e2 \\u0041\",\"n\":1.50e+02}}";
        let line = json(&delivery("message", sent));
        assert!(!line.contains('\n'));
        assert!(line.ends_with(&format!("\"update\":{}}}", sent.replace('\n', " "))), "{line}");
        assert!(line.starts_with(r#"{"bot":"default","sequence":9,"update_id":7,"kind":"message","#));
    }
}
