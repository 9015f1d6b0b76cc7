//! Counting what the driver does.

use std::sync::Arc;
use std::time::Duration;

use super::flights::{Flights, Start};
use super::groups::Groups;
use super::handle::{Appended, PauseReason};
use crate::dispatch::{Change, Dispatcher, GroupStats, Handout, Record};
use crate::journal::{Counts, Usage};
use crate::model::{AttemptOutcome, Batch, GroupId, GroupRecord, Head, SettledAs, UnixMillis};
use crate::observe::metrics::{BotLabels, EndedLabels, GroupLabels, Metrics, PauseLabels, SettledLabels};
use crate::observe::spans::Recorder;

const JOURNAL_FULL: &str = "journal_full";
const DISK_FULL: &str = "disk_full";
/// All the ways in which a delivery ends without its update being handled.
const UNHANDLED: [AttemptOutcome; 5] = [
    AttemptOutcome::Nacked,
    AttemptOutcome::Released,
    AttemptOutcome::Expired,
    AttemptOutcome::Lost,
    AttemptOutcome::Rejected,
];
/// All the ways in which a group is done with an update.
const SETTLED: [SettledAs; 5] =
    [SettledAs::Acked, SettledAs::Rejected, SettledAs::DeadLettered, SettledAs::Expired, SettledAs::Purged];

/// The metrics of one bot's driver.
#[derive(Debug)]
pub(super) struct Tally {
    metrics: Metrics,
    labels: BotLabels,
}

impl Tally {
    /// What should never happen to a bot is there from the start, at 0: `increase()` does not see a counter's first value.
    pub(super) fn new(metrics: Metrics, bot: &str) -> Self {
        let labels = BotLabels { bot: bot.into() };
        for counter in [&metrics.duplicates, &metrics.quarantined, &metrics.commit_failures] {
            counter.get_or_create(&labels).inc_by(0);
        }
        metrics.intake_paused.get_or_create(&labels).set(0);
        for reason in [JOURNAL_FULL, DISK_FULL] {
            let bot = Arc::clone(&labels.bot);
            metrics.intake_pauses.get_or_create(&PauseLabels { bot, reason }).inc_by(0);
        }
        Self { metrics, labels }
    }

    /// What follows the updates from their delivery on, with the same metrics.
    pub(super) fn flights(&self, start: &Start, recorder: Option<Recorder>) -> Flights {
        Flights::new(self.metrics.clone(), self.bot(), start, recorder)
    }

    pub(super) fn bot(&self) -> &str {
        &self.labels.bot
    }

    pub(super) fn paused(&self, reason: Option<PauseReason>) {
        match reason {
            Some(PauseReason::Stopping) => tracing::info!(bot = self.bot(), "no more updates are taken"),
            Some(reason) => tracing::warn!(
                bot = self.bot(),
                %reason,
                "no updates are taken; Telegram keeps them, and intake resumes by itself"
            ),
            None => tracing::info!(bot = self.bot(), "updates are taken again"),
        }
        self.metrics.intake_paused.get_or_create(&self.labels).set(i64::from(reason.is_some()));
        let reason = match reason {
            Some(PauseReason::JournalFull) => JOURNAL_FULL,
            Some(PauseReason::DiskFull) => DISK_FULL,
            // These are no pauses: single requests are refused, or there will be no more.
            Some(PauseReason::Overloaded | PauseReason::Stopping) | None => return,
        };
        let labels = PauseLabels { bot: Arc::clone(&self.labels.bot), reason };
        self.metrics.intake_pauses.get_or_create(&labels).inc();
    }

    pub(super) fn usage(&self, usage: &Usage) {
        let bytes = |bytes| i64::try_from(bytes).unwrap_or(i64::MAX);
        self.metrics.journal_used.get_or_create(&self.labels).set(bytes(usage.used_bytes));
        self.metrics.journal_max.get_or_create(&self.labels).set(bytes(usage.max_bytes));
    }

    pub(super) fn committed(&self, batch: &Batch, took: Duration) {
        self.metrics.commits.get_or_create(&self.labels).observe(took.as_secs_f64());
        #[expect(clippy::cast_precision_loss, reason = "a count of thousands")]
        let updates = batch.updates.len() as f64;
        self.metrics.commit_updates.get_or_create(&self.labels).observe(updates);
        self.metrics.stored.get_or_create(&self.labels).inc_by(batch.updates.len() as u64);
        self.metrics.trimmed.get_or_create(&self.labels).inc_by(batch.trimmed.len() as u64);
        if !batch.quarantined.is_empty() {
            let count = batch.quarantined.len();
            tracing::error!(bot = self.bot(), count, "elements that are no readable updates were set aside");
            self.metrics.quarantined.get_or_create(&self.labels).inc_by(count as u64);
        }
    }

