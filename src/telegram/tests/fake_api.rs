//! A small fake of the Bot API: a few methods with a state, and answers that a test puts in front of them.

use std::collections::{HashMap, VecDeque};
use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::watch;

/// What the fake answers.
#[derive(Clone, Debug)]
pub(super) enum Reply {
    /// `ok` with this result.
    Result(Value),
    /// A refusal in the Bot API's form.
    Error(u16, &'static str),
    /// Anything.
    Raw(u16, Bytes),
    /// Nothing, for ever.
    Silence,
    /// The connection breaks.
    Reset,
}

#[derive(Debug, Default)]
struct State {
    calls: Vec<(String, Value)>,
    scripted: HashMap<&'static str, VecDeque<Reply>>,
    webhook: Value,
}

/// The fake; ends with the test's runtime.
#[derive(Clone, Debug)]
pub(super) struct FakeApi {
    pub(super) url: String,
    state: Arc<Mutex<State>>,
    calls: Arc<watch::Sender<usize>>,
}

impl FakeApi {
    pub(super) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let state = State { webhook: webhook_info(""), ..State::default() };
        let api = Self { url, state: Arc::new(Mutex::new(state)), calls: Arc::new(watch::Sender::new(0)) };
        let served = api.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let api = served.clone();
                let service = service_fn(move |request| {
                    let api = api.clone();
                    async move { api.answer(request).await }
                });
                tokio::spawn(
                    hyper::server::conn::http1::Builder::new()
                        .serve_connection(TokioIo::new(stream), service),
                );
            }
        });
        api
    }

    /// The next answers to a method, before its usual ones.
    pub(super) fn script(&self, method: &'static str, replies: impl IntoIterator<Item = Reply>) {
        self.state.lock().unwrap().scripted.entry(method).or_default().extend(replies);
    }

    /// The same, in place of those that it still had.
    pub(super) fn rescript(&self, method: &'static str, replies: impl IntoIterator<Item = Reply>) {
        self.state.lock().unwrap().scripted.insert(method, replies.into_iter().collect());
    }

    /// What getWebhookInfo says from now on.
    pub(super) fn set_webhook_info(&self, info: Value) {
        self.state.lock().unwrap().webhook = info;
    }

    /// What a method was called with so far.
    pub(super) fn calls(&self, method: &str) -> Vec<Value> {
        let state = self.state.lock().unwrap();
        state.calls.iter().filter(|(name, _)| name == method).map(|(_, params)| params.clone()).collect()
    }

    /// Waits until a method was called so many times, and gives its calls.
    pub(super) async fn called(&self, method: &str, times: usize) -> Vec<Value> {
        let mut calls = self.calls.subscribe();
        let wait = async {
            while self.calls(method).len() < times {
                calls.changed().await.unwrap();
            }
        };
        let waited = tokio::time::timeout(Duration::from_secs(20), wait).await;
        assert!(waited.is_ok(), "{method} is called {times} times: {:?}", self.state.lock().unwrap().calls);
        self.calls(method)
    }

    async fn answer(&self, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, std::io::Error> {
        // Through a proxy the target is the whole URL.
        let path = request.uri().path().to_owned();
        let body = request.into_body().collect().await.map_err(std::io::Error::other)?.to_bytes();
        let params: Value = serde_json::from_slice(&body).unwrap_or(Value::Null);
        let method = path.rsplit('/').next().unwrap_or_default().to_owned();
        let reply = self.take(&method, params);
        self.calls.send_modify(|count| *count += 1);
        let answer = |status: u16, body: Bytes| {
            let mut response = Response::new(Full::new(body));
            *response.status_mut() = http::StatusCode::from_u16(status).unwrap();
            Ok(response)
        };
        match reply {
            Reply::Result(result) => answer(200, json!({"ok": true, "result": result}).to_string().into()),
            Reply::Error(code, description) => {
                let mut body = json!({"ok": false, "error_code": code, "description": description});
                if code == 429 {
                    body["parameters"] = json!({"retry_after": 1});
                }
                answer(code, body.to_string().into())
            }
            Reply::Raw(status, body) => answer(status, body),
            Reply::Silence => match std::future::pending::<Infallible>().await {},
            Reply::Reset => Err(std::io::Error::other("reset")),
        }
    }

    fn take(&self, method: &str, params: Value) -> Reply {
        let mut state = self.state.lock().unwrap();
        state.calls.push((method.to_owned(), params.clone()));
        if let Some(reply) = state.scripted.get_mut(method).and_then(VecDeque::pop_front) {
            return reply;
        }
        match method {
            "getMe" => {
                Reply::Result(json!({"id": 42, "is_bot": true, "first_name": "b", "username": "a_bot"}))
            }
            "getWebhookInfo" => Reply::Result(state.webhook.clone()),
            "setWebhook" => {
                state.webhook = webhook_info(params["url"].as_str().unwrap_or_default());
                Reply::Result(json!(true))
            }
            "deleteWebhook" => {
                state.webhook = webhook_info("");
                Reply::Result(json!(true))
            }
            // A long poll of a quiet bot.
            "getUpdates" if params["timeout"] != 0 => Reply::Silence,
            "getUpdates" => Reply::Result(json!([])),
            _ => Reply::Error(404, "Not Found: method not found"),
        }
    }
}

pub(super) fn webhook_info(url: &str) -> Value {
    json!({"url": url, "has_custom_certificate": false, "pending_update_count": 0})
}
