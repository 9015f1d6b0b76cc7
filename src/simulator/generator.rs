//! Generated traffic: realistic updates of many chats, the same for the same seed.
//!
//! Bodies are put together from pre-rendered pieces straight into a shared buffer, so that one core makes many
//! hundred thousand a second.

use bytes::{BufMut, Bytes, BytesMut};

use super::kind::{Kind, queue_number};
use super::rng::Rng;

/// What to generate.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Traffic {
    /// Updates a second; 0 means as fast as they are taken.
    pub rate: f64,
    /// Over how many chats they spread. At least 1.
    pub chats: u32,
    /// How many in all; none means without end.
    pub total: Option<u64>,
    /// About how large each is, in bytes of JSON.
    pub size: usize,
    /// Where the pseudo-random choices start.
    pub seed: u64,
    /// Whether each payload carries `simulator_sent_us`: when it joined the queue, in microseconds since 1970. So a
    /// handler can tell how long the update took.
    pub timestamps: bool,
}

impl Default for Traffic {
    fn default() -> Self {
        Self { rate: 10.0, chats: 100, total: None, size: 1024, seed: 1, timestamps: false }
    }
}

/// Telegram takes no update over 512 KiB, and sizes vary by a quarter.
const MAX_SIZE_BYTES: usize = 256 << 10;

impl Traffic {
    /// Whether the numbers make sense.
    ///
    /// # Errors
    /// What would be right.
    pub fn check(&self) -> Result<(), &'static str> {
        if !(self.rate.is_finite() && self.rate >= 0.0) {
            return Err("rate: updates a second, 0 or more");
        }
        if self.chats == 0 {
            return Err("chats: at least 1");
        }
        if self.size == 0 || self.size > MAX_SIZE_BYTES {
            return Err("size: 1 to 262144 bytes");
        }
        Ok(())
    }
}

/// One generated update.
#[derive(Clone, Debug)]
pub(super) struct Generated {
    pub lane: i64,
    pub body: Bytes,
}

/// The state behind the traffic.
#[derive(Debug)]
pub(super) struct Generator {
    rng: Rng,
    size: usize,
    timestamps: bool,
    /// The newest message_id of each chat.
    message_ids: Vec<u32>,
    /// Where the next bodies are written. A full chunk is left to those that hold its parts.
    chunk: BytesMut,
    text: Text,
}

/// Bodies share chunks of this size.
const CHUNK_BYTES: usize = 256 << 10;

impl Generator {
    pub(super) fn new(traffic: &Traffic) -> Self {
        Self {
            rng: Rng::new(traffic.seed),
            size: traffic.size,
            timestamps: traffic.timestamps,
            message_ids: vec![0; traffic.chats.max(1) as usize],
            chunk: BytesMut::with_capacity(CHUNK_BYTES),
            text: Text::new(),
        }
    }

    /// The kind of the next update, which decides whether the bot wants it.
    pub(super) fn next_kind(&mut self) -> Kind {
        match self.rng.below(100) {
            0..88 => Kind::MESSAGE,
            88..93 => Kind::EDITED_MESSAGE,
            93..99 => Kind::CALLBACK_QUERY,
            _ => Kind::MY_CHAT_MEMBER,
        }
    }

    /// The next update, in Telegram's form on the wire.
    pub(super) fn next(&mut self, kind: Kind, id: i64, unix_us: i64) -> Generated {
        let index = self.rng.below(self.message_ids.len() as u64);
        let chat = Chat::numbered(index, &mut self.rng);
        let message_id = self.message_ids.get_mut(usize::try_from(index).unwrap_or(0)).map_or(0, |newest| {
            if kind == Kind::MESSAGE || *newest == 0 {
                *newest += 1;
            }
            *newest
        });
        let sent_us = self.timestamps.then_some(unix_us);
        // Sizes vary by a quarter around the wanted one, as nobody writes equally long messages.
        let wanted = self.size - self.size / 4
            + usize::try_from(self.rng.below(self.size as u64 / 2 + 1)).unwrap_or(0);
        if self.chunk.capacity() < wanted + FRAME_BYTES {
            self.chunk = BytesMut::with_capacity(CHUNK_BYTES.max(wanted + FRAME_BYTES));
        }
        let mut update = Writer { out: &mut self.chunk, wanted, text: &self.text, start: self.rng.next() };
        let date = unix_us / 1_000_000;
        update.open(id, kind, sent_us);
        match kind {
            Kind::CALLBACK_QUERY => update.callback_query(&chat, message_id, date),
            Kind::MY_CHAT_MEMBER => update.my_chat_member(&chat, date),
            _ => update.message(&chat, message_id, date, kind == Kind::EDITED_MESSAGE),
        }
        let lane = queue_number(kind.lane(), Some(chat.id), Some(chat.user), None);
        Generated { lane, body: self.chunk.split().freeze() }
    }
}

/// More than everything in an update but its text.
const FRAME_BYTES: usize = 1024;

/// A chat and the one who writes in it.
struct Chat {
    id: i64,
    user: i64,
}

