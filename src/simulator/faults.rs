//! Faults that the simulator commits on request: which call meets which trouble.

use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::rng::Rng;

/// The method name that stands for the simulator's own requests to a bot's webhook.
pub(super) const WEBHOOK: &str = "webhook";

/// What goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "fault", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Fault {
    /// The call is carried out this much later.
    Latency {
        /// How much later, in milliseconds.
        ms: u64,
    },
    /// 429 with `retry_after`; the call is not carried out. A webhook is not asked.
    TooManyRequests {
        /// Seconds to wait.
        retry_after: u32,
    },
    /// A JSON error with the code 500; the call is not carried out. A webhook is not asked.
    ServerError,
    /// An HTML page with the code 502, as the proxy in front of Telegram sends it; the call is not carried out. A
    /// webhook is not asked.
    BadGateway,
    /// The call is carried out, and then the connection is closed instead of an answer. For a webhook: the request
    /// is sent, and what comes back is taken for a lost connection, so the update is sent again.
    ReplyLost,
    /// The connection is reset before the call is carried out. For a webhook: before anything is sent.
    Reset,
}

/// A fault, and which calls it strikes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FaultRule {
    /// What goes wrong.
    #[serde(flatten)]
    pub fault: Fault,
    /// The method it strikes, in any case; `webhook` stands for requests to webhooks; absent means every method.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub method: Option<String>,
    /// How likely it strikes a call, 0 to 1. Default 1.
    #[serde(default = "certain")]
    pub probability: f64,
    /// How often it strikes in all; absent means without end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub count: Option<u64>,
}

fn certain() -> f64 {
    1.0
}

/// The text is no fault rule.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is no part of a fault: write latency=MS, 429=SECONDS, 500, 502, reply-lost or reset first, then method=NAME, \
     probability=0..1, count=N, with commas between"
)]
pub struct InvalidFault(String);

impl FromStr for FaultRule {
    type Err = InvalidFault;

    fn from_str(text: &str) -> Result<Self, InvalidFault> {
        let mut parts = text.split(',').map(str::trim);
        let first = parts.next().unwrap_or_default();
        let invalid = |part: &str| InvalidFault(part.to_owned());
        let fault = match first.split_once('=').unwrap_or((first, "")) {
            ("latency", ms) => Fault::Latency { ms: ms.parse().map_err(|_| invalid(first))? },
            ("429", seconds) => {
                Fault::TooManyRequests { retry_after: seconds.parse().map_err(|_| invalid(first))? }
            }
            ("500", "") => Fault::ServerError,
            ("502", "") => Fault::BadGateway,
            ("reply-lost", "") => Fault::ReplyLost,
            ("reset", "") => Fault::Reset,
            _ => return Err(invalid(first)),
        };
        let mut rule = Self { fault, method: None, probability: certain(), count: None };
        for part in parts {
            match part.split_once('=') {
                Some(("method", name)) => rule.method = Some(name.to_owned()),
                Some(("probability", p)) => rule.probability = p.parse().map_err(|_| invalid(part))?,
                Some(("count", n)) => rule.count = Some(n.parse().map_err(|_| invalid(part))?),
                _ => return Err(invalid(part)),
            }
        }
        if rule.has_probability() { Ok(rule) } else { Err(invalid(text)) }
    }
}

impl FaultRule {
    /// Whether the probability is one.
    pub(super) fn has_probability(&self) -> bool {
        (0.0..=1.0).contains(&self.probability)
    }

    fn strikes(&self, method: &str) -> bool {
        self.count != Some(0) && self.method.as_ref().is_none_or(|name| name.eq_ignore_ascii_case(method))
    }
}

/// The rules in force, and how often each has struck.
#[derive(Debug)]
pub(super) struct Faults {
    rules: Vec<(FaultRule, u64)>,
    rng: Rng,
}

impl Faults {
    pub(super) fn new(rules: Vec<FaultRule>, seed: u64) -> Self {
        Self { rules: rules.into_iter().map(|rule| (rule, 0)).collect(), rng: Rng::new(seed) }
    }

