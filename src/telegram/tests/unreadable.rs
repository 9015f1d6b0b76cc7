//! Polled elements that cannot be read: each is quarantined once, and what comes behind them comes.

use bytes::Bytes;
use serde_json::{Value, json};

use super::fake_api::{FakeApi, Reply};
use super::{Running, settings, update};
use crate::telegram::Status;

/// An element that makes the whole answer no JSON.
const BROKEN: &str = r#"{"update_id": "x", "message": 5"#;

/// An answer with these elements, as Telegram joins them.
fn page(elements: &[&[u8]]) -> Reply {
    let joined = elements.join(&b",\n"[..]);
    Reply::Raw(200, Bytes::from([b"{\"ok\":true,\"result\":[", &joined[..], b"]}"].concat()))
}

/// An update in the order in which Telegram writes it.
fn good(id: i64) -> String {
    format!("{{\"update_id\":{id},\n\"message\":{{\"message_id\":1,\"chat\":{{\"id\":7}}}}}}")
}

fn offsets(calls: &[Value]) -> Vec<Option<i64>> {
    calls.iter().map(|call| call["offset"].as_i64()).collect()
}

impl Running {
    fn quarantined(&self) -> Vec<Bytes> {
        self.driver.stored().quarantined.iter().map(|element| element.bytes.clone()).collect()
    }
}

fn is_well(status: &Status) -> bool {
    status.connected_since.is_some() && status.last_error.is_none()
}

#[tokio::test]
async fn an_unreadable_element_is_quarantined_once_and_passed() {
    let api = FakeApi::start().await;
    let (bytes, id) = (b"{\"update_id\":21,\"m\":\"\xff\"}", b"{\"update_id\":\"x\"}");
    api.script("getUpdates", [page(&[b"{\"update_id\":20}", bytes, id]), page(&[id]), page(&[id])]);
    let running = Running::start(settings(&api));
    let calls = api.called("getUpdates", 4).await;
    assert_eq!(offsets(&calls), [None, Some(22), Some(23), Some(24)]);
    assert_eq!(running.driver.ids(), [20]);
    assert_eq!(running.quarantined(), [&b"{\"update_id\":21,\"m\":\"\xff\"}"[..], b"{\"update_id\":\"x\"}"]);
    running.stop().await;
}

#[tokio::test]
async fn an_answer_that_always_breaks_off_is_quarantined_and_passed() {
    let api = FakeApi::start().await;
    let broken = Bytes::from_static(b"{\"ok\":true,\"result\":[{\"update_id\":31,\"message\":{\"te");
    api.script("getUpdates", std::iter::repeat_n(Reply::Raw(200, broken), 3));
    let running = Running::start(settings(&api));
    assert_eq!(api.called("getUpdates", 4).await[3]["offset"], 32);
    assert_eq!(running.driver.stored().quarantined.len(), 1);
    running.stop().await;
}

#[tokio::test]
async fn an_element_that_breaks_the_first_answer_goes_with_the_update_behind_it() {
    let api = FakeApi::start().await;
    // Without an offset nothing can pass it: its id is not known.
    let broken = || std::iter::repeat_n(page(&[BROKEN.as_bytes()]), 10_000);
    api.script("getUpdates", std::iter::once(Reply::Result(json!([]))).chain(broken()));
    let mut running = Running::start(settings(&api));
    running.driver.wait_until(|stored| !stored.quarantined.is_empty()).await;
    let status = running.status(|status| status.last_error.is_some()).await;
    assert!(status.connected_since.is_some(), "updates can come in: {status:?}");
    let asked = api.calls("getUpdates").len();
    api.called("getUpdates", asked + 5).await;

    let behind = page(&[BROKEN.as_bytes(), good(51).as_bytes(), good(52).as_bytes()]);
    api.rescript("getUpdates", [behind]);
    running.driver.wait_until(|stored| stored.updates.len() == 2).await;
    running.status(is_well).await;
    assert_eq!(running.driver.ids(), [51, 52]);
    assert_eq!(running.quarantined(), [BROKEN], "once, and without what came behind it");
    let asked = api.calls("getUpdates").len();
    let calls = api.called("getUpdates", asked.max(2)).await;
    assert!(offsets(&calls).iter().all(|offset| offset.is_none_or(|offset| offset == 53)), "{calls:?}");
    running.stop().await;
}

#[tokio::test]
async fn an_element_that_breaks_an_answer_is_passed_by_one_step_and_an_empty_answer_ends_the_trouble() {
    let api = FakeApi::start().await;
    let broken = std::iter::repeat_n(page(&[BROKEN.as_bytes()]), 4);
    api.script("getUpdates", std::iter::once(Reply::Result(json!([update(50)]))).chain(broken));
    let mut running = Running::start(settings(&api));
    // It has the id 52: there is a gap before it.
    let calls = api.called("getUpdates", 7).await;
    let asked = [None, Some(51), Some(51), Some(51), Some(52), Some(53), Some(53)];
    assert_eq!(offsets(&calls), asked);
    assert_eq!((&calls[5]["timeout"], &calls[6]["timeout"]), (&json!(0), &json!(50)), "it asks at once");
    running.status(is_well).await;
    assert_eq!(running.quarantined(), [BROKEN]);
    running.stop().await;
}

#[tokio::test]
async fn updates_around_an_element_that_breaks_the_answer_come() {
    let api = FakeApi::start().await;
    let rest = page(&[BROKEN.as_bytes(), good(52).as_bytes()]);
    let all = page(&[good(50).as_bytes(), BROKEN.as_bytes(), good(52).as_bytes()]);
    api.script("getUpdates", [all, rest.clone(), rest.clone(), rest]);
    let mut running = Running::start(settings(&api));
    running.driver.wait_until(|stored| stored.updates.len() == 2).await;
    running.status(is_well).await;
    let calls = api.called("getUpdates", 5).await;
    assert_eq!(offsets(&calls), [None, Some(51), Some(51), Some(51), Some(53)]);
    assert_eq!(running.driver.ids(), [50, 52]);
    assert_eq!(running.quarantined(), [BROKEN]);
    running.stop().await;
}

#[tokio::test]
async fn several_elements_that_cannot_be_read_hold_up_nothing_behind_them() {
    let api = FakeApi::start().await;
    let elements = [&b"{\"no\":\"id\"}"[..], b"{\"m\":\"\xff\"}", BROKEN.as_bytes()];
    let behind = good(60);
    let all = [&elements[..], &[behind.as_bytes()]].concat();
    api.script("getUpdates", std::iter::repeat_n(page(&all), 4));
    let mut running = Running::start(settings(&api));
    running.driver.wait_until(|stored| stored.updates.len() == 1).await;
    running.status(is_well).await;
    assert_eq!(running.quarantined(), elements);
    running.stop().await;
}
