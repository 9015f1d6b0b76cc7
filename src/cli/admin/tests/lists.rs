//! Lists: pages, tables, JSON.

use std::io::{ErrorKind, Write};

use prost_types::Timestamp;
use tonic::Status;

use super::{Fake, Written};
use crate::cli::admin::console::Console;
use crate::cli::admin::run_on;
use crate::cli::exit::Exit;
use crate::grpc::proto::client::*;

/// Updates with these sequences, newest first, two a page.
fn updates(newest: i64) -> Fake {
    Fake::default().on("list_updates", move |request: ListUpdatesRequest| {
        let from: i64 = request.page_token.parse().unwrap_or(newest);
        let to = (from - 2).max(0);
        let update = |sequence| StoredUpdate {
            sequence,
            ordering_key: "chat:-100".into(),
            size_bytes: 512,
            update: Some(Update {
                update_id: 700 + sequence,
                kind: "message".into(),
                chat_id: Some(-100),
                received_time: Some(Timestamp { seconds: 1_780_000_000 + sequence, nanos: 0 }),
                ..Update::default()
            }),
            ..StoredUpdate::default()
        };
        let updates = (to..from).rev().map(|before| update(before + 1)).collect();
        let next_page_token = if to == 0 { String::new() } else { to.to_string() };
        Ok::<_, Status>(ListUpdatesResponse { updates, next_page_token })
    })
}

#[tokio::test]
async fn a_list_is_a_table_of_all_its_pages() {
    let gateway = updates(3).start().await;
    let ran = gateway.run(&["updates", "--times", "absolute"]).await;
    assert_eq!(ran.exit, Exit::Done);
    assert_eq!(
        ran.out,
        "\
SEQUENCE  UPDATE ID  RECEIVED              KIND     CHAT  USER   SIZE
       3        703  2026-05-28T20:26:43Z  message  -100     -  512 B
       2        702  2026-05-28T20:26:42Z  message  -100     -  512 B
       1        701  2026-05-28T20:26:41Z  message  -100     -  512 B
"
    );
    assert_eq!(ran.notes, "");
}

#[tokio::test]
async fn a_list_ends_at_its_limit_and_says_that_there_is_more() {
    let gateway = updates(9).start().await;
    let ran = gateway.run(&["updates", "--limit", "3"]).await;
    assert_eq!(ran.out.lines().count(), 4);
    assert_eq!(ran.notes, "There are more updates; --limit 30 shows more.\n");
    assert_eq!(gateway.calls().len(), 2);
}

#[tokio::test]
async fn with_json_every_line_is_an_object() {
    let gateway = updates(3).start().await;
    let ran = gateway.run(&["updates", "--limit", "2", "--json"]).await;
    let lines: Vec<serde_json::Value> =
        ran.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 2);
    assert_eq!(lines[0]["sequence"], "3");
    assert_eq!(lines[0]["update"]["chatId"], "-100");
    // A page ended there: whether there is another one was not asked.
    assert_eq!(ran.notes, "There may be more updates; --limit 20 would show them.\n");
}

#[tokio::test]
async fn a_list_that_is_as_long_as_its_limit_is_all_there_is() {
    let gateway = updates(1).start().await;
    let ran = gateway.run(&["updates", "--limit", "1", "--json"]).await;
    assert_eq!((ran.out.lines().count(), ran.notes.as_str(), gateway.calls().len()), (1, "", 1));
}

#[tokio::test]
async fn nothing_to_list_is_said_beside_the_result() {
    let gateway = updates(0).start().await;
    let ran = gateway.run(&["updates"]).await;
    assert_eq!((ran.exit, ran.out.as_str(), ran.notes.as_str()), (Exit::Done, "", "No updates.\n"));
}

#[tokio::test]
async fn a_pipe_that_is_closed_ends_the_list_quietly() {
    struct Closed;
    impl Write for Closed {
        fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
            Err(ErrorKind::BrokenPipe.into())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let gateway = updates(3).start().await;
    let notes = Written::default();
    let exit = run_on(gateway.command(&["updates"]), Console::new(Closed, notes.clone(), None)).await;
    assert_eq!((exit, notes.text().as_str()), (Exit::Unread, ""));
}

#[tokio::test]
async fn dead_letters_are_listed_with_the_last_reason_and_the_way_to_replay_them() {
    let fake = Fake::default().on("list_dead_letters", |request: ListDeadLettersRequest| {
        assert_eq!(request.group, "orders");
        assert_eq!(request.selection.unwrap().chat_id, Some(42));
        let failure = Failure { reason: "no stock".into(), ..Failure::default() };
        let history = vec![FailedAttempt { failure: Some(failure), ..FailedAttempt::default() }];
        let update = Update { kind: "message".into(), chat_id: Some(42), ..Update::default() };
        let stored = StoredUpdate { sequence: 17, update: Some(update), ..StoredUpdate::default() };
        let letter = DeadLetter {
            group: "orders".into(),
            update: Some(stored),
            cause: DeadLetterCause::Failed.into(),
            attempts: 6,
            history,
            ..DeadLetter::default()
        };
        Ok(ListDeadLettersResponse { dead_letters: vec![letter], ..ListDeadLettersResponse::default() })
    });
    let gateway = fake.start().await;
    let ran = gateway.run(&["dead-letters", "--group", "orders", "--chat", "42", "--bot", "shop"]).await;
    let row = ran.out.lines().nth(1).unwrap();
    assert_eq!(row, "orders        17  message    42  -     failed      6  no stock");
    let replay = "switchboard dead-letters replay orders --sequence 17 --bot shop";
    assert!(ran.notes.contains(replay), "{}", ran.notes);
}

#[tokio::test]
async fn what_is_out_and_what_could_not_be_read_are_tables_too() {
    let fake = Fake::default()
        .on("list_outstanding", |request: ListOutstandingRequest| {
            let delivery = OutstandingDelivery {
                group: request.group,
                sequence: 17,
                ordering_key: request.ordering_key,
                state: UpdateState::Outstanding.into(),
                attempt: 2,
                failures: 1,
                consumer_id: "w1".into(),
                ..OutstandingDelivery::default()
            };
            Ok(ListOutstandingResponse { deliveries: vec![delivery], ..ListOutstandingResponse::default() })
        })
        .on("list_quarantined", |_: ListQuarantinedRequest| {
            let element = QuarantinedElement {
                number: 1,
                reason: "no update_id".into(),
                content: b"{\"a\":\xff\x1b[2J".to_vec(),
                size_bytes: 2_048,
                ..QuarantinedElement::default()
            };
            Ok(ListQuarantinedResponse { elements: vec![element], ..ListQuarantinedResponse::default() })
        });
    let gateway = fake.start().await;
    let ran = gateway.run(&["outstanding", "orders", "--key", "chat:42"]).await;
    let row = ran.out.lines().nth(1).unwrap();
    assert_eq!(row, "orders        17  chat:42  outstanding    2       1  w1        -      -");
    let ran = gateway.run(&["quarantine"]).await;
    let row = ran.out.lines().nth(1).unwrap();
    assert_eq!(row, "     1  -         2.0 KiB  no update_id  {\"a\":\u{FFFD}\u{FFFD}[2J");
}
