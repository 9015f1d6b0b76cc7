//! Updates that are worthless when they come late.

use serde_json::json;

use crate::console::{api, done, until};
use crate::gateway::{Mode, Setup, telegram};
use crate::steps::{Hands, control, texts, write};

#[tokio::test]
async fn p2_an_update_older_than_its_kind_may_get_expires_counted_and_shown_and_is_never_delivered() {
    let telegram = telegram().await;
    let data = tempfile::tempdir().unwrap();
    let setup = Setup::new(data.path(), &telegram, Mode::Polling);
    let gateway = setup.start().await;
    done(&gateway, "groups create orders --max-age callback_query=1s --start earliest").await;
    done(&gateway, "groups create patient --start earliest").await;
    let menu = json!({"message_id": 1, "date": 1, "chat": {"id": 7, "type": "private"}, "text": "menu"});
    let pressed = json!({"callback_query": {"id": "1", "chat_instance": "1", "data": "yes", "message": menu,
        "from": {"id": 7, "is_bot": false, "first_name": "A"}}});
    let queued = control(&telegram, "updates", pressed.to_string()).await;
    let id = &queued["update_ids"][0];
    write(&telegram, 7, &["after"]).await;
    until("the callback is kept", async || done_or_none(&gateway, id).await).await;

    // Nobody takes it in time, as if the handlers were away, and the gateway with them.
    until("it is more than a second old", async || {
        let listed = done(&gateway, "updates --kind callback_query --until 2s").await;
        listed.contains("callback_query").then_some(())
    })
    .await;
    gateway.kill().await;
    let gateway = setup.start().await;
    // It expires when its turn comes: the next one of its chat is delivered at once.
    let mut hands = Hands::join(gateway.grpc, "orders").await;
    assert_eq!(texts(&hands.deliveries(1).await), ["after"]);
    gateway.says("an update left the group without having been handled").await;
    let timelines = done_or_none(&gateway, id).await.unwrap()["timelines"].take();
    let timelines = timelines.as_array().unwrap();
    let state = |group: &str| &timelines.iter().find(|timeline| timeline["group"] == group).unwrap()["state"];
    assert_eq!(
        (state("orders"), state("patient")),
        (&"UPDATE_STATE_EXPIRED".into(), &"UPDATE_STATE_PENDING".into())
    );
    let shown = done(&gateway, "timeline --chat 7").await;
    assert!(shown.contains("✗ expired"), "{shown}");
    let expired = gateway.metric("switchboard_updates_settled_total{", "outcome=\"expired\"").await;
    assert_eq!(expired, 1.0);

    let mut hands = Hands::join(gateway.grpc, "patient").await;
    let both = hands.deliveries(1).await;
    assert_eq!(both[0].update.as_ref().unwrap().kind, "callback_query", "it is kept for others");
    drop(hands);
    gateway.stop().await;
}

async fn done_or_none(
    gateway: &crate::gateway::Gateway,
    id: &serde_json::Value,
) -> Option<serde_json::Value> {
    let listed = api(gateway, "ListUpdates", json!({"selection": {"update_id": id}})).await;
    listed["updates"].as_array()?;
    Some(api(gateway, "GetUpdate", json!({ "update_id": id })).await)
}
