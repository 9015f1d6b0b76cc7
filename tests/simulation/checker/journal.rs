//! What the journal says it holds is what was made durable.

use switchboard::journal::{JournalReader, Recovered};
use switchboard::model::Sequence;

use super::{Checker, p10};
use crate::disk::DiskReader;
use crate::violation::{Kept, Violation, demand};

impl Checker {
    /// Compares the journal with the books. `deep` reads every payload, too.
    pub fn the_journal_holds_it(&self, reader: &DiskReader, deep: bool) -> Kept {
        let failed = |error: switchboard::journal::ReadError| Violation::of("P1", error.to_string());
        let recovered = reader.recover().map_err(failed)?;
        self.groups_are_there(&recovered)?;
        let heads = reader.heads(Sequence(0), usize::MAX).map_err(failed)?;
        let present = self.books.stored.values().filter(|stored| stored.present).map(|stored| stored.head);
        demand!("P1", heads.iter().copied().eq(present), "the journal does not hold what it should");
        for (id, group) in &self.books.groups {
            let letters = reader.dead_letters(*id, Sequence(0), usize::MAX).map_err(failed)?;
            let there = letters.iter().map(|letter| letter.head.sequence);
            demand!(
                "P2",
                there.clone().eq(group.dead.keys().copied()),
                "{id:?} has the dead letters {:?}, not {:?}",
                there.collect::<Vec<_>>(),
                group.dead
            );
            for letter in letters.iter().filter(|_| deep) {
                let (sent, _) = self.facts(letter.head.sequence).ok_or_else(|| {
                    Violation::of("P2", format!("the dead letter {:?} was never stored", letter.head))
                })?;
                demand!("P10", p10::json(&letter.payload)? == sent.json, "{:?} was changed", letter.head);
            }
        }
        if deep {
            let sequences: Vec<_> = heads.iter().map(|head| head.sequence).collect();
            for (at, payload) in sequences.iter().zip(reader.read(&sequences).map_err(failed)?) {
                let Some(payload) = payload else {
                    return Err(Violation::of("P1", format!("{at:?} has no content")));
                };
                let sent = self.facts(*at).map(|(sent, _)| &sent.json);
                demand!("P10", Some(&p10::json(&payload)?) == sent, "{at:?} was changed");
            }
        }
        Ok(())
    }

    fn groups_are_there(&self, recovered: &Recovered) -> Kept {
        let there = recovered.groups.iter().map(|group| &group.record);
        let kept = self.books.groups.values().map(|group| &group.record);
        demand!("P2", there.eq(kept), "the journal has other groups");
        demand!(
            "P1",
            recovered.last_sequence == self.books.tail,
            "the newest is {:?}",
            recovered.last_sequence
        );
        for group in &recovered.groups {
            let Some(own) = self.books.groups.get(&group.record.id) else { continue };
            let name = &group.record.name;
            let bit = |at: Sequence| {
                let block = group.settled.iter().find(|block| block.number == at.0 / 4_096);
                block.is_some_and(|block| block.words[(at.0 % 4_096 / 64) as usize] >> (at.0 % 64) & 1 == 1)
            };
            for at in self.books.stored.keys() {
                let settled = *at <= group.cursor || bit(*at);
                let right = own.is_settled(*at);
                demand!("P4", settled == right, "{name}: whether {at:?} is settled should be {right}");
            }
            let attempts = group.attempts.iter().map(|(at, record)| (*at, record.attempt));
            let kept = own.attempts.iter().map(|(at, attempt)| (*at, *attempt));
            demand!("P5", attempts.eq(kept), "{name} remembers other attempts than {:?}", own.attempts);
            let replays = group.replays.iter().map(|(head, generation)| (head.sequence, *generation));
            let kept = own.replays.iter().map(|(at, generation)| (*at, *generation));
            demand!("P2", replays.eq(kept), "{name} remembers other replays than {:?}", own.replays);
        }
        Ok(())
    }
}
