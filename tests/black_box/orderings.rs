//! What a group's order is kept by: with consumers that die, and a gateway that is killed.

use std::collections::HashMap;
use std::sync::Arc;

use serde_json::json;
use tokio::sync::watch;

use crate::checker::Group;
use crate::console::done;
use crate::consumer::{Consumer, Memory};
use crate::gateway::{Mode, Setup, telegram};
use crate::steps::{Hands, control};

const CHAT: i64 = -1_001;
const USERS: i64 = 5;
const TOPICS: i64 = 3;
const FIRST_ID: i64 = 900_000_000;
/// Those that one consumer gets at once, before the others come.
const FIRST: usize = 60;
const UPDATES: usize = 300;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn p2_p3_p4_by_chat_user_topic_or_nothing_one_of_a_key_is_out_at_a_time_and_in_order() {
    let telegram = telegram().await;
    let data = tempfile::tempdir().unwrap();
    let setup = Setup::new(data.path(), &telegram, Mode::Polling)
        .with("SWITCHBOARD_GROUP_MEMBER_GRACE", "50ms")
        .with("SWITCHBOARD_GROUP_BACKOFF_INITIAL", "10ms");
    let mut gateway = setup.start().await;
    // Outside of topics a message is ordered by its chat.
    let orderings = [("chat", 1), ("user", USERS as usize), ("topic", TOPICS as usize + 1), ("none", FIRST)];
    for (ordering, _) in orderings {
        done(&gateway, &format!("groups create {ordering} --ordering {ordering} --start earliest")).await;
    }
    let updates: Vec<_> = (0..UPDATES as i64).map(message).collect();
    let body: Vec<_> = updates[..FIRST].iter().map(|(_, json)| json.as_str()).collect();
    control(&telegram, "updates", body.join("\n")).await;
    for (ordering, keys) in orderings {
        let mut hands = Hands::join(gateway.grpc, ordering).await;
        let mut got: Vec<_> = hands.deliveries(keys).await.into_iter().map(|got| got.ordering_key).collect();
        got.sort_unstable();
        got.dedup();
        assert_eq!(got.len(), keys, "by {ordering}: one of each key, and of all keys at once");
        // It dies with all of them.
    }

    let (boots, boot) = watch::channel(1);
    let groups = orderings.map(|(ordering, _)| {
        let expected: HashMap<_, _> = (FIRST_ID..)
            .zip(&updates)
            .map(|(id, (keys, json))| (id, (keys(ordering), json.clone())))
            .collect();
        Arc::new(Group::expecting(ordering, Mode::Polling, expected))
    });
    let consumers = groups.each_ref().map(|group| {
        [("a", Memory::Holds), ("b", Memory::Forgets), ("c", Memory::Forgets)]
            .map(|(id, memory)| Consumer::start(group, id, gateway.grpc, memory, 3, boot.clone()))
    });
    let body: Vec<_> = updates[FIRST..].iter().map(|(_, json)| json.as_str()).collect();
    control(&telegram, "updates", body.join("\n")).await;
    for settled in [40, 150] {
        groups[0].settles(settled).await;
        gateway.kill().await;
        boots.send_modify(|boots| *boots += 1);
        gateway = setup.start().await;
    }
    let ids: Vec<_> = (FIRST_ID..).take(UPDATES).collect();
    for group in &groups {
        group.settles(UPDATES).await;
        group.verify(&ids);
    }
    drop(consumers);
    gateway.stop().await;
}

type Keys = Box<dyn Fn(&str) -> String + Send + Sync>;

/// One message of a forum's many, and its key by each ordering.
fn message(number: i64) -> (Keys, String) {
    let (id, user, topic) = (FIRST_ID + number, 1 + number % USERS, number % (TOPICS + 1));
    let mut message = json!({"message_id": number, "date": 1, "chat": {"id": CHAT, "type": "supergroup"},
        "from": {"id": user, "is_bot": false, "first_name": "A"}, "text": number.to_string()});
    if topic > 0 {
        message["message_thread_id"] = topic.into();
        message["is_topic_message"] = true.into();
    }
    let keys = move |ordering: &str| match ordering {
        "user" => format!("user:{user}"),
        "topic" if topic > 0 => format!("topic:{CHAT}:{topic}"),
        "none" => format!("update:{id}"),
        _ => format!("chat:{CHAT}"),
    };
    (Box::new(keys), json!({"update_id": id, "message": message}).to_string())
}
