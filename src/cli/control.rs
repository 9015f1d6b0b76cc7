//! The simulator's control interface, as the commands use it.

use std::collections::BTreeMap;
use std::time::Duration;

use reqwest::{Response, Url};
use serde::Deserialize;
use serde::de::IgnoredAny;
use thiserror::Error;

use super::client;
use super::exit::Exit;

/// Where `simulate` listens unless it is told otherwise.
pub(super) const DEFAULT_SIMULATOR: &str = "http://127.0.0.1:8081";

/// Why the simulator does not do what it is asked.
#[derive(Debug, Error)]
pub(super) enum ControlError {
    #[error("--simulator {given}: {why}; give it as {DEFAULT_SIMULATOR}")]
    Url { given: String, why: String },
    #[error(
        "no simulator answers at {url}: {why}; start one with `switchboard simulate`, or say where it is with --simulator"
    )]
    Away { url: String, why: String },
    #[error(
        "what answers at {url} is no simulator (HTTP {status}); say where `switchboard simulate` listens with --simulator"
    )]
    Stranger { url: String, status: u16 },
    #[error("the simulator refuses: {0}")]
    Refused(String),
}

impl ControlError {
    pub(super) fn exit(&self) -> Exit {
        match self {
            Self::Url { .. } => Exit::Config,
            Self::Away { .. } | Self::Stranger { .. } | Self::Refused(_) => Exit::Failed,
        }
    }
}

/// The simulator's control interface.
pub(super) struct Control {
    http: reqwest::Client,
    url: Url,
}

/// What became of updates that were to be queued.
#[derive(Deserialize)]
pub(super) struct Queued {
    pub(super) update_ids: Vec<i64>,
    #[serde(default)]
    pub(super) filtered: u64,
}

impl Control {
    /// The one at this URL; nothing is asked yet.
    pub(super) fn new(given: &str) -> Result<Self, ControlError> {
        let wrong = |why: String| ControlError::Url { given: given.to_owned(), why };
        let url = Url::parse(given).map_err(|error| wrong(error.to_string()))?;
        if url.scheme() != "http" {
            return Err(wrong("a simulator speaks http".to_owned()));
        }
        // Nothing here speaks TLS: a machine without CA certificates will do.
        let http = reqwest::Client::builder().no_proxy().tls_certs_only([]).timeout(TIMEOUT).build();
        Ok(Self { http: http.map_err(|error| wrong(error.to_string()))?, url })
    }

    /// The ids of the bots that have called, ascending.
    pub(super) async fn bots(&self) -> Result<Vec<i64>, ControlError> {
        let answer = self.http.get(self.at("simulator/bots")).send().await;
        let bots: BTreeMap<i64, IgnoredAny> = self.understood(answer).await?;
        Ok(bots.into_keys().collect())
    }

    /// Lets a bot have these updates, one after another; if it must have asked for their kinds, those that it has not are
    /// left out.
    pub(super) async fn queue(
        &self,
        bot_id: i64,
        body: String,
        unasked: bool,
    ) -> Result<Queued, ControlError> {
        let filter = if unasked { "" } else { "?filter=true" };
        let url = self.at(&format!("simulator/bots/{bot_id}/updates{filter}"));
        let answer = self.http.post(url).body(body).send().await;
        self.understood(answer).await
    }

    fn at(&self, path: &str) -> String {
        format!("{}/{path}", self.url.as_str().trim_end_matches('/'))
    }

    async fn understood<T: for<'de> Deserialize<'de>>(
        &self,
        answer: Result<Response, reqwest::Error>,
    ) -> Result<T, ControlError> {
        #[derive(Deserialize)]
        struct Refusal {
            error: String,
        }
        let url = || self.url.as_str().trim_end_matches('/').to_owned();
        let away = |error: reqwest::Error| ControlError::Away {
            url: url(),
            why: client::deepest(&error.without_url()),
        };
        let answer = answer.map_err(away)?;
        let status = answer.status();
        let body = answer.bytes().await.map_err(away)?;
        if status.is_success()
            && let Ok(understood) = serde_json::from_slice(&body)
        {
            return Ok(understood);
        }
        match serde_json::from_slice::<Refusal>(&body) {
            Ok(refusal) => Err(ControlError::Refused(refusal.error)),
            Err(_) => Err(ControlError::Stranger { url: url(), status: status.as_u16() }),
        }
    }
}

const TIMEOUT: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simulator::SimulatorConfig;

    #[test]
    fn the_simulator_is_looked_for_where_it_listens_by_default() {
        assert_eq!(DEFAULT_SIMULATOR, format!("http://{}", SimulatorConfig::default().listen));
    }
}
