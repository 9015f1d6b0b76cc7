//! What a driver is told by the configuration.

use crate::model::{GroupName, GroupSettings};
use crate::observe::spans::Recorder;

/// How a bot's journal is kept. Times are in milliseconds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// How long settled updates stay, for replay.
    pub retention_max_age_ms: u64,
    /// When the journal uses more than this, settled updates go earlier, oldest first.
    pub retention_max_bytes: u64,
    /// How long dead letters stay.
    pub dead_letter_max_age_ms: u64,
    /// When the dead letters of all groups take more than this, the oldest of the group with most go.
    pub dead_letter_max_bytes: u64,
    /// How long a stream that was told to drain has until it is ended.
    pub drain_grace_ms: u64,
    /// Groups that exist before the first update is taken.
    pub groups: Vec<GroupName>,
    /// How new groups treat their updates.
    pub group: GroupSettings,
    /// For the spread of retries.
    pub seed: u64,
    /// Where spans go, if there is tracing.
    pub spans: Option<Recorder>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            retention_max_age_ms: 24 * 3_600_000,
            retention_max_bytes: 4 << 30,
            dead_letter_max_age_ms: 30 * 24 * 3_600_000,
            dead_letter_max_bytes: 1 << 30,
            drain_grace_ms: 20_000,
            groups: Vec::new(),
            group: GroupSettings::default(),
            seed: 0,
            spans: None,
        }
    }
}
