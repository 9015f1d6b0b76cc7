//! Handlers in other languages, and grpcurl, against the built binary: what README.md and examples/ say, done.

#![cfg(unix)]
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod grpcurl;
mod rig;
#[path = "../tools/mod.rs"]
mod tools;

use std::path::{Path, PathBuf};

use rig::{Handler, Rig};
use tools::tool;

fn example(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/handlers").join(path)
}

#[tokio::test]
async fn the_python_handler_handles_acks_nacks_and_reconnects() {
    let python = tool("setup-python-handler", "examples/handlers/python/.venv/bin/python");
    let Some(python) = python else { return };
    handles_acks_nacks_and_reconnects(&python, &[example("python/handler.py")]).await;
}

#[tokio::test]
async fn the_go_handler_handles_acks_nacks_and_reconnects() {
    let Some(handler) = tool("setup-go-handler", "examples/handlers/go/handler") else { return };
    handles_acks_nacks_and_reconnects(&handler, &[]).await;
}

#[tokio::test]
async fn the_node_handler_handles_acks_nacks_and_reconnects() {
    if tool("setup-node-handler", "examples/handlers/node/node_modules").is_none() {
        return;
    }
    handles_acks_nacks_and_reconnects(Path::new("node"), &[example("node/handler.js")]).await;
}

async fn handles_acks_nacks_and_reconnects(program: &Path, args: &[PathBuf]) {
    let mut rig = Rig::start().await;
    let mut handler = Handler::start(&rig, program, args, "shop");

    rig.telegram_receives(&[(1, "привет"), (2, "a"), (1, "/fail"), (2, "b"), (1, "after"), (3, "🐟")]).await;
    let took = handler.took(7).await;
    let texts =
        |key: &str| took[key].iter().map(|(text, attempt)| (text.as_str(), *attempt)).collect::<Vec<_>>();
    assert_eq!(
        texts("chat:1"),
        [("привет", 1), ("/fail", 1), ("/fail", 2), ("after", 1)],
        "nacked, and in order"
    );
    assert_eq!(texts("chat:2"), [("a", 1), ("b", 1)]);
    assert_eq!(texts("chat:3"), [("🐟", 1)]);
    rig.settled("shop", 6).await;

    rig.kill_and_restart_gateway().await;
    rig.telegram_receives(&[(1, "x"), (2, "y")]).await;
    let took = handler.took(2).await;
    assert_eq!(took["chat:1"], [("x".to_owned(), 1)], "what was acked does not come again");
    assert_eq!(took["chat:2"], [("y".to_owned(), 1)]);
    rig.settled("shop", 2).await;
}
