//! Whether any update can ever match: a filter that none can is a mistake, and its group would wait for nothing.

use super::{FilterParts, InvalidFilter};
use crate::update::{ChatType, KindCode};

/// Refuses what no update of Telegram's can match.
pub(super) fn check(parts: &FilterParts) -> Result<(), InvalidFilter> {
    let FilterParts { kinds, chat_ids, chat_types, commands, callback_data_prefixes: prefixes } = parts;
    let never = |why| Err(InvalidFilter::NeverMatches(why));
    let mut kinds = kinds.clone();
    if kinds.is_empty() {
        kinds.push(KindCode::UNKNOWN);
        kinds.extend(KindCode::known());
    }
    if !commands.is_empty() || !prefixes.is_empty() {
        kinds.retain(|kind| {
            !commands.is_empty() && kind.is_message()
                || !prefixes.is_empty() && *kind == KindCode::CALLBACK_QUERY
        });
        if kinds.is_empty() {
            return never("none of its kinds has what `commands` or `callback_data_prefixes` ask for");
        }
    }
    if chat_ids.is_empty() && chat_types.is_empty() {
        return Ok(());
    }
    kinds.retain(|kind| kind.may_have_chat());
    if kinds.is_empty() {
        return never("updates of its kinds have no chat");
    }
    let is_asked_for = |kind: &ChatType| chat_types.is_empty() || chat_types.contains(kind);
    let come_from = |chat_type: &ChatType| kinds.iter().any(|kind| kind.may_come_from(*chat_type));
    let types: Vec<ChatType> = ChatType::ALL.into_iter().filter(is_asked_for).filter(come_from).collect();
    if types.is_empty() {
        return never(
            "updates of its kinds come from no chat of its `chat_types`: posts come from channels only, and answers to \
             polls, boosts and requests to join from no private chat",
        );
    }
    let is_possible = |id: &i64| types.iter().any(|chat_type| chat_type.may_have(*id));
    if !chat_ids.is_empty() && !chat_ids.iter().any(is_possible) {
        return never(
            "its `chat_ids` are of no chat that its kinds and types allow: ids of private chats are positive, those of \
             groups, supergroups and channels negative",
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `kinds=a,b types=private chats=1,-2 commands=c prefixes=p`
    fn checked(words: &str) -> Result<(), InvalidFilter> {
        let mut parts = FilterParts::default();
        for word in words.split_whitespace() {
            let (name, values) = word.split_once('=').unwrap();
            let values = values.split(',');
            match name {
                "kinds" => parts.kinds = values.map(|name| KindCode::from_name(name).unwrap()).collect(),
                "types" => {
                    parts.chat_types = values.map(|name| ChatType::from_name(name).unwrap()).collect();
                }
                "chats" => parts.chat_ids = values.map(|id| id.parse().unwrap()).collect(),
                "commands" => parts.commands = values.map(Into::into).collect(),
                "prefixes" => parts.callback_data_prefixes = values.map(Into::into).collect(),
                other => panic!("{other}"),
            }
        }
        check(&parts)
    }

    #[test]
    fn what_can_never_match_is_refused() {
        for (never, why) in [
            ("kinds=poll commands=start", "`commands`"),
            ("kinds=message prefixes=order:", "`callback_data_prefixes`"),
            ("kinds=poll chats=1", "have no chat"),
            ("kinds=inline_query types=private", "have no chat"),
            ("kinds=channel_post types=private", "channels only"),
            ("kinds=channel_post,edited_channel_post types=private,group,supergroup", "channels only"),
            ("kinds=poll_answer types=private", "no private chat"),
            ("kinds=chat_boost,removed_chat_boost,chat_join_request types=private", "no private chat"),
            ("kinds=channel_post,callback_query commands=post types=private", "channels only"),
            ("types=channel chats=42", "positive"),
            ("types=private chats=-10042", "positive"),
            ("chats=0", "positive"),
            ("kinds=channel_post chats=42", "positive"),
            ("kinds=poll_answer chats=42", "positive"),
        ] {
            let refused = checked(never).expect_err(never).to_string();
            assert!(refused.starts_with("can never match") && refused.contains(why), "{never}: {refused}");
        }
    }

    #[test]
    fn what_can_match_is_let_in() {
        for possible in [
            "kinds=message",
            "commands=start",
            "prefixes=order: types=private",
            "kinds=poll,message commands=start chats=-100",
            "kinds=channel_post types=channel,private chats=-10042,42",
            "kinds=channel_post,message types=private chats=42",
            "kinds=poll_answer types=channel",
            "kinds=poll_answer chats=-10042",
            "kinds=callback_query types=channel",
            "kinds=message_reaction,my_chat_member,business_message types=private",
            "types=private,channel chats=42",
            "chats=-42",
        ] {
            assert_eq!(checked(possible), Ok(()), "{possible}");
        }
        let parts = FilterParts {
            kinds: vec![KindCode::UNKNOWN],
            chat_types: vec![ChatType::Private],
            ..FilterParts::default()
        };
        assert_eq!(check(&parts), Ok(()), "nobody knows where updates of new kinds come from");
    }
}
