//! ListUpdates and ListQuarantined.

use prost_types::Timestamp;
use switchboard::grpc::proto::client::{
    ListQuarantinedRequest, ListUpdatesRequest, ListUpdatesResponse, Selection, View,
};
use switchboard::model::{Batch, Quarantined, Sequence, UnixMillis};

use super::rig::{BEGAN_MS, Rig, stored, update};
use super::{FUTURE, refused_for};

fn select(selection: Selection) -> ListUpdatesRequest {
    ListUpdatesRequest { selection: Some(selection), ..ListUpdatesRequest::default() }
}

/// The positions on all pages, page by page.
async fn pages(rig: &mut Rig, mut request: ListUpdatesRequest) -> Vec<Vec<i64>> {
    let mut pages = Vec::new();
    loop {
        let page = rig.client.list_updates(request.clone()).await.unwrap().into_inner();
        pages.push(sequences(&page));
        request.page_token = page.next_page_token;
        if request.page_token.is_empty() {
            return pages;
        }
    }
}

fn sequences(page: &ListUpdatesResponse) -> Vec<i64> {
    page.updates.iter().map(|update| update.sequence).collect()
}

async fn selected(rig: &mut Rig, selection: Selection) -> Vec<i64> {
    pages(rig, select(selection)).await.concat()
}

fn at(sequence: u64) -> Option<Timestamp> {
    let seconds = BEGAN_MS / 1_000 + sequence;
    Some(Timestamp { seconds: i64::try_from(seconds).unwrap(), nanos: 0 })
}

#[tokio::test]
async fn updates_are_listed_both_ways_in_pages() {
    let mut rig = Rig::with_updates(Vec::new(), 10).await;
    let mut request = ListUpdatesRequest { page_size: 4, ..ListUpdatesRequest::default() };
    assert_eq!(pages(&mut rig, request.clone()).await, [vec![10, 9, 8, 7], vec![6, 5, 4, 3], vec![2, 1]]);
    request.oldest_first = true;
    assert_eq!(pages(&mut rig, request.clone()).await.concat(), (1..=10).collect::<Vec<_>>());
    // New ones and trimmed ones do not disturb.
    let first = rig.client.list_updates(request.clone()).await.unwrap().into_inner();
    rig.commit(Batch { updates: vec![update(11)], ..Batch::default() });
    rig.commit(Batch { trimmed: vec![Sequence(5)], ..Batch::default() });
    request.page_token = first.next_page_token;
    assert_eq!(pages(&mut rig, request.clone()).await.concat(), [6, 7, 8, 9, 10, 11]);
    let other = ListUpdatesRequest { contains: "x".into(), ..request };
    refused_for("page_token", rig.client.list_updates(other).await);
}

