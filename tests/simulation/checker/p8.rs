//! P8: an `update_id` that comes again within 48 hours is not stored again. That none is dropped for anything else is seen
//! from P1.

use std::collections::BTreeSet;

use switchboard::model::Batch;

use super::{Checker, p10};
use crate::violation::{Kept, demand};

const REMEMBERED_MS: u64 = 48 * 3_600_000;

impl Checker {
    pub(super) fn p8_each_update_is_stored_once(&self, gateway: u32, batch: &Batch) -> Kept {
        let now = self.live(gateway).clock.unix.0;
        let mut together = BTreeSet::new();
        for update in &batch.updates {
            let head = &update.head;
            demand!("P8", together.insert(head.update_id), "{head:?} is stored twice by one commit");
            let Some(sent) = self.by_json.get(&p10::json(&update.payload)?) else { continue };
            for at in self.books.by_sent.get(sent).into_iter().flatten() {
                let before = &self.books.stored[at];
                let passed = now.saturating_sub(before.at);
                demand!("P8", passed >= REMEMBERED_MS, "{head:?} is stored already, {passed} ms ago: {at:?}");
            }
        }
        Ok(())
    }
}
