//! What goes wrong: in words for people, as exit codes for scripts.

use std::collections::HashMap;

use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};

use super::{Fake, Gateway};
use crate::cli::exit::Exit;
use crate::grpc::proto::client::{GetGroupRequest, GetGroupResponse};

async fn answering(status: Status) -> Gateway {
    let answer = move |_: GetGroupRequest| Err::<GetGroupResponse, _>(status.clone());
    Fake::default().on("get_group", answer).start().await
}

#[tokio::test]
async fn each_kind_of_refusal_has_an_exit_code_of_its_own() {
    let exits = [
        (Code::InvalidArgument, Exit::Config),
        (Code::NotFound, Exit::NotFound),
        (Code::FailedPrecondition, Exit::Precondition),
        (Code::AlreadyExists, Exit::Precondition),
        (Code::Unavailable, Exit::Unavailable),
        (Code::ResourceExhausted, Exit::Unavailable),
        (Code::Unauthenticated, Exit::Denied),
        (Code::Internal, Exit::Failed),
        (Code::Unimplemented, Exit::Failed),
    ];
    for (code, exit) in exits {
        let gateway = answering(Status::new(code, "as it is")).await;
        let ran = gateway.run(&["groups", "show", "orders"]).await;
        assert_eq!(ran.exit, exit, "{ran:?}");
        assert!(ran.notes.starts_with("switchboard groups: "), "{ran:?}");
        assert!(code == Code::Unimplemented || ran.notes.contains("as it is"), "{ran:?}");
        assert!(ran.out.is_empty(), "{ran:?}");
    }
}

#[tokio::test]
async fn the_gateways_message_is_shown_with_the_nearest_name_and_never_as_a_dump() {
    let info = HashMap::from([("nearest".to_owned(), "orders".to_owned())]);
    let details = ErrorDetails::with_error_info("GROUP_NOT_FOUND", "switchboard", info);
    let gateway =
        answering(Status::with_error_details(Code::NotFound, "there is no group `oders`", details)).await;
    let ran = gateway.run(&["groups", "show", "oders"]).await;
    assert_eq!(ran.notes, "switchboard groups: there is no group `oders`\n  did you mean `orders`?\n");
}

#[tokio::test]
async fn a_missing_access_token_is_said_with_where_this_command_takes_it_from() {
    let ran =
        answering(Status::unauthenticated("a token, please")).await.run(&["groups", "show", "orders"]).await;
    assert!(
        ran.notes.contains("SWITCHBOARD_ACCESS_TOKEN") && ran.notes.contains("--access-token-file"),
        "{ran:?}"
    );
}

#[tokio::test]
async fn a_gateway_that_is_not_there_is_said_to_be_so() {
    // A port that nobody listens on: the listener is gone again.
    let free = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let nowhere = Gateway::at(format!("http://{free}"));
    let ran = nowhere.run(&["bots"]).await;
    assert_eq!(ran.exit, Exit::Unavailable, "{ran:?}");
    assert!(ran.notes.contains(&format!("http://{free} is not reachable: Connection refused")), "{ran:?}");
    assert!(ran.notes.contains("--address"), "{ran:?}");
}

#[tokio::test]
async fn a_port_where_another_protocol_is_spoken_is_said_to_be_no_gateway() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    // As the ops listener does, as simple web servers do, and one that says nothing.
    for answer in [
        &b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n"[..],
        b"HTTP/1.0 505 HTTP Version Not Supported\r\n\r\n<html>no</html>",
        b"",
    ] {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let _ = stream.read(&mut [0; 1024]).await;
                let _ = stream.write_all(answer).await;
            }
        });
        let ran = Gateway::at(address.clone()).run(&["bots"]).await;
        assert_eq!(ran.exit, Exit::Unavailable, "{ran:?}");
        let words = format!("no gRPC listener answers at {address}");
        assert!(ran.notes.contains(&words) && ran.notes.contains("on port 50051"), "{ran:?}");
    }
}

#[tokio::test]
async fn a_group_that_would_lose_something_is_said_with_the_flag_that_deletes_it() {
    let details = ErrorDetails::with_error_info("GROUP_NOT_EMPTY", "switchboard", HashMap::new());
    let status = Status::with_error_details(Code::FailedPrecondition, "group `orders` has 1 update", details);
    let ran = answering(status).await.run(&["groups", "show", "orders"]).await;
    assert_eq!(ran.notes, "switchboard groups: group `orders` has 1 update\n  see --force\n");
}

#[tokio::test]
async fn a_change_of_everything_has_to_be_asked_for() {
    let gateway = Fake::default().start().await;
    for line in [&["replay", "orders"][..], &["dead-letters", "purge", "orders", "--yes"]] {
        let ran = gateway.run(line).await;
        assert_eq!(ran.exit, Exit::Config, "{ran:?}");
        assert!(ran.notes.contains("--all"), "{ran:?}");
    }
    assert!(gateway.calls().is_empty());
}
