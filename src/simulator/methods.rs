//! The Bot API's methods.

use std::sync::Arc;

use http::StatusCode;
use serde_json::{Value, json};

use super::Shared;
use super::answer::{self, Answer};
use super::args::Args;
use super::bot::{Bot, State};
use super::polling::get_updates;
use super::webhook;

/// Carries out one call. `method` is in lower case.
pub(super) async fn call(shared: &Arc<Shared>, bot: &Arc<Bot>, method: &str, args: &Args) -> Answer {
    if bot.lock().revoked {
        return answer::error(StatusCode::UNAUTHORIZED, "Unauthorized");
    }
    match method {
        "getupdates" => get_updates(shared, bot, args).await,
        "setwebhook" => webhook::set(shared, bot, args.get("url").unwrap_or_default(), args).await,
        "deletewebhook" => webhook::set(shared, bot, "", args).await,
        "getwebhookinfo" => answer::ok(&webhook::info(shared, bot)),
        "getme" => answer::ok(&json!({
            "id": bot.id,
            "is_bot": true,
            "first_name": "Simulated bot",
            "username": format!("simulated_{}_bot", bot.id),
            "can_join_groups": true,
            "can_read_all_group_messages": false,
            "supports_inline_queries": true,
            "can_connect_to_business": false,
            "has_main_web_app": false,
        })),
        other => {
            let date = shared.clock.unix_s(shared.clock.now());
            answer::ok(&plausible_result(&mut bot.lock(), bot.id, other, args, date))
        }
    }
}

/// What a method that the simulator does not carry out answers: a message if it sends one, an object if it gets
/// something, else `true`.
fn plausible_result(state: &mut State, bot_id: i64, method: &str, args: &Args, date: i64) -> Value {
    let sends = ["send", "forward", "copy", "edit"].iter().any(|verb| method.starts_with(verb));
    if method.starts_with("get") {
        return json!({});
    }
    if !sends || method == "sendchataction" {
        return json!(true);
    }
    let message_id = args.integer("message_id").unwrap_or_else(|| {
        state.next_message_id += 1;
        state.next_message_id - 1
    });
    let chat_id = args.integer("chat_id").unwrap_or(0);
    let chat_type = if chat_id < 0 { "supergroup" } else { "private" };
    json!({
        "message_id": message_id,
        "from": {"id": bot_id, "is_bot": true, "first_name": "Simulated bot"},
        "chat": {"id": chat_id, "type": chat_type},
        "date": date,
        "text": args.get("text").unwrap_or_default(),
    })
}
