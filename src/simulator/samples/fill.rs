//! Puts values into a sample's template.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::{Sample, SampleError, SampleValues};

/// What a template's `"$…"` stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place<'a> {
    /// `$chat`, `$private`, `$group`, `$channel`: the chat object.
    Chat(ChatSort),
    /// `$user`: the user object.
    User,
    /// `$user_id`: the user's number.
    UserId,
    /// `$bot`: the bot as a user object.
    Bot,
    /// `$date`, `$message_id`, `$id`: numbers, the last as a string.
    Date,
    MessageId,
    Id,
    /// `$text|…`, `$data|…`, each with what stands there otherwise.
    Text(&'a str),
    Data(&'a str),
    /// `$command|…`: a text that is a command, and the length of its first word.
    Command(&'a str),
    CommandLength,
}

/// Where something happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ChatSort {
    Any,
    Private,
    Group,
    Channel,
}

/// What stands between two places, and then the place.
fn places(template: &str) -> impl Iterator<Item = (&str, Option<Place<'_>>)> {
    let mut rest = Some(template);
    std::iter::from_fn(move || {
        let text = rest.take()?;
        let Some((before, after)) = text.split_once("\"$") else { return Some((text, None)) };
        let (inside, behind) = after.split_at(end_of_string(after));
        rest = Some(behind.strip_prefix('"').unwrap_or(behind));
        Some((before, Place::named(inside)))
    })
}

/// Where the JSON string ends that the text begins in.
fn end_of_string(text: &str) -> usize {
    let mut escaped = false;
    let ends = |byte: u8| {
        let ends = byte == b'"' && !escaped;
        escaped = byte == b'\\' && !escaped;
        ends
    };
    text.bytes().position(ends).unwrap_or(text.len())
}

impl<'a> Place<'a> {
    fn named(inside: &'a str) -> Option<Self> {
        let (name, otherwise) = inside.split_once('|').unwrap_or((inside, ""));
        Some(match name {
            "chat" => Self::Chat(ChatSort::Any),
            "private" => Self::Chat(ChatSort::Private),
            "group" => Self::Chat(ChatSort::Group),
            "channel" => Self::Chat(ChatSort::Channel),
            "user" => Self::User,
            "user_id" => Self::UserId,
            "bot" => Self::Bot,
            "date" => Self::Date,
            "message_id" => Self::MessageId,
            "id" => Self::Id,
            "text" => Self::Text(otherwise),
            "data" => Self::Data(otherwise),
            "command" => Self::Command(otherwise),
            "command_length" => Self::CommandLength,
            _ => return None,
        })
    }

    /// The value that it is given.
    fn takes(self) -> Option<&'static str> {
        match self {
            Self::Chat(_) => Some("chat"),
            Self::User | Self::UserId => Some("user"),
            Self::Text(_) | Self::Command(_) => Some("text"),
            Self::Data(_) => Some("data"),
            Self::Bot | Self::Date | Self::MessageId | Self::Id | Self::CommandLength => None,
        }
    }
}

pub(super) fn takes(template: &str) -> Vec<&'static str> {
    let all = ["chat", "user", "text", "data"];
    let has = |value: &&str| places(template).any(|(_, place)| place.and_then(Place::takes) == Some(*value));
    all.into_iter().filter(has).collect()
}

pub(super) fn fill(sample: &Sample, values: &SampleValues) -> Result<String, SampleError> {
    every_value_has_its_place(sample, values)?;
    let sort = places(sample.template).find_map(|(_, place)| match place {
        Some(Place::Chat(sort)) => Some(sort),
        _ => None,
    });
    let chat = sort.map(|sort| sort.chat(sample, values)).transpose()?;
    let user = user(values, chat)?;
    let command = command(sample.template, values)?.unwrap_or_default();
    let mut filled = String::new();
    for (before, place) in places(sample.template) {
        filled.push_str(before);
        let Some(place) = place else { continue };
        let value = match place {
            Place::Chat(sort) => chat_object(chat.unwrap_or(user), sort),
            Place::User => user_object(user),
            Place::UserId => json!(user),
            Place::Bot => bot_object(values.bot_id),
            Place::Date => json!(values.date),
            Place::MessageId => json!(values.message_id),
            Place::Id => json!(values.id.to_string()),
            Place::Text(otherwise) => given_or(values.text.as_deref(), otherwise),
            Place::Data(otherwise) => given_or(values.data.as_deref(), otherwise),
            Place::Command(_) => json!(command),
            Place::CommandLength => json!(utf16_length(command.split_whitespace().next().unwrap_or(command))),
        };
        filled += &value.to_string();
    }
    Ok(in_ascii(&filled))
}

