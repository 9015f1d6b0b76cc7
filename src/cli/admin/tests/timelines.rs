//! Why did chat X get no answer?

use std::collections::HashMap;

use prost_types::Timestamp;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};

use super::{Fake, Gateway};
use crate::cli::exit::Exit;
use crate::grpc::proto::client::get_update_request::Id;
use crate::grpc::proto::client::*;

fn at(seconds: i64, millis: i32) -> Option<Timestamp> {
    Some(Timestamp { seconds: 1_780_000_000 + seconds, nanos: millis * 1_000_000 })
}

fn stored(sequence: i64, text: &str) -> StoredUpdate {
    let update = Update {
        bot: "default".into(),
        update_id: 700 + sequence,
        kind: "message".into(),
        chat_id: Some(42),
        user_id: Some(42),
        received_time: at(sequence, 0),
        json: format!(r#"{{"update_id":1,"message":{{"text":"{text}"}}}}"#),
        ..Update::default()
    };
    StoredUpdate {
        sequence,
        ordering_key: "chat:42".into(),
        commit_time: at(sequence, 2),
        update: Some(update),
        ..StoredUpdate::default()
    }
}

fn timelines(sequence: i64) -> Vec<GroupTimeline> {
    let attempt = DeliveryAttempt {
        attempt: 1,
        consumer_id: "worker-1".into(),
        deliver_time: at(sequence, 5),
        end_time: at(sequence, 905),
        ..DeliveryAttempt::default()
    };
    let nacked = DeliveryAttempt {
        outcome: AttemptOutcome::Nacked.into(),
        reason: "no such order".into(),
        ..attempt.clone()
    };
    let group = |group: &str, state: UpdateState| GroupTimeline {
        group: group.into(),
        state: state.into(),
        ..GroupTimeline::default()
    };
    let orders = match sequence {
        17 => GroupTimeline {
            attempts: vec![nacked],
            explanation: "It failed once: mend the handler; it is tried again by itself.".into(),
            ..group("orders", UpdateState::BackingOff)
        },
        _ => GroupTimeline { blocked_by_sequence: 17, ..group("orders", UpdateState::Blocked) },
    };
    let acked = DeliveryAttempt { outcome: AttemptOutcome::Acked.into(), ..attempt };
    let audit = GroupTimeline {
        attempts: vec![acked],
        settle_time: at(sequence, 905),
        explanation: "group audit: update 17 was handled: worker-1 acked it.".into(),
        ..group("audit", UpdateState::Acked)
    };
    let mail = GroupTimeline {
        explanation: "group mail: update 17 was not matched by the group's filter when it came.".into(),
        ..group("mail", UpdateState::NotMatched)
    };
    vec![audit, mail, orders]
}

async fn gateway() -> Gateway {
    Fake::default()
        .on("list_updates", |request: ListUpdatesRequest| {
            let updates = match request.selection.unwrap().chat_id {
                Some(42) => vec![stored(18, ""), stored(17, "")],
                _ => Vec::new(),
            };
            Ok::<_, Status>(ListUpdatesResponse { updates, ..ListUpdatesResponse::default() })
        })
        .on("get_update", |request: GetUpdateRequest| match request.id {
            Some(Id::Sequence(17) | Id::UpdateId(717)) => {
                Ok(GetUpdateResponse { update: Some(stored(17, "buy 1")), timelines: timelines(17) })
            }
            Some(Id::Sequence(18)) => {
                Ok(GetUpdateResponse { update: Some(stored(18, "hello?")), timelines: timelines(18) })
            }
            other => Err(Status::not_found(format!("there is no update {other:?}"))),
        })
        .on("get_bot", |_: GetBotRequest| {
            let bot = Bot {
                conflict: "another process polls this bot; stop it".into(),
                journal: Some(JournalStatus { quarantined_count: 2, ..JournalStatus::default() }),
                ..Bot::default()
            };
            Ok::<_, Status>(GetBotResponse { bot: Some(bot) })
        })
        .start()
        .await
}

#[tokio::test]
async fn the_timeline_of_an_update_says_what_became_of_it_in_each_group_trouble_first() {
    let ran = gateway().await.run(&["timeline", "--update-id", "717"]).await;
    assert_eq!(ran.exit, Exit::Done);
    // How long ago that is depends on the day.
    let out = ran.out.lines().map(|line| line.split(" (").next().unwrap()).collect::<Vec<_>>().join("\n");
    assert_eq!(
        out,
        "\
update    717 of bot default: message in chat 42 by user 42
sequence  17, key chat:42
text      buy 1
received  2026-05-28T20:26:57Z
stored    2026-05-28T20:26:57Z, 2 ms later

… orders: backing off, next attempt soon
    TRY  DELIVERED     AFTER  CONSUMER  OUTCOME    TOOK  REASON
      1  20:26:57.005   5 ms  worker-1  nacked   900 ms  no such order
    It failed once: mend the handler; it is tried again by itself.

✓ audit: acked, 905 ms after it was received
    TRY  DELIVERED     AFTER  CONSUMER  OUTCOME    TOOK  REASON
      1  20:26:57.005   5 ms  worker-1  acked    900 ms  -
    update 17 was handled: worker-1 acked it.

– mail: not matched
    update 17 was not matched by the group's filter when it came.
    Next: switchboard groups show mail"
    );
}

#[tokio::test]
async fn a_chat_without_an_answer_shows_the_update_that_holds_it_up() {
    let ran = gateway().await.run(&["timeline", "--chat", "42", "--times", "absolute"]).await;
    assert_eq!(
        ran.out,
        "\
SEQUENCE  RECEIVED              KIND     TEXT    audit    orders
      18  2026-05-28T20:26:58Z  message  hello?  ✓ acked  … blocked
      17  2026-05-28T20:26:57Z  message  buy 1   ✓ acked  … backing off

None of these is for: mail

… orders: sequence 17 is backing off, next attempt soon
    It failed once: mend the handler; it is tried again by itself.

One in full: switchboard timeline 18
"
    );
    assert_eq!(ran.exit, Exit::Done);
}

#[tokio::test]
async fn a_chat_of_which_nothing_came_says_what_keeps_updates_out() {
    let ran = gateway().await.run(&["timeline", "--chat", "43"]).await;
    assert_eq!(ran.exit, Exit::NotFound);
    assert_eq!(
        ran.notes,
        "\
switchboard timeline: no update of chat 43 is kept
  updates do not come in: another process polls this bot; stop it
  2 elements could not be read as updates: switchboard quarantine
"
    );
}

#[tokio::test]
async fn an_update_is_shown_with_its_json_as_it_was_sent() {
    let ran = gateway().await.run(&["updates", "show", "17"]).await;
    assert!(ran.out.contains("audit: acked, mail: not matched, orders: backing off"), "{ran:?}");
    assert!(ran.out.contains("  \"message\": {\n    \"text\": \"buy 1\"\n  }\n}\n"), "{ran:?}");
    let ran = gateway().await.run(&["updates", "show", "99"]).await;
    assert_eq!(ran.exit, Exit::NotFound);
}

#[tokio::test]
async fn a_chat_of_which_nothing_is_kept_may_have_been_purged() {
    let well = Fake::default()
        .on("list_updates", |_: ListUpdatesRequest| Ok::<_, Status>(ListUpdatesResponse::default()))
        .on("get_bot", |_: GetBotRequest| {
            let bot = Bot { connected_time: at(0, 0), username: "shop_bot".into(), ..Bot::default() };
            Ok::<_, Status>(GetBotResponse { bot: Some(bot) })
        });
    let ran = well.start().await.run(&["timeline", "--chat", "42"]).await;
    assert_eq!(ran.exit, Exit::NotFound);
    let why = "of this chat none came, or they were purged, or they are older than what is kept";
    assert!(ran.notes.contains(why), "{ran:?}");
}

#[tokio::test]
async fn a_number_that_is_no_sequence_may_be_telegrams_id() {
    let unknown = Fake::default().on("get_update", |_: GetUpdateRequest| {
        let details = ErrorDetails::with_error_info("UPDATE_NOT_FOUND", "switchboard", HashMap::new());
        let message = "there is no update with the sequence 728722417";
        Err::<GetUpdateResponse, _>(Status::with_error_details(Code::NotFound, message, details))
    });
    let gateway = unknown.start().await;
    for line in [&["timeline", "728722417"][..], &["updates", "show", "728722417"]] {
        let ran = gateway.run(line).await;
        assert_eq!(ran.exit, Exit::NotFound);
        assert!(
            ran.notes.ends_with("if 728722417 is Telegram's update_id: --update-id 728722417\n"),
            "{ran:?}"
        );
    }
    let ran = gateway.run(&["timeline", "--update-id", "728722417"]).await;
    assert!(ran.exit == Exit::NotFound && !ran.notes.contains("--update-id"), "{ran:?}");
}
