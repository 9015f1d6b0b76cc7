//! A web server as somebody has who develops a bot that expects a webhook.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::PATIENCE;

/// A request that came.
#[derive(Clone, Debug)]
pub struct Posted {
    pub path: String,
    pub headers: http::HeaderMap,
    pub body: String,
}

impl Posted {
    /// The message's text.
    pub fn text(&self) -> String {
        let update: Value = serde_json::from_str(&self.body).unwrap();
        update["message"]["text"].as_str().unwrap_or_default().to_owned()
    }
}

/// What is to be answered: a status and a body; none for never.
pub type Answer = Option<(u16, &'static str)>;

/// A web server, for as long as the test lasts.
pub struct Web {
    pub address: SocketAddr,
    posted: watch::Receiver<Vec<Posted>>,
}

impl Web {
    /// Answers each request with what `answer` says to all that came, itself as the last. An answer waits until `gate`
    /// is open for its text.
    pub async fn start(answer: impl Fn(&[Posted]) -> Answer + Send + Sync + 'static) -> Self {
        Self::gated(answer, watch::channel(Vec::new()).1).await
    }

    /// The same, but requests whose text is among the closed ones wait.
    pub async fn gated(
        answer: impl Fn(&[Posted]) -> Answer + Send + Sync + 'static,
        closed: watch::Receiver<Vec<&'static str>>,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (came, posted) = watch::channel(Vec::new());
        let came = Arc::new(Mutex::new(came));
        let answer = Arc::new(answer);
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let (answer, came, closed) = (Arc::clone(&answer), Arc::clone(&came), closed.clone());
                let service = service_fn(move |request| {
                    reply(request, Arc::clone(&answer), Arc::clone(&came), closed.clone())
                });
                let connection = hyper::server::conn::http1::Builder::new();
                tokio::spawn(async move { connection.serve_connection(TokioIo::new(stream), service).await });
            }
        });
        Self { address, posted }
    }

    /// All that came, as soon as it is so many.
    pub async fn posts(&self, count: usize) -> Vec<Posted> {
        let mut posted = self.posted.clone();
        let enough = tokio::time::timeout(PATIENCE, posted.wait_for(|posted| posted.len() >= count)).await;
        let came = enough.map(|enough| enough.unwrap().clone());
        came.unwrap_or_else(|_| panic!("not {count}: {:#?}", self.posted.borrow()))
    }
}

async fn reply(
    request: Request<Incoming>,
    answer: Arc<impl Fn(&[Posted]) -> Answer>,
    came: Arc<Mutex<watch::Sender<Vec<Posted>>>>,
    mut closed: watch::Receiver<Vec<&'static str>>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let (head, body) = request.into_parts();
    let body = String::from_utf8(body.collect().await.unwrap().to_bytes().to_vec()).unwrap();
    let posted = Posted { path: head.uri.to_string(), headers: head.headers, body };
    let text = posted.text();
    let answer = {
        let came = came.lock().unwrap();
        came.send_modify(|all| all.push(posted));
        let all = came.borrow();
        answer(&all)
    };
    // Without a sender nothing is closed.
    let _ = closed.wait_for(|closed| !closed.contains(&text.as_str())).await;
    let Some((status, body)) = answer else { return std::future::pending().await };
    let mut response = Response::new(Full::from(body));
    *response.status_mut() = http::StatusCode::from_u16(status).unwrap();
    Ok(response)
}
