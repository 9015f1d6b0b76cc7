//! A method's arguments: from the query string, a form, a JSON object or a multipart body.

use std::collections::BTreeMap;

use serde_json::value::RawValue;

/// The arguments of one call, as text. Lists and objects are their JSON.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Args {
    values: BTreeMap<String, String>,
    /// The length of the uploaded file `certificate`, in bytes, if there is one.
    pub certificate_bytes: Option<usize>,
}

impl Args {
    pub(super) fn from_query(query: &str) -> Self {
        let mut args = Self::default();
        args.add_form(query);
        args
    }

    /// Adds those of a body of the given `Content-Type`. A body that cannot be read adds none, as at Telegram.
    pub(super) fn add_body(&mut self, content_type: &str, body: &[u8]) {
        let media_type = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        match media_type.as_str() {
            "application/json" => self.add_json(body),
            "multipart/form-data" => self.add_multipart(content_type, body),
            _ => {
                if let Ok(form) = std::str::from_utf8(body) {
                    self.add_form(form);
                }
            }
        }
    }

    /// The value; an empty one counts as absent, as at Telegram.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.values.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// The number at the start of the value, 0 if there is none; nothing if the argument is absent.
    pub(super) fn integer(&self, name: &str) -> Option<i64> {
        let text = self.get(name)?.trim_start();
        let digits =
            text.bytes().enumerate().take_while(|(at, b)| b.is_ascii_digit() || (*at == 0 && *b == b'-'));
        let end = digits.count();
        Some(text.get(..end).and_then(|number| number.parse().ok()).unwrap_or(0))
    }

    pub(super) fn flag(&self, name: &str) -> bool {
        let value = self.get(name).map(str::to_ascii_lowercase);
        matches!(value.as_deref(), Some("true" | "yes" | "1"))
    }

    fn add_form(&mut self, form: &str) {
        for pair in form.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            self.values.insert(percent_decoded(name), percent_decoded(value));
        }
    }

    fn add_json(&mut self, body: &[u8]) {
        let Ok(members) = serde_json::from_slice::<BTreeMap<String, &RawValue>>(body) else { return };
        for (name, value) in members {
            let raw = value.get();
            if raw == "null" {
                continue;
            }
            let text =
                if raw.starts_with('"') { serde_json::from_str(raw).ok() } else { Some(raw.to_owned()) };
            self.values.extend(text.map(|text| (name, text)));
        }
    }

    fn add_multipart(&mut self, content_type: &str, body: &[u8]) {
        let Some(boundary) = parameter(content_type, "boundary") else { return };
        let delimiter = [b"\r\n--", boundary.as_bytes()].concat();
        // The first delimiter has no line break of its own before it.
        let body = [b"\r\n", body].concat();
        let mut rest = body.as_slice();
        while let Some(start) = find(rest, &delimiter) {
            let part = rest.get(start + delimiter.len()..).unwrap_or_default();
            let end = find(part, &delimiter).unwrap_or(part.len());
            self.add_part(part.get(..end).unwrap_or_default());
            rest = part.get(end..).unwrap_or_default();
        }
    }

    fn add_part(&mut self, part: &[u8]) {
        let Some(blank) = find(part, b"\r\n\r\n") else { return };
        let headers = String::from_utf8_lossy(part.get(..blank).unwrap_or_default()).into_owned();
        let content = part.get(blank + 4..).unwrap_or_default();
        let disposition =
            headers.lines().find(|line| line.to_ascii_lowercase().starts_with("content-disposition:"));
        let Some(name) = disposition.and_then(|line| parameter(line, "name")) else { return };
        if disposition.is_some_and(|line| parameter(line, "filename").is_some()) {
            if name == "certificate" {
                self.certificate_bytes = Some(content.len());
            }
        } else {
            self.values.insert(name.to_owned(), String::from_utf8_lossy(content).into_owned());
        }
    }
}

/// The value of `name=…` among a header's parameters, without its quotes.
fn parameter<'a>(header: &'a str, name: &str) -> Option<&'a str> {
    header.split(';').skip(1).find_map(|parameter| {
        let (found, value) = parameter.trim().split_once('=')?;
        found.eq_ignore_ascii_case(name).then(|| value.trim_matches('"'))
    })
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|window| window == needle)
}

fn percent_decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        let mut ahead = rest.clone();
        let escaped = (byte == b'%').then(|| Some(hex(ahead.next()?)? << 4 | hex(ahead.next()?)?)).flatten();
        match (byte, escaped) {
            (_, Some(decoded)) => {
                bytes.push(decoded);
                rest = ahead;
            }
            (b'+', None) => bytes.push(b' '),
            (other, None) => bytes.push(other),
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn query_form_json_and_multipart_mean_the_same() {
        let query = Args::from_query(
            "url=https%3A%2F%2Fx.example%2Fa+b&max_connections=7&allowed_updates=%5B%22poll%22%5D",
        );
        let mut form = Args::default();
        form.add_body(
            "application/x-www-form-urlencoded",
            b"url=https://x.example/a%20b&max_connections=7&allowed_updates=[\"poll\"]",
        );
        let mut json = Args::default();
        let body = br#"{"url":"https://x.example/a b","max_connections":7,"allowed_updates":["poll"],"secret_token":null}"#;
        json.add_body("application/json; charset=utf-8", body);
        let mut multipart = Args::default();
        let part = |name: &str, value: &str| {
            format!("--b0\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n")
        };
        let body = part("url", "https://x.example/a b") + &part("max_connections", "7");
        let body = body + &part("allowed_updates", "[\"poll\"]") + "--b0--\r\n";
        multipart.add_body("multipart/form-data; boundary=\"b0\"", body.as_bytes());
        for other in [&form, &json, &multipart] {
            assert_eq!(other, &query);
        }
        assert_eq!(query.integer("max_connections"), Some(7));
    }

    #[test]
    fn an_uploaded_certificate_is_measured() {
        let mut args = Args::default();
        let body = "--x\r\nContent-Disposition: form-data; name=\"certificate\"; filename=\"c.pem\"\r\n\
                    Content-Type: application/x-pem-file\r\n\r\n12345\r\n--x--\r\n";
        args.add_body("multipart/form-data; boundary=x", body.as_bytes());
        assert_eq!(args.certificate_bytes, Some(5));
    }

    #[test]
    fn bodies_that_cannot_be_read_add_nothing() {
        for (content_type, body) in [
            ("application/json", &b"{\"a\":"[..]),
            ("application/json", b"[1]"),
            ("multipart/form-data", b"--x"),
            ("multipart/form-data; boundary=x", b"--x\r\nno headers"),
            ("", b"\xff=1"),
        ] {
            let mut args = Args::default();
            args.add_body(content_type, body);
            assert_eq!(args, Args::default(), "{content_type}");
        }
        assert_eq!(Args::from_query("a=%zz&b=%4").get("a"), Some("%zz"));
    }
}
