//! Why an update is not settled, or how it was, and what to do, in words for someone who is called at night.

mod settled;

use crate::model::{
    ConsumerState, GroupRecord, GroupView, HeldState, HeldView, Sequence, UnixMillis, UpdateInGroup,
    UpdateStanding,
};

pub use settled::settled;

/// What an explanation is made of.
#[derive(Clone, Copy, Debug)]
pub struct Question<'a> {
    /// The update.
    pub sequence: Sequence,
    /// Its ordering key's text in the group.
    pub key: &'a str,
    /// What it is at in the group.
    pub here: &'a UpdateInGroup,
    /// If it waits for another one of its key: that one there.
    pub holder: Option<&'a UpdateInGroup>,
    /// The group, with its consumers.
    pub group: &'a GroupView,
    /// Now.
    pub now: UnixMillis,
}

impl Question<'_> {
    /// The answer; empty if the update is settled.
    #[must_use]
    pub fn answer(&self) -> String {
        let why = match &self.here.standing {
            UpdateStanding::Settled => return String::new(),
            UpdateStanding::BeforeStart => format!(
                "update {} came before the group's start at {} and is not delivered. To have it delivered, replay it, \
                 or seek the group back.",
                self.sequence.0, self.here.group.start.0
            ),
            UpdateStanding::NotMatched => self.not_matched(),
            UpdateStanding::Held(held) => format!("{}{}", self.held(held), self.pause()),
            UpdateStanding::Pending { behind: Some(behind) } => {
                let holder = match self.holder.map(|holder| &holder.standing) {
                    Some(UpdateStanding::Held(held)) => self.held(held),
                    _ => format!("update {} is delivered before. {}", behind.0, self.turn(self.holder)),
                };
                format!(
                    "update {} waits behind update {} of {}: {holder}{}",
                    self.sequence.0,
                    behind.0,
                    self.key,
                    self.pause()
                )
            }
            UpdateStanding::Pending { behind: None } => {
                let turn = self.turn(Some(self.here));
                format!(
                    "update {} of {} waits to be delivered. {turn}{}",
                    self.sequence.0,
                    self.key,
                    self.pause()
                )
            }
        };
        format!("group {}: {why}", self.here.group.name)
    }

    fn not_matched(&self) -> String {
        let group = &self.here.group;
        let why = if group.fallback {
            "is none of a fallback group's: the filter of another group matched it, or its own does not"
        } else {
            "was not matched by the group's filter when it came"
        };
        format!(
            "update {} {why}, so it is not delivered. To have it delivered, replay it; for updates to come, change the \
             filter.",
            self.sequence.0
        )
    }

    /// What holds a key.
    fn held(&self, held: &HeldView) -> String {
        let (sequence, key) = (held.sequence.0, self.key);
        let failures = self.failures(held);
        let behind = self.behind(held.sequence);
        match held.state {
            HeldState::Outstanding { deadline } => format!(
                "update {sequence} is out to {} since {} (attempt {}{failures}) and holds {key}; its lease ends at \
                 {}.{behind} If that handler hangs or has lost it, it is delivered again then.",
                consumer(&held.consumer),
                self.time(held.delivered),
                held.attempt,
                self.time(deadline),
            ),
            HeldState::Settling => {
                format!("update {sequence} was settled, which is being written to the disk.")
            }
            HeldState::BackingOff { until } if held.failures == 0 => format!(
                "update {sequence} was given back untried (attempt {}) and holds {key}; it is delivered again at \
                 {}.{behind}",
                held.attempt,
                self.time(until),
            ),
            HeldState::BackingOff { until } => format!(
                "update {sequence} of {key}{failures} and holds {key}; it is tried again at {}.{behind} Fix the \
                 handler, or let it reject the update, which puts it among the dead letters; {}.",
                self.time(until),
                gives_up(&self.here.group, held.failures),
            ),
            HeldState::Waiting => format!(
                "update {sequence} was delivered {} and is to be delivered again (attempt {}{failures}); it holds \
                 {key}.{behind} {}",
                times(held.attempt),
                held.attempt.saturating_add(1),
                self.turn(self.holder.or(Some(self.here))),
            ),
        }
    }

    /// ` has failed 4 times (last: "TypeError" at pod-3, 12:03:04 UTC)`; empty if it has not failed.
    fn failures(&self, held: &HeldView) -> String {
        let Some(last) = held.last_failure.as_ref().filter(|_| held.failures > 0) else {
            return String::new();
        };
        let said = if last.reason.is_empty() {
            match last.kind {
                crate::model::FailureKind::Expired => "its lease ended without a word".to_owned(),
                crate::model::FailureKind::Lost => "the consumer's stream was lost".to_owned(),
                _ => "without a reason".to_owned(),
            }
        } else {
            format!("\"{}\"", last.reason)
        };
        let comma = if matches!(held.state, HeldState::BackingOff { .. }) { "" } else { "," };
        format!(
            "{comma} has failed {} (last: {said} at {}, {})",
            times(held.failures),
            consumer(&last.consumer),
            self.time(last.time)
        )
    }

    /// What is known to wait behind a key's holder.
    fn behind(&self, holder: Sequence) -> String {
        let known = self.group.status.blocked.iter().find(|blocked| blocked.held.sequence == holder);
        match known.map_or(0, |blocked| blocked.waiting) {
            0 => String::new(),
            1 => " 1 update waits behind it.".to_owned(),
            waiting => format!(" {waiting} updates wait behind it."),
        }
    }

    /// Why it is not an update's turn, as far as its consumer goes.
    fn turn(&self, update: Option<&UpdateInGroup>) -> String {
        let name = &self.here.group.name;
        let consumers = &self.group.status.consumers;
        if consumers.is_empty() {
            return format!("The group has no consumer: start a handler that subscribes to group {name}.");
        }
        let owner = update.and_then(|update| update.owner.as_ref());
        let owner = owner.and_then(|owner| consumers.iter().find(|consumer| consumer.consumer_id == *owner));
        let Some(owner) = owner else {
            return "No consumer has its shard at the moment; it is given to one at the next assignment."
                .to_owned();
        };
        let id = &owner.consumer_id;
        match owner.state {
            ConsumerState::Lost => format!(
                "Its consumer {id} has lost its stream; another one takes over unless it is back within {} s.",
                self.here.group.settings.member_grace_ms / 1_000
            ),
            ConsumerState::Suspect => format!(
                "Its consumer {id} let its leases expire without a word and gets one update at a time until it settles \
                 one: see whether it hangs."
            ),
            ConsumerState::Draining | ConsumerState::Leaving => {
                format!("Its consumer {id} is finishing; another one takes over.")
            }
            ConsumerState::Open
                if owner.outstanding >= owner.settings.max_outstanding
                    || owner.outstanding_bytes >= owner.settings.max_outstanding_bytes =>
            {
                format!(
                    "Its consumer {id} has as much out as it takes ({} updates): see whether it is slow or hangs, or \
                     start more consumers.",
                    owner.outstanding
                )
            }
            ConsumerState::Open => format!(
                "Its consumer {id} takes updates; {} updates of the group are not settled, the oldest goes first.",
                self.group.status.lag
            ),
        }
    }

    fn pause(&self) -> String {
        self.here.group.paused.map_or_else(String::new, |since| {
            let name = &self.here.group.name;
            format!(
                " The group is paused since {}: nothing is delivered until it is resumed (`switchboard groups resume \
                 {name}`).",
                self.time(since)
            )
        })
    }

    fn time(&self, time: UnixMillis) -> String {
        clock(time, self.now)
    }
}

