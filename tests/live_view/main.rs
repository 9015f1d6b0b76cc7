//! The live view in headless Chromium: the built gateway, a simulated Telegram, a handler, and an operator who sees
//! only what is on the page. The steps are in `operator.mjs` and `access.mjs`; screenshots go to `target/live-view`.

#![cfg(unix)]
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod browser;
mod handler;
mod rig;
#[path = "../tools/mod.rs"]
mod tools;

use browser::Browser;
use handler::Handler;
use rig::Rig;

/// Between two looks at another process.
const POLL_INTERVAL: std::time::Duration = std::time::Duration::from_millis(50);

#[tokio::test]
async fn an_operator_finds_an_unanswered_message_mends_it_and_steers_groups_on_the_page() {
    let Some(browser) = Browser::find() else { return };
    let mut rig = Rig::start(None).await;
    let handler = Handler::start(&rig, "orders");
    rig.has_group("orders").await;
    browser.walk("operator.mjs", &mut rig, &handler).await;
}

#[tokio::test]
async fn with_an_access_token_the_page_asks_for_it_and_shows_nothing_before() {
    let Some(browser) = Browser::find() else { return };
    let mut rig = Rig::start(Some("open-sesame")).await;
    let handler = Handler::start(&rig, "orders");
    rig.has_group("orders").await;
    browser.walk("access.mjs", &mut rig, &handler).await;
}

#[test]
fn the_pages_words_and_json_are_right() {
    let Some(_ready) = Browser::find() else { return };
    let units = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/live_view/units.mjs");
    let tested = std::process::Command::new("node").arg("--test").arg(units).output().expect("node runs");
    assert!(tested.status.success(), "{}", String::from_utf8_lossy(&tested.stdout));
}
