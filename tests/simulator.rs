//! The simulator over loopback, with a plain HTTP client: what a gateway would meet.

#![expect(clippy::unwrap_used, reason = "a helper of a test fails like the test itself")]

use std::collections::{HashMap, VecDeque};
use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use switchboard::simulator::{FaultRule, Replay, Running, Simulator, SimulatorConfig, Source, Traffic};
use tokio::sync::mpsc;

const BOT: i64 = 42;

struct Bot {
    simulator: Running,
    client: reqwest::Client,
}

impl Bot {
    async fn start(config: SimulatorConfig) -> Self {
        let listen = "127.0.0.1:0".parse().unwrap();
        let simulator = Simulator::start(SimulatorConfig { listen, ..config }).await.unwrap();
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        Self { simulator, client }
    }

    async fn send(&self, call: &str) -> reqwest::Result<reqwest::Response> {
        self.client.get(format!("{}/bot{BOT}:secret/{call}", self.simulator.url())).send().await
    }

    /// Calls a method; its arguments are in the query.
    async fn call(&self, call: &str) -> Value {
        parsed(self.send(call).await.unwrap()).await
    }

    async fn update_ids(&self, query: &str) -> Vec<i64> {
        let page = self.call(&format!("getUpdates?{query}")).await;
        let updates = page["result"].as_array().unwrap_or_else(|| panic!("no page: {page}"));
        updates.iter().map(|update| update["update_id"].as_i64().unwrap()).collect()
    }

    async fn control(&self, method: &str, path: &str, body: impl Into<reqwest::Body>) -> Value {
        let url = format!("{}/simulator{path}", self.simulator.url());
        parsed(self.client.request(method.parse().unwrap(), url).body(body).send().await.unwrap()).await
    }

    async fn inject(&self, body: impl Into<reqwest::Body>) -> Value {
        self.control("POST", &format!("/bots/{BOT}/updates"), body).await
    }

    async fn settled(&self) -> Value {
        self.control("GET", &format!("/bots/{BOT}/settled?timeout=20"), "").await
    }

    async fn updates_in_ledger(&self) -> Vec<Value> {
        let ledger = self.control("GET", &format!("/bots/{BOT}/ledger?updates=true"), "").await;
        ledger["updates"].as_array().unwrap().clone()
    }
}

async fn parsed(response: reqwest::Response) -> Value {
    let text = response.text().await.unwrap();
    serde_json::from_str(&text).unwrap_or_else(|_| panic!("no JSON: {text}"))
}

/// Message updates of the given ids, one chat each.
fn messages(ids: std::ops::Range<i64>) -> String {
    ids.map(|id| format!("{{\"update_id\":{id},\"message\":{{\"chat\":{{\"id\":{id}}}}}}}\n")).collect()
}

/// A webhook receiver that answers with the given statuses first, and then 200.
struct Receiver {
    url: String,
    requests: mpsc::UnboundedReceiver<(HeaderMap, Bytes)>,
}

impl Receiver {
    async fn start(first: Vec<Response<Full<Bytes>>>) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/hook", listener.local_addr().unwrap());
        let (seen, requests) = mpsc::unbounded_channel();
        let first = Arc::new(Mutex::new(VecDeque::from(first)));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (seen, first) = (seen.clone(), Arc::clone(&first));
                let service = service_fn(move |request: Request<Incoming>| {
                    let (seen, first) = (seen.clone(), Arc::clone(&first));
                    async move {
                        let (parts, body) = request.into_parts();
                        let body = body.collect().await.unwrap().to_bytes();
                        let _ = seen.send((parts.headers, body));
                        Ok::<_, Infallible>(first.lock().unwrap().pop_front().unwrap_or_default())
                    }
                });
                tokio::spawn(
                    hyper::server::conn::http1::Builder::new()
                        .serve_connection(TokioIo::new(stream), service),
                );
            }
        });
        Self { url, requests }
    }

    async fn next(&mut self) -> (HeaderMap, Bytes) {
        tokio::time::timeout(Duration::from_secs(20), self.requests.recv()).await.unwrap().unwrap()
    }
}

fn answer(status: u16, headers: &[(&'static str, &str)], body: &'static str) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from_static(body.as_bytes())));
    *response.status_mut() = StatusCode::from_u16(status).unwrap();
    for (name, value) in headers {
        response.headers_mut().insert(*name, value.parse().unwrap());
    }
    response
}

fn local() -> SimulatorConfig {
    SimulatorConfig { local: true, ..SimulatorConfig::default() }
}

