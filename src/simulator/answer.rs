//! Answers in the Bot API's form.

use bytes::Bytes;
use http::header::{CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderValue, Response, StatusCode};
use http_body_util::Full;
use serde_json::{Value, json};

/// An answer on its way out.
pub(super) type Answer = Response<Full<Bytes>>;

/// `{"ok":true,"result":…}`
pub(super) fn ok(result: &Value) -> Answer {
    json_body(StatusCode::OK, json!({"ok": true, "result": result}).to_string())
}

/// The same with a `description`, as setWebhook and deleteWebhook have it.
pub(super) fn ok_described(description: &str) -> Answer {
    json_body(StatusCode::OK, json!({"ok": true, "result": true, "description": description}).to_string())
}

/// `{"ok":false,"error_code":…,"description":…}`
pub(super) fn error(status: StatusCode, description: &str) -> Answer {
    let body = json!({"ok": false, "error_code": status.as_u16(), "description": description});
    json_body(status, body.to_string())
}

/// 429, with how long to wait in body and header.
pub(super) fn too_many_requests(retry_after: u32) -> Answer {
    let body = json!({
        "ok": false,
        "error_code": 429,
        "description": format!("Too Many Requests: retry after {retry_after}"),
        "parameters": {"retry_after": retry_after},
    });
    let mut answer = json_body(StatusCode::TOO_MANY_REQUESTS, body.to_string());
    answer.headers_mut().insert(RETRY_AFTER, HeaderValue::from(retry_after));
    answer
}

/// What the proxy in front of Telegram says when the server behind it is away.
pub(super) fn bad_gateway() -> Answer {
    let page = "<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n<body>\r\n<center><h1>502 Bad Gateway</h1>\
                </center>\r\n<hr><center>nginx</center>\r\n</body>\r\n</html>\r\n";
    with_body(StatusCode::BAD_GATEWAY, "text/html", page.into())
}

/// JSON that is ready.
pub(super) fn json_body(status: StatusCode, body: impl Into<Bytes>) -> Answer {
    with_body(status, "application/json", body.into())
}

/// Text for a person.
pub(super) fn text(body: impl Into<Bytes>) -> Answer {
    with_body(StatusCode::OK, "text/plain; charset=utf-8", body.into())
}

fn with_body(status: StatusCode, content_type: &'static str, body: Bytes) -> Answer {
    let mut answer = Response::new(Full::new(body));
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    answer
}
