//! Filters and the fallback, over the whole corpus of updates and a gateway that is killed meanwhile.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use serde_json::Value;
use switchboard::simulator::{Replay, Source};
use tokio::sync::watch;

use crate::checker::Group;
use crate::console::done;
use crate::consumer::{Consumer, Memory};
use crate::corpus::reference;
use crate::gateway::{Mode, Setup, telegram};
use crate::{BOT, PATIENCE};

const TEXTS: &str = "--kinds message,edited_message";
const BUTTONS: &str = "--callback-prefixes d";
const ONE_CHAT: &str = "--chats 1 --kinds message,business_message,message_reaction";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn p2_p3_p4_each_group_gets_what_its_filter_matches_and_the_fallback_what_no_other_does() {
    let telegram = telegram().await;
    let data = tempfile::tempdir().unwrap();
    let setup = Setup::new(data.path(), &telegram, Mode::Polling);
    let mut gateway = setup.start().await;
    let mut groups = Vec::new();
    for (name, filter) in
        [("texts", TEXTS), ("buttons", BUTTONS), ("one-chat", ONE_CHAT), ("all", ""), ("rest", "--fallback")]
    {
        done(&gateway, &format!("groups create {name} {filter}")).await;
        let expected: HashMap<_, _> =
            reference().into_iter().filter(|(_, (key, json))| matches(name, key, json)).collect();
        let ids: Vec<_> = expected.keys().copied().collect();
        groups.push((Arc::new(Group::expecting(name, Mode::Polling, expected)), ids));
    }
    let counts: Vec<_> = groups.iter().map(|(_, ids)| ids.len()).collect();
    assert!(counts.iter().all(|count| *count > 0) && counts[3] == reference().len(), "{counts:?}");

    let (boots, boot) = watch::channel(1);
    let start = |(group, _): &(Arc<Group>, _)| {
        ["keeper", "forgetful"].map(|id| {
            let memory = if id == "keeper" { Memory::Holds } else { Memory::Forgets };
            Consumer::start(group, id, gateway.grpc, memory, 7, boot.clone())
        })
    };
    let consumers: Vec<_> = groups.iter().map(start).collect();
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/updates/updates.jsonl");
    let replay = Arc::new(Replay::from_file(&corpus).unwrap());
    telegram.feed(BOT, Source::Replayed { replay, rate: 0.0 });
    for settled in [30, 200] {
        groups[0].0.settles(settled).await;
        gateway.kill().await;
        boots.send_modify(|boots| *boots += 1);
        gateway = setup.start().await;
    }
    for (group, ids) in &groups {
        group.settles(ids.len()).await;
    }
    tokio::time::timeout(PATIENCE, telegram.settled(BOT)).await.unwrap();
    for (group, ids) in &groups {
        // It has seen every delivery: one of an update that is not expected would be among the violations.
        let seen = group.verify(ids);
        assert_eq!(seen.by_consumer.values().sum::<usize>(), ids.len(), "{}", group.report());
    }
    drop(consumers);
    gateway.stop().await;
}

/// What the group is to get, worked out from the update itself.
fn matches(group: &str, key: &str, json: &str) -> bool {
    let update: Value = serde_json::from_str(json).unwrap();
    let is = |kind: &str| update.get(kind).is_some();
    match group {
        "texts" => is("message") || is("edited_message"),
        "buttons" => update["callback_query"]["data"].as_str().is_some_and(|data| data.starts_with('d')),
        "one-chat" => {
            key == "chat:1" && ["message", "business_message", "message_reaction"].into_iter().any(is)
        }
        "all" => true,
        _ => !["texts", "buttons", "one-chat"].into_iter().any(|other| matches(other, key, json)),
    }
}
