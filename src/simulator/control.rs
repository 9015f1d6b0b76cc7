//! The simulator's own HTTP interface, below `/simulator`. `control.txt` describes it.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Method, StatusCode};
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::Shared;
use super::answer::{self, Answer};
use super::args::Args;
use super::bot::{Bot, NewUpdate};
use super::faults::FaultRule;
use super::feed::{self, Source};
use super::generator::Traffic;
use super::kind::Kind;
use super::peek::Peek;

/// Waiting ends after this when the caller names no time.
const DEFAULT_WAIT_S: i64 = 30;

/// What is wrong with a control request.
struct Refusal(StatusCode, String);

/// Answers a request; `path` is what follows `/simulator`.
pub(super) async fn handle(
    shared: &Arc<Shared>,
    method: &Method,
    path: &str,
    query: &str,
    body: Bytes,
) -> Answer {
    let args = Args::from_query(query);
    match route(shared, method, path, &args, body).await {
        Ok(answer) => answer,
        Err(Refusal(status, error)) => answer::json_body(status, json!({"error": error}).to_string()),
    }
}

async fn route(
    shared: &Arc<Shared>,
    method: &Method,
    path: &str,
    args: &Args,
    body: Bytes,
) -> Result<Answer, Refusal> {
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    match (method.as_str(), parts.as_slice()) {
        ("GET", []) => Ok(answer::text(super::CONTROL_HELP)),
        ("GET", ["bots"]) => {
            let bots: Vec<Arc<Bot>> = shared.bots().values().cloned().collect();
            let summaries: serde_json::Map<_, _> =
                bots.iter().map(|bot| (bot.id.to_string(), summary(shared, bot))).collect();
            Ok(done(&Value::Object(summaries)))
        }
        ("GET", ["faults"]) => Ok(done(&shared.faults().to_json())),
        ("POST", ["faults"]) => {
            let rules = fault_rules(&body)?;
            shared.faults().add(rules);
            Ok(done(&shared.faults().to_json()))
        }
        ("DELETE", ["faults"]) => {
            shared.faults().clear();
            Ok(done(&json!([])))
        }
        (verb, ["bots", id, what]) => {
            let id =
                id.parse().map_err(|_| bad(format!("{id:?} is no bot id; write the digits of its token")))?;
            let bot = shared.bot(id);
            match (verb, *what) {
                ("GET", "ledger") if args.flag("updates") => {
                    let mut out = Vec::new();
                    write_ledger(shared, &bot, &mut out);
                    Ok(answer::json_body(StatusCode::OK, out))
                }
                ("GET", "ledger") => Ok(done(&summary(shared, &bot))),
                ("GET", "settled") => Ok(wait_settled(shared, &bot, args).await),
                ("POST", "updates") => inject(shared, &bot, args, &body),
                ("POST", "traffic") => {
                    feed::start(shared, &bot, Source::Generated(traffic(args)?));
                    Ok(done(&summary(shared, &bot)))
                }
                ("DELETE", "traffic") => {
                    feed::stop(&bot);
                    Ok(done(&summary(shared, &bot)))
                }
                ("POST", "revoke" | "restore") => {
                    bot.lock().revoked = *what == "revoke";
                    Ok(done(&json!({"revoked": *what == "revoke"})))
                }
                _ => Err(unknown(method, path)),
            }
        }
        _ => Err(unknown(method, path)),
    }
}

/// Waits until nothing of the bot is pending and its traffic is over.
pub(super) async fn settled(bot: &Bot) {
    loop {
        let drained = bot.drained.notified();
        tokio::pin!(drained);
        // Registered before the state is looked at, so that what comes in between is not missed.
        drained.as_mut().enable();
        if bot.lock().is_settled() {
            return;
        }
        drained.await;
    }
}

/// The ledgers of all bots, each with all its updates.
pub(super) fn all_ledgers(shared: &Shared) -> Vec<u8> {
    let bots: Vec<Arc<Bot>> = shared.bots().values().cloned().collect();
    let mut out = b"{".to_vec();
    for (index, bot) in bots.iter().enumerate() {
        let separator = if index == 0 { "" } else { ",\n" };
        out.extend_from_slice(format!("{separator}\"{}\":", bot.id).as_bytes());
        write_ledger(shared, bot, &mut out);
    }
    out.extend_from_slice(b"}\n");
    out
}

fn write_ledger(shared: &Shared, bot: &Bot, out: &mut Vec<u8>) {
    let summary = summary(shared, bot).to_string();
    out.extend_from_slice(summary.strip_suffix('}').unwrap_or_default().as_bytes());
    out.extend_from_slice(b",\"updates\":");
    bot.lock().ledger.write_updates(out);
    out.push(b'}');
}

