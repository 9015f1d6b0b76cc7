//! A group from its creation to a seek, as its operator sees it: on the command line, in the metrics and on the page.

use serde_json::{Value, json};
use switchboard::simulator::Running;

use crate::console::{done, group, json, number, until};
use crate::gateway::{Gateway, Mode, Setup, telegram};
use crate::steps::{Hands, control};
use crate::taker::{Taken, delivered, take};

const CREATE: &str = "groups create orders --kinds message,callback_query --commands order --callback-prefixes order: \
                      --chat-types private --start earliest";
const CHATS: i64 = 8;
/// Of each chat's updates in a batch, so many match.
const MATCHING: usize = 3;

#[tokio::test]
async fn p2_p3_p4_a_group_with_a_filter_paused_over_a_sigkill_resumed_and_sought_back_gets_what_matches() {
    let telegram = telegram().await;
    let data = tempfile::tempdir().unwrap();
    let setup = Setup::new(data.path(), &telegram, Mode::Polling);
    let gateway = setup.start().await;
    done(&gateway, CREATE).await;
    let mut hands = Hands::join(gateway.grpc, "orders").await;
    let first = batch(&telegram).await;
    let each = count(&first);
    assert_eq!(each, MATCHING * CHATS as usize);
    assert_eq!(take(&mut hands, each).await, first);
    agree(&gateway, [0, 0, 1]).await;

    done(&gateway, "groups pause orders").await;
    let second = batch(&telegram).await;
    agree(&gateway, [each, 0, 1]).await;
    drop(hands);
    gateway.kill().await;

    let gateway = setup.start().await;
    let mut hands = Hands::join(gateway.grpc, "orders").await;
    let third = batch(&telegram).await;
    agree(&gateway, [2 * each, 0, 1]).await;
    assert_eq!(delivered(&gateway, "orders").await, 0.0, "it is still paused");
    let paused = group(&gateway, "orders").await;
    assert!(paused["pauseTime"].is_string(), "{paused}");
    assert_eq!(paused["filter"]["commands"], json!(["order"]));
    done(&gateway, "groups resume orders").await;
    let since_the_pause = joined([second, third]);
    assert_eq!(take(&mut hands, 2 * each).await, since_the_pause);
    agree(&gateway, [0, 0, 1]).await;

    let would = done(&gateway, "seek orders --to -1h --dry-run").await;
    assert!(would.contains(&format!("brings {0} updates ({0} of them again)", 3 * each)), "{would}");
    agree(&gateway, [0, 0, 1]).await;
    done(&gateway, "seek orders --to -1h --yes").await;
    assert_eq!(take(&mut hands, 3 * each).await, joined([first, since_the_pause]));
    agree(&gateway, [0, 0, 1]).await;
    // After the restart: what had waited, and all of it once more. Nothing else was handed out, and nothing twice.
    assert_eq!(delivered(&gateway, "orders").await, (5 * each) as f64);
    let settled = gateway.metric("switchboard_updates_settled_total{", "group=\"orders\"").await;
    assert_eq!(settled, (5 * each) as f64);
    drop(hands);
    gateway.stop().await;
}

/// Somebody in each chat does things that the filter matches and things that it does not; the ids of those that match.
async fn batch(telegram: &Running) -> Taken {
    let mut updates = Vec::new();
    for chat in 1..=CHATS {
        let place = |kind: &str| json!({"id": chat, "type": kind});
        let message =
            |text: &str| json!({"message_id": 1, "date": 1, "chat": place("private"), "text": text});
        let pressed = |data: &str| {
            json!({"id": "1", "chat_instance": "1", "data": data, "message": message("menu"),
            "from": {"id": chat, "is_bot": false, "first_name": "A"}})
        };
        let elsewhere =
            json!({"message_id": 1, "date": 1, "chat": {"id": -chat, "type": "group"}, "text": "/order"});
        updates.extend([
            (true, json!({"message": message("/order pizza")})),
            (false, json!({"message": message("order pizza")})),
            (true, json!({"callback_query": pressed("order:17")})),
            (false, json!({"callback_query": pressed("reorder:17")})),
            (false, json!({"edited_message": message("/order soup")})),
            (false, json!({ "message": elsewhere })),
            (true, json!({"message": message("/ORDER@simulated_42_bot soup")})),
            (false, json!({"message": message("/orders")})),
        ]);
    }
    let body: Vec<String> = updates.iter().map(|(_, update)| update.to_string()).collect();
    let queued = control(telegram, "updates", body.join("\n")).await;
    let ids = queued["update_ids"].as_array().unwrap().iter().map(|id| id.as_i64().unwrap());
    let mut matching = Taken::new();
    for (id, (_, update)) in ids.zip(&updates).filter(|(_, (matches, _))| *matches) {
        let message = update.get("message").unwrap_or(&update["callback_query"]["message"]);
        let key = format!("chat:{}", message["chat"]["id"]);
        matching.entry(key).or_default().push(id);
    }
    matching
}

fn count(taken: &Taken) -> usize {
    taken.values().map(Vec::len).sum()
}

fn joined(parts: [Taken; 2]) -> Taken {
    let mut whole = Taken::new();
    for (key, mut ids) in parts.into_iter().flatten() {
        whole.entry(key).or_default().append(&mut ids);
    }
    whole
}

/// Waits until the command line, the metrics and the page all say: so many unsettled, so many out, so many consumers.
async fn agree(gateway: &Gateway, counts: [usize; 3]) {
    let expected = counts.map(|count| count as i64);
    until(&format!("{expected:?} unsettled, out, consumers everywhere"), async || {
        let of_group = |group: &Value| {
            let status = &group["status"];
            let consumers = status["consumers"].as_array().map_or(0, Vec::len) as i64;
            [number(&status["lag"]), number(&status["outstanding"]), consumers]
        };
        let command_line = of_group(&json(gateway, "groups show orders").await[0]);
        let page = of_group(&group(gateway, "orders").await);
        let mut metrics = [0; 3];
        for (metric, name) in metrics.iter_mut().zip(["lag", "outstanding", "consumers"]) {
            let name = format!("switchboard_{name}{{");
            *metric = gateway.metric(&name, "group=\"orders\"").await as i64;
        }
        ([command_line, page, metrics] == [expected; 3]).then_some(())
    })
    .await;
}
