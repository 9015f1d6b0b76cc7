//! What is on its way between Telegram and the gateways.

use bytes::Bytes;

use crate::telegram::{Answer, Ask, Post};

/// Something on its way.
#[derive(Clone, Debug)]
pub enum Packet {
    Ask(Ask),
    Answer(Answer),
    Post(Post),
    /// The answer to a post: a status, and when to come again.
    Reply {
        post: u64,
        status: u16,
        retry_after_ms: Option<u64>,
    },
}

/// All that is on its way, by when it arrives.
#[derive(Debug, Default)]
pub struct Network {
    packets: Vec<(u64, u64, Packet)>,
    last: u64,
}

impl Network {
    pub fn send(&mut self, due: u64, packet: Packet) {
        self.last += 1;
        self.packets.push((due, self.last, packet));
        self.packets.sort_by_key(|(due, number, _)| (*due, *number));
    }

    /// When the next packet arrives.
    pub fn next(&self) -> Option<u64> {
        self.packets.first().map(|(due, ..)| *due)
    }

    /// The next packet that arrives by now.
    pub fn take_due(&mut self, now: u64) -> Option<Packet> {
        let due = self.next()? <= now;
        due.then(|| self.packets.remove(0).2)
    }

    /// One of them.
    pub fn take(&mut self, which: u64) -> Option<Packet> {
        let count = self.packets.len() as u64;
        (count > 0).then(|| self.packets.remove((which % count) as usize).2)
    }
}

impl Packet {
    /// What it looks like from outside.
    pub fn describe(&self) -> String {
        match self {
            Self::Ask(ask) => format!("ask {}#{} offset {:?}", ask.gateway, ask.number, ask.offset),
            Self::Answer(answer) => {
                let bytes = answer.page.as_ref().map(Bytes::len);
                format!("answer {}#{} {bytes:?}", answer.gateway, answer.number)
            }
            Self::Post(post) => format!("post {} {}", post.number, post.body.len()),
            Self::Reply { post, status, .. } => format!("reply {post} {status}"),
        }
    }

    /// The same without its end, if it is a page.
    pub fn cut(self) -> Self {
        match self {
            Self::Answer(Answer { gateway, number, page: Some(page) }) => {
                let kept = page.len() - page.len().min(1 + page.len() / 3);
                Self::Answer(Answer { gateway, number, page: Some(page.slice(..kept)) })
            }
            other => other,
        }
    }
}
