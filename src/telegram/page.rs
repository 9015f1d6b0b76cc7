//! Takes a getUpdates answer apart into the bytes of its elements.
//!
//! Usually the answer is valid JSON, and serde splits it. Where it is not, one bad element must not hold up all
//! others: then the array is split before each update, and between these by brackets and quotes alone; each element is
//! judged by itself later. An update begins with its `update_id`, and no text within an element looks so: there each
//! quote has a backslash before it.

use bytes::Bytes;
use serde_json::value::RawValue;

/// The elements of a getUpdates answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct RawPage {
    /// The elements, as they came, up to the first that has no end of its own.
    pub elements: Vec<Bytes>,
    /// That one, where there is one, and what can be told apart behind it: the answer breaks off, or is broken by it.
    pub damaged: Vec<Bytes>,
}

/// Splits a `result` that is known to be JSON; `None` if it is no array.
pub(super) fn split(body: &Bytes, result: &RawValue) -> Option<RawPage> {
    let elements: Vec<&RawValue> = serde_json::from_str(result.get()).ok()?;
    let elements = elements.into_iter().map(|element| body.slice_ref(element.get().as_bytes())).collect();
    Some(RawPage { elements, damaged: Vec::new() })
}

/// Splits an answer that is no JSON, if at least it begins as Telegram's do: `{"ok":true,"result":[`.
pub(super) fn salvage(body: &Bytes) -> Option<RawPage> {
    let begin = [&b"{"[..], b"\"ok\"", b":", b"true", b",", b"\"result\"", b":", b"["];
    let array = strip_tokens(body, &begin)?;
    // An answer that did not break off ends with its own brackets, whatever is between them.
    let whole = strip_end(array);
    let array = whole.unwrap_or(array);
    let mut page = RawPage::default();
    if array.trim_ascii().is_empty() {
        return Some(page);
    }
    let parts = before_updates(array);
    for (number, part) in parts.iter().enumerate() {
        let ends_whole = whole.is_some() || number + 1 < parts.len();
        let mut rest = Some(*part);
        while let Some(bytes) = rest {
            let (element, has_end);
            (element, rest, has_end) = first_element(bytes);
            let has_end = has_end && (ends_whole || rest.is_some());
            let sound = has_end && page.damaged.is_empty();
            let into = if sound { &mut page.elements } else { &mut page.damaged };
            into.push(body.slice_ref(element.trim_ascii()));
        }
    }
    Some(page)
}

/// What follows these tokens, if the bytes begin with them.
fn strip_tokens<'a>(bytes: &'a [u8], tokens: &[&[u8]]) -> Option<&'a [u8]> {
    tokens.iter().try_fold(bytes, |rest, token| rest.trim_ascii_start().strip_prefix(*token))
}

/// What comes before the brackets that end an answer.
fn strip_end(bytes: &[u8]) -> Option<&[u8]> {
    bytes.trim_ascii_end().strip_suffix(b"}")?.trim_ascii_end().strip_suffix(b"]")
}

/// Splits at the commas before which nothing matters: an update begins behind them.
fn before_updates(bytes: &[u8]) -> Vec<&[u8]> {
    let mut parts = Vec::new();
    let mut begin = 0;
    for comma in bytes.iter().enumerate().filter(|(_, byte)| **byte == b',').map(|(position, _)| position) {
        let behind = bytes.get(comma..).unwrap_or_default();
        let id = strip_tokens(behind, &[b",", b"{", b"\"update_id\"", b":"]).map(<[u8]>::trim_ascii_start);
        if id.and_then(<[u8]>::first).is_some_and(u8::is_ascii_digit) {
            parts.extend(bytes.get(begin..comma));
            begin = comma + 1;
        }
    }
    parts.extend(bytes.get(begin..));
    parts
}

