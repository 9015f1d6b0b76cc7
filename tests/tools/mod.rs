//! Tools of other languages, for tests that need them.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

/// Gets a tool ready with its script from `scripts/`. Without `SWITCHBOARD_TEST_TOOLS=1` nothing is installed: then
/// `None` where `product`, what the script makes, is not there, and the test says loudly that it is skipped.
pub fn tool(script: &str, product: &str) -> Option<PathBuf> {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let product = match (product.strip_prefix("tools/"), std::env::var_os("SWITCHBOARD_TOOLS_DIR")) {
        (Some(tool), Some(tools)) => Path::new(&tools).join(tool),
        (Some(tool), None) => root.join("target/tools").join(tool),
        (None, _) => root.join(product),
    };
    if required() {
        let _guard = ONE_AT_A_TIME.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let status = std::process::Command::new(root.join("scripts").join(script)).status().unwrap();
        assert!(status.success(), "scripts/{script} failed: {status}");
        assert!(product.exists(), "scripts/{script} did not make {}", product.display());
    } else if !product.exists() {
        // Not by a macro: what those print is shown of failed tests only.
        let _ = writeln!(
            std::io::stderr(),
            "\n!!! SKIPPED, since scripts/{script} has not been run: {}. Set SWITCHBOARD_TEST_TOOLS=1 to have it \
             done, or use .ci/run.\n",
            std::thread::current().name().unwrap_or("a test"),
        );
        return None;
    }
    Some(product)
}

/// Whether tests that need tools of other languages must run: `.ci/run` says so.
fn required() -> bool {
    std::env::var_os("SWITCHBOARD_TEST_TOOLS").is_some_and(|value| value == "1")
}
