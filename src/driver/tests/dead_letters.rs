//! Dead letters that come while a sweep or a seek is on its way.

use super::bench::{Bench, deliveries};
use super::rig::group;
use crate::driver::{GroupChange, Settings, Steer};
use crate::journal::JournalReader;
use crate::model::{GroupSettings, Outcome, Sequence, SettledResult, Settlement};

#[test]
fn p2_a_dead_letter_that_the_commit_of_the_sweep_renews_stays() {
    let settings = Settings { dead_letter_max_age_ms: 60_000, ..Settings::default() };
    let mut bench = Bench::new(settings);
    let mut stream = bench.subscribed("a");
    bench.append(&[(1, "chat:1")]);
    bench.settle_down();
    let reject = || Settlement::Reject { reason: "no such order".into() };
    bench.settle("a", &[deliveries(&mut stream)[0].token], reject());
    bench.settle_down();
    let (name, sequences) = (group("a"), vec![Sequence(1)]);
    let replay = |reply| Steer::Replay { group: name, sequences, from_dead_letters: false, reply };
    let _replayed = bench.steer(replay);
    bench.settle_down();
    let again = deliveries(&mut stream)[0].token;
    bench.now.mono = bench.now.mono.plus(70_000);
    bench.now.unix = bench.now.unix.plus(70_000);
    let rejected = bench.now.unix;
    bench.settle("a", &[again], reject());
    bench.settle_down();
    let letters = bench.core.reader.dead_letters(bench.group("a"), Sequence(0), 9).unwrap();
    assert_eq!(letters.iter().map(|kept| kept.letter.time).collect::<Vec<_>>(), [rejected]);
}

#[test]
fn p2_a_dead_letter_that_waits_for_the_commit_of_a_seek_is_kept() {
    let mut bench = Bench::new(Settings::default());
    let mut stream = bench.subscribed("a");
    bench.append(&[(1, "chat:1")]);
    bench.settle_down();
    let reject = Settlement::Reject { reason: "no such order".into() };
    let mut rejected = bench.settle("a", &[deliveries(&mut stream)[0].token], reject);
    bench.change("a", GroupChange::Seek(Sequence(2))).unwrap();
    assert_eq!(rejected.try_recv().unwrap().unwrap(), [SettledResult::Applied { deadline: None }]);
    assert_eq!(bench.view("a").dead_letters, 1);
}

#[test]
fn the_failure_that_makes_a_dead_letter_is_counted_like_every_other() {
    let group = GroupSettings { max_failures: 1, min_failure_span_ms: 0, ..GroupSettings::default() };
    let mut bench = Bench::new(Settings { group, ..Settings::default() });
    let mut stream = bench.subscribed("a");
    bench.append(&[(1, "chat:1"), (2, "chat:2"), (3, "chat:3")]);
    bench.pass(5_000);
    let out = deliveries(&mut stream);
    let settlements = [
        Settlement::Nack { outcome: Outcome::Failed, delay_ms: None, reason: "no stock".into() },
        Settlement::Reject { reason: "no such order".into() },
        Settlement::Ack,
    ];
    for (delivery, settlement) in out.iter().zip(settlements) {
        bench.settle("a", &[delivery.token], settlement);
    }
    bench.settle_down();
    bench.pass(1_000);
    let view = bench.view("a");
    assert_eq!((view.dead_letters, view.rates.settled, view.rates.failures), (2, 3.0, 2.0));
    let text = bench.metrics.encode().unwrap();
    let ended = |how: &str| {
        let series = format!("switchboard_attempts_ended_total{{bot=\"bot\",group=\"a\",how=\"{how}\"}} ");
        text.lines().find_map(|line| line.strip_prefix(&series)?.parse::<u64>().ok())
    };
    assert_eq!([ended("nacked"), ended("rejected"), ended("expired")], [Some(1), Some(1), Some(0)], "{text}");
}
