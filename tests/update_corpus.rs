//! The corpus: every update gets the key that its reference says, every hostile body is answered as decided.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use proptest::prelude::*;
use serde::de::IgnoredAny;
use switchboard::update::{KindCode, parse};

fn corpus(file: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/updates").join(file)
}

/// The rows of a table with a heading, as columns.
fn table(file: &str) -> Vec<Vec<String>> {
    let text = fs::read_to_string(corpus(file)).unwrap_or_else(|error| panic!("{file}: {error}"));
    text.lines().skip(1).map(|line| line.split('\t').map(str::to_owned).collect()).collect()
}

#[test]
fn p10_every_update_of_the_corpus_gets_its_reference_key_and_stays_verbatim() {
    let updates = fs::read_to_string(corpus("updates.jsonl")).expect("the corpus is in the repository");
    let rows = table("updates.routing.tsv");
    assert_eq!((updates.lines().count(), rows.len()), (540, 540));
    for (line, row) in updates.lines().zip(rows) {
        let [number, update_id, kind, chat, user, other, key_kind] = row.as_slice() else {
            panic!("the routing table has seven columns: {row:?}");
        };
        let update = parse(line.as_bytes()).unwrap_or_else(|error| panic!("line {number}: {error}"));
        let key = match key_kind.as_str() {
            "chat" => format!("chat:{chat}"),
            "user" => format!("user:{user}"),
            "other" => format!("poll:{other}"),
            "none" => format!("update:{update_id}"),
            unknown => panic!("line {number}: key kind {unknown}"),
        };
        let id = |id: Option<i64>| id.map(|id| id.to_string()).unwrap_or_default();
        assert_eq!(update.key.to_string(), key, "line {number}");
        assert_eq!(&update.update_id.to_string(), update_id, "line {number}");
        assert_eq!((id(update.chat_id), id(update.user_id)), (chat.clone(), user.clone()), "line {number}");
        assert_eq!(update.kind_name, if kind.is_empty() { "unknown" } else { kind }, "line {number}");
        assert_eq!(update.kind, KindCode::from_name(kind).unwrap_or(KindCode::UNKNOWN), "line {number}");
        assert_eq!(update.json, line, "line {number}");
    }
}

#[test]
fn every_hostile_body_is_answered_as_the_index_and_the_policy_say() {
    let policy: BTreeMap<String, Vec<String>> =
        table("POLICY.tsv").into_iter().map(|row| (row[0].clone(), row)).collect();
    let mut policies = 0;
    for row in table("malformed/INDEX.tsv") {
        let (file, expect) = (&row[0], row[2].as_str());
        let body = fs::read(corpus("malformed").join(file)).expect("the index names files that are there");
        let decided = match expect {
            "policy" => {
                policies += 1;
                let decision = policy.get(file).unwrap_or_else(|| panic!("{file} has no row in POLICY.tsv"));
                (decision[1] == "accept").then(|| Some((decision[2].clone(), decision[3].clone())))
            }
            "accept" => Some(None),
            _ => None,
        };
        match (parse(&body), decided) {
            (Ok(update), Some(routed)) => {
                let got = (update.kind_name.to_string(), update.key.to_string());
                assert_eq!(routed.unwrap_or_else(|| got.clone()), got, "{file}");
                assert_eq!(update.json.as_bytes(), body.trim_ascii(), "{file}");
            }
            (Err(_), None) => {}
            (Ok(update), None) => panic!("{file} should be refused, got {:?}", update.key),
            (Err(error), Some(_)) => panic!("{file} should be accepted: {error}"),
        }
    }
    assert_eq!(policies, policy.len(), "POLICY.tsv has a row for each policy file and no other");
}

#[test]
fn decoys_do_not_route() {
    for (file, key) in [
        ("61_chat_id_min_i64.json", "chat:-9223372036854775808"),
        ("66_escaped_key.json", "chat:-1001234567890"),
        ("67_decoy_key_in_string.json", "chat:-5"),
        ("68_decoy_nested_chat.json", "chat:333"),
        ("69_proto_keys.json", "chat:-1001234567890"),
    ] {
        let body = fs::read(corpus("malformed").join(file)).expect("the file is in the repository");
        assert_eq!(parse(&body).map(|update| update.key.to_string()).as_deref(), Ok(key), "{file}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    /// What is accepted is valid JSON in valid UTF-8 whatever was done to it, and its id is the one that a full parse
    /// finds.
    #[test]
    fn a_damaged_update_is_refused_or_still_valid(
        line in 0..540_usize,
        edits in prop::collection::vec((any::<prop::sample::Index>(), prop_oneof![
            any::<u8>(),
            prop::sample::select(b"{}[]\",:\\u0 -.e1n".to_vec()),
        ]), 1..4),
        cut in prop::option::weighted(0.2, any::<prop::sample::Index>()),
    ) {
        let updates = fs::read_to_string(corpus("updates.jsonl")).unwrap_or_default();
        let mut body = updates.lines().nth(line).unwrap_or_default().as_bytes().to_vec();
        for (at, byte) in edits {
            let at = at.index(body.len());
            body[at] = byte;
        }
        if let Some(cut) = cut {
            body.truncate(cut.index(body.len()));
        }
        if let Ok(update) = parse(&body) {
            prop_assert_eq!(update.json.as_bytes(), body.trim_ascii());
            prop_assert!(serde_json::from_str::<IgnoredAny>(update.json).is_ok());
            if let Ok(tree) = serde_json::from_str::<serde_json::Value>(update.json) {
                prop_assert_eq!(tree["update_id"].as_i64(), Some(update.update_id));
            }
        } else if let Ok(tree) = serde_json::from_slice::<serde_json::Value>(&body) {
            prop_assert!(tree["update_id"].as_i64().is_none_or(|id| id < 1), "refused: {}", tree);
        }
    }
}