/// The element that the bytes begin with, up to the comma that does not belong to it; what follows that comma, if there
/// is one; and whether its brackets and quotes let it end there.
fn first_element(bytes: &[u8]) -> (&[u8], Option<&[u8]>, bool) {
    let mut depth = 0_usize;
    let mut in_string = false;
    let mut escaped = false;
    for (position, byte) in bytes.iter().enumerate() {
        if in_string {
            match byte {
                _ if escaped => escaped = false,
                b'\\' => escaped = true,
                b'"' => in_string = false,
                _ => {}
            }
            continue;
        }
        match byte {
            b'"' => in_string = true,
            b'{' | b'[' => depth += 1,
            b',' if depth == 0 => {
                let (element, rest) = bytes.split_at(position);
                return (element, rest.get(1..), true);
            }
            b'}' | b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    (bytes, None, depth == 0 && !in_string)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The elements, and what is damaged, as text.
    fn salvaged(body: &[u8]) -> Option<(Vec<String>, Vec<String>)> {
        let page = salvage(&Bytes::copy_from_slice(body))?;
        let texts = |pieces: &[Bytes]| pieces.iter().map(|piece| text(piece)).collect();
        Some((texts(&page.elements), texts(&page.damaged)))
    }

    fn text(bytes: &[u8]) -> String {
        String::from_utf8_lossy(bytes).into_owned()
    }

    /// The same of an answer with this between its brackets.
    fn of(array: &str) -> (Vec<String>, Vec<String>) {
        salvaged(format!("{{\"ok\":true,\"result\":[{array}]}}").as_bytes()).unwrap()
    }

    #[test]
    fn an_answer_with_one_bad_element_still_gives_all_elements() {
        let body = b"{\"ok\":true,\"result\":[{\"update_id\":1,\"m\":\"a]},\\\"\"} ,\n{\"update_id\":2,\"m\":\"\xff\"},{\"update_id\":3,\"m\":[[1],{}]}]}";
        let (elements, damaged) = salvaged(body).unwrap();
        let expected = [
            &b"{\"update_id\":1,\"m\":\"a]},\\\"\"}"[..],
            b"{\"update_id\":2,\"m\":\"\xff\"}",
            b"{\"update_id\":3,\"m\":[[1],{}]}",
        ];
        assert_eq!((elements, damaged), (expected.map(text).to_vec(), vec![]));
    }

    #[test]
    fn an_answer_that_breaks_off_gives_what_is_whole_and_the_rest() {
        let (elements, damaged) = salvaged(b"{ \"ok\": true, \"result\": [{\"a\":1},{\"b\":\"x").unwrap();
        assert_eq!(elements, [r#"{"a":1}"#]);
        assert_eq!(damaged, [r#"{"b":"x"#]);
        // Broken off within an update, behind brackets like those that end an answer.
        let (elements, damaged) = salvaged(br#"{"ok":true,"result":[{"update_id":1,"m":{"e":[{}]}"#).unwrap();
        assert_eq!((elements, damaged), (vec![], vec![r#"{"update_id":1,"m":{"e":[{}"#.to_owned()]));
    }

    #[test]
    fn an_element_without_an_end_ends_where_the_next_update_begins() {
        let rest = [r#"{"update_id":9,"m":{}}"#, r#"{ "update_id" : 10 }"#];
        for broken in [
            r#"{"update_id": "x", "message": 5"#,
            r#"{"update_id":7,"m":{"text":"never closed}}"#,
            r#"[[[{"a":""#,
            r#"""#,
        ] {
            let [nine, ten] = rest;
            let (elements, damaged) = of(&format!("{{\"update_id\":6}},{broken},\n{nine}, {ten}"));
            assert_eq!(
                (elements, damaged),
                (vec![r#"{"update_id":6}"#.into()], [broken, nine, ten].map(Into::into).to_vec())
            );
            let (elements, damaged) = of(broken);
            assert_eq!((elements, damaged), (vec![], vec![broken.to_owned()]), "alone, too");
        }
    }

    #[test]
    fn brackets_too_many_end_an_element_and_not_the_answer() {
        for odd in ["5]", "]", r#"{"update_id":7}}"#, r#"{"a":[1}]}]}"#] {
            let (elements, damaged) = of(&format!("{odd},\n{{\"update_id\":9}},{odd}"));
            assert_eq!(
                (elements, damaged),
                ([odd, r#"{"update_id":9}"#, odd].map(Into::into).to_vec(), vec![])
            );
        }
    }

    #[test]
    fn what_somebody_writes_does_not_begin_an_update() {
        let odd = r#"{"update_id":1,"m":"\",{\"update_id\":2}","n":[1,{"update_id":"3"}],"update_id":4}"#;
        let (elements, damaged) = of(&format!("{odd},{{]"));
        assert_eq!((elements, damaged), (vec![odd.to_owned(), "{]".into()], vec![]));
    }

    #[test]
    fn what_is_no_answer_of_telegrams_is_not_salvaged() {
        for body in [&b"<html>"[..], b"{\"ok\":false,\"result\":[]}", b"{\"ok\":true,\"result\":{}}", b""] {
            assert_eq!(salvaged(body), None);
        }
    }
}
