//! Takes a getUpdates answer apart into the bytes of its elements.
//!
//! Usually the answer is valid JSON, and serde splits it. Where it is not, one bad element must not hold up all
//! others: then the array is split by its brackets and quotes alone, and each element is judged by itself later.

use bytes::Bytes;
use serde_json::value::RawValue;

/// The elements of a getUpdates answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RawPage {
    /// The elements, as they came.
    pub elements: Vec<Bytes>,
    /// What comes after the last whole element where the answer breaks off.
    pub damaged: Option<Bytes>,
}

/// Splits a `result` that is known to be JSON; `None` if it is no array.
pub(super) fn split(body: &Bytes, result: &RawValue) -> Option<RawPage> {
    let elements: Vec<&RawValue> = serde_json::from_str(result.get()).ok()?;
    let elements = elements.into_iter().map(|element| body.slice_ref(element.get().as_bytes())).collect();
    Some(RawPage { elements, damaged: None })
}

/// Splits an answer that is no JSON, if at least it begins as Telegram's do: `{"ok":true,"result":[`.
pub(super) fn salvage(body: &Bytes) -> Option<RawPage> {
    let mut rest = body.as_ref();
    for token in [&b"{"[..], b"\"ok\"", b":", b"true", b",", b"\"result\"", b":", b"["] {
        rest = rest.trim_ascii_start().strip_prefix(token)?;
    }
    let mut page = RawPage::default();
    loop {
        rest = rest.trim_ascii_start();
        if rest.first() == Some(&b']') {
            return Some(page);
        }
        let Some(end) = element_end(rest) else {
            page.damaged = Some(body.slice_ref(rest));
            return Some(page);
        };
        let (element, after) = rest.split_at(end);
        page.elements.push(body.slice_ref(element.trim_ascii_end()));
        rest = after.strip_prefix(b",").unwrap_or(after);
    }
}

/// The elements of a whole getUpdates answer; `None` if it is none.
#[cfg(any(test, feature = "simulation"))]
#[must_use]
pub fn read_page(body: &Bytes) -> Option<RawPage> {
    #[derive(serde::Deserialize)]
    struct Envelope<'a> {
        #[serde(borrow)]
        result: &'a RawValue,
    }
    match serde_json::from_slice::<Envelope<'_>>(body) {
        Ok(envelope) => split(body, envelope.result),
        Err(_) => salvage(body),
    }
}

/// Where the element that `bytes` begin with ends: at the comma or bracket that does not belong to it.
fn element_end(bytes: &[u8]) -> Option<usize> {
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
            b',' | b']' if depth == 0 => return Some(position),
            b'}' | b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn salvaged(body: &'static [u8]) -> Option<(Vec<&'static [u8]>, Option<Bytes>)> {
        let page = salvage(&Bytes::from_static(body))?;
        let elements = page.elements.iter().map(|element| element.to_vec().leak() as &[u8]).collect();
        Some((elements, page.damaged))
    }

    #[test]
    fn an_answer_with_one_bad_element_still_gives_all_elements() {
        let body = b"{\"ok\":true,\"result\":[{\"update_id\":1,\"m\":\"a]},\\\"\"} ,\n{\"update_id\":2,\"m\":\"\xff\"},{\"update_id\":3,\"m\":[[1],{}]}]}";
        let (elements, damaged) = salvaged(body).unwrap();
        assert_eq!(elements[0], b"{\"update_id\":1,\"m\":\"a]},\\\"\"}");
        assert_eq!(elements[1], b"{\"update_id\":2,\"m\":\"\xff\"}");
        assert_eq!(elements[2], b"{\"update_id\":3,\"m\":[[1],{}]}");
        assert_eq!((elements.len(), damaged), (3, None));
    }

    #[test]
    fn an_answer_that_breaks_off_gives_what_is_whole_and_the_rest() {
        let (elements, damaged) = salvaged(b"{ \"ok\": true, \"result\": [{\"a\":1},{\"b\":\"x").unwrap();
        assert_eq!(elements, [b"{\"a\":1}"]);
        assert_eq!(damaged.as_deref(), Some(&b"{\"b\":\"x"[..]));
    }

    #[test]
    fn what_is_no_answer_of_telegrams_is_not_salvaged() {
        for body in [&b"<html>"[..], b"{\"ok\":false,\"result\":[]}", b"{\"ok\":true,\"result\":{}}", b""] {
            assert_eq!(salvaged(body), None);
        }
    }
}
