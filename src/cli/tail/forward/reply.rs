//! A web server's reply that is a call of the Bot API, which Telegram would carry out.

use reqwest::Url;
use serde::Deserialize;

/// The method that Telegram would carry out on this reply. It takes JSON and forms, and neither asks nor changes where
/// updates go in this way.
pub(super) fn method(content_type: &str, body: &[u8]) -> Option<String> {
    let body = std::str::from_utf8(body).ok()?;
    let media_type = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let method = match media_type.as_str() {
        "application/x-www-form-urlencoded" => in_form(body),
        "multipart/form-data" => in_parts(body),
        // Frameworks are careless with the type.
        _ => in_json(body),
    }?;
    let lower = method.to_ascii_lowercase();
    let is_name = !lower.is_empty() && lower.bytes().all(|byte| byte.is_ascii_alphanumeric());
    (is_name && !lower.starts_with("get") && !NOT_CARRIED_OUT.contains(&lower.as_str())).then_some(method)
}

fn in_json(body: &str) -> Option<String> {
    #[derive(Deserialize)]
    struct Call {
        method: String,
    }
    serde_json::from_str::<Call>(body).ok().map(|call| call.method)
}

fn in_form(body: &str) -> Option<String> {
    let url = Url::parse(&format!("http://form/?{body}")).ok()?;
    url.query_pairs().find(|(name, _)| name == "method").map(|(_, value)| value.into_owned())
}

fn in_parts(body: &str) -> Option<String> {
    let (_, part) = body.split_once("name=\"method\"")?;
    let (_, value) = part.split_once("\r\n\r\n")?;
    value.split("\r\n").next().map(str::to_owned)
}

const NOT_CARRIED_OUT: [&str; 4] = ["setwebhook", "deletewebhook", "close", "logout"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_is_found_in_json_and_in_both_forms() {
        let json = br#"{"chat_id":1,"method":"sendMessage","text":"hi"}"#;
        assert_eq!(method("application/json; charset=utf-8", json).as_deref(), Some("sendMessage"));
        assert_eq!(method("", json).as_deref(), Some("sendMessage"));
        let form = b"chat_id=1&method=sendChatAction";
        let form_type = "application/x-www-form-urlencoded";
        assert_eq!(method(form_type, form).as_deref(), Some("sendChatAction"));
        let parts = b"--x\r\nContent-Disposition: form-data; name=\"method\"\r\n\r\nsendPhoto\r\n--x--\r\n";
        assert_eq!(method("multipart/form-data; boundary=x", parts).as_deref(), Some("sendPhoto"));
    }

    #[test]
    fn other_replies_and_what_telegram_ignores_are_no_call() {
        for body in [
            "",
            "OK",
            "{}",
            "[]",
            r#"{"method":7}"#,
            r#"{"method":""}"#,
            r#"{"method":"getMe"}"#,
            r#"{"method":"setWebhook","url":""}"#,
            r#"{"method":"two words"}"#,
        ] {
            assert_eq!(method("application/json", body.as_bytes()), None, "{body}");
        }
        assert_eq!(method("text/plain", b"\xff"), None);
    }
}
