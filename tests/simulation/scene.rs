//! What a run is like from its beginning to its end.

use crate::rng::Rng;
use crate::word::{Word, Words};
use switchboard::driver::Settings;
use switchboard::model::{GroupName, GroupSettings};

macro_rules! scene {
    ($($(#[doc = $doc:literal])* $field:ident: $type:ty,)*) => {
        /// What a run is like.
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub struct Scene {
            $($(#[doc = $doc])* pub $field: $type,)*
        }

        impl std::fmt::Display for Scene {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("Scene")?;
                $(write!(f, " {}={}", stringify!($field), self.$field.write())?;)*
                Ok(())
            }
        }

        impl Scene {
            /// The scene that this line is.
            pub fn read(line: &str) -> Option<Self> {
                let words = Words(line.strip_prefix("Scene")?);
                Some(Self { $($field: words.get(stringify!($field))?,)* })
            }
        }
    };
}

scene! {
    seed: u64,
    /// Whether the journal is LMDB's; else it is in memory.
    lmdb: bool,
    webhook: bool,
    /// How many chats there are.
    chats: u64,
    /// Whether they are all of one shard.
    one_shard: bool,
    journal_bytes: u64,
    /// The longest time that a packet takes.
    latency_ms: u64,
    /// The longest time that a commit takes.
    disk_ms: u64,
    retention_ms: u64,
    retention_bytes: u64,
    letters_ms: u64,
    letters_bytes: u64,
    /// Groups that are declared in the configuration.
    declared: u64,
    max_failures: u32,
    span_ms: u64,
    backoff_ms: u64,
    backoff_max_ms: u64,
    grace_ms: u64,
    max_lease_ms: u64,
    max_age_ms: u64,
}

const HOUR: u64 = 3_600_000;

/// The names that groups may have.
pub const GROUPS: u64 = 4;

pub fn group_name(number: u64) -> GroupName {
    GroupName::parse(["orders", "audit", "stats", "rest"][(number % GROUPS) as usize]).expect("a name")
}

impl Scene {
    pub fn of(rng: &mut Rng) -> Self {
        let crowded = rng.once_in(6);
        // A small journal must keep little, or it stays full.
        let small = rng.once_in(3);
        Self {
            seed: rng.number() >> 16,
            lmdb: rng.once_in(40),
            webhook: rng.once_in(2),
            chats: if crowded { 90 } else { rng.between(1, 12) },
            one_shard: crowded || rng.once_in(3),
            journal_bytes: if small { 64 << 10 } else { 1 << 20 },
            latency_ms: *rng.pick(&[1, 20, 200]),
            disk_ms: *rng.pick(&[0, 1, 5, 50]),
            retention_ms: *rng.pick(&[60_000, HOUR, 24 * HOUR, 24 * HOUR]),
            retention_bytes: if small { 16 << 10 } else { *rng.pick(&[64 << 10, 1 << 30, 1 << 30]) },
            letters_ms: *rng.pick(&[10 * 60_000, 30 * 24 * HOUR]),
            letters_bytes: if small { 4 << 10 } else { *rng.pick(&[4 << 10, 1 << 30]) },
            declared: rng.below(3),
            max_failures: rng.between(1, 5) as u32,
            span_ms: *rng.pick(&[0, 5_000, 60_000, 300_000]),
            backoff_ms: *rng.pick(&[200, 1_000]),
            backoff_max_ms: *rng.pick(&[2_000, 60_000]),
            grace_ms: *rng.pick(&[0, 1_000, 5_000]),
            max_lease_ms: *rng.pick(&[5_000, 60_000, 600_000]),
            max_age_ms: *rng.pick(&[HOUR, 7 * 24 * HOUR, 7 * 24 * HOUR]),
        }
    }

    pub fn group_settings(&self) -> GroupSettings {
        GroupSettings {
            max_failures: self.max_failures,
            min_failure_span_ms: self.span_ms,
            backoff_initial_ms: self.backoff_ms,
            backoff_max_ms: self.backoff_max_ms,
            member_grace_ms: self.grace_ms,
            max_lease_ms: self.max_lease_ms,
            max_unsettled_age_ms: self.max_age_ms,
        }
    }

    pub fn settings(&self) -> Settings {
        Settings {
            retention_max_age_ms: self.retention_ms,
            retention_max_bytes: self.retention_bytes,
            dead_letter_max_age_ms: self.letters_ms,
            dead_letter_max_bytes: self.letters_bytes,
            drain_grace_ms: 20_000,
            groups: (0..self.declared).map(group_name).collect(),
            group: self.group_settings(),
            seed: self.seed,
            spans: None,
        }
    }
}