impl Chat {
    /// Every fourth chat is a supergroup in which several people write, the others are private.
    fn numbered(index: u64, rng: &mut Rng) -> Self {
        let number = i64::try_from(index).unwrap_or(0);
        let private = 200_000_000 + number * 37;
        if number % 4 == 3 {
            let member = i64::try_from(rng.below(20)).unwrap_or(0);
            Self { id: -1_001_500_000_000 - number * 53, user: private + 1_000_000_000 + member }
        } else {
            Self { id: private, user: private }
        }
    }
}

struct Writer<'a> {
    out: &'a mut BytesMut,
    wanted: usize,
    text: &'a Text,
    start: u64,
}

impl Writer<'_> {
    fn open(&mut self, id: i64, kind: Kind, sent_us: Option<i64>) {
        self.put("{\"update_id\":").number(id).put(",\n\"").put(kind.name()).put("\":{");
        if let Some(us) = sent_us {
            self.put("\"simulator_sent_us\":").number(us).put(",");
        }
    }

    fn message(&mut self, chat: &Chat, message_id: u32, date: i64, edited: bool) {
        self.message_members(chat, message_id, date);
        if edited {
            self.put(",\"edit_date\":").number(date);
        }
        self.put(",\"text\":\"").prose("\"}}".len()).put("\"}}");
    }

    fn callback_query(&mut self, chat: &Chat, message_id: u32, date: i64) {
        let query = i64::from(message_id) + chat.id.abs() * 1000;
        self.put("\"id\":\"").number(query).put("\",\"from\":").user(chat);
        self.put(",\"chat_instance\":\"")
            .number(-chat.id * 7)
            .put("\",\"data\":\"page:")
            .number(i64::from(message_id));
        self.put("\",\"message\":{").message_members(chat, message_id, date);
        self.put(",\"text\":\"").prose(KEYBOARD.len()).put(KEYBOARD);
    }

    fn my_chat_member(&mut self, chat: &Chat, date: i64) {
        self.put("\"chat\":")
            .chat(chat)
            .put(",\"from\":")
            .user(chat)
            .put(",\"date\":")
            .number(date)
            .put(MEMBER);
    }

    fn message_members(&mut self, chat: &Chat, message_id: u32, date: i64) {
        self.put("\"message_id\":").number(i64::from(message_id)).put(",\"from\":").user(chat);
        self.put(",\"chat\":").chat(chat).put(",\"date\":").number(date);
    }

    fn user(&mut self, chat: &Chat) -> &mut Self {
        self.put("{\"id\":")
            .number(chat.user)
            .put(",\"is_bot\":false,\"first_name\":\"\\u0410\\u043d\\u043d\\u0430\"");
        self.put(",\"username\":\"anna").number(chat.user).put("\",\"language_code\":\"ru\"}")
    }

    fn chat(&mut self, chat: &Chat) -> &mut Self {
        self.put("{\"id\":").number(chat.id);
        if chat.id < 0 {
            return self.put(",\"title\":\"Neighbours \\ud83c\\udfe1\",\"type\":\"supergroup\"}");
        }
        self.put(",\"first_name\":\"\\u0410\\u043d\\u043d\\u0430\",\"username\":\"anna").number(chat.user);
        self.put("\",\"type\":\"private\"}")
    }

    /// Text that brings the update to the wanted size, if `rest` bytes follow it.
    fn prose(&mut self, rest: usize) -> &mut Self {
        let mut left = self.wanted.saturating_sub(self.out.len() + rest).max(1);
        while left > 0 {
            let (piece, next) = self.text.piece(self.start, left);
            self.out.put_slice(piece);
            left = left.saturating_sub(piece.len().max(1));
            self.start = next;
        }
        self
    }

    fn put(&mut self, text: &str) -> &mut Self {
        self.out.put_slice(text.as_bytes());
        self
    }

    fn number(&mut self, number: i64) -> &mut Self {
        let mut digits = [0_u8; 20];
        let mut at = digits.len();
        let mut rest = number.unsigned_abs();
        loop {
            at -= 1;
            if let (Some(slot), Ok(digit)) = (digits.get_mut(at), u8::try_from(rest % 10)) {
                *slot = b'0' + digit;
            }
            rest /= 10;
            if rest == 0 || at == 0 {
                break;
            }
        }
        if number < 0 {
            self.out.put_u8(b'-');
        }
        self.out.put_slice(digits.get(at..).unwrap_or_default());
        self
    }
}

const KEYBOARD: &str = "\",\"reply_markup\":{\"inline_keyboard\":[[{\"text\":\"\\u2b05\\ufe0f\",\"callback_data\":\"page:1\"},\
                        {\"text\":\"\\u27a1\\ufe0f\",\"callback_data\":\"page:2\"}]]}}}}";
const MEMBER: &str = ",\"old_chat_member\":{\"user\":{\"id\":1,\"is_bot\":true,\"first_name\":\"Bot\",\"username\":\"bot\"},\
                      \"status\":\"left\"},\"new_chat_member\":{\"user\":{\"id\":1,\"is_bot\":true,\"first_name\":\"Bot\",\
                      \"username\":\"bot\"},\"status\":\"member\"}}}";

