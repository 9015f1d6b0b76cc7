//! See `switchboard::fuzz`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| switchboard::fuzz::run("webhook", data));
