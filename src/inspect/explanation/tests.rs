use super::*;
use crate::model::{
    BlockedKey, ConsumerSettings, ConsumerView, FailureKind, FailureRecord, GroupId, GroupName, GroupRates,
    GroupSettings, GroupStatus, KeyHash,
};

/// 2026-11-20 12:04:00 UTC.
const NOW: UnixMillis = UnixMillis(1_795_176_240_000);

fn record() -> GroupRecord {
    let name = GroupName::parse("orders").unwrap();
    GroupRecord::new(GroupId(1), name, Sequence(5), GroupSettings::default(), UnixMillis(0))
}

fn view(status: GroupStatus) -> GroupView {
    GroupView {
        record: record(),
        ephemeral: false,
        status,
        dead_letters: 0,
        rates: GroupRates::default(),
        samples: Vec::new(),
    }
}

fn held(state: HeldState, failures: u32) -> HeldView {
    HeldView {
        sequence: Sequence(17),
        key: KeyHash(1),
        state,
        attempt: 4,
        failures,
        consumer: "pod-3".into(),
        first_delivered: UnixMillis(NOW.0 - 90_000),
        delivered: UnixMillis(NOW.0 - 56_000),
        replayed: false,
        last_failure: Some(FailureRecord {
            kind: FailureKind::Nacked,
            reason: "TypeError".into(),
            time: UnixMillis(NOW.0 - 56_000),
            attempt: 4,
            consumer: "pod-3".into(),
        }),
    }
}

fn here(standing: UpdateStanding) -> UpdateInGroup {
    UpdateInGroup { group: record(), standing, owner: Some("pod-3".into()) }
}

fn answer(here: &UpdateInGroup, holder: Option<&UpdateInGroup>, group: &GroupView) -> String {
    Question { sequence: Sequence(20), key: "chat:42", here, holder, group, now: NOW }.answer()
}

#[test]
fn a_blocked_update_names_the_poison_before_it_and_what_to_do() {
    let until = UnixMillis(NOW.0 + 10_000);
    let poison = held(HeldState::BackingOff { until }, 3);
    let blocked = vec![BlockedKey { held: poison.clone(), waiting: 3 }];
    let group = view(GroupStatus { blocked, ..GroupStatus::default() });
    let text = answer(
        &here(UpdateStanding::Pending { behind: Some(Sequence(17)) }),
        Some(&here(UpdateStanding::Held(poison))),
        &group,
    );
    assert_eq!(
        text,
        "group orders: update 20 waits behind update 17 of chat:42: update 17 of chat:42 has failed 3 times (last: \
         \"TypeError\" at pod-3, 12:03:04 UTC) and holds chat:42; it is tried again at 12:04:10 UTC. 3 updates wait \
         behind it. Fix the handler, or let it reject the update, which puts it among the dead letters; by itself \
         that happens after 5 failures over at least 300 s."
    );
}

#[test]
fn what_has_failed_often_enough_is_given_up_at_its_next_failure() {
    let until = UnixMillis(NOW.0 + 10_000);
    let said = |failures, max_failures, span_ms| {
        let mut here = here(UpdateStanding::Held(held(HeldState::BackingOff { until }, failures)));
        here.group.settings.max_failures = max_failures;
        here.group.settings.min_failure_span_ms = span_ms;
        answer(&here, None, &view(GroupStatus::default()))
    };
    assert!(said(3, 5, 300_000).ends_with("by itself that happens after 5 failures over at least 300 s."));
    let next = "its next failure does that by itself, if it comes at least 300 s after the first one.";
    assert!(said(4, 5, 300_000).ends_with(next));
    // An operator has changed the settings since.
    assert!(said(5, 2, 0).ends_with("its next failure does that by itself."), "{}", said(5, 2, 0));
}

#[test]
fn a_pending_update_says_what_its_consumer_is_at() {
    let pending = here(UpdateStanding::Pending { behind: None });
    let none = answer(&pending, None, &view(GroupStatus::default()));
    assert!(none.ends_with("start a handler that subscribes to group orders."), "{none}");
    let mut consumer = ConsumerView {
        consumer_id: "pod-3".into(),
        state: ConsumerState::Open,
        connected: None,
        shards: Vec::new(),
        outstanding: 256,
        outstanding_bytes: 1,
        settings: ConsumerSettings::DEFAULT,
    };
    for (state, outstanding, words) in [
        (ConsumerState::Open, 256, "as much out as it takes (256 updates)"),
        (ConsumerState::Open, 1, "7 updates of the group are not settled"),
        (ConsumerState::Lost, 1, "back within 5 s"),
        (ConsumerState::Suspect, 1, "see whether it hangs"),
        (ConsumerState::Leaving, 0, "another one takes over"),
    ] {
        (consumer.state, consumer.outstanding) = (state, outstanding);
        let status = GroupStatus { consumers: vec![consumer.clone()], lag: 7, ..GroupStatus::default() };
        let text = answer(&pending, None, &view(status));
        assert!(text.contains(words), "{text}");
    }
}

#[test]
fn a_pause_is_said_with_its_day_if_that_was_another_one() {
    let mut paused = here(UpdateStanding::Pending { behind: None });
    paused.group.paused = Some(UnixMillis(NOW.0 - 86_400_000));
    let text = answer(&paused, None, &view(GroupStatus::default()));
    assert!(text.contains("paused since 2026-11-19 12:04:00 UTC"), "{text}");
    assert!(text.contains("`switchboard groups resume orders`"), "{text}");
}

#[test]
fn what_is_out_says_to_whom_and_what_is_settled_says_nothing() {
    let group = view(GroupStatus::default());
    let deadline = UnixMillis(NOW.0 + 5_000);
    let out = answer(&here(UpdateStanding::Held(held(HeldState::Outstanding { deadline }, 0))), None, &group);
    assert!(out.contains("is out to pod-3 since 12:03:04 UTC (attempt 4) and holds chat:42"), "{out}");
    assert!(out.contains("lease ends at 12:04:05 UTC"), "{out}");
    let waiting = answer(&here(UpdateStanding::Held(held(HeldState::Waiting, 2))), None, &group);
    assert!(waiting.contains("attempt 5, has failed 2 times"), "{waiting}");
    assert_eq!(answer(&here(UpdateStanding::Settled), None, &group), "");
    let before = answer(&here(UpdateStanding::BeforeStart), None, &group);
    assert!(before.contains("before the group's start at 5"), "{before}");
    assert!(answer(&here(UpdateStanding::NotMatched), None, &group).contains("replay it"));
}