#[tokio::test]
async fn updates_are_selected_by_each_field_and_by_several() {
    let mut rig = Rig::with_updates(Vec::new(), 8).await;
    rig.store(vec![stored(9, 41, 8, "callback_query", r#"{"data":"x"}"#)]);
    let none = Selection::default;
    let cases = [
        (Selection { chat_id: Some(41), ..none() }, vec![9, 5, 1]),
        (Selection { user_id: Some(8), ..none() }, vec![9]),
        (Selection { update_id: Some(731_000_003), ..none() }, vec![3]),
        (Selection { ordering_key: "chat:42".into(), ..none() }, vec![6, 2]),
        (Selection { ordering_key: "user:8".into(), ..none() }, vec![9]),
        (Selection { ordering_key: "update:731000004".into(), ..none() }, vec![4]),
        (Selection { kinds: vec!["callback_query".into(), "poll".into()], ..none() }, vec![9]),
        (Selection { sequences: vec![7, 2, 2, 99, 5], ..none() }, vec![7, 5, 2]),
        (Selection { sequences: vec![1, 2, 5], chat_id: Some(41), ..none() }, vec![5, 1]),
        (Selection { start_time: at(6), ..none() }, vec![9, 8, 7, 6]),
        (Selection { end_time: at(3), ..none() }, vec![2, 1]),
        (Selection { start_time: at(3), end_time: at(5), ..none() }, vec![4, 3]),
        (Selection { start_time: at(90), ..none() }, vec![]),
        (Selection { chat_id: Some(41), start_time: at(2), ..none() }, vec![9, 5]),
        (Selection { all: true, ..none() }, (1..=9).rev().collect()),
    ];
    for (selection, expected) in cases {
        assert_eq!(selected(&mut rig, selection.clone()).await, expected, "{selection:?}");
    }
    let mut few = select(Selection { sequences: vec![8, 6, 4, 2], ..none() });
    few.page_size = 3;
    assert_eq!(pages(&mut rig, few).await, [vec![8, 6, 4], vec![2]]);
}

#[tokio::test]
async fn json_is_searched_as_telegram_writes_it_and_sent_in_the_full_view_only() {
    let mut rig = Rig::with_updates(Vec::new(), 2).await;
    rig.store(vec![
        stored(3, 1, 1, "message", r#"{"text":"\u043f\u0440\u0438\u0432\u0435\u0442"}"#),
        stored(4, 1, 1, "message", r#"{"text":"привет \"you\""}"#),
    ]);
    let contains = |text: &str| ListUpdatesRequest { contains: text.into(), ..ListUpdatesRequest::default() };
    assert_eq!(pages(&mut rig, contains("привет")).await.concat(), [4, 3]);
    assert_eq!(pages(&mut rig, contains("number 2")).await.concat(), [2]);
    assert_eq!(pages(&mut rig, contains("\"you\"")).await.concat(), [4]);
    // Its own fields are no JSON.
    assert_eq!(pages(&mut rig, contains("default")).await.concat(), Vec::<i64>::new());

    let mut request = select(Selection { sequences: vec![2], ..Selection::default() });
    let basic = rig.client.list_updates(request.clone()).await.unwrap().into_inner().updates.remove(0);
    assert_eq!((basic.ordering_key.as_str(), basic.size_bytes), ("chat:42", 19));
    let basic = basic.update.unwrap();
    assert_eq!((basic.update_id, basic.kind.as_str(), basic.json.as_str()), (731_000_002, "message", ""));
    request.view = View::Full.into();
    let full = rig.client.list_updates(request).await.unwrap().into_inner().updates.remove(0);
    assert_eq!(full.update.unwrap().json, r#"{"text":"number 2"}"#);
}

#[tokio::test]
async fn a_page_is_never_larger_than_clients_take() {
    let mut rig = Rig::start(Vec::new()).await;
    let json = format!(r#"{{"text":"{}"}}"#, "x".repeat(400_000));
    rig.store((1..=6).map(|sequence| stored(sequence, 1, 1, "message", &json)).collect());
    let full = ListUpdatesRequest { view: View::Full.into(), ..ListUpdatesRequest::default() };
    assert_eq!(pages(&mut rig, full).await, [vec![6, 5], vec![4, 3], vec![2, 1]]);
}

#[tokio::test]
async fn a_wrong_selection_is_named() {
    let mut rig = Rig::start(Vec::new()).await;
    let none = Selection::default;
    let invalid_time = Some(Timestamp { seconds: 0, nanos: -1 });
    let cases = [
        ("selection.sequences", Selection { sequences: vec![1; 10_001], ..none() }),
        ("selection.sequences", Selection { sequences: vec![-1], ..none() }),
        ("selection.kinds", Selection { kinds: vec!["mesage".into()], ..none() }),
        ("selection.start_time", Selection { start_time: invalid_time, ..none() }),
        ("selection.start_time", Selection { start_time: Some(FUTURE), ..none() }),
        ("selection.end_time", Selection { start_time: at(5), end_time: at(5), ..none() }),
        ("selection.all", Selection { all: true, chat_id: Some(1), ..none() }),
    ];
    for (field, selection) in cases {
        refused_for(field, rig.client.list_updates(select(selection)).await);
    }
    // Whoever reads along, oldest first, asks for what is still to come.
    let later = select(Selection { start_time: Some(FUTURE), ..none() });
    let later = ListUpdatesRequest { oldest_first: true, ..later };
    assert_eq!(pages(&mut rig, later).await.concat(), Vec::<i64>::new());
    let view = ListUpdatesRequest { view: 9, ..ListUpdatesRequest::default() };
    refused_for("view", rig.client.list_updates(view).await);
    let size = ListUpdatesRequest { page_size: -1, ..ListUpdatesRequest::default() };
    refused_for("page_size", rig.client.list_updates(size).await);
    let token = ListUpdatesRequest { page_token: "AAAA".into(), ..ListUpdatesRequest::default() };
    refused_for("page_token", rig.client.list_updates(token).await);
}

#[tokio::test]
async fn what_could_not_be_read_is_listed_newest_first_and_clipped() {
    let mut rig = Rig::start(Vec::new()).await;
    let element = |size: usize| Quarantined {
        received: UnixMillis(5_000),
        reason: "a polled element has no `update_id`".into(),
        bytes: vec![b'x'; size].into(),
    };
    rig.commit(Batch { quarantined: vec![element(3), element(70_000), element(5)], ..Batch::default() });
    let mut request = ListQuarantinedRequest { page_size: 2, ..ListQuarantinedRequest::default() };
    let first = rig.client.list_quarantined(request.clone()).await.unwrap().into_inner();
    let sizes: Vec<_> = first.elements.iter().map(|e| (e.size_bytes, e.content.len())).collect();
    assert_eq!(sizes, [(5, 5), (70_000, 65_536)]);
    assert!(first.elements[0].number > first.elements[1].number);
    request.page_token = first.next_page_token;
    let second = rig.client.list_quarantined(request).await.unwrap().into_inner();
    assert_eq!((second.elements.len(), second.elements[0].size_bytes), (1, 3));
    assert_eq!(second.next_page_token, "");
}