/// Words to write with, escaped as Telegram escapes them.
#[derive(Debug)]
struct Text {
    bytes: Vec<u8>,
    /// Where a word ends; a text may be cut there.
    ends: Vec<usize>,
}

const WORDS: &str = "Привет! Можно заказать доставку на завтра? Нас будет пятеро, и один не ест рыбу 🐟. \
    Thanks a lot, see you at the station around seven. The parcel has not arrived yet; who should I ask? \
    Добрый вечер, подскажите, пожалуйста, где посмотреть расписание. ¿Qué tal? Ich komme etwas später 🚆. \
    Could you send the invoice again, with the new address on it? Спасибо, всё получилось с первого раза 👍. ";

impl Text {
    fn new() -> Self {
        let mut bytes = Vec::new();
        let mut ends = Vec::new();
        for word in WORDS.split_inclusive(' ') {
            for unit in word.encode_utf16() {
                match u8::try_from(unit) {
                    Ok(ascii) if ascii.is_ascii() => bytes.push(ascii),
                    _ => bytes.extend_from_slice(format!("\\u{unit:04x}").as_bytes()),
                }
            }
            ends.push(bytes.len());
        }
        Self { bytes, ends }
    }

    /// Whole words from some word on, at most `max` bytes but for the first word; and where to go on.
    fn piece(&self, start: u64, max: usize) -> (&[u8], u64) {
        let words = self.ends.len() as u64;
        let first = usize::try_from(start % words.max(1)).unwrap_or(0);
        let from = first.checked_sub(1).and_then(|before| self.ends.get(before)).copied().unwrap_or(0);
        let fitting = self.ends.partition_point(|end| *end <= from + max);
        let last = fitting.saturating_sub(1).max(first);
        let to = self.ends.get(last).copied().unwrap_or(from);
        (self.bytes.get(from..to).unwrap_or_default(), last as u64 + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::super::peek::Peek;
    use super::*;

    fn bodies(traffic: &Traffic, count: i64) -> Vec<(Kind, Generated)> {
        let mut generator = Generator::new(traffic);
        (1..=count)
            .map(|id| {
                let kind = generator.next_kind();
                (kind, generator.next(kind, id, 1_790_000_000_000_000 + id))
            })
            .collect()
    }

    #[test]
    fn generated_updates_are_valid_and_say_themselves_what_the_queue_is_told() {
        for (kind, update) in bodies(&Traffic { chats: 50, ..Traffic::default() }, 2000) {
            let json = std::str::from_utf8(&update.body).unwrap();
            serde_json::from_str::<serde_json::Value>(json).unwrap();
            let peek = Peek::into_update(json).unwrap();
            assert_eq!((peek.kind, peek.lane), (kind, update.lane), "{json}");
        }
    }

    #[test]
    fn generated_updates_have_telegrams_form_on_the_wire() {
        for ((kind, update), id) in bodies(&Traffic::default(), 100).iter().zip(1..) {
            let start = format!("{{\"update_id\":{id},\n\"{}\":{{", kind.name());
            assert!(update.body.starts_with(start.as_bytes()));
            assert!(update.body.is_ascii(), "non-ASCII is escaped");
        }
    }

    #[test]
    fn equal_seeds_give_equal_traffic_and_other_seeds_other() {
        let traffic = Traffic::default();
        let collect =
            |traffic: &Traffic| bodies(traffic, 500).into_iter().map(|(_, one)| one.body).collect::<Vec<_>>();
        assert_eq!(collect(&traffic), collect(&traffic));
        assert_ne!(collect(&traffic), collect(&Traffic { seed: 2, ..traffic }));
    }

    #[test]
    fn bodies_are_about_as_large_as_wanted() {
        for size in [600, 1024, 8192, 65_536] {
            let traffic = Traffic { size, ..Traffic::default() };
            let messages = bodies(&traffic, 1000).into_iter().filter(|(kind, _)| *kind == Kind::MESSAGE);
            let lengths: Vec<usize> = messages.map(|(_, one)| one.body.len()).collect();
            let mean = lengths.iter().sum::<usize>() / lengths.len();
            assert!(mean.abs_diff(size) < size / 10, "{mean} for {size}");
        }
    }

    #[test]
    fn message_ids_ascend_within_a_chat_and_the_timestamp_is_in_the_payload() {
        let traffic = Traffic { chats: 3, timestamps: true, ..Traffic::default() };
        let mut newest = std::collections::HashMap::new();
        for ((kind, update), id) in bodies(&traffic, 300).into_iter().zip(1..) {
            let json: serde_json::Value = serde_json::from_slice(&update.body).unwrap();
            let payload = &json[kind.name()];
            assert_eq!(payload["simulator_sent_us"], 1_790_000_000_000_000_i64 + id);
            if kind == Kind::MESSAGE {
                let message_id = payload["message_id"].as_u64().unwrap();
                let before = newest.insert(update.lane, message_id);
                assert!(before.is_none_or(|before| before < message_id));
            }
        }
    }
}
