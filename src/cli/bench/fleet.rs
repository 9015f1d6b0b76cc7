//! The consumers of a run, seen from their parent.

use std::collections::{BTreeMap, HashMap};
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStdin};
use tokio::sync::mpsc;

use super::BenchError;
use super::consumer::{Line, Progress, Report};
use super::histogram::Histogram;
use crate::cli::processes::own_command;

/// Which consumers to start.
#[derive(Clone, Debug)]
pub(super) struct FleetPlan {
    pub(super) address: String,
    pub(super) groups: usize,
    /// In each group.
    pub(super) consumers: usize,
    pub(super) max_outstanding: u32,
    /// Every how many updates the latency is taken.
    pub(super) sample: u64,
}

/// Running consumers.
pub(super) struct Fleet {
    members: Vec<Member>,
    lines: mpsc::UnboundedReceiver<(usize, Line)>,
}

struct Member {
    group: String,
    /// Ended when this is dropped.
    _child: Child,
    /// Dropping it asks the consumer for its report.
    input: Option<ChildStdin>,
    joined: bool,
    measuring: bool,
    progress: Progress,
    report: Option<Report>,
}

/// What all consumers found together.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) latency: Histogram,
    pub(super) repeated: u64,
    pub(super) out_of_order: u64,
    pub(super) not_applied: u64,
    /// Distinct updates, by group.
    pub(super) distinct: BTreeMap<String, u64>,
    /// Updates that came to two consumers of one group.
    pub(super) shared: u64,
    pub(super) first_delivery_us: u64,
    pub(super) last_ack_us: u64,
}

impl Fleet {
    pub(super) fn spawn(plan: &FleetPlan) -> Result<Self, BenchError> {
        let (said, lines) = mpsc::unbounded_channel();
        let mut members = Vec::new();
        for group in (0..plan.groups).map(|number| format!("bench-{number}")) {
            for number in 0..plan.consumers {
                members.push(Member::spawn(plan, &group, number, members.len(), said.clone())?);
            }
        }
        Ok(Self { members, lines })
    }

    /// Creates the groups and goes away, so that they count what comes from now on.
    pub(super) async fn only_create_groups(plan: &FleetPlan) -> Result<(), BenchError> {
        for group in (0..plan.groups).map(|number| format!("bench-{number}")) {
            let mut command = consumer_command(plan, &group, 0)?;
            command.arg("--only-join").stdout(Stdio::null());
            let status = command.status().await;
            let status = status.map_err(|source| BenchError::Child { name: "a consumer", source })?;
            if !status.success() {
                return Err(BenchError::Consumer { group });
            }
        }
        Ok(())
    }

    /// Waits until every stream is open.
    pub(super) async fn joined(&mut self) -> Result<(), BenchError> {
        self.hear_until(|members| members.iter().all(|member| member.joined)).await
    }

    /// Has all consumers forget the latencies so far.
    pub(super) async fn measure(&mut self) -> Result<(), BenchError> {
        for input in self.members.iter_mut().filter_map(|member| member.input.as_mut()) {
            let asked = input.write_all(b"\n").await;
            asked.map_err(|source| BenchError::Child { name: "a consumer", source })?;
        }
        self.hear_until(|members| members.iter().all(|member| member.measuring)).await
    }

    /// Waits until in every group so many updates are acked.
    pub(super) async fn acked(&mut self, updates: u64) -> Result<(), BenchError> {
        self.hear_until(|members| {
            let mut acked: HashMap<&str, u64> = HashMap::new();
            for member in members {
                *acked.entry(&member.group).or_default() += member.progress.acked;
            }
            acked.values().all(|acked| *acked >= updates)
        })
        .await
    }

    /// Waits until some consumer has got something; when that was, in microseconds since 1970.
    pub(super) async fn first_delivery_us(&mut self) -> Result<u64, BenchError> {
        let first = |members: &[Member]| {
            members.iter().map(|member| member.progress.first_delivery_us).filter(|us| *us > 0).min()
        };
        self.hear_until(|members| first(members).is_some()).await?;
        Ok(first(&self.members).unwrap_or_default())
    }

    /// Ends the consumers and adds up what they found.
    pub(super) async fn finish(mut self) -> Result<Found, BenchError> {
        for member in &mut self.members {
            drop(member.input.take());
        }
        self.hear_until(|members| members.iter().all(|member| member.report.is_some())).await?;
        let reports =
            self.members.into_iter().filter_map(|member| Some((member.group, member.report?))).collect();
        Ok(Found::add_up(reports))
    }

