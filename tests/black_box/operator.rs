//! An operator's day with the command line alone: find out why a chat got no answer, mend it, see it mended.

use serde_json::Value;
use switchboard::grpc::proto::client::{NackOutcome, SettleCode};

use crate::console::{cli, done, json, until};
use crate::gateway::{Mode, Setup, telegram};
use crate::steps::{Hands, texts, write};

#[tokio::test]
async fn an_unanswered_message_is_found_by_its_chat_and_replayed_once_the_handler_is_mended() {
    let telegram = telegram().await;
    let data = tempfile::tempdir().unwrap();
    let gateway = Setup::new(data.path(), &telegram, Mode::Polling).start().await;
    done(
        &gateway,
        "groups create orders --kinds message --max-failures 1 --min-failure-span 0 --start earliest",
    )
    .await;
    done(&gateway, "groups create audit --kinds callback_query").await;
    let mut hands = Hands::join(gateway.grpc, "orders").await;
    let ids = write(&telegram, 7, &["poison", "next"]).await;
    let poison = hands.deliveries(1).await;
    assert_eq!(texts(&poison), ["poison"]);
    let sequence = poison[0].sequence;

    // While it is out, the one behind it waits.
    let found = until("both are there", async || {
        let found = done(&gateway, "timeline --chat 7").await;
        (found.contains("… outstanding") && found.contains("… blocked")).then_some(found)
    })
    .await;
    assert!(found.contains("None of these is for: audit"), "{found}");
    let out = json(&gateway, "outstanding orders").await;
    assert_eq!(out.len(), 1);
    assert_eq!(out[0]["sequence"], sequence.to_string());

    // The handler gives up on it: it moves to the dead letters, and the chat moves on.
    assert_eq!(hands.nack(&poison[0], NackOutcome::Failed).await, SettleCode::Applied);
    let next = hands.deliveries(1).await;
    assert_eq!(texts(&next), ["next"]);
    assert_eq!(hands.ack(&next).await, [SettleCode::Applied]);
    let letters = done(&gateway, "dead-letters --group orders --chat 7").await;
    assert!(letters.contains("it does not suit"), "{letters}");
    let timeline = done(&gateway, &format!("timeline --update-id {}", ids[0])).await;
    assert!(timeline.contains("✗ orders: dead-lettered"), "{timeline}");
    let replay = format!("dead-letters replay orders --sequence {sequence}");
    assert!(timeline.contains(&format!("switchboard {replay}")), "{timeline}");

    // Once it is mended, it is replayed and handled.
    let replayed = done(&gateway, &replay).await;
    assert_eq!(replayed, "Replayed 1 dead letter to group orders.");
    let again = hands.deliveries(1).await;
    assert_eq!(texts(&again), ["poison"]);
    assert_eq!(hands.ack(&again).await, [SettleCode::Applied]);
    let timeline = done(&gateway, &format!("timeline {sequence}")).await;
    assert!(timeline.contains("✓ orders: acked") && timeline.contains("nacked"), "{timeline}");
    assert_eq!(json(&gateway, "dead-letters").await, Vec::<Value>::new());
    let shown = json(&gateway, &format!("updates show {sequence}")).await;
    assert_eq!(shown[0]["update"]["update"]["updateId"], ids[0].to_string());
    drop(hands);
    gateway.stop().await;
}

#[tokio::test]
async fn a_group_is_paused_over_a_restart_sought_back_and_deleted() {
    let telegram = telegram().await;
    let data = tempfile::tempdir().unwrap();
    let setup = Setup::new(data.path(), &telegram, Mode::Polling);
    let gateway = setup.start().await;
    done(&gateway, "groups create orders --start earliest").await;
    done(&gateway, "groups pause orders").await;
    gateway.stop().await;

    let gateway = setup.start().await;
    let groups = json(&gateway, "groups").await;
    assert!(groups[0]["pauseTime"].is_string(), "{groups:?}");
    done(&gateway, "groups resume orders").await;
    let mut hands = Hands::join(gateway.grpc, "orders").await;
    write(&telegram, 7, &["one"]).await;
    write(&telegram, 8, &["two"]).await;
    let first = hands.deliveries(2).await;
    assert_eq!(hands.ack(&first).await, [SettleCode::Applied; 2]);

    let would = done(&gateway, "seek orders --to -1h --dry-run").await;
    assert!(would.contains("brings 2 updates (2 of them again)"), "{would}");
    let asked = cli(&gateway, "seek orders --to -1h").await;
    assert_eq!(asked.code, Some(2), "{asked:?}");
    assert!(asked.err.contains("give --yes"), "{asked:?}");
    done(&gateway, "seek orders --to -1h --yes").await;
    let again = hands.deliveries(2).await;
    assert_eq!(texts(&again), ["one", "two"]);

    let refused = cli(&gateway, "groups delete orders --yes").await;
    assert_eq!(refused.code, Some(6), "it has unsettled updates: {refused:?}");
    let unknown = cli(&gateway, "groups show ordres").await;
    assert_eq!(unknown.code, Some(5), "{unknown:?}");
    assert!(unknown.err.contains("did you mean `orders`?"), "{unknown:?}");

    done(&gateway, "updates purge --chat 7 --yes").await;
    let gone = cli(&gateway, "timeline --chat 7").await;
    assert_eq!(gone.code, Some(5), "{gone:?}");
    done(&gateway, "groups delete orders --force --yes").await;
    assert_eq!(json(&gateway, "groups").await, Vec::<Value>::new());
    drop(hands);
    gateway.stop().await;
}
