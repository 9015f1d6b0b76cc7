//! `switchboard bots`: what the gateway has of its bots, and how each stands with Telegram.

use clap::Args;

use super::failure::Failure;
use super::pages::{self, Limit};
use super::session::{Session, Target};
use super::table::{Column, Facts};
use super::times::{Times, setting};
use super::words;
use crate::grpc::proto::client::{Bot, GetBotRequest, JournalStatus, ListBotsRequest, WebhookInfo};

/// Show the gateway's bots, or one of them
#[derive(Args, Clone, Debug)]
pub struct BotsArgs {
    /// Show this one in full
    #[arg(value_name = "NAME")]
    name: Option<String>,

    #[command(flatten)]
    limit: Limit,

    #[command(flatten)]
    pub(super) target: Target,
}

impl BotsArgs {
    pub(super) async fn run(self, session: &mut Session) -> Result<(), Failure> {
        let named = Some(session.bot.clone()).filter(|name| !name.is_empty());
        if let Some(bot) = self.name.or(named) {
            let response = session.client.get_bot(GetBotRequest { bot }).await?.into_inner();
            let bot = response.bot.unwrap_or_default();
            return session.show(&bot, |session| facts(&session.times(), &bot).lines());
        }
        let client = &mut session.client;
        let listed = pages::collect(self.limit, async |page_size, page_token| {
            let page = client.list_bots(ListBotsRequest { page_size, page_token }).await?.into_inner();
            Ok((page.bots, page.next_page_token))
        })
        .await?;
        let mut table = session.table(vec![
            Column::left("BOT"),
            Column::left("USERNAME"),
            Column::left("MODE"),
            Column::left("STATE"),
            Column::left("LAST UPDATE"),
            Column::right("AT TELEGRAM"),
            Column::right("KEPT"),
            Column::right("DEAD"),
            Column::elastic("PROBLEM"),
        ]);
        session.show_list(&listed.items, &mut table, row)?;
        session.remark_on(&listed, "bots");
        Ok(())
    }
}

fn row(times: &Times, bot: &Bot) -> Vec<String> {
    let journal = bot.journal.unwrap_or_default();
    vec![
        bot.name.clone(),
        username(bot),
        words::mode(bot.mode()).to_owned(),
        state(bot).to_owned(),
        times.show(bot.last_update_time.as_ref()),
        words::id(bot.pending_at_telegram),
        journal.update_count.to_string(),
        journal.dead_letter_count.to_string(),
        problems(bot).join("; "),
    ]
}

fn username(bot: &Bot) -> String {
    if bot.username.is_empty() { String::new() } else { format!("@{}", bot.username) }
}

fn state(bot: &Bot) -> &'static str {
    match bot {
        Bot { conflict, .. } if !conflict.is_empty() => "conflict",
        Bot { intake_pause: Some(_), .. } => "intake paused",
        Bot { connected_time: None, .. } => "not connected",
        Bot { last_error, .. } if !last_error.is_empty() => "troubled",
        _ => "connected",
    }
}

/// Whether updates can come in, as far as the gateway knows.
pub(super) fn comes_in(bot: &Bot) -> bool {
    matches!(state(bot), "connected" | "troubled")
}

/// What is wrong, in the gateway's words.
pub(super) fn problems(bot: &Bot) -> Vec<String> {
    let pause = bot.intake_pause.as_ref().map(|pause| pause.reason.clone());
    let said = [Some(bot.conflict.clone()), pause, Some(bot.last_error.clone())];
    said.into_iter().flatten().filter(|words| !words.is_empty()).collect()
}

