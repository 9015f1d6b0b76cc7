//! The promises that the dispatcher keeps (DESIGN section 1), one test each; the transcripts and the model test show
//! their details. P2 and P6 are in `backlog`, where they cost something.

use super::script::Script;

/// Carries out the lines and returns what the last one led to.
fn after(lines: &[&str]) -> String {
    let mut script = Script::new();
    lines.iter().map(|line| script.line(line)).last().unwrap()
}

#[test]
fn p2_every_update_is_delivered_until_it_is_settled_also_after_a_crash_before_the_commit() {
    let crash = ["append a", "subscribe c1", "commits by-hand", "ack 1", "commit", "restart", "subscribe c1"];
    assert!(after(&crash).contains("1@1#2 (a)"));
    let expiries = ["append a", "subscribe c1 lease=5s", "time 5s", "time 5s"];
    assert!(after(&expiries).contains("1@2 (a"));
    assert_eq!(after(&["append a", "subscribe c1", "ack 1", "restart", "status"]), {
        "0 consumers, 0 outstanding, 0 backing off, cursor 1, lag 0\n"
    });
}

#[test]
fn p3_one_at_a_time_per_key_through_nacks_expiries_rebalances_and_restarts() {
    for disturbance in [
        &["nack 1 delay=1h"][..],
        &["time 5s"],
        &["subscribe c2", "leave c1"],
        &["commits by-hand", "ack 1", "commit"],
        &["restart", "subscribe c2 held=1"],
    ] {
        let mut script = Script::new();
        script.line("append a a");
        script.line("subscribe c1 lease=5s");
        let all: String = disturbance.iter().map(|line| script.line(line)).collect();
        assert!(!all.contains("2@1"), "{disturbance:?}: {all}");
        let status = script.line("status");
        assert!(status.contains("cursor 0"), "{disturbance:?}: {status}");
    }
    assert!(after(&["append a a", "subscribe c1", "ack 1"]).contains("2@1 (a)"));
}

#[test]
fn p4_what_was_settled_durably_does_not_come_back_with_a_crash() {
    let lines = ["append a b", "subscribe c1", "ack 1", "restart", "subscribe c1"];
    let all = after(&lines);
    assert!(all.contains("2@1#2 (b)") && !all.contains("1@"), "{all}");
}

#[test]
fn p5_only_the_newest_delivery_settles_and_a_late_one_only_if_there_is_no_newer() {
    let start = ["append a", "subscribe c1 lease=5s"];
    let ack = |between: &[&str]| after(&[&start[..], between, &["ack 1@1"]].concat());
    assert!(ack(&[]).starts_with("1@1: applied\n"));
    assert!(ack(&["time 5s"]).starts_with("1@1: applied late"));
    assert!(ack(&["time 7s"]).starts_with("1@1: superseded"));
    assert!(ack(&["time 7s", "ack 1@2"]).starts_with("1@1: already settled"));
    assert!(ack(&["restart"]).starts_with("1@1: applied late"));
    assert!(ack(&["time 7s", "restart"]).starts_with("1@1: superseded"));
    assert!(ack(&["restart", "restart"]).starts_with("1@1: superseded"));
}

#[test]
fn p9_poison_goes_to_the_dead_letters_and_its_chat_moves_on() {
    let mut script = Script::new();
    script.line("append a a");
    script.line("subscribe c1");
    for _ in 0..4 {
        assert!(!script.line("nack 1 delay=75s").contains("DeadLettered"));
        script.line("time 75s");
    }
    let last = script.line("nack 1 reason=poison");
    assert!(last.contains("1 DeadLettered") && last.contains("2@1 (a)"), "{last}");
}

#[test]
fn p9_an_outage_that_fails_everything_for_less_than_the_span_buries_nothing() {
    let mut script = Script::new();
    script.line("append many:50");
    script.line("subscribe c1 outstanding=50");
    let mut outage = String::new();
    for second in 0..299 {
        let all = (1..=50).map(|at| at.to_string()).collect::<Vec<_>>().join(" ");
        if second % 20 == 0 {
            outage += &script.line(&format!("nack {all} delay=19s"));
        }
        outage += &script.line("time 1s");
    }
    assert!(!outage.contains("DeadLettered"));
    assert!(script.line("status").contains("cursor 0"));
}

#[test]
fn p9_deploys_lost_neighbours_and_a_stalled_gateway_spend_no_failures() {
    let failures = |lines: &[&str]| {
        let start = ["group max-failures=1 span=0s", "append a b", "subscribe c1 lease=5s"];
        let mut script = Script::new();
        start.iter().chain(lines).map(|line| script.line(line)).collect::<String>()
    };
    for harmless in [
        &["drain c1", "close c1", "time 5s"][..],
        &["close c1", "time 5s"],
        &["release 1 2"],
        &["restart", "subscribe c1"],
        &["subscribe c1"],
        &["stall 1h", "time 4s"],
    ] {
        assert!(!failures(harmless).contains("DeadLettered"), "{harmless:?}");
    }
    assert!(failures(&["time 5s"]).contains("DeadLettered"));
}
