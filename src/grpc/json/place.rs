//! Where a request's JSON is wrong, and what would be right there: the parser knows only a line and a column.

use prost_reflect::{FieldDescriptor, Kind, MessageDescriptor};

/// A field whose value cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::grpc) struct Place {
    /// By the names of the protos, as other errors name it.
    pub(in crate::grpc) field: String,
    /// What its value must be.
    pub(super) right: String,
}

/// The field whose value the parser had just read when it failed there; `None` if it was not at a field's value.
pub(super) fn find(message: &MessageDescriptor, json: &[u8], error: &serde_json::Error) -> Option<Place> {
    if !error.is_data() {
        return None;
    }
    let lines = json.split_inclusive(|byte| *byte == b'\n');
    let before: usize = lines.take(error.line().saturating_sub(1)).map(<[u8]>::len).sum();
    let keys = keys(json.get(..before.saturating_add(error.column()))?)?;
    let (mut message, mut names, mut kind) = (Some(message.clone()), Vec::new(), None);
    let mut keys = keys.into_iter();
    while let Some(key) = keys.next() {
        let inside = message.as_ref()?;
        let field = inside.get_field_by_json_name(&key).or_else(|| inside.get_field_by_name(&key))?;
        names.push(field.name().to_owned());
        let of_value = match field.is_map() {
            true => map_value(&field)?.kind(),
            false => field.kind(),
        };
        if field.is_map()
            && let Some(key) = keys.next()
        {
            names.push(key);
        }
        message = of_value.as_message().cloned();
        kind = Some(of_value);
    }
    Some(Place { field: names.join("."), right: right(&kind?) })
}

fn map_value(field: &FieldDescriptor) -> Option<FieldDescriptor> {
    Some(field.kind().as_message()?.map_entry_value_field())
}

/// What is written for a value of this kind.
fn right(kind: &Kind) -> String {
    match kind {
        Kind::Message(message) => match message.full_name() {
            "google.protobuf.Duration" => r#"seconds with an `s`, such as "300s""#.to_owned(),
            "google.protobuf.Timestamp" => r#"a time such as "2026-05-01T12:00:00Z""#.to_owned(),
            "google.protobuf.FieldMask" => {
                r#"names with commas, such as "filter,settings.maxAge""#.to_owned()
            }
            _ => "an object".to_owned(),
        },
        Kind::Enum(names) => {
            let names: Vec<String> = names.values().map(|value| value.name().to_owned()).collect();
            format!("one of {}", names.join(", "))
        }
        Kind::Bool => "true or false".to_owned(),
        Kind::String => "a text".to_owned(),
        Kind::Bytes => "bytes in Base64".to_owned(),
        Kind::Double | Kind::Float => "a number".to_owned(),
        Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => "a whole number of at most 32 bits".to_owned(),
        Kind::Uint32 | Kind::Fixed32 => "a whole number of at most 32 bits, 0 or more".to_owned(),
        Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 => "a whole number of at most 64 bits".to_owned(),
        Kind::Uint64 | Kind::Fixed64 => "a whole number of at most 64 bits, 0 or more".to_owned(),
    }
}

/// What the end of a JSON text is inside of.
enum Inside {
    /// An object, with the key whose value began.
    Object(Option<String>),
    Array,
}

/// The keys that lead to the value at the end of the beginning of a JSON text; `None` if that is at no key's value.
fn keys(json: &[u8]) -> Option<Vec<String>> {
    let mut inside: Vec<Inside> = Vec::new();
    let mut last_text = None;
    let mut at = 0;
    while let Some(&byte) = json.get(at) {
        match byte {
            b'"' => {
                let end = end_of_text(json, at)?;
                last_text = json.get(at..end);
                at = end;
                continue;
            }
            b'{' => inside.push(Inside::Object(None)),
            b'[' => inside.push(Inside::Array),
            b'}' | b']' => {
                inside.pop();
            }
            b':' => {
                if let Some(Inside::Object(key)) = inside.last_mut() {
                    *key = last_text.take().and_then(|text| serde_json::from_slice(text).ok());
                }
            }
            b',' => {
                if let Some(Inside::Object(key)) = inside.last_mut() {
                    *key = None;
                }
            }
            _ => {}
        }
        at += 1;
    }
    let mut keys = Vec::new();
    for inside in inside {
        match inside {
            Inside::Object(key) => keys.push(key?),
            Inside::Array => {}
        }
    }
    Some(keys).filter(|keys| !keys.is_empty())
}

/// Behind the closing quote of the text that begins here.
fn end_of_text(json: &[u8], begin: usize) -> Option<usize> {
    let mut at = begin + 1;
    loop {
        match json.get(at)? {
            b'"' => return Some(at + 1),
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
}

/// An error's words with long numbers cut: a parser repeats all 300 digits of `1e300`.
pub(super) fn short(words: &str) -> String {
    let mut digits = 0;
    let mut short = String::with_capacity(words.len());
    for character in words.chars() {
        digits = if character.is_ascii_digit() { digits + 1 } else { 0 };
        match digits {
            ..=MAX_DIGITS => short.push(character),
            beyond if beyond == MAX_DIGITS + 1 => short.push('…'),
            _ => {}
        }
    }
    short
}

/// More than any 64-bit number has.
const MAX_DIGITS: usize = 20;

#[cfg(test)]
mod tests {
    use super::*;

    fn at(json: &str) -> Option<Vec<String>> {
        keys(json.as_bytes())
    }

    #[test]
    fn the_keys_lead_to_the_value_that_was_read_last() {
        assert_eq!(at(r#"{"a": {"b" : [1, {"c":"x"#), None, "in the middle of a text");
        assert_eq!(at(r#"{"a": {"b" : [1, {"c":"x""#), Some(vec!["a".into(), "b".into(), "c".into()]));
        assert_eq!(at(r#"{"a": {"b": 1}, "\u0063\"": {"d": "},{""#), Some(vec!["c\"".into(), "d".into()]));
        assert_eq!(at(r#"{"a": [true"#), Some(vec!["a".into()]));
        for no_value in ["", "[1", "{", r#"{"a""#, r#"{"a": 1, "b""#, r#"{"a": {"b""#] {
            assert_eq!(at(no_value), None, "{no_value}");
        }
    }

    #[test]
    fn a_number_that_nobody_reads_is_cut() {
        assert_eq!(short("is 12345678901234567890, and 7"), "is 12345678901234567890, and 7");
        assert_eq!(
            short(&format!("is 1{}.0 at 5", "0".repeat(300))),
            format!("is 1{}….0 at 5", "0".repeat(19))
        );
    }
}