fn facts(times: &Times, bot: &Bot) -> Facts {
    let mut facts = Facts::default();
    facts.add("bot", &bot.name);
    facts.add_some("username", username(bot));
    facts.add("state", state(bot));
    facts.add_some("conflict", &bot.conflict);
    facts.add_some("last error", &bot.last_error);
    if let Some(pause) = &bot.intake_pause {
        let since = times.show_both(pause.start_time.as_ref());
        facts.add("intake paused", format!("since {since}: {}", pause.reason));
    }
    facts.add_some("mode", words::mode(bot.mode()));
    facts.add_some("connected since", times.show_both(bot.connected_time.as_ref()));
    facts.add_some("last update", times.show_both(bot.last_update_time.as_ref()));
    facts.add_some("waiting at Telegram", words::id(bot.pending_at_telegram));
    if let Some(webhook) = &bot.webhook {
        add_webhook(&mut facts, times, webhook);
    }
    let kinds = match bot.allowed_updates.is_empty() {
        true => "Telegram's default (all but chat_member and the reactions)".to_owned(),
        false => bot.allowed_updates.join(", "),
    };
    facts.add("kinds asked for", kinds);
    facts.add("groups", bot.group_count.to_string());
    if let Some(journal) = &bot.journal {
        add_journal(&mut facts, times, journal);
    }
    facts
}

fn add_webhook(facts: &mut Facts, times: &Times, webhook: &WebhookInfo) {
    let checked = times.show(webhook.check_time.as_ref());
    facts.add("webhook", format!("{} (asked {checked})", webhook.url));
    facts.add("webhook connections", format!("at most {}", webhook.max_connections));
    if webhook.last_error_time.is_some() {
        let when = times.show_both(webhook.last_error_time.as_ref());
        facts.add("webhook error", format!("{}, {when}", webhook.last_error_message));
    }
}

fn add_journal(facts: &mut Facts, times: &Times, journal: &JournalStatus) {
    let since = times.show(journal.oldest_time.as_ref());
    let kept = match journal.update_count {
        0 => "no updates".to_owned(),
        count => {
            let range = format!("sequence {} to {}", journal.first_sequence, journal.last_sequence);
            format!("{}, {range}, the oldest from {since}", words::count(count, "update"))
        }
    };
    facts.add("kept", kept);
    let (used, most) = (words::bytes(journal.used_bytes), words::bytes(journal.max_bytes));
    facts.add("journal", format!("{used} of {most}"));
    let kept = [
        ("settled updates", journal.retention_max_age, journal.retention_max_bytes),
        ("dead letters", journal.dead_letter_max_age, journal.dead_letter_max_bytes),
    ];
    for (what, age, bytes) in kept {
        if let Some(age) = age {
            facts.add("retention", format!("{what} for {} within {}", setting(&age), words::bytes(bytes)));
        }
    }
    facts.add("dead letters", journal.dead_letter_count.to_string());
    facts.add("quarantined", journal.quarantined_count.to_string());
}

#[cfg(test)]
mod tests {
    use prost_types::Timestamp;

    use super::super::times::TimeStyle;
    use super::*;

    #[test]
    fn what_keeps_updates_out_is_the_state() {
        let well = Bot { connected_time: Some(Timestamp::default()), ..Bot::default() };
        assert_eq!(state(&well), "connected");
        assert_eq!(state(&Bot::default()), "not connected");
        let conflict = Bot { conflict: "another poller".into(), ..well.clone() };
        assert_eq!(
            (state(&conflict), problems(&conflict).as_slice()),
            ("conflict", &["another poller".to_owned()][..])
        );
    }

    #[test]
    fn a_bot_in_full_says_what_is_kept_and_for_how_long() {
        let journal = JournalStatus {
            used_bytes: 3 << 20,
            max_bytes: 8 << 30,
            first_sequence: 1,
            last_sequence: 12,
            update_count: 12,
            oldest_time: Some(Timestamp { seconds: 100, nanos: 0 }),
            retention_max_age: Some(prost_types::Duration { seconds: 86_400, nanos: 0 }),
            retention_max_bytes: 1 << 30,
            ..JournalStatus::default()
        };
        let bot = Bot { name: "shop".into(), journal: Some(journal), ..Bot::default() };
        let times = Times::new(TimeStyle::Relative, Timestamp { seconds: 160, nanos: 0 });
        let lines = facts(&times, &bot).lines().join("\n");
        assert!(lines.contains("12 updates, sequence 1 to 12, the oldest from 1m ago"), "{lines}");
        assert!(lines.contains("3.0 MiB of 8.0 GiB"), "{lines}");
        assert!(lines.contains("settled updates for 1d within 1.0 GiB"), "{lines}");
    }
}
