//! The live view: files that are part of the binary. They hold no data; all of it comes through the API.

use std::sync::LazyLock;

use bytes::Bytes;
use http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, ETAG, IF_NONE_MATCH, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
    X_FRAME_OPTIONS,
};
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};
use http_body_util::Full;

use super::answer;

/// One file.
pub(super) struct Asset {
    path: &'static str,
    content_type: &'static str,
    content: &'static [u8],
}

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
const SVG: &str = "image/svg+xml";

macro_rules! assets {
    ($($path:literal $content_type:ident $file:literal,)*) => {
        &[$(Asset {
            path: $path,
            content_type: $content_type,
            content: include_bytes!(concat!("../page/", $file)),
        },)*]
    };
}

const ASSETS: &[Asset] = assets! {
    "/" HTML "index.html",
    "/page/style.css" CSS "style.css",
    "/page/icon.svg" SVG "icon.svg",
    "/page/api.js" SCRIPT "api.js",
    "/page/chart.js" SCRIPT "chart.js",
    "/page/dead-letters.js" SCRIPT "dead-letters.js",
    "/page/dialog.js" SCRIPT "dialog.js",
    "/page/dom.js" SCRIPT "dom.js",
    "/page/group.js" SCRIPT "group.js",
    "/page/json.js" SCRIPT "json.js",
    "/page/keyboard.js" SCRIPT "keyboard.js",
    "/page/main.js" SCRIPT "main.js",
    "/page/overview.js" SCRIPT "overview.js",
    "/page/parts.js" SCRIPT "parts.js",
    "/page/quarantine.js" SCRIPT "quarantine.js",
    "/page/routes.js" SCRIPT "routes.js",
    "/page/seek.js" SCRIPT "seek.js",
    "/page/token.js" SCRIPT "token.js",
    "/page/update.js" SCRIPT "update.js",
    "/page/updates.js" SCRIPT "updates.js",
    "/page/words.js" SCRIPT "words.js",
};

/// Nothing but what this listener itself serves; no text can become markup or a program.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
     base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types";

const HEADERS: [(HeaderName, &str); 7] = [
    (CONTENT_SECURITY_POLICY, POLICY),
    (X_FRAME_OPTIONS, "DENY"),
    (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (REFERRER_POLICY, "no-referrer"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    // Another release may have other files: the browser asks each time, and is told by the tag that nothing changed.
    (CACHE_CONTROL, "no-cache"),
];

/// One tag for all files, so that a page is never made of two releases.
static TAG: LazyLock<Option<HeaderValue>> = LazyLock::new(|| {
    let mut hash = xxhash_rust::xxh3::Xxh3Default::new();
    ASSETS.iter().for_each(|asset| hash.update(asset.content));
    HeaderValue::try_from(format!("\"{:016x}\"", hash.digest())).ok()
});

/// The file at this path.
pub(super) fn find(path: &str) -> Option<&'static Asset> {
    ASSETS.iter().find(|asset| asset.path == path)
}

impl Asset {
    pub(super) fn answer(&self, headers: &HeaderMap) -> Response<Full<Bytes>> {
        let is_known = TAG.is_some() && headers.get(IF_NONE_MATCH) == TAG.as_ref();
        let (status, content) =
            if is_known { (StatusCode::NOT_MODIFIED, &[][..]) } else { (StatusCode::OK, self.content) };
        let mut answer = answer(status, self.content_type, Bytes::from_static(content));
        for (name, value) in HEADERS {
            answer.headers_mut().insert(name, HeaderValue::from_static(value));
        }
        answer.headers_mut().extend(TAG.clone().map(|tag| (ETAG, tag)));
        answer
    }
}

/// How many files there are.
#[cfg(test)]
pub(super) fn count() -> usize {
    ASSETS.len()
}