fn every_value_has_its_place(sample: &Sample, values: &SampleValues) -> Result<(), SampleError> {
    let takes = sample.takes();
    let given = [
        ("chat", values.chat.is_some()),
        ("user", values.user.is_some()),
        ("text", values.text.is_some()),
        ("data", values.data.is_some()),
    ];
    let Some((value, _)) = given.into_iter().find(|(value, given)| *given && !takes.contains(value)) else {
        return Ok(());
    };
    let takes = if takes.is_empty() { "none".to_owned() } else { takes.join(", ") };
    Err(SampleError::NoPlace { sample: sample.name, value, takes })
}

impl ChatSort {
    /// The chat that is given, if it is of this sort, or one that is.
    fn chat(self, sample: &Sample, values: &SampleValues) -> Result<i64, SampleError> {
        let Some(chat) = values.chat else {
            return Ok(match self {
                Self::Any | Self::Private => values.user.unwrap_or(DEFAULT_USER),
                Self::Group => DEFAULT_GROUP,
                Self::Channel => DEFAULT_CHANNEL,
            });
        };
        let (fits, place, right) = match self {
            Self::Any => (chat != 0, "a chat", "a user's or negative"),
            Self::Private => (chat > 0, "a private chat", "a user's: 1 or more"),
            Self::Group => (chat < 0, "a group", "negative"),
            Self::Channel => (chat <= FIRST_SUPERGROUP, "a channel", "-1000000000001 or less"),
        };
        if fits { Ok(chat) } else { Err(SampleError::Chat { sample: sample.name, chat, place, right }) }
    }
}

fn user(values: &SampleValues, chat: Option<i64>) -> Result<i64, SampleError> {
    let private = chat.filter(|chat| *chat > 0);
    match (values.user, private) {
        (Some(user), _) if user < 1 => Err(SampleError::User(user)),
        (Some(user), Some(chat)) if user != chat => Err(SampleError::OtherUser { chat, user }),
        (user, chat) => Ok(user.or(chat).unwrap_or(DEFAULT_USER)),
    }
}

/// The command that the update is to have, where it has one.
fn command<'a>(template: &'a str, values: &'a SampleValues) -> Result<Option<&'a str>, SampleError> {
    let otherwise = places(template).find_map(|(_, place)| match place {
        Some(Place::Command(otherwise)) => Some(otherwise),
        _ => None,
    });
    let Some(otherwise) = otherwise else { return Ok(None) };
    let text = values.text.as_deref().unwrap_or(otherwise);
    let is_command =
        text.strip_prefix('/').is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_alphanumeric()));
    if is_command { Ok(Some(text)) } else { Err(SampleError::Command(text.to_owned())) }
}

fn given_or(given: Option<&str>, otherwise: &str) -> Value {
    match given {
        Some(given) => json!(given),
        // It stands in the template as JSON has it.
        None => serde_json::from_str(&format!("\"{otherwise}\"")).unwrap_or_default(),
    }
}

fn chat_object(id: i64, sort: ChatSort) -> Value {
    match id {
        1.. => json!({"id": id, "first_name": "Anna", "username": format!("anna{id}"), "type": "private"}),
        _ if sort == ChatSort::Channel => json!({"id": id, "title": "News", "type": "channel"}),
        ..=FIRST_SUPERGROUP => json!({"id": id, "title": "Neighbours 🏡", "type": "supergroup"}),
        _ => {
            json!({"id": id, "title": "Neighbours 🏡", "type": "group", "all_members_are_administrators": true})
        }
    }
}

fn user_object(id: i64) -> Value {
    let username = format!("anna{id}");
    json!({"id": id, "is_bot": false, "first_name": "Anna", "username": username, "language_code": "en"})
}

fn bot_object(id: i64) -> Value {
    json!({"id": id, "is_bot": true, "first_name": "Simulated bot", "username": format!("simulated_{id}_bot")})
}

fn utf16_length(text: &str) -> usize {
    text.encode_utf16().count()
}

/// As Telegram writes JSON. Outside strings all is ASCII anyway.
fn in_ascii(json: &str) -> String {
    let mut ascii = String::with_capacity(json.len());
    for character in json.chars() {
        if character.is_ascii() {
            ascii.push(character);
            continue;
        }
        for unit in character.encode_utf16(&mut [0; 2]) {
            // Writing to a `String` does not fail.
            let _ = write!(ascii, "\\u{unit:04x}");
        }
    }
    ascii
}

