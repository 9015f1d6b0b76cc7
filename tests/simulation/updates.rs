//! The updates that people cause, and what is known of each before anybody has parsed it.

use bytes::Bytes;

use crate::op::Kind;
use switchboard::model::KeyHash;

/// An update as Telegram has made it.
#[derive(Clone, Debug)]
pub struct Sent {
    pub id: i64,
    pub kind: &'static str,
    pub chat: Option<i64>,
    pub chat_type: Option<&'static str>,
    pub user: Option<i64>,
    pub thread: Option<i64>,
    /// A command, or a callback's data.
    pub label: &'static str,
    /// What it is ordered by where there is neither a chat nor a user.
    pub other_key: Option<String>,
    /// From `{` to the matching `}`; no two are the same.
    pub json: Bytes,
    /// The same with what is around it when it is posted.
    pub body: Bytes,
}

impl Sent {
    /// What it is ordered by, as TELEGRAM's table says.
    pub fn key(&self) -> String {
        match (self.chat, self.user, &self.other_key) {
            (Some(chat), ..) => format!("chat:{chat}"),
            (None, Some(user), _) => format!("user:{user}"),
            (None, None, Some(other)) => other.clone(),
            (None, None, None) => format!("update:{}", self.id),
        }
    }

    pub fn user_key(&self) -> String {
        self.user.map_or_else(|| self.key(), |user| format!("user:{user}"))
    }

    pub fn topic_key(&self) -> String {
        match (self.chat, self.thread) {
            (Some(chat), Some(thread)) => format!("topic:{chat}:{thread}"),
            _ => self.key(),
        }
    }

    /// Of what Telegram's webhook sends one at a time: the user for callbacks and inline queries, the chat for most others.
    pub fn queue(&self) -> String {
        match self.kind {
            "callback_query" | "inline_query" => self.user_key(),
            "message_reaction" => format!("reaction:{}", self.key()),
            _ => self.key(),
        }
    }

    /// How long Telegram keeps it.
    pub fn kept_ms(&self) -> u64 {
        match self.kind {
            "inline_query" => 30_000,
            "callback_query" => 150_000,
            _ => 24 * 3_600_000,
        }
    }
}

/// An update of this kind in this chat. `serial` makes it unlike all others.
pub fn make(kind: Kind, id: i64, chat: i64, serial: u64) -> Sent {
    let user = 500 + (chat.unsigned_abs() + serial % 2) as i64 % 7;
    let chat_type = if chat > 0 { "private" } else { "supergroup" };
    let thread = (chat < 0 && serial.is_multiple_of(3)).then_some(1 + serial as i64 % 2);
    let mut sent = Sent {
        id,
        kind: "message",
        chat: Some(chat),
        chat_type: Some(chat_type),
        user: Some(user),
        thread,
        label: "",
        other_key: None,
        json: Bytes::new(),
        body: Bytes::new(),
    };
    let in_chat = format!(r#""chat":{{"id":{chat},"type":"{chat_type}"}}"#);
    let from = format!(r#""from":{{"id":{user},"first_name":"\u0416"}}"#);
    let topic = thread.map(|thread| format!(r#","message_thread_id":{thread}"#)).unwrap_or_default();
    let text = format!("n{serial}{}", "·".repeat(serial as usize % 40));
    let payload = match kind {
        Kind::Message => format!(r#"{{"message_id":1{topic},{from},{in_chat},"text":"{text}"}}"#),
        Kind::Command => {
            sent.label = "start";
            format!(r#"{{"message_id":1{topic},{from},{in_chat},"text":"/start {text}"}}"#)
        }
        Kind::Edited => {
            sent.kind = "edited_message";
            format!(r#"{{ "message_id": 1{topic}, {from}, {in_chat}, "text": "{text}" }}"#)
        }
        Kind::Callback => {
            sent.kind = "callback_query";
            sent.label = "order:17";
            format!(
                r#"{{"id":"{serial}",{from},"message":{{"message_id":1{topic},{in_chat}}},"data":"order:17"}}"#
            )
        }
        Kind::Inline => {
            (sent.kind, sent.chat, sent.chat_type, sent.thread) = ("inline_query", None, None, None);
            format!(r#"{{"id":"{serial}",{from},"query":"{text}"}}"#)
        }
        Kind::Post => {
            (sent.kind, sent.user) = ("channel_post", None);
            format!(r#"{{"message_id":1{topic},{in_chat},"caption":"{text}"}}"#)
        }
        Kind::Poll => {
            (sent.kind, sent.chat, sent.chat_type) = ("poll", None, None);
            (sent.user, sent.thread) = (None, None);
            sent.other_key = Some(format!("poll:{}", serial % 3));
            format!(r#"{{"id":"{}","question":"{text}"}}"#, serial % 3)
        }
        Kind::Reaction => {
            (sent.kind, sent.thread) = ("message_reaction", None);
            format!(r#"{{{in_chat},"message_id":{serial},"user":{{"id":{user}}},"new_reaction":[]}}"#)
        }
        Kind::Member => {
            (sent.kind, sent.thread) = ("my_chat_member", None);
            format!(r#"{{{from},{in_chat},"date":{serial}}}"#)
        }
        Kind::Unknown => {
            sent.kind = "x_event";
            format!(r#"{{{in_chat}{topic},"user":{{"id":{user}}},"deep":[[[{{"a":"{text}"}}]]]}}"#)
        }
        Kind::Bare => {
            (sent.kind, sent.chat, sent.chat_type) = ("unknown", None, None);
            (sent.user, sent.thread) = (None, None);
            format!("{serial}")
        }
    };
    let name = if kind == Kind::Bare { "" } else { sent.kind };
    let json = if kind == Kind::Bare {
        // An update without a payload; the serial makes it unlike others.
        sent.kind = "unknown";
        format!("{{\"update_id\":{id}, \"\":{payload}}}")
    } else {
        format!("{{\"update_id\":{id},\n\"{name}\":{payload}}}")
    };
    sent.body = format!("{}{json}\n", " ".repeat(serial as usize % 2)).into();
    sent.json = json.into();
    sent
}

/// So many chats: of one shard, or of any.
pub fn chats(count: u64, one_shard: bool) -> Vec<i64> {
    // Private chats and groups in turn.
    let ids = (1..).map(|number: i64| if number % 2 == 0 { -1_000_000 - number } else { number });
    let shard = KeyHash::of_chat(1).shard();
    ids.filter(|id| !one_shard || KeyHash::of_chat(*id).shard() == shard).take(count as usize).collect()
}