/// The time of day, and the day if it is another one.
fn clock(time: UnixMillis, now: UnixMillis) -> String {
    let text = |time: UnixMillis| {
        let seconds = i64::try_from(time.0 / 1_000).unwrap_or(i64::MAX);
        prost_types::Timestamp { seconds, nanos: 0 }.to_string()
    };
    let (text, now) = (text(time), text(now));
    match (text.split_once('T'), now.split_once('T')) {
        (Some((day, clock)), Some((today, _))) => {
            let clock = clock.trim_end_matches('Z');
            if day == today { format!("{clock} UTC") } else { format!("{day} {clock} UTC") }
        }
        _ => text,
    }
}

/// When the group gives up by itself what has failed so often. Its settings may have changed meanwhile: they hold from
/// the next failure on.
fn gives_up(group: &GroupRecord, failures: u32) -> String {
    let settings = &group.settings;
    let (most, span_s) = (settings.max_failures, settings.min_failure_span_ms / 1_000);
    match (failures.saturating_add(1) >= most, span_s) {
        (true, 0) => "its next failure does that by itself".to_owned(),
        (true, _) => {
            format!(
                "its next failure does that by itself, if it comes at least {span_s} s after the first one"
            )
        }
        (false, _) => {
            format!("by itself that happens after {most} failures over at least {span_s} s")
        }
    }
}

fn times(count: u32) -> String {
    if count == 1 { "once".to_owned() } else { format!("{count} times") }
}

fn consumer(id: &str) -> &str {
    if id.is_empty() { "a consumer that is not known any more" } else { id }
}

#[cfg(test)]
mod tests;