#[tokio::test]
async fn polled_updates_are_repeated_until_an_offset_confirms_them() {
    let bot = Bot::start(local()).await;
    assert_eq!(bot.call("getMe").await["result"]["id"], BOT);
    assert_eq!(bot.inject(messages(100..105)).await["update_ids"], json!([100, 101, 102, 103, 104]));
    assert_eq!(bot.update_ids("limit=3").await, [100, 101, 102]);
    assert_eq!(bot.update_ids("limit=2&offset=101").await, [101, 102]);
    assert!(bot.update_ids("offset=105").await.is_empty());
    let ledger = bot.settled().await;
    assert_eq!(ledger["settled"], true);
    assert_eq!(ledger["counts"]["confirmed"], 5);
    assert_eq!(ledger["counts"]["resent"], 2);
    assert_eq!(ledger["calls"]["getupdates"]["requests"], 3);
    assert_eq!(bot.simulator.confirmed_ids(BOT), [100, 101, 102, 103, 104]);
    let states: Vec<Value> =
        bot.updates_in_ledger().await.iter().map(|update| update["sends"].clone()).collect();
    assert_eq!(states, [1, 2, 2, 0, 0], "an offset confirms also what was never sent");
}

#[tokio::test]
async fn a_waiting_poll_is_answered_when_an_update_comes() {
    let bot = Bot::start(local()).await;
    let (page, _) = tokio::join!(bot.update_ids("timeout=50"), bot.inject(messages(7..8)));
    assert_eq!(page, [7]);
}

#[tokio::test]
async fn the_older_of_two_waiting_polls_is_terminated_by_the_newer_one() {
    let bot = Bot::start(local()).await;
    let older = bot.call("getUpdates?timeout=50");
    let newer = async {
        while bot.control("GET", "/bots", "").await[BOT.to_string()]["calls"]["getupdates"]["requests"] != 1 {
            tokio::task::yield_now().await;
        }
        let waiting = bot.update_ids("timeout=50&offset=1");
        let (page, ()) = tokio::join!(waiting, async {
            while bot.simulator.counts(BOT).pending() == 0 {
                let requests = bot.control("GET", "/bots", "").await[BOT.to_string()]["calls"]["getupdates"]
                    ["requests"]
                    .clone();
                if requests == 2 {
                    bot.inject(messages(7..8)).await;
                }
            }
        });
        page
    };
    let (conflict, page) = tokio::join!(older, newer);
    assert_eq!(
        conflict,
        json!({"ok": false, "error_code": 409, "description":
            "Conflict: terminated by other getUpdates request; make sure that only one bot instance is running"})
    );
    assert_eq!(page, [7]);
}

#[tokio::test]
async fn a_poll_meets_a_conflict_while_a_webhook_is_set() {
    let bot = Bot::start(local()).await;
    let receiver = Receiver::start(Vec::new()).await;
    bot.call(&format!("setWebhook?url={}", receiver.url)).await;
    let conflict = bot.call("getUpdates").await;
    assert_eq!(conflict["error_code"], 409);
    assert_eq!(
        conflict["description"],
        "Conflict: can't use getUpdates method while webhook is active; use deleteWebhook to delete the webhook first"
    );
    assert_eq!(bot.call("deleteWebhook").await["description"], "Webhook was deleted");
    assert_eq!(bot.call("getUpdates").await["ok"], true);
}

#[tokio::test]
async fn set_webhook_is_refused_with_telegrams_reasons_and_limited_to_one_a_second() {
    let bot = Bot::start(SimulatorConfig::default()).await;
    let refused = bot.call("setWebhook?url=http://bot.example.com").await;
    assert_eq!(refused["error_code"], 400);
    assert_eq!(refused["description"], "Bad Request: bad webhook: An HTTPS URL must be provided for webhook");
    let response = bot.send("setWebhook?url=https://127.0.0.1").await.unwrap();
    assert_eq!(response.status(), 429);
    assert_eq!(response.headers()["retry-after"], "1");
    assert_eq!(parsed(response).await["parameters"]["retry_after"], 1);
    assert_eq!(bot.call("deleteWebhook").await["description"], "Webhook is already deleted");
}