fn summary(shared: &Shared, bot: &Bot) -> Value {
    let mut state = bot.lock();
    state.expire(shared.moment());
    let mut summary = state.ledger.summary();
    summary["settled"] = json!(state.is_settled());
    summary
}

async fn wait_settled(shared: &Shared, bot: &Bot, args: &Args) -> Answer {
    let seconds = args.integer("timeout").unwrap_or(DEFAULT_WAIT_S).max(0).unsigned_abs();
    // Whether it was in time is read from the state.
    let _ = tokio::time::timeout(Duration::from_secs(seconds), settled(bot)).await;
    done(&summary(shared, bot))
}

fn inject(shared: &Shared, bot: &Bot, args: &Args, body: &Bytes) -> Result<Answer, Refusal> {
    if let Some(id) = args.integer("as_is") {
        let update = NewUpdate { id, kind: Kind::UNKNOWN, lane: 0, body: body.clone() };
        queue(shared, bot, update)?;
        return Ok(done(&json!({"update_ids": [id]})));
    }
    let filter = args.flag("filter");
    let mut ids = Vec::new();
    let mut filtered = 0;
    for object in serde_json::Deserializer::from_slice(body).into_iter::<&RawValue>() {
        let place = ids.len() + filtered + 1;
        let invalid = |error: serde_json::Error| bad(format!("update {place} of the body: {error}"));
        let text = object.map_err(invalid)?.get();
        let peek = Peek::into_update(text).map_err(invalid)?;
        if filter && !feed::is_wanted(bot, peek.kind) {
            filtered += 1;
            continue;
        }
        ids.push(match peek.update_id {
            Some(id) => {
                let body = body.slice_ref(text.as_bytes());
                queue(shared, bot, NewUpdate { id, kind: peek.kind, lane: peek.lane, body })?
            }
            None => {
                let mut state = bot.lock();
                let (id, body) = feed::numbered(state.queue.next_id(), text.as_bytes());
                let update = NewUpdate { id, kind: peek.kind, lane: peek.lane, body };
                let pushed = state.push(update, shared.moment());
                drop(state);
                pushed.map_err(|refused| Refusal(StatusCode::CONFLICT, refused.to_string()))?;
                id
            }
        });
    }
    bot.announce();
    Ok(done(&json!({"update_ids": ids, "filtered": filtered})))
}

fn queue(shared: &Shared, bot: &Bot, update: NewUpdate) -> Result<i64, Refusal> {
    let id = update.id;
    let pushed = bot.lock().push(update, shared.moment());
    bot.announce();
    pushed.map_err(|refused| Refusal(StatusCode::CONFLICT, format!("update_id {id}: {refused}")))?;
    Ok(id)
}

fn traffic(args: &Args) -> Result<Traffic, Refusal> {
    fn number<T: std::str::FromStr>(args: &Args, name: &str, default: T) -> Result<T, Refusal> {
        let Some(text) = args.get(name) else { return Ok(default) };
        text.parse().map_err(|_| bad(format!("{name}={text}: not a number in its range")))
    }
    let default = Traffic::default();
    let traffic = Traffic {
        rate: number(args, "rate", default.rate)?,
        chats: number(args, "chats", default.chats)?,
        total: args.get("total").map(|_| number(args, "total", 0)).transpose()?,
        size: number(args, "size", default.size)?,
        seed: number(args, "seed", default.seed)?,
        timestamps: args.flag("timestamps"),
    };
    traffic.check().map_err(|reason| bad(reason.to_owned()))?;
    Ok(traffic)
}

fn fault_rules(body: &[u8]) -> Result<Vec<FaultRule>, Refusal> {
    #[derive(serde::Deserialize)]
    #[serde(untagged)]
    enum OneOrMany {
        Many(Vec<FaultRule>),
        One(FaultRule),
    }
    let rules = match serde_json::from_slice(body) {
        Ok(OneOrMany::Many(rules)) => rules,
        Ok(OneOrMany::One(rule)) => vec![rule],
        Err(error) => return Err(bad(format!("no fault rule ({error}); GET /simulator shows their form"))),
    };
    if rules.iter().all(FaultRule::has_probability) {
        Ok(rules)
    } else {
        Err(bad("probability is a number from 0 to 1".to_owned()))
    }
}

fn done(value: &Value) -> Answer {
    answer::json_body(StatusCode::OK, value.to_string())
}

fn bad(error: String) -> Refusal {
    Refusal(StatusCode::BAD_REQUEST, error)
}

fn unknown(method: &Method, path: &str) -> Refusal {
    Refusal(
        StatusCode::NOT_FOUND,
        format!("there is no {method} /simulator{path}; GET /simulator shows what there is"),
    )
}
