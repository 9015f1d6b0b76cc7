use super::*;

const NOW: Duration = Duration::from_secs(10_000);
const REFUSED: Failure = Failure { status: Some(500), retry_after_s: 0 };

fn seconds(s: u64) -> Duration {
    Duration::from_secs(s)
}

fn entry(id: i64, lane: i64) -> Entry {
    let body = Bytes::from_static(b"{}");
    Entry { id, body, expires_at: NOW + seconds(86_400), lane, record: 0 }
}

fn loaded(max_connections: usize, entries: &[(i64, i64)]) -> Schedule {
    let mut schedule = Schedule::new(max_connections, 1);
    schedule.load(entries.iter().map(|(id, lane)| entry(*id, *lane)).collect(), NOW);
    schedule
}

fn next_ids(schedule: &mut Schedule, now: Duration) -> Vec<i64> {
    std::iter::from_fn(|| schedule.next(now)).map(|attempt| attempt.id).collect()
}

#[test]
fn one_update_of_a_queue_is_in_flight_at_a_time() {
    let mut schedule = loaded(40, &[(1, 7), (2, 7), (3, 8)]);
    assert_eq!(next_ids(&mut schedule, NOW), [1, 3]);
    schedule.succeeded(7, NOW);
    assert_eq!(next_ids(&mut schedule, NOW), [2]);
}

#[test]
fn a_message_and_a_callback_of_one_chat_can_be_in_flight_at_once() {
    let mut schedule = loaded(40, &[(1, 7), (2, 7 + (3 << 33))]);
    assert_eq!(next_ids(&mut schedule, NOW), [1, 2]);
}

#[test]
fn updates_without_a_queue_wait_for_nobody() {
    let mut schedule = loaded(40, &[(1, 0), (2, 0)]);
    assert_eq!(next_ids(&mut schedule, NOW), [1, 2]);
}

#[test]
fn a_failed_update_is_retried_at_once_and_then_after_2_4_8_16_32_and_60_to_120_seconds() {
    let mut schedule = loaded(40, &[(1, 7)]);
    let mut now = NOW;
    let mut waits = Vec::new();
    for _ in 0..9 {
        assert_eq!(next_ids(&mut schedule, now), [1]);
        let Consequence::Retry(at) = schedule.failed(7, REFUSED, now) else { panic!("given up") };
        waits.push((at - now).as_secs());
        assert!(at == now || next_ids(&mut schedule, at - seconds(1)).is_empty());
        now = at;
    }
    assert_eq!(waits[..6], [0, 2, 4, 8, 16, 32]);
    assert!(waits[6..].iter().all(|wait| (60..=120).contains(wait)), "{waits:?}");
}

#[test]
fn retry_after_is_honoured_up_to_an_hour_and_does_not_lengthen_the_backoff() {
    let mut schedule = loaded(40, &[(1, 7)]);
    let asked = |retry_after_s| Failure { status: Some(503), retry_after_s };
    for (failure, wait) in [(asked(5), 5), (asked(9000), 3600), (asked(0), 2)] {
        schedule.next(NOW + seconds(9000)).unwrap();
        assert_eq!(schedule.failed(7, failure, NOW), Consequence::Retry(NOW + seconds(wait)));
    }
}

#[test]
fn a_failing_update_blocks_its_queue_and_no_other() {
    let mut schedule = loaded(40, &[(1, 7), (2, 7), (3, 8)]);
    next_ids(&mut schedule, NOW);
    schedule.failed(7, Failure { status: Some(503), retry_after_s: 60 }, NOW);
    schedule.succeeded(8, NOW);
    assert!(next_ids(&mut schedule, NOW + seconds(59)).is_empty());
    assert_eq!(next_ids(&mut schedule, NOW + seconds(60)), [1]);
}

#[test]
fn an_update_that_would_expire_before_its_retry_is_given_up() {
    let mut schedule = Schedule::new(40, 1);
    schedule.load(vec![Entry { expires_at: NOW + seconds(3), ..entry(1, 7) }, entry(2, 7)], NOW);
    let retry = |at| Consequence::Retry(NOW + seconds(at));
    let outcomes = [retry(0), retry(2), Consequence::GiveUp { id: 1 }];
    for (outcome, now) in outcomes.into_iter().zip([0, 0, 2]) {
        schedule.next(NOW + seconds(now)).unwrap();
        assert_eq!(schedule.failed(7, REFUSED, NOW + seconds(now)), outcome);
    }
    assert_eq!(next_ids(&mut schedule, NOW + seconds(2)), [2]);
}

#[test]
fn twice_as_many_updates_as_connections_are_loaded_so_that_one_stuck_chat_can_hold_up_all() {
    let stuck: Vec<_> = (1..=80).map(|id| (id, 7)).collect();
    let mut schedule = loaded(40, &stuck);
    assert_eq!(schedule.room(), (81, 0));
    schedule.next(NOW).unwrap();
    schedule.succeeded(7, NOW);
    assert_eq!(schedule.room(), (81, 1));
}

#[test]
fn an_update_that_was_never_sent_has_not_failed() {
    let mut schedule = loaded(40, &[(1, 7)]);
    schedule.next(NOW).unwrap();
    schedule.not_sent(7);
    schedule.next(NOW).unwrap();
    assert_eq!(schedule.failed(7, REFUSED, NOW), Consequence::Retry(NOW), "the first failure");
}

#[test]
fn a_webhook_without_a_success_for_ten_seconds_gets_one_connection_and_a_new_one_every_two() {
    let mut schedule = loaded(40, &(1..=30).map(|id| (id, id)).collect::<Vec<_>>());
    assert_eq!(schedule.connect(NOW), Connects { now: 1, ask_again_at: None });
    schedule.disconnected();
    let at = NOW + seconds(1);
    assert_eq!(schedule.connect(at), Connects { now: 0, ask_again_at: Some(NOW + seconds(2)) });
    assert_eq!(schedule.connect(NOW + seconds(2)).now, 1);
}

#[test]
fn an_active_webhook_gets_ten_new_connections_each_half_second_up_to_max_connections() {
    let mut schedule = loaded(25, &(1..=30).map(|id| (id, id)).collect::<Vec<_>>());
    assert_eq!(schedule.connect(NOW).now, 1);
    let lane = schedule.next(NOW).unwrap().lane;
    schedule.succeeded(lane, NOW + seconds(1));
    let half = |n: u32| NOW + seconds(1) + ACTIVE_CONNECT_WINDOW * n;
    assert_eq!(schedule.connect(half(0)), Connects { now: 10, ask_again_at: Some(half(1)) });
    assert_eq!(schedule.connect(half(1)).now, 10);
    assert_eq!(schedule.connect(half(2)), Connects { now: 4, ask_again_at: None });
    assert!(!schedule.may_connect());
}

#[test]
fn a_webhook_that_answers_410_for_23_hours_is_deleted_and_any_other_answer_starts_anew() {
    let gone = Failure { status: Some(410), retry_after_s: 0 };
    let hours = |h: u64| NOW + seconds(h * 3600);
    let mut schedule = loaded(40, &[(1, 7)]);
    assert!(matches!(schedule.failed(7, gone, hours(0)), Consequence::Retry(_)));
    assert!(matches!(schedule.failed(7, REFUSED, hours(1)), Consequence::Retry(_)));
    assert!(matches!(schedule.failed(7, gone, hours(2)), Consequence::Retry(_)));
    assert_eq!(schedule.failed(7, gone, hours(25) + seconds(1)), Consequence::Delete);
}
