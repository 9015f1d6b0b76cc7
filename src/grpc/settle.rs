//! Settling: texts to tokens, and what became of them back to the request's order.

use tonic::Status;

use super::bots::Bots;
use super::fields;
use super::messages::timestamp;
use super::proto::server::{SettleCode, SettleResult};
use crate::model::{SettledResult, Settlement, Token};

/// The driver answered for fewer tokens than it was given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the gateway has lost track of this call's results; try again, which is safe, and report it")]
pub(super) struct ResultsMissing;

/// Settles the deliveries that these tokens name. One that is no token fails alone.
pub(super) async fn settle(
    bots: &Bots,
    bot: &str,
    group: &str,
    texts: Vec<String>,
    settlement: Settlement,
) -> Result<Vec<SettleResult>, Status> {
    let bot = bots.find(bot)?;
    let group = fields::group(group)?;
    fields::tokens(&texts)?;
    let parsed: Vec<_> = texts.iter().map(|text| Token::parse(text)).collect();
    let tokens = parsed.iter().flatten().copied().collect();
    let mut settled = bot.handle.settle(group, tokens, settlement).await?.into_iter();
    let mut results = Vec::with_capacity(texts.len());
    for (text, token) in texts.into_iter().zip(parsed) {
        results.push(match token {
            Ok(_) => result(text, settled.next().ok_or(ResultsMissing)?),
            Err(_) => SettleResult { token: text, code: SettleCode::Malformed.into(), lease_deadline: None },
        });
    }
    Ok(results)
}

fn result(token: String, settled: SettledResult) -> SettleResult {
    let (code, deadline) = match settled {
        SettledResult::Applied { deadline } => (SettleCode::Applied, deadline),
        SettledResult::AppliedLate { deadline } => (SettleCode::AppliedLate, deadline),
        SettledResult::AlreadySettled => (SettleCode::AlreadySettled, None),
        SettledResult::Superseded => (SettleCode::Superseded, None),
        SettledResult::Unknown => (SettleCode::Unknown, None),
    };
    let lease_deadline = deadline.map(|(_, unix)| timestamp(unix));
    SettleResult { token, code: code.into(), lease_deadline }
}