    pub(super) fn refused(&self) {
        self.metrics.commit_failures.get_or_create(&self.labels).inc();
    }

    pub(super) fn appended(&self, appended: Appended) {
        self.metrics.duplicates.get_or_create(&self.labels).inc_by(appended.duplicates as u64);
    }

    pub(super) fn delivered(&self, groups: &Groups, handouts: &[Handout]) {
        let Some(labels) = handouts.first().and_then(|first| self.labels_of(groups, first.token.group))
        else {
            return;
        };
        self.metrics.deliveries.get_or_create(&labels).inc_by(handouts.len() as u64);
        let repeats = handouts.iter().filter(|handout| handout.token.attempt > 1).count();
        self.metrics.redeliveries.get_or_create(&labels).inc_by(repeats as u64);
    }

    /// What is durable now.
    pub(super) fn recorded(&self, groups: &Groups, records: &[Record]) {
        self.settled(groups, records);
        for record in records {
            self.ended(groups, record);
        }
    }

    /// A delivery that ended without its update being handled.
    fn ended(&self, groups: &Groups, record: &Record) {
        let Some(how) = record.unhandled().and_then(unhandled_label) else { return };
        let Some(GroupLabels { bot, group }) = self.labels_of(groups, record.group) else { return };
        if let Change::Ended { state, .. } = &record.change {
            tracing::debug!(
                bot = &*bot,
                group = &*group,
                sequence = record.sequence.0,
                attempt = state.attempt,
                failures = state.failures,
                how,
                "a delivery ended without a settlement"
            );
        }
        self.metrics.ended.get_or_create(&EndedLabels { bot, group, how }).inc();
    }

    /// Updates that groups are done with, durably.
    fn settled(&self, groups: &Groups, records: &[Record]) {
        for run in records.chunk_by(|a, b| (a.group, settled_as(a)) == (b.group, settled_as(b))) {
            let Some(first) = run.first() else { continue };
            let (Some(how), Some(GroupLabels { bot, group })) =
                (settled_as(first), self.labels_of(groups, first.group))
            else {
                continue;
            };
            let outcome = settled_label(how);
            if how != SettledAs::Acked {
                for record in run {
                    let sequence = record.sequence.0;
                    tracing::warn!(
                        bot = &*bot,
                        group = &*group,
                        sequence,
                        outcome,
                        "an update left the group without having been handled"
                    );
                }
            }
            let labels = SettledLabels { bot, group, outcome };
            self.metrics.settled.get_or_create(&labels).inc_by(run.len() as u64);
        }
    }

    /// The gauges of a group.
    pub(super) fn group(&self, groups: &Groups, id: GroupId, stats: &GroupStats, oldest: Option<UnixMillis>) {
        let count = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
        let Some(labels) = self.labels_of(groups, id) else { return };
        self.metrics.consumers.get_or_create(&labels).set(count(stats.consumers));
        self.metrics.outstanding.get_or_create(&labels).set(count(stats.outstanding));
        self.metrics.lag.get_or_create(&labels).set(i64::try_from(stats.lag).unwrap_or(i64::MAX));
        self.metrics.backing_off.get_or_create(&labels).set(count(stats.backing_off));
        let seconds = oldest.map_or(0, |received| received.0 / 1_000);
        self.metrics.oldest.get_or_create(&labels).set(i64::try_from(seconds).unwrap_or(i64::MAX));
        let paused = groups.record(id).is_some_and(|record| record.paused.is_some());
        self.metrics.group_paused.get_or_create(&labels).set(i64::from(paused));
        self.begin(&labels);
    }

    /// The counters of a group are there as soon as it is, at 0, as those of the bot are.
    fn begin(&self, labels: &GroupLabels) {
        self.metrics.deliveries.get_or_create(labels).inc_by(0);
        self.metrics.redeliveries.get_or_create(labels).inc_by(0);
        let GroupLabels { bot, group } = labels;
        for how in UNHANDLED.into_iter().filter_map(unhandled_label) {
            let (bot, group) = (Arc::clone(bot), Arc::clone(group));
            self.metrics.ended.get_or_create(&EndedLabels { bot, group, how }).inc_by(0);
        }
        for outcome in SETTLED.map(settled_label) {
            let (bot, group) = (Arc::clone(bot), Arc::clone(group));
            self.metrics.settled.get_or_create(&SettledLabels { bot, group, outcome }).inc_by(0);
        }
    }

