//! Failures of one update in one group, as far as they can be told from outside: at least so many, at most so many.

use switchboard::model::GroupSettings;

/// Whether a delivery failed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Failed {
    #[default]
    No,
    Maybe,
    Yes,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    pub certain: u32,
    pub possible: u32,
    /// When the first possible failure was, and the first certain one, by the gateway's wall clock.
    pub first_possible: Option<u64>,
    pub first_certain: Option<u64>,
    /// What is known of the newest delivery.
    attempt: u32,
    newest: Failed,
}

impl Tally {
    /// A delivery may have failed, or has. It does so once.
    pub fn note(&mut self, attempt: u32, failed: Failed, at: u64) {
        if self.attempt != attempt {
            self.attempt = attempt;
            self.newest = Failed::No;
        }
        if failed <= self.newest {
            return;
        }
        if self.newest == Failed::No {
            self.possible += 1;
            self.first_possible.get_or_insert(at);
        }
        if failed == Failed::Yes {
            self.certain += 1;
            self.first_certain.get_or_insert(at);
        }
        self.newest = failed;
    }

    /// The delivery was leased again: it can fail once more.
    pub fn leased_again(&mut self, attempt: u32) {
        if self.attempt == attempt {
            self.newest = Failed::No;
        }
    }

    /// Whether the failure at this time makes a dead letter of it, under one of these settings or all of them.
    pub fn burial(&self, settings: &[GroupSettings], now: u64) -> Failed {
        let over = |count: u32, first: Option<u64>, settings: &GroupSettings| {
            let lasted = first.map_or(0, |first| now.saturating_sub(first));
            count >= settings.max_failures && lasted >= settings.min_failure_span_ms
        };
        if settings.iter().all(|settings| over(self.certain, self.first_certain, settings)) {
            Failed::Yes
        } else if settings.iter().any(|settings| over(self.possible, self.first_possible, settings)) {
            Failed::Maybe
        } else {
            Failed::No
        }
    }

    /// The shortest wait after its last failure, under any of these settings.
    pub fn least_backoff(&self, settings: &[GroupSettings]) -> u64 {
        let doublings = self.certain.saturating_sub(1).min(32);
        let wait = |settings: &GroupSettings| {
            let wait =
                settings.backoff_initial_ms.saturating_mul(1 << doublings).min(settings.backoff_max_ms);
            wait - wait / 5
        };
        settings.iter().map(wait).min().unwrap_or(0)
    }

    /// What it was before is uncertain, since a refusal may have undone the last failure.
    pub fn unsure(&mut self, before: &Self) {
        self.certain = self.certain.min(before.certain);
        self.newest = self.newest.min(Failed::Maybe).max(before.newest);
        if before.first_certain.is_none() {
            self.first_certain = None;
        }
    }
}