#[tokio::test]
async fn a_webhook_gets_updates_with_its_secret_and_gets_refused_ones_again() {
    let bot = Bot::start(local()).await;
    let reply = answer(
        200,
        &[("content-type", "application/json")],
        r#"{"method":"sendMessage","chat_id":1,"text":"hi"}"#,
    );
    let mut receiver = Receiver::start(vec![answer(503, &[], ""), reply]).await;
    let set =
        bot.call(&format!("setWebhook?secret_token=s3cret&max_connections=3&url={}", receiver.url)).await;
    assert_eq!(set, json!({"ok": true, "result": true, "description": "Webhook was set"}));
    let injected = bot.inject(r#"{"message":{"chat":{"id":1}}}"#).await;
    let (headers, body) = receiver.next().await;
    assert_eq!(headers["x-telegram-bot-api-secret-token"], "s3cret");
    assert_eq!(headers["content-type"], "application/json");
    let expected =
        format!("{{\"update_id\":{},\n\"message\":{{\"chat\":{{\"id\":1}}}}}}", injected["update_ids"][0]);
    assert_eq!(body, expected);
    assert_eq!(receiver.next().await.1, expected, "at once again");
    let ledger = bot.settled().await;
    assert_eq!((&ledger["counts"]["confirmed"], &ledger["counts"]["sent"]), (&json!(1), &json!(2)));
    assert_eq!(ledger["calls"]["sendmessage"]["webhook_replies"], 1);
    let info = bot.call("getWebhookInfo").await["result"].clone();
    assert_eq!(info["url"], receiver.url);
    assert_eq!(info["max_connections"], 3);
    assert_eq!(info["pending_update_count"], 0);
    assert_eq!(info["last_error_message"], "Wrong response from the webhook: 503 Service Unavailable");
}

#[tokio::test]
async fn a_webhook_takes_much_traffic_over_many_connections_each_chat_in_order() {
    let bot = Bot::start(local()).await;
    let mut receiver = Receiver::start(Vec::new()).await;
    bot.call(&format!("setWebhook?max_connections=100&url={}", receiver.url)).await;
    let traffic = Traffic { rate: 0.0, chats: 50, total: Some(2000), ..Traffic::default() };
    bot.simulator.feed(BOT, Source::Generated(traffic));
    let ledger = bot.settled().await;
    assert_eq!((&ledger["settled"], &ledger["counts"]["confirmed"]), (&json!(true), &json!(2000)));
    let mut newest = HashMap::new();
    for _ in 0..2000 {
        let update: Value = serde_json::from_slice(&receiver.next().await.1).unwrap();
        if let Some(chat) = update["message"]["chat"]["id"].as_i64() {
            let id = update["update_id"].as_i64();
            assert!(newest.insert(chat, id) < Some(id), "each chat in order");
        }
    }
}

#[tokio::test]
async fn a_webhook_fault_that_loses_the_reply_makes_the_update_come_twice() {
    let rule = "reply-lost,method=webhook,count=1".parse::<FaultRule>().unwrap();
    let bot = Bot::start(SimulatorConfig { faults: vec![rule], ..local() }).await;
    let mut receiver = Receiver::start(Vec::new()).await;
    bot.call(&format!("setWebhook?url={}", receiver.url)).await;
    bot.inject(messages(5..6)).await;
    let first = receiver.next().await.1;
    assert_eq!(receiver.next().await.1, first);
}

#[tokio::test]
async fn faults_strike_as_often_as_asked_and_a_lost_reply_has_its_effect() {
    let bot = Bot::start(local()).await;
    let rules = json!([
        {"fault": "too_many_requests", "retry_after": 7, "method": "getUpdates", "count": 1},
        {"fault": "bad_gateway", "method": "getUpdates", "count": 1},
        {"fault": "server_error", "method": "getUpdates", "count": 1},
        {"fault": "reset", "method": "getUpdates", "count": 1},
    ]);
    bot.control("POST", "/faults", rules.to_string()).await;
    bot.inject(messages(1..4)).await;
    let limited = bot.send("getUpdates").await.unwrap();
    assert_eq!((limited.status().as_u16(), &limited.headers()["retry-after"]), (429, &"7".parse().unwrap()));
    let html = bot.send("getUpdates").await.unwrap();
    assert_eq!(
        (html.status().as_u16(), &html.headers()["content-type"]),
        (502, &"text/html".parse().unwrap())
    );
    assert_eq!(bot.call("getUpdates").await["description"], "Internal Server Error: restart");
    assert!(bot.send("getUpdates?offset=2").await.is_err(), "reset");
    assert_eq!(bot.simulator.counts(BOT).confirmed, 0, "nothing was carried out");

    bot.control("DELETE", "/faults", "").await;
    bot.control("POST", "/faults", r#"{"fault":"reply_lost","method":"getUpdates","count":1}"#).await;
    assert!(bot.send("getUpdates?offset=3").await.is_err(), "the reply is lost");
    assert_eq!(bot.simulator.counts(BOT).confirmed, 2, "and the offset was taken");
    assert!(bot.update_ids("offset=4").await.is_empty());
    assert_eq!(bot.control("GET", "/faults", "").await[0]["struck"], 1);
}

#[tokio::test]
async fn replayed_updates_keep_their_bytes_and_ids() {
    let corpus = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/updates/updates.jsonl");
    let replay = Arc::new(Replay::from_file(corpus.as_ref()).unwrap());
    assert_eq!(replay.len(), 540);
    let source = Source::Replayed { replay, rate: 0.0 };
    let bot = Bot::start(SimulatorConfig { source: Some(source), ..local() }).await;
    let mut received = Vec::new();
    let mut offset = 0;
    while received.len() < 540 {
        let page =
            bot.send(&format!("getUpdates?timeout=20&offset={offset}")).await.unwrap().bytes().await.unwrap();
        let result: Value = serde_json::from_slice(&page).unwrap();
        offset = result["result"].as_array().unwrap().last().unwrap()["update_id"].as_i64().unwrap() + 1;
        let envelope: HashMap<&str, &RawValue> = serde_json::from_slice(&page).unwrap();
        let elements: Vec<&RawValue> = serde_json::from_str(envelope["result"].get()).unwrap();
        received.extend(elements.iter().map(|element| element.get().to_owned()));
    }
    let lines: Vec<String> = std::fs::read_to_string(corpus).unwrap().lines().map(str::to_owned).collect();
    assert_eq!(received, lines);
    bot.update_ids(&format!("offset={offset}")).await;
    assert_eq!(bot.settled().await["counts"]["confirmed"], 540);
}

#[tokio::test]
async fn a_malformed_element_is_served_as_it_is() {
    let bot = Bot::start(local()).await;
    let path = format!("/bots/{BOT}/updates?as_is=9");
    assert_eq!(bot.control("POST", &path, r#"{"update_id":"nine"}"#).await["update_ids"], json!([9]));
    let page = bot.send("getUpdates").await.unwrap().text().await.unwrap();
    assert_eq!(page, r#"{"ok":true,"result":[{"update_id":"nine"}]}"#);
    let refused = bot.inject(r#"{"update_id":"nine"}"#).await;
    assert!(refused["error"].as_str().unwrap().contains("update 1 of the body"), "{refused}");
}

#[tokio::test]
async fn tokens_are_bots_of_their_own_malformed_ones_are_not_found_and_revoked_ones_unauthorized() {
    let bot = Bot::start(local()).await;
    bot.inject(messages(1..2)).await;
    let get = async |path: &str| {
        let response = bot.client.get(format!("{}{path}", bot.simulator.url())).send().await.unwrap();
        (response.status().as_u16(), parsed(response).await["description"].clone())
    };
    assert_eq!(get("/bot43:other/getMe").await.0, 200);
    assert_eq!(bot.simulator.counts(43).accepted, 0);
    assert_eq!(get("/botnonsense/getMe").await, (404, json!("Not Found")));
    bot.control("POST", &format!("/bots/{BOT}/revoke"), "").await;
    assert_eq!(get(&format!("/bot{BOT}:secret/getMe")).await, (401, json!("Unauthorized")));
    bot.control("POST", &format!("/bots/{BOT}/restore"), "").await;
    assert_eq!(get(&format!("/bot{BOT}:secret/getMe")).await.0, 200);
}

#[tokio::test]
async fn generated_traffic_starts_with_the_first_call_and_stops_at_its_total() {
    let traffic = Traffic { rate: 5000.0, chats: 10, total: Some(300), ..Traffic::default() };
    let bot = Bot::start(SimulatorConfig { source: Some(Source::Generated(traffic)), ..local() }).await;
    assert_eq!(bot.simulator.counts(BOT).accepted, 0);
    let mut offset = 0;
    let mut received = 0;
    while received < 300 {
        let ids = bot.update_ids(&format!("timeout=20&offset={offset}")).await;
        offset = ids.last().unwrap() + 1;
        received += ids.len();
    }
    bot.update_ids(&format!("offset={offset}")).await;
    assert_eq!(bot.settled().await["counts"]["accepted"], 300);
    bot.simulator.shutdown().await;
}
