//! ListBots and GetBot.

use tonic::Status;

use super::paging::{Page, Pager, Position};
use super::refused::look;
use crate::driver::IntakeState;
use crate::grpc::bots::{Bot, Bots};
use crate::grpc::messages::{duration, saturating_i64, timestamp};
use crate::grpc::proto::server as pb;
use crate::inspect::{Configured, Connection, ConnectionMode, Holdings};
use crate::model::UnixMillis;

pub(super) async fn list(
    bots: &Bots,
    mut request: pb::ListBotsRequest,
) -> Result<pb::ListBotsResponse, Status> {
    let pager = Pager::take(&mut request)?;
    let mut page = Page::new(&pager);
    for bot in bots.by_name() {
        let name = bot.handle.bot();
        if pager.from.as_ref().is_some_and(|from| name < from.name.as_str()) {
            continue;
        }
        if page.room() == 0 || !page.add(message(bot).await?) {
            let next = Position { name: name.into(), number: 0 };
            return Ok(pb::ListBotsResponse { bots: page.results, next_page_token: pager.token(Some(next)) });
        }
    }
    Ok(pb::ListBotsResponse { bots: page.results, next_page_token: String::new() })
}

pub(super) async fn get(bots: &Bots, request: &pb::GetBotRequest) -> Result<pb::GetBotResponse, Status> {
    let bot = message(bots.find(&request.bot)?).await?;
    Ok(pb::GetBotResponse { bot: Some(bot) })
}

async fn message(bot: &Bot) -> Result<pb::Bot, Status> {
    let holdings = look(bot, |inspector| inspector.holdings()).await?;
    // A driver that has stopped has no groups any more.
    let groups = bot.handle.groups(None).await.unwrap_or_default().len();
    let Connection {
        username,
        mode,
        connected_since,
        last_update,
        conflict,
        last_error,
        pending,
        webhook,
        allowed_updates,
    } = bot.inspector.connection();
    let intake_pause = match *bot.handle.intake().borrow() {
        IntakeState::Open => None,
        IntakeState::Paused { reason, since } => {
            Some(pb::IntakePause { reason: reason.to_string(), start_time: Some(timestamp(since)) })
        }
    };
    Ok(pb::Bot {
        name: bot.handle.bot().into(),
        username: text(username),
        mode: match mode {
            None => pb::IntakeMode::Unspecified,
            Some(ConnectionMode::Polling) => pb::IntakeMode::Polling,
            Some(ConnectionMode::Webhook) => pb::IntakeMode::Webhook,
        }
        .into(),
        connected_time: connected_since.map(timestamp),
        last_update_time: last_update.map(timestamp),
        conflict: text(conflict),
        last_error: text(last_error),
        pending_at_telegram: pending.map(saturating_i64),
        webhook: webhook.map(|webhook| pb::WebhookInfo {
            url: webhook.url.into(),
            last_error_time: webhook.last_error_time.map(timestamp),
            last_error_message: webhook.last_error_message.into(),
            max_connections: i32::try_from(webhook.max_connections).unwrap_or(i32::MAX),
            check_time: Some(timestamp(webhook.checked)),
        }),
        allowed_updates: allowed_updates.into_iter().map(String::from).collect(),
        intake_pause,
        journal: Some(journal(&holdings, bot.inspector.configured())),
        group_count: i32::try_from(groups).unwrap_or(i32::MAX),
    })
}

fn text(text: Option<Box<str>>) -> String {
    text.map(String::from).unwrap_or_default()
}

fn journal(holdings: &Holdings, configured: &Configured) -> pb::JournalStatus {
    let Holdings { usage, newest, counts } = holdings;
    let (first, oldest): (Option<_>, Option<UnixMillis>) = counts.first.unzip();
    pb::JournalStatus {
        used_bytes: saturating_i64(usage.used_bytes),
        max_bytes: saturating_i64(usage.max_bytes),
        first_sequence: first.map_or(0, |first| saturating_i64(first.0)),
        last_sequence: saturating_i64(newest.0),
        oldest_time: oldest.map(timestamp),
        update_count: saturating_i64(counts.updates),
        dead_letter_count: saturating_i64(counts.dead_letters.iter().map(|(_, letters)| letters.count).sum()),
        quarantined_count: saturating_i64(counts.quarantined),
        retention_max_age: Some(duration(configured.retention_max_age_ms)),
        retention_max_bytes: saturating_i64(configured.retention_max_bytes),
        dead_letter_max_age: configured.dead_letter_max_age_ms.map(duration),
        dead_letter_max_bytes: configured.dead_letter_max_bytes.map_or(0, saturating_i64),
    }
}
