//! Carrying out what the dispatcher wants done.

use std::collections::BTreeMap;

use super::core::Core;
use super::payload_cache::Cached;
use crate::dispatch::{Command, Handout};
use crate::journal::{JournalReader, ReadError};
use crate::model::{Now, Sequence, StreamEvent};

impl<R: JournalReader> Core<R> {
    pub(super) fn carry_out(&mut self, now: Now) -> Result<(), ReadError> {
        let mut commands = std::mem::take(&mut self.commands);
        loop {
            self.dispatcher.poll(now, &mut commands);
            if commands.is_empty() {
                break;
            }
            let missing = self.streams.missing(&commands, &self.cache);
            let read = self.reader.read(&missing)?;
            let read: BTreeMap<Sequence, Option<Cached>> = missing
                .into_iter()
                .zip(read.into_iter().map(|payload| payload.map(Cached::from_disk)))
                .collect();
            for command in commands.drain(..) {
                match command {
                    Command::Record(record) => self.gathering.records.push(record),
                    Command::Deliver { stream, handouts } => {
                        self.tally.delivered(&self.groups, &handouts);
                        if let Some(first) = handouts.first() {
                            self.history.delivered(first.token.group, handouts.len());
                        }
                        let find = |sequence| match self.cache.get(sequence) {
                            Some(cached) => Some(cached.clone()),
                            None => read.get(&sequence).cloned().flatten(),
                        };
                        let Some(first) = handouts.first() else { continue };
                        let consumer = self.streams.consumer(stream);
                        let mut boarding =
                            self.flights.boarding(now, &self.groups, first.token.group, consumer);
                        let note = |handout: &Handout, cached: &Cached| {
                            boarding.as_mut()?.delivered(handout, cached)
                        };
                        self.streams.deliver(stream, handouts, find, note);
                    }
                    Command::Assign { stream, gained, lost, generation } => {
                        self.streams.send(stream, StreamEvent::Assignment { gained, lost, generation });
                    }
                    Command::LeaseLost { stream, tokens } => {
                        self.streams.send(stream, StreamEvent::LeaseLost(tokens));
                    }
                    Command::Close { stream, end } => {
                        self.streams.send(stream, StreamEvent::End(end));
                        self.forget_stream(stream);
                    }
                }
            }
        }
        self.commands = commands;
        Ok(())
    }
}
