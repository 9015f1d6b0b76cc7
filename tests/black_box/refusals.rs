//! What AdminService refuses, as grpcurl shows it: the code, the words, and the field that is wrong.

use serde_json::{Value, json};

use crate::console::{Grpcurl, done, until};
use crate::gateway::{Mode, Setup, telegram};
use crate::steps::write;

#[tokio::test]
async fn a_refusal_names_its_reason_and_its_field_readably_in_grpcurl() {
    let telegram = telegram().await;
    let data = tempfile::tempdir().unwrap();
    let gateway = Setup::new(data.path(), &telegram, Mode::Polling).start().await;
    let Some(grpcurl) = Grpcurl::at(&gateway) else { return };
    done(&gateway, "groups create orders --start earliest").await;
    write(&telegram, 7, &["one", "two", "three"]).await;
    until("three updates", async || {
        let group = grpcurl.call("GetGroup", json!({"group": "orders"})).await;
        (group["group"]["status"]["lag"] == "3").then_some(())
    })
    .await;
    let listed = grpcurl.call("ListUpdates", json!({"page_size": 2})).await;
    let page = listed["nextPageToken"].as_str().unwrap();

    let never = json!({"name": "polls", "filter": {"kinds": ["poll"], "chat_ids": [7]}});
    let wrong_kind = json!({"name": "texts", "filter": {"kinds": ["mesage"]}});
    let cases: [(&str, Value, &str, &[&str]); 12] = [
        (
            "SeekGroup",
            json!({"group": "orders", "time": "2099-01-01T00:00:00Z"}),
            "InvalidArgument",
            &[
                "`time` is in the future",
                "\"reason\": \"INVALID_FIELD\"",
                "\"field\": \"time\"",
                "fieldViolations",
            ],
        ),
        (
            "SeekGroup",
            json!({"group": "orders", "sequence": 99}),
            "InvalidArgument",
            &["\"field\": \"sequence\"", "fieldViolations"],
        ),
        (
            "SeekGroup",
            json!({"group": "orders"}),
            "InvalidArgument",
            &["\"field\": \"target\"", "is missing"],
        ),
        (
            "CreateGroup",
            json!({ "group": never }),
            "InvalidArgument",
            &["can never match", "\"field\": \"group.filter\"", "fieldViolations"],
        ),
        (
            "CreateGroup",
            json!({ "group": wrong_kind }),
            "InvalidArgument",
            &["did you mean `message`?", "\"field\": \"group.filter.kinds\""],
        ),
        (
            "CreateGroup",
            json!({"group": {"name": "orders"}}),
            "AlreadyExists",
            &["\"reason\": \"GROUP_EXISTS\"", "\"group\": \"orders\""],
        ),
        (
            "ListUpdates",
            json!({"page_size": 2, "page_token": page, "selection": {"chat_id": 7}}),
            "InvalidArgument",
            &["belongs to another query", "\"field\": \"page_token\"", "fieldViolations"],
        ),
        (
            "GetGroup",
            json!({"group": "ordres"}),
            "NotFound",
            &["did you mean `orders`?", "\"reason\": \"GROUP_NOT_FOUND\"", "\"nearest\": \"orders\""],
        ),
        (
            "DeleteGroup",
            json!({"group": "orders"}),
            "FailedPrecondition",
            &[
                "force",
                "\"reason\": \"GROUP_NOT_EMPTY\"",
                "\"unsettled\": \"3\"",
                "\"domain\": \"switchboard\"",
            ],
        ),
        (
            "ReplayDeadLetters",
            json!({"group": "orders"}),
            "InvalidArgument",
            &["\"field\": \"selection\"", "fieldViolations"],
        ),
        ("PurgeUpdates", json!({}), "InvalidArgument", &["\"field\": \"whose\"", "is missing"]),
        ("GetUpdate", json!({"sequence": 99}), "NotFound", &["there is no update with the sequence 99"]),
    ];
    for (method, request, code, words) in cases {
        let (refused, shown) = grpcurl.refused(method, request.clone()).await;
        assert_eq!(refused, code, "{method} {request}: {shown}");
        for words in words {
            assert!(shown.contains(words), "{method} {request} does not say `{words}`: {shown}");
        }
    }
    // Nothing of it was done.
    let group = grpcurl.call("GetGroup", json!({"group": "orders"})).await;
    assert_eq!(group["group"]["status"]["lag"], "3", "{group}");
    assert_eq!(grpcurl.call("ListGroups", json!({})).await["groups"].as_array().unwrap().len(), 1);
    let deleted = grpcurl.call("DeleteGroup", json!({"group": "orders", "force": true})).await;
    assert_eq!(deleted, json!({"unsettled": "3"}));
    gateway.stop().await;
}
