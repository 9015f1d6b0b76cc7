//! How long AdminService's lists take over a million retained updates: every call must be answered in 50 ms.
//!
//! `cargo bench --bench lists`. Each query is walked through all its pages (at most some hundred); shown are the slowest
//! and the mean call, over a loopback connection. Ends with an error if a call took longer than it may.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a benchmark fails by panicking")]

#[path = "../tests/admin_service/rig.rs"]
#[allow(dead_code, reason = "shared with the tests")]
mod rig;

use std::time::{Duration, Instant};

use switchboard::grpc::proto::client::get_update_request::Id;
use switchboard::grpc::proto::client::{
    GetBotRequest, GetUpdateRequest, ListDeadLettersRequest, ListGroupsRequest, ListUpdatesRequest,
    Selection, View,
};
use switchboard::model::{
    AttemptRecord, Batch, DeadLetter, GroupId, GroupView, Sequence, SettledAs, StoredUpdate, UnixMillis,
};

use rig::{Rig, stored, view};

const UPDATES: u64 = 1_000_000;
const CHATS: u64 = 1_000;
const DEAD_LETTERS: u64 = 20_000;
const JSON_BYTES: usize = 500;
const LIMIT: Duration = Duration::from_millis(50);
/// Pages of a query that are walked through.
const PAGES: usize = 200;

#[tokio::main]
async fn main() {
    // Cargo passes flags of its own, and `cargo test` runs benchmarks, too.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    let group = GroupView { dead_letters: DEAD_LETTERS, ..view(1, "orders") };
    let mut rig = Rig::with_room(vec![group], 4 << 30).await;
    fill(&mut rig);
    let none = Selection::default;
    let time = |sequence: u64| {
        let seconds = i64::try_from(rig::BEGAN_MS / 1_000 + sequence).unwrap();
        Some(prost_types::Timestamp { seconds, nanos: 0 })
    };
    let queries = [
        ("newest 50", none(), "", View::Basic, 50),
        ("pages of 1,000", none(), "", View::Basic, 1_000),
        ("pages of 1,000 with JSON", none(), "", View::Full, 1_000),
        ("one chat of 1,000", Selection { chat_id: Some(17), ..none() }, "", View::Basic, 50),
        ("a chat that is not there", Selection { chat_id: Some(-1), ..none() }, "", View::Basic, 50),
        ("a user who is not there", Selection { user_id: Some(-1), ..none() }, "", View::Basic, 50),
        ("the oldest update id", Selection { update_id: Some(731_000_001), ..none() }, "", View::Basic, 50),
        ("a text that is not there", none(), "nowhere", View::Basic, 50),
        ("a text that is not there, not ASCII", none(), "нигде", View::Basic, 50),
        (
            "10,000 positions",
            Selection { sequences: (1..=10_000).map(|n| n * 97).collect(), ..none() },
            "",
            View::Basic,
            1_000,
        ),
        (
            "an hour in the middle",
            Selection { start_time: time(500_000), end_time: time(503_600), ..none() },
            "",
            View::Basic,
            1_000,
        ),
    ];
    let mut slowest = Duration::ZERO;
    for (what, selection, contains, view, page_size) in queries {
        let mut request = ListUpdatesRequest {
            selection: Some(selection),
            contains: contains.into(),
            view: view.into(),
            page_size,
            ..ListUpdatesRequest::default()
        };
        let mut calls = Vec::new();
        while calls.len() < PAGES {
            let began = now();
            let page = rig.client.list_updates(request.clone()).await.unwrap().into_inner();
            calls.push(began.elapsed());
            request.page_token = page.next_page_token;
            if request.page_token.is_empty() {
                break;
            }
        }
        slowest = slowest.max(report(what, &calls));
    }

    for (what, chat_id) in [("dead letters", None), ("dead letters of no chat", Some(-1))] {
        let selection = chat_id.map(|chat| Selection { chat_id: Some(chat), ..none() });
        let mut request =
            ListDeadLettersRequest { selection, page_size: 1_000, ..ListDeadLettersRequest::default() };
        let mut calls = Vec::new();
        loop {
            let began = now();
            let page = rig.client.list_dead_letters(request.clone()).await.unwrap().into_inner();
            calls.push(began.elapsed());
            request.page_token = page.next_page_token;
            if request.page_token.is_empty() {
                break;
            }
        }
        slowest = slowest.max(report(what, &calls));
    }

    let mut calls = Vec::new();
    for _ in 0..100 {
        let began = now();
        rig.client.list_groups(ListGroupsRequest::default()).await.unwrap();
        rig.client.get_bot(GetBotRequest::default()).await.unwrap();
        calls.push(began.elapsed());
    }
    slowest = slowest.max(report("groups and the bot", &calls));

    // No list: the whole journal is looked through for an id.
    for (what, id) in
        [("get by position", Id::Sequence(5)), ("get the oldest by its id", Id::UpdateId(731_000_001))]
    {
        let began = now();
        let request = GetUpdateRequest { id: Some(id), ..GetUpdateRequest::default() };
        rig.client.get_update(request).await.unwrap();
        report(what, &[began.elapsed()]);
    }
    assert!(slowest <= LIMIT, "a list took {slowest:?}, which is longer than {LIMIT:?}");
}

fn report(what: &str, calls: &[Duration]) -> Duration {
    let slowest = calls.iter().max().copied().unwrap_or_default();
    let mean = calls.iter().sum::<Duration>() / u32::try_from(calls.len()).unwrap().max(1);
    println!("{what:<40} {:>4} calls   mean {mean:>10.2?}   slowest {slowest:>10.2?}", calls.len());
    slowest
}

#[expect(clippy::disallowed_methods, reason = "a benchmark measures the real world")]
fn now() -> Instant {
    Instant::now()
}

fn fill(rig: &mut Rig) {
    let json = format!(r#"{{"text":"{}"}}"#, "x".repeat(JSON_BYTES));
    let update = |sequence: u64| -> StoredUpdate {
        let chat = i64::try_from(sequence % CHATS).unwrap();
        stored(sequence, chat, chat + 1, "message", &json)
    };
    let began = now();
    for first in (1..=UPDATES).step_by(10_000) {
        rig.store((first..first + 10_000).map(update).collect());
    }
    let attempts = AttemptRecord {
        attempt: 5,
        failures: 5,
        losses: 0,
        first_delivered: UnixMillis(1),
        first_failed: UnixMillis(1),
        not_before: UnixMillis(0),
        history: Vec::new(),
    };
    let dead = |sequence| {
        let letter =
            DeadLetter { time: UnixMillis(1), settled: SettledAs::DeadLettered, attempts: attempts.clone() };
        (GroupId(1), Sequence(sequence), letter)
    };
    for first in (1..=DEAD_LETTERS).step_by(1_000) {
        let dead_letters = (first..first + 1_000).map(dead).collect();
        rig.commit(Batch { dead_letters, ..Batch::default() });
    }
    println!("{UPDATES} updates and {DEAD_LETTERS} dead letters in {:.2?}", began.elapsed());
}