const DEFAULT_USER: i64 = 1001;
const DEFAULT_GROUP: i64 = -1_001_000_000_001;
const DEFAULT_CHANNEL: i64 = -1_002_000_000_001;
/// Ids from here down are those of supergroups and channels.
const FIRST_SUPERGROUP: i64 = -1_000_000_000_001;

#[cfg(test)]
mod tests {
    use super::*;

    fn made(name: &str, values: &SampleValues) -> Result<Value, SampleError> {
        let json = Sample::named(name).unwrap().update(values)?;
        Ok(serde_json::from_str(&json).unwrap())
    }

    fn of_chat(chat: i64) -> SampleValues {
        SampleValues { chat: Some(chat), ..SampleValues::default() }
    }

    #[test]
    fn a_private_chat_is_with_its_user_and_a_group_with_any() {
        let update = made("message.text", &of_chat(42)).unwrap();
        assert_eq!(update["message"]["chat"]["type"], "private");
        assert_eq!(update["message"]["from"]["id"], 42);
        let update = made("message.text", &SampleValues { user: Some(7), ..of_chat(-5) }).unwrap();
        assert_eq!(
            (&update["message"]["chat"]["type"], &update["message"]["from"]["id"]),
            (&json!("group"), &json!(7))
        );
        let update = made("message.text", &of_chat(-1_001_234_567_890)).unwrap();
        assert_eq!(update["message"]["chat"]["type"], "supergroup");
        let update = made("channel_post", &of_chat(-1_001_234_567_890)).unwrap();
        assert_eq!(update["channel_post"]["chat"]["type"], "channel");
    }

    #[test]
    fn what_cannot_be_at_telegram_is_refused_with_what_can() {
        let refused = |name: &str, values: SampleValues| made(name, &values).unwrap_err().to_string();
        assert!(refused("message.text", of_chat(0)).contains("a user's or negative"));
        assert!(refused("channel_post", of_chat(42)).contains("-1000000000001 or less"));
        assert!(refused("chat_member", of_chat(42)).contains("happens in a group"));
        assert!(refused("business_message", of_chat(-5)).contains("1 or more"));
        let other = SampleValues { user: Some(7), ..of_chat(42) };
        assert!(refused("message.text", other).contains("chat 42 is a private one"));
        let nobody = SampleValues { user: Some(-7), ..SampleValues::default() };
        assert!(refused("inline_query", nobody).contains("1 or more"));
        assert!(
            refused("inline_query", of_chat(42)).contains("inline_query has no chat; it takes user, text")
        );
        let text = Some("start".to_owned());
        assert!(
            refused("message.command", SampleValues { text, ..SampleValues::default() }).contains("slash")
        );
    }

    #[test]
    fn words_are_put_in_as_they_are_and_written_as_telegram_does() {
        let text = Some("\"quoted\" $chat 🐟\n".to_owned());
        let values = SampleValues { text: text.clone(), ..of_chat(42) };
        assert_eq!(made("message.text", &values).unwrap()["message"]["text"].as_str(), text.as_deref());
        let json = Sample::named("message.text").unwrap().update(&values).unwrap();
        assert!(json.contains("\\ud83d\\udc1f"), "{json}");
        assert_eq!(
            made("message.web_app_data", &of_chat(42)).unwrap()["message"]["web_app_data"]["data"],
            "{\"item\":1}"
        );
    }

    #[test]
    fn a_commands_entity_is_as_long_as_its_first_word() {
        let update = made("message.command", &SampleValues::default()).unwrap();
        assert_eq!(update["message"]["text"], "/start");
        assert_eq!(update["message"]["entities"][0]["length"], 6);
        let text = Some("/help@a_bot me 🐟".to_owned());
        let update = made("message.command", &SampleValues { text, ..SampleValues::default() }).unwrap();
        assert_eq!(update["message"]["entities"][0]["length"], 11);
    }

    #[test]
    fn a_sample_says_what_it_takes() {
        let takes = |name: &str| Sample::named(name).unwrap().takes();
        assert_eq!(takes("callback_query"), ["chat", "user", "text", "data"]);
        assert_eq!(takes("message.command"), ["chat", "user", "text"]);
        assert_eq!(takes("poll_answer"), ["user"]);
        assert_eq!(takes("message_reaction_count"), ["chat"]);
    }
}