    pub(super) fn add(&mut self, rules: Vec<FaultRule>) {
        self.rules.extend(rules.into_iter().map(|rule| (rule, 0)));
    }

    pub(super) fn clear(&mut self) {
        self.rules.clear();
    }

    /// The faults that strike this call: every latency, and the first of the others. A rule without a method
    /// leaves webhooks alone.
    pub(super) fn strike(&mut self, method: &str) -> Strike {
        let mut strike = Strike::default();
        for (rule, struck) in &mut self.rules {
            let is_latency = matches!(rule.fault, Fault::Latency { .. });
            if (method == WEBHOOK && rule.method.is_none())
                || (!is_latency && strike.fault.is_some())
                || !rule.strikes(method)
                || !self.rng.chance(rule.probability)
            {
                continue;
            }
            *struck += 1;
            rule.count = rule.count.map(|left| left - 1);
            match rule.fault {
                Fault::Latency { ms } => strike.latency_ms += ms,
                other => strike.fault = Some(other),
            }
        }
        strike
    }

    /// The rules as JSON, with how often each has struck and how often it still may.
    pub(super) fn to_json(&self) -> serde_json::Value {
        let rules =
            self.rules.iter().map(|(rule, struck)| serde_json::json!({"rule": rule, "struck": struck}));
        rules.collect()
    }
}

/// What happens to one call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Strike {
    pub latency_ms: u64,
    /// Any fault but latency.
    pub fault: Option<Fault>,
}

impl Strike {
    pub(super) async fn wait(&self) {
        if self.latency_ms > 0 {
            tokio::time::sleep(Duration::from_millis(self.latency_ms)).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_strikes_its_method_so_often_and_no_more() {
        let rule = "502,method=getUpdates,count=2".parse().unwrap();
        let mut faults = Faults::new(vec![rule], 1);
        assert_eq!(faults.strike("sendmessage"), Strike::default());
        for _ in 0..2 {
            assert_eq!(faults.strike("getupdates").fault, Some(Fault::BadGateway));
        }
        assert_eq!(faults.strike("getupdates"), Strike::default());
        assert_eq!(faults.to_json()[0]["struck"], 2);
    }

    #[test]
    fn latencies_add_up_and_leave_room_for_one_other_fault() {
        let rules = ["latency=5", "reset", "latency=7", "500"].map(|text| text.parse().unwrap());
        let strike = Faults::new(rules.to_vec(), 1).strike("getme");
        assert_eq!(strike, Strike { latency_ms: 12, fault: Some(Fault::Reset) });
    }

    #[test]
    fn a_probability_strikes_about_that_often() {
        let mut faults = Faults::new(vec!["reply-lost,probability=0.25".parse().unwrap()], 7);
        let struck = (0..10_000).filter(|_| faults.strike("getupdates").fault.is_some()).count();
        assert!((2300..2700).contains(&struck), "{struck}");
    }

    #[test]
    fn only_a_rule_that_names_webhooks_strikes_them() {
        let mut faults = Faults::new(vec!["reset".parse().unwrap()], 1);
        assert_eq!(faults.strike(WEBHOOK), Strike::default());
        faults.add(vec!["reply-lost,method=webhook".parse().unwrap()]);
        assert_eq!(faults.strike(WEBHOOK).fault, Some(Fault::ReplyLost));
    }

    #[test]
    fn a_rule_reads_the_same_from_text_and_json() {
        let text: FaultRule = "429=3,method=getUpdates,probability=0.5,count=9".parse().unwrap();
        let json = r#"{"fault":"too_many_requests","retry_after":3,"method":"getUpdates","probability":0.5,"count":9}"#;
        assert_eq!(serde_json::from_str::<FaultRule>(json).unwrap(), text);
        for bad in ["", "latency", "404", "500=1", "reset,when=now", "reset,probability=2"] {
            assert!(bad.parse::<FaultRule>().is_err(), "{bad}");
        }
    }
}