    /// The gauges of what is kept.
    pub(super) fn counts(&self, groups: &Groups, counts: &Counts) {
        let count = |count| i64::try_from(count).unwrap_or(i64::MAX);
        self.metrics.journal_updates.get_or_create(&self.labels).set(count(counts.updates));
        for GroupRecord { id, .. } in groups.durable_records() {
            let Some(labels) = self.labels_of(groups, *id) else { continue };
            let kept = counts.dead_letters.iter().find(|(group, _)| group == id);
            let kept = kept.map_or(0, |(_, kept)| kept.count);
            self.metrics.dead_letters.get_or_create(&labels).set(count(kept));
        }
    }

    /// Updates are removed from wherever they are not settled.
    pub(super) fn purged(&self, groups: &Groups, dispatcher: &Dispatcher, heads: &[Head]) {
        for (id, _) in groups.durable() {
            let unsettled = heads.iter().filter(|head| !dispatcher.is_settled(id, head)).count();
            if let Some(GroupLabels { bot, group }) = self.labels_of(groups, id).filter(|_| unsettled > 0) {
                let labels = SettledLabels { bot, group, outcome: settled_label(SettledAs::Purged) };
                self.metrics.settled.get_or_create(&labels).inc_by(unsettled as u64);
            }
        }
    }

    /// An ephemeral group is gone, and its series with it.
    pub(super) fn forget(&self, groups: &Groups, id: GroupId) {
        let Some(labels) = self.labels_of(groups, id) else { return };
        self.metrics.consumers.remove(&labels);
        self.metrics.outstanding.remove(&labels);
        for gauge in [
            &self.metrics.lag,
            &self.metrics.backing_off,
            &self.metrics.oldest,
            &self.metrics.dead_letters,
            &self.metrics.group_paused,
        ] {
            gauge.remove(&labels);
        }
        self.metrics.deliveries.remove(&labels);
        self.metrics.redeliveries.remove(&labels);
        let GroupLabels { bot, group } = labels;
        for how in UNHANDLED.into_iter().filter_map(unhandled_label) {
            self.metrics.ended.remove(&EndedLabels { bot: Arc::clone(&bot), group: Arc::clone(&group), how });
        }
        for outcome in SETTLED.map(settled_label) {
            let (bot, group) = (Arc::clone(&bot), Arc::clone(&group));
            self.metrics.settled.remove(&SettledLabels { bot, group, outcome });
        }
    }

    fn labels_of(&self, groups: &Groups, id: GroupId) -> Option<GroupLabels> {
        let group: Arc<str> = groups.name(id)?.as_str().into();
        Some(GroupLabels { bot: Arc::clone(&self.labels.bot), group })
    }
}

fn settled_as(record: &Record) -> Option<SettledAs> {
    match record.change {
        Change::Ended { .. } => None,
        Change::Settled { how, .. } => Some(how),
    }
}

pub(super) fn settled_label(how: SettledAs) -> &'static str {
    match how {
        SettledAs::Acked => "acked",
        SettledAs::Rejected => "rejected",
        SettledAs::DeadLettered => "dead_lettered",
        SettledAs::Expired => "expired",
        SettledAs::Purged => "purged",
    }
}

/// What the metrics and the traces call a delivery that did not handle its update.
pub(super) fn unhandled_label(how: AttemptOutcome) -> Option<&'static str> {
    match how {
        AttemptOutcome::Nacked => Some("nacked"),
        AttemptOutcome::Released => Some("released"),
        AttemptOutcome::Expired => Some("expired"),
        AttemptOutcome::Lost => Some("lost"),
        AttemptOutcome::Rejected => Some("rejected"),
        AttemptOutcome::Acked | AttemptOutcome::Revoked => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_should_never_happen_is_counted_from_zero_on() {
        let metrics = Metrics::new();
        let tally = Tally::new(metrics.clone(), "shop");
        tally.begin(&GroupLabels { bot: "shop".into(), group: "orders".into() });
        let text = metrics.encode().unwrap();
        for series in [
            "updates_quarantined_total{bot=\"shop\"}",
            "commit_failures_total{bot=\"shop\"}",
            "intake_paused{bot=\"shop\"}",
            "intake_pauses_total{bot=\"shop\",reason=\"disk_full\"}",
            "redeliveries_total{bot=\"shop\",group=\"orders\"}",
            "attempts_ended_total{bot=\"shop\",group=\"orders\",how=\"lost\"}",
            "updates_settled_total{bot=\"shop\",group=\"orders\",outcome=\"expired\"}",
        ] {
            assert!(text.contains(&format!("switchboard_{series} 0\n")), "{series} is not in {text}");
        }
    }
}
