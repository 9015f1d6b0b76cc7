//! What the fuzzers run: each target takes any bytes, and panics where something that must hold does not. `fuzz/` makes
//! libFuzzer programs of them; tests/corpora.rs replays what they have found. Only with the feature `fuzzing`.

use crate::model::Token;
use crate::update::{self, ParseError};
use crate::{config, grpc, http, journal, telegram};

/// One target.
pub type Target = fn(&[u8]);

/// All targets by name, which is that of their corpus.
pub const TARGETS: &[(&str, Target)] = &[
    ("update", update),
    ("page", telegram::fuzz_page),
    ("webhook", http::public::fuzz),
    ("token", token),
    ("page_token", grpc::fuzz_page_token),
    ("config", config::fuzz),
    ("rows", journal::lmdb::fuzz_rows),
];

/// Runs one target.
///
/// # Panics
/// If there is no such target, or if something is wrong.
pub fn run(name: &str, data: &[u8]) {
    let target = TARGETS.iter().find(|(of, _)| *of == name);
    target.map_or_else(|| panic!("there is no target {name}"), |(_, target)| target(data));
}

/// An update is taken verbatim, with a key, or refused with the reason.
fn update(data: &[u8]) {
    match update::parse(data) {
        Ok(update) => {
            assert!(update.update_id >= 1);
            assert!(update.json.starts_with('{') && update.json.ends_with('}'), "{:?}", update.json);
            let at = update.json.as_ptr() as usize - data.as_ptr() as usize;
            assert_eq!(&data[at..at + update.json.len()], update.json.as_bytes(), "verbatim");
            assert!(!update.kind_name.is_empty() && update.kind_name.len() <= update::MAX_KIND_BYTES);
            assert!(!update.key.to_string().is_empty());
            assert_eq!(
                update::parse(update.json.as_bytes()).as_ref(),
                Ok(&update),
                "reading it again gives the same"
            );
        }
        Err(ParseError::NotUtf8(at)) => assert!(at < data.len()),
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}

/// Whatever is read as a token is written back as the same text.
fn token(data: &[u8]) {
    if let Ok(text) = std::str::from_utf8(data)
        && let Ok(token) = Token::parse(text)
    {
        assert_eq!(token.encode(), text);
    }
    // And any fields make a token that is read back.
    if let Some(fields) = data.first_chunk::<40>() {
        let u32_at =
            |at: usize| u32::from_be_bytes([fields[at], fields[at + 1], fields[at + 2], fields[at + 3]]);
        let u64_at = |at: usize| u64::from(u32_at(at)) << 32 | u64::from(u32_at(at + 4));
        let token = Token {
            journal: u64_at(0),
            group: crate::model::GroupId(u32_at(8)),
            generation: u32_at(12),
            boot: u32_at(16),
            sequence: crate::model::Sequence(u64_at(20)),
            key: crate::model::KeyHash(u64_at(28)),
            attempt: u32_at(36),
        };
        assert_eq!(Token::parse(&token.encode()), Ok(token));
    }
}