    async fn hear_until(&mut self, enough: impl Fn(&[Member]) -> bool) -> Result<(), BenchError> {
        while !enough(&self.members) {
            let heard = tokio::time::timeout(PATIENCE, self.lines.recv()).await;
            let Ok(Some((index, line))) = heard else {
                let progress: Vec<_> =
                    self.members.iter().map(|member| (member.group.as_str(), member.progress)).collect();
                return Err(BenchError::Stalled { after: PATIENCE, progress: format!("{progress:?}") });
            };
            let Some(member) = self.members.get_mut(index) else { continue };
            match line {
                Line::Joined => member.joined = true,
                Line::Measuring => member.measuring = true,
                Line::Progress(progress) => member.progress = progress,
                Line::Report(report) => {
                    member.progress = report.progress;
                    member.report = Some(*report);
                }
            }
        }
        Ok(())
    }
}

impl Member {
    fn spawn(
        plan: &FleetPlan,
        group: &str,
        number: usize,
        index: usize,
        said: mpsc::UnboundedSender<(usize, Line)>,
    ) -> Result<Self, BenchError> {
        let failed = |source| BenchError::Child { name: "a consumer", source };
        let mut command = consumer_command(plan, group, number)?;
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().map_err(failed)?;
        let input = child.stdin.take();
        let output = child.stdout.take().ok_or_else(|| failed(std::io::ErrorKind::BrokenPipe.into()))?;
        tokio::spawn(async move {
            let mut lines = BufReader::new(output).lines();
            while let Ok(Some(line)) = lines.next_line().await {
                let Ok(line) = serde_json::from_str(&line) else { continue };
                if said.send((index, line)).is_err() {
                    return;
                }
            }
        });
        let (group, progress) = (group.to_owned(), Progress::default());
        Ok(Self { group, _child: child, input, joined: false, measuring: false, progress, report: None })
    }
}

fn consumer_command(
    plan: &FleetPlan,
    group: &str,
    number: usize,
) -> Result<tokio::process::Command, BenchError> {
    let mut command = own_command("a consumer")?;
    command.args(["bench", "consumer", "--address", &plan.address, "--group", group]);
    command.args(["--consumer-id", &format!("{group}-{number}")]);
    command.args(["--max-outstanding", &plan.max_outstanding.to_string()]);
    command.args(["--sample", &plan.sample.to_string()]);
    Ok(command)
}

impl Found {
    fn add_up(reports: Vec<(String, Report)>) -> Self {
        let mut found = Self::default();
        let mut ids: BTreeMap<String, HashMap<i64, u64>> = BTreeMap::new();
        for (group, report) in reports {
            found.latency.add(&report.latency);
            found.repeated += report.repeated;
            found.out_of_order += report.out_of_order;
            found.not_applied += report.not_applied;
            found.last_ack_us = found.last_ack_us.max(report.progress.last_ack_us);
            let first = report.progress.first_delivery_us;
            if first > 0 && (found.first_delivery_us == 0 || first < found.first_delivery_us) {
                found.first_delivery_us = first;
            }
            let of_group = ids.entry(group).or_default();
            for (word, bits) in report.ids {
                let seen = of_group.entry(word).or_default();
                found.shared += u64::from((*seen & bits).count_ones());
                *seen |= bits;
            }
        }
        found.distinct = ids
            .into_iter()
            .map(|(group, words)| (group, words.values().map(|bits| u64::from(bits.count_ones())).sum()))
            .collect();
        found
    }

    /// Whether every group got each of so many updates, once, in order, and settled it.
    pub(super) fn proves(&self, updates: u64) -> bool {
        self.distinct.values().all(|distinct| *distinct == updates)
            && self.repeated + self.out_of_order + self.not_applied + self.shared == 0
    }
}

/// Nothing at all happens for so long only if something is broken.
const PATIENCE: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use super::*;

    fn report(ids: &[(i64, u64)]) -> Report {
        Report { ids: ids.to_vec(), ..Report::default() }
    }

    #[test]
    fn a_group_is_complete_if_its_consumers_have_all_ids_between_them_and_none_twice() {
        let whole = |second| {
            Found::add_up(vec![
                ("a".into(), report(&[(0, 0b0111)])),
                ("a".into(), report(&[(0, second), (1, 1)])),
            ])
        };
        assert!(whole(0b1000).proves(5));
        assert!(!whole(0b1000).proves(6), "one is missing");
        assert!(!whole(0b1100).proves(5), "one came to both");
    }

    #[test]
    fn nothing_is_proved_while_anything_was_repeated_out_of_order_or_not_settled() {
        for spoilt in [
            Report { repeated: 1, ..report(&[(0, 1)]) },
            Report { out_of_order: 1, ..report(&[(0, 1)]) },
            Report { not_applied: 1, ..report(&[(0, 1)]) },
        ] {
            assert!(!Found::add_up(vec![("a".into(), spoilt)]).proves(1));
        }
    }
}
