//! What goes wrong: crashes, stops, and packets that are lost, doubled, delayed and cut.

use bytes::Bytes;
use switchboard::driver::Input;

use super::World;
use crate::gateway::Heard;
use crate::op::{CommitFate, DiskState, Fate, Kind, LastCommit};
use crate::telegram::Telegram;
use crate::updates;
use crate::violation::{Kept, demand};

/// How much later something arrives that is delayed.
const DELAY_MS: u64 = 5_000;

impl World {
    /// A process is killed; what its commit thread was at becomes durable, or does not.
    pub(super) fn kill(&mut self, which: u64, commit: LastCommit) -> Kept {
        let Some(at) = self.gateway(which) else { return Ok(()) };
        if commit == LastCommit::Durable && self.disk != DiskState::Blocked {
            self.commit(at, CommitFate::Durable)?;
        }
        let uid = self.gateways[at].uid;
        self.line(format_args!("g{uid} is killed"));
        let gateway = self.gateways.remove(at);
        self.lose_gateway(gateway, None);
        Ok(())
    }

    /// A process is told to stop, as by SIGTERM.
    pub(super) fn stop(&mut self, which: u64, grace_ms: u64) -> Kept {
        let Some(at) = self.gateway(which) else { return Ok(()) };
        self.gateways[at].stopping = true;
        self.gateways[at].say(Input::Shutdown { grace_ms }, Heard::Shutdown);
        Ok(())
    }

    pub(super) fn disturb(&mut self, which: u64, fate: Fate) -> Kept {
        let Some(packet) = self.network.take(which) else { return Ok(()) };
        self.line(format_args!("{fate:?}: {}", packet.describe()));
        match fate {
            Fate::Arrives => self.arrive(packet),
            Fate::Lost => Ok(()),
            Fate::Doubled => {
                self.network.send(self.mono + DELAY_MS, packet.clone());
                self.arrive(packet)
            }
            Fate::Delayed => {
                self.network.send(self.mono + DELAY_MS, packet);
                Ok(())
            }
            Fate::Cut => self.arrive(packet.cut()),
        }
    }

    /// Somebody writes to the bot.
    pub(super) fn write(&mut self, chat: u64, kind: Kind, count: u64) {
        for more in 0..count {
            // Of many, the most are of one chat.
            let of = if more % 4 == 3 { chat + more } else { chat };
            let chat = self.chats[(of % self.chats.len() as u64) as usize];
            self.serial += 1;
            let id = self.telegram.next_id(self.mono);
            let sent = updates::make(kind, id, chat, self.serial);
            let event = (sent.body.slice(..), sent.json.clone(), sent.queue(), sent.kept_ms());
            let number = self.checker.sent(sent);
            let (body, json, queue, kept) = event;
            self.telegram.receive(self.mono, Telegram::event(id, json, body, Some(number), queue, kept));
        }
    }

    /// Something comes into the queue that cannot be read. Through a webhook it would be refused until it expires.
    pub(super) fn garble(&mut self, how: u64) {
        if self.telegram.webhook {
            return;
        }
        let id = self.telegram.next_id(self.mono);
        self.serial += 1;
        let serial = self.serial;
        let element: Vec<u8> = match how {
            0 => [format!("{{\"update_id\":{id},\"message\":{{\"text\":\"n{serial}").as_bytes(), b"\xff\"}}"]
                .concat(),
            1 => format!("{{\"update_id\":\"x{serial}\"}}").into(),
            2 => format!("[{serial}]").into(),
            _ => format!("{{\"message\":{serial}}}").into(),
        };
        let element: Bytes = element.into();
        let kept = 24 * 3_600_000;
        let event = Telegram::event(id, element.clone(), element, None, format!("garbled:{serial}"), kept);
        self.telegram.receive(self.mono, event);
    }

    /// Everything happens that can happen at once; then whatever could be delivered is.
    pub(super) fn rest(&mut self) -> Kept {
        if self.disk != DiskState::Fine {
            return Ok(());
        }
        let mut at = 0;
        while at < self.gateways.len() {
            let uid = self.gateways[at].uid;
            for round in 0.. {
                demand!("P6", round < 1_000, "g{uid} does not come to rest");
                self.turn(at)?;
                let Some(gateway) = self.gateways.get_mut(at).filter(|gateway| gateway.uid == uid) else {
                    break;
                };
                if gateway.driver.has_work() {
                    self.commit(at, CommitFate::Durable)?;
                    continue;
                }
                if gateway.driver.wakes().0 > self.mono && !gateway.is_stirred() {
                    self.checker.p6_nobody_waits_for_nothing(uid)?;
                    break;
                }
            }
            at += usize::from(self.gateways.get(at).is_some_and(|gateway| gateway.uid == uid));
        }
        Ok(())
    }
}
