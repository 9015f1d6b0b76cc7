//! What operators can do to a driver, in made-up time.

use tokio::sync::oneshot;

use super::bench::{Answer, Bench, deliveries};
use super::rig::group;
use crate::driver::{
    GroupChange, Input, NewGroup, Reply, Settings, Steer, SteerError, SubscribeError, WantedKinds,
};
use crate::journal::JournalReader;
use crate::model::{
    AttemptOutcome, Filter, FilterParts, GroupView, Ordering, Sequence, SettledResult, Settlement, Start,
    StreamEnd, StreamEvent, UpdateStanding,
};
use crate::update::KindCode;

const APPLIED: SettledResult = SettledResult::Applied { deadline: None };

impl Bench {
    pub(super) fn steer<T>(&mut self, steer: impl FnOnce(Reply<T>) -> Steer) -> Answer<T> {
        let (reply, answer) = oneshot::channel();
        self.core.handle(self.now, Input::Steer(steer(reply)));
        answer
    }

    /// The answer, when all that it needs is durable.
    fn steered<T>(&mut self, steer: impl FnOnce(Reply<T>) -> Steer) -> T {
        let mut answer = self.steer(steer);
        self.settle_down();
        answer.try_recv().unwrap()
    }

    pub(super) fn create(&mut self, name: &str, filter: Option<Filter>) -> Result<GroupView, SteerError> {
        let group = new_group(name, filter);
        self.steered(|reply| Steer::CreateGroup { group, reply })
    }

    pub(super) fn change(&mut self, name: &str, change: GroupChange) -> Result<GroupView, SteerError> {
        let group = group(name);
        self.steered(|reply| Steer::ChangeGroup { group, change, reply })
    }

    fn delete(&mut self, name: &str, force: bool) -> Result<u64, SteerError> {
        let group = group(name);
        self.steered(|reply| Steer::DeleteGroup { group, force, reply })
    }

    fn replay(&mut self, name: &str, sequences: &[u64], from_dead_letters: bool) -> Result<u64, SteerError> {
        let (group, sequences) = (group(name), sequences.iter().copied().map(Sequence).collect());
        self.steered(|reply| Steer::Replay { group, sequences, from_dead_letters, reply })
    }

    fn purge(&mut self, sequences: &[u64]) -> Result<(), SteerError> {
        let sequences = sequences.iter().copied().map(Sequence).collect();
        self.steered(|reply| Steer::Purge { sequences, reply })
    }

    pub(super) fn view(&mut self, name: &str) -> GroupView {
        let only = Some(group(name));
        self.steered(|reply| Steer::Groups { only, reply }).remove(0)
    }

    fn ack(&mut self, name: &str, token: crate::model::Token) -> SettledResult {
        let mut answer = self.settle(name, &[token], Settlement::Ack);
        self.settle_down();
        answer.try_recv().unwrap().unwrap()[0]
    }
}

pub(super) fn new_group(name: &str, filter: Option<Filter>) -> NewGroup {
    NewGroup {
        name: group(name),
        filter,
        fallback: false,
        ordering: Ordering::Chat,
        settings: None,
        max_ages: vec![],
        start: Start::Default,
    }
}

pub(super) fn kinds(kinds: &[KindCode]) -> Filter {
    Filter::new(FilterParts { kinds: kinds.to_vec(), ..FilterParts::default() }).unwrap()
}

#[test]
fn a_group_is_created_once_and_a_deleted_name_refuses_subscribe_until_it_is_created_again() {
    let mut bench = Bench::new(Settings::default());
    assert_eq!(bench.create("a", None).unwrap().record.name, group("a"));
    assert_eq!(bench.create("a", None), Err(SteerError::Exists(group("a"))));
    let mut stream = bench.subscribed("a");
    bench.append(&[(1, "chat:1")]);
    bench.settle_down();
    assert!(matches!(bench.delete("a", false), Err(SteerError::NotEmpty { unsettled: 1, .. })));
    assert_eq!(bench.delete("a", true), Ok(1));
    let last = std::iter::from_fn(|| stream.events.try_recv().ok()).last();
    assert_eq!(last, Some(StreamEvent::End(StreamEnd::GroupDeleted)));
    let mut refused = bench.subscribe("a", "c", false);
    bench.settle_down();
    assert!(matches!(refused.try_recv().unwrap(), Err(SubscribeError::Deleted(_))));
    bench.restart();
    let mut refused = bench.subscribe("a", "c", false);
    bench.settle_down();
    assert!(matches!(refused.try_recv().unwrap(), Err(SubscribeError::Deleted(_))));
    bench.create("a", None).unwrap();
    bench.subscribed("a");
    assert_eq!(bench.delete("b", true), Err(SteerError::UnknownGroup(group("b"))));
}

#[test]
fn p2_a_paused_group_gets_nothing_over_a_restart_and_everything_when_it_is_resumed() {
    let mut bench = Bench::new(Settings::default());
    bench.create("a", None).unwrap();
    assert!(bench.change("a", GroupChange::Paused(true)).unwrap().record.paused.is_some());
    bench.append(&[(1, "chat:1")]);
    let mut stream = bench.subscribed("a");
    assert_eq!(deliveries(&mut stream), []);
    bench.restart();
    let mut stream = bench.subscribed("a");
    assert!(stream.opened.paused);
    assert_eq!(deliveries(&mut stream), []);
    assert_eq!(bench.view("a").status.lag, 1);
    bench.change("a", GroupChange::Paused(false)).unwrap();
    let out = deliveries(&mut stream);
    assert_eq!(out.len(), 1);
    assert_eq!(bench.ack("a", out[0].token), APPLIED);
    assert_eq!(bench.view("a").status.lag, 0);
}

#[test]
fn p5_after_a_seek_back_everything_comes_again_and_older_deliveries_are_superseded() {
    let mut bench = Bench::new(Settings::default());
    let mut stream = bench.subscribed("a");
    bench.append(&[(1, "chat:1"), (2, "chat:2"), (3, "chat:3")]);
    bench.settle_down();
    let first = deliveries(&mut stream);
    assert_eq!(bench.ack("a", first[0].token), APPLIED);
    // One ack waits for the very commit of the seek.
    let mut acked = bench.settle("a", &[first[1].token], Settlement::Ack);
    let view = bench.change("a", GroupChange::Seek(Sequence(1))).unwrap();
    assert_eq!(view.record.start, Sequence(1));
    assert_eq!((bench.view("a").status.lag, bench.view("a").status.lag_exact), (3, true));
    assert_eq!(acked.try_recv().unwrap().unwrap(), [APPLIED]);
    let again = deliveries(&mut stream);
    assert_eq!(again.len(), 3);
    let last = bench.core.reader.events(Sequence(3)).unwrap().pop().and_then(|(_, event)| event.attempt);
    assert_eq!(last.map(|ended| ended.outcome), Some(AttemptOutcome::Revoked));
    assert!(again.iter().all(|delivery| delivery.replayed));
    assert_eq!(bench.ack("a", first[2].token), SettledResult::Superseded);
    for delivery in &again {
        assert_eq!(bench.ack("a", delivery.token), APPLIED);
    }
    bench.restart();
    let mut stream = bench.subscribed("a");
    assert_eq!(deliveries(&mut stream), [], "P4: what was settled after the seek stays settled");
}

#[test]
fn a_seek_forward_passes_over_what_is_unsettled() {
    let mut bench = Bench::new(Settings::default());
    bench.create("a", None).unwrap();
    bench.append(&[(1, "chat:1"), (2, "chat:2"), (3, "chat:3")]);
    bench.settle_down();
    bench.change("a", GroupChange::Seek(Sequence(3))).unwrap();
    bench.restart();
    let mut stream = bench.subscribed("a");
    let out = deliveries(&mut stream);
    assert_eq!(out.iter().map(|delivery| delivery.sequence().0).collect::<Vec<_>>(), [3]);
    // Beyond the newest there is only the end.
    let view = bench.change("a", GroupChange::Seek(Sequence(99))).unwrap();
    assert_eq!(view.record.start, Sequence(4));
}

#[test]
fn p4_a_replayed_update_comes_once_more_and_its_first_token_is_superseded() {
    let mut bench = Bench::new(Settings::default());
    let mut stream = bench.subscribed("a");
    bench.append(&[(1, "chat:1")]);
    bench.settle_down();
    let first = deliveries(&mut stream).remove(0);
    assert_eq!(bench.replay("a", &[1], false), Ok(0), "it is not settled");
    assert_eq!(bench.ack("a", first.token), APPLIED);
    assert_eq!(bench.replay("a", &[1, 1, 7], false), Ok(1));
    let again = deliveries(&mut stream).remove(0);
    assert!(again.replayed);
    assert_eq!(bench.ack("a", first.token), SettledResult::Superseded);
    bench.restart();
    let mut stream = bench.subscribed("a");
    let again = deliveries(&mut stream).remove(0);
    assert_eq!(bench.view("a").status.replaying, 1);
    assert_eq!(bench.ack("a", again.token), APPLIED);
    bench.restart();
    let mut stream = bench.subscribed("a");
    assert_eq!(deliveries(&mut stream), []);
}

#[test]
fn a_dead_letter_is_replayed_even_after_its_update_was_trimmed() {
    let settings = Settings { retention_max_age_ms: 60_000, ..Settings::default() };
    let mut bench = Bench::new(settings);
    let mut stream = bench.subscribed("a");
    bench.append(&[(1, "chat:1"), (2, "chat:2")]);
    bench.settle_down();
    for delivery in deliveries(&mut stream) {
        let reject = Settlement::Reject { reason: "no such order".into() };
        bench.settle("a", &[delivery.token], reject);
        bench.settle_down();
    }
    assert_eq!(bench.view("a").dead_letters, 2);
    bench.pass(61_000);
    bench.pass(10_000);
    assert!(bench.stored().is_empty());
    assert_eq!(bench.replay("a", &[1], true), Ok(1));
    assert_eq!(bench.view("a").dead_letters, 1);
    let again = deliveries(&mut stream);
    assert_eq!((again.len(), again[0].sequence(), again[0].replayed), (1, Sequence(1), true));
    bench.pass(20_000);
    assert_eq!(bench.stored(), [1], "an update that is out again is not trimmed");
    assert_eq!(bench.ack("a", again[0].token), APPLIED);
    bench.pass(20_000);
    assert!(bench.stored().is_empty());
}

#[test]
fn a_purged_update_leaves_nothing_behind() {
    let mut bench = Bench::new(Settings::default());
    let mut a = bench.subscribed("a");
    let mut b = bench.subscribed("b");
    bench.append(&[(1, "chat:1"), (2, "chat:1"), (3, "chat:2")]);
    bench.settle_down();
    let (out, other) = (deliveries(&mut a), deliveries(&mut b));
    let reject = Settlement::Reject { reason: "who is that".into() };
    bench.settle("b", &[other[0].token], reject);
    bench.settle_down();
    assert_eq!(bench.view("b").dead_letters, 1);
    assert_eq!(bench.purge(&[1, 2]), Ok(()));
    assert_eq!(bench.stored(), [3]);
    assert_eq!(bench.view("b").dead_letters, 0);
    assert_eq!(bench.core.reader.events(Sequence(1)).unwrap(), []);
    assert_eq!(bench.ack("a", out[0].token), SettledResult::AlreadySettled);
    assert_eq!(bench.view("a").status.lag, 1);
    bench.restart();
    let mut a = bench.subscribed("a");
    let left: Vec<_> = deliveries(&mut a).iter().map(|delivery| delivery.sequence().0).collect();
    assert_eq!(left, [3]);
}

#[test]
fn wishes_about_one_group_are_granted_one_after_the_other() {
    let mut bench = Bench::new(Settings::default());
    bench.create("a", None).unwrap();
    let pause = |paused| {
        move |reply| Steer::ChangeGroup { group: group("a"), change: GroupChange::Paused(paused), reply }
    };
    let mut first = bench.steer(pause(true));
    let mut second = bench.steer(pause(false));
    let mut third = bench.steer(|reply| Steer::DeleteGroup { group: group("a"), force: false, reply });
    let mut fourth = bench.steer(pause(true));
    bench.settle_down();
    assert!(first.try_recv().unwrap().unwrap().record.paused.is_some());
    assert!(second.try_recv().unwrap().unwrap().record.paused.is_none());
    assert_eq!(third.try_recv().unwrap(), Ok(0));
    assert_eq!(fourth.try_recv().unwrap(), Err(SteerError::UnknownGroup(group("a"))));
}

#[test]
fn p6_a_wish_that_finds_no_room_changes_nothing() {
    let mut bench = Bench::new(Settings::default());
    bench.create("a", None).unwrap();
    bench.full = true;
    assert_eq!(bench.change("a", GroupChange::Paused(true)), Err(SteerError::NoRoom));
    bench.full = false;
    bench.pass(1_000);
    assert_eq!(bench.view("a").record.paused, None);
    assert!(bench.change("a", GroupChange::Paused(true)).is_ok());
}

#[test]
fn a_changed_filter_holds_for_what_comes_after_it() {
    let mut bench = Bench::new(Settings::default());
    let message = KindCode::from_name("message").unwrap();
    bench.create("a", Some(kinds(&[KindCode::POLL]))).unwrap();
    bench.append(&[(1, "chat:1")]);
    bench.settle_down();
    assert_eq!(bench.view("a").status.lag, 0, "the bench's updates are of no known kind");
    let change = GroupChange::Settings {
        filter: Some(Some(kinds(&[KindCode::UNKNOWN, message]))),
        settings: None,
        max_ages: None,
    };
    bench.change("a", change).unwrap();
    bench.append(&[(2, "chat:1")]);
    bench.settle_down();
    bench.restart();
    let mut stream = bench.subscribed("a");
    let out: Vec<_> = deliveries(&mut stream).iter().map(|delivery| delivery.sequence().0).collect();
    assert_eq!(out, [2]);
    bench.change("a", GroupChange::Seek(Sequence(1))).unwrap();
    let out: Vec<_> = deliveries(&mut stream).iter().map(|delivery| delivery.sequence().0).collect();
    assert_eq!((out, bench.view("a").status.lag), (vec![1], 2), "a seek applies the current filter");
}

#[test]
fn a_fallback_group_gets_what_no_filter_claimed() {
    let mut bench = Bench::new(Settings::default());
    let fallback = NewGroup { fallback: true, ..new_group("rest", None) };
    bench.steered(|reply| Steer::CreateGroup { group: fallback, reply }).unwrap();
    bench.create("audit", None).unwrap();
    bench.append(&[(1, "chat:1")]);
    bench.settle_down();
    bench.create("all", Some(kinds(&[KindCode::UNKNOWN]))).unwrap();
    bench.append(&[(2, "chat:1")]);
    bench.settle_down();
    bench.delete("all", true).unwrap();
    bench.append(&[(3, "chat:1")]);
    bench.settle_down();
    assert_eq!((bench.view("rest").status.lag, bench.view("audit").status.lag), (2, 3));
}

#[test]
fn what_groups_want_is_announced() {
    let mut bench = Bench::new(Settings::default());
    assert_eq!(bench.wanted(), WantedKinds::default());
    bench.create("members", Some(kinds(&[KindCode::CHAT_MEMBER]))).unwrap();
    assert_eq!(bench.wanted(), WantedKinds { default_kinds: false, named: vec![KindCode::CHAT_MEMBER] });
    let stream = bench.subscribed("all");
    assert_eq!(bench.wanted(), WantedKinds { default_kinds: true, named: vec![KindCode::CHAT_MEMBER] });
    drop(stream);
    bench.restart();
    assert_eq!(bench.wanted(), WantedKinds { default_kinds: true, named: vec![KindCode::CHAT_MEMBER] });
    bench.delete("members", true).unwrap();
    assert_eq!(bench.wanted(), WantedKinds::default());
}

#[test]
fn a_subscription_with_another_filter_is_refused_with_the_difference() {
    let mut bench = Bench::new(Settings::default());
    bench.create("a", Some(kinds(&[KindCode::POLL]))).unwrap();
    let mut same = bench.subscribe_with("a", Some(kinds(&[KindCode::POLL])));
    let mut other = bench.subscribe_with("a", Some(kinds(&[KindCode::CALLBACK_QUERY])));
    let mut new = bench.subscribe_with("b", Some(kinds(&[KindCode::CALLBACK_QUERY])));
    bench.settle_down();
    assert!(same.try_recv().unwrap().is_ok());
    let refused = other.try_recv().unwrap().unwrap_err().to_string();
    assert!(refused.contains("is kinds poll, and kinds callback_query was asked for"), "{refused}");
    assert!(new.try_recv().unwrap().is_ok());
    assert_eq!(bench.view("b").record.filter(), Some(&kinds(&[KindCode::CALLBACK_QUERY])));
}

#[test]
fn dead_letters_go_at_their_age_and_when_they_are_too_many() {
    const DAY: u64 = 24 * 3_600_000;
    let settings = Settings { dead_letter_max_bytes: 35, ..Settings::default() };
    let mut bench = Bench::new(settings);
    let mut stream = bench.subscribed("a");
    for id in 1..=5 {
        bench.append(&[(id, &format!("chat:{id}"))]);
    }
    bench.settle_down();
    for delivery in deliveries(&mut stream) {
        bench.settle("a", &[delivery.token], Settlement::Reject { reason: "".into() });
    }
    bench.settle_down();
    bench.pass(10_000);
    // Each has ten bytes: three fit.
    assert_eq!(bench.view("a").dead_letters, 3);
    bench.pass(31 * DAY);
    bench.pass(10_000);
    assert_eq!(bench.view("a").dead_letters, 0);
}

#[test]
fn what_an_update_is_at_is_shown_for_every_group() {
    let mut bench = Bench::new(Settings::default());
    let mut stream = bench.subscribed("a");
    bench.create("b", Some(kinds(&[KindCode::POLL]))).unwrap();
    bench.append(&[(1, "chat:1"), (2, "chat:1")]);
    bench.settle_down();
    let out = deliveries(&mut stream);
    assert_eq!(out.len(), 1);
    let heads = bench.core.reader.heads(Sequence(1), 9).unwrap();
    let standing = bench.steered(|reply| Steer::Standing { heads, only: None, reply });
    let a = |at: usize| &standing[at].iter().find(|group| group.group.name.as_str() == "a").unwrap().standing;
    assert!(matches!(a(0), UpdateStanding::Held(held) if held.attempt == 1));
    assert_eq!(*a(1), UpdateStanding::Pending { behind: Some(Sequence(1)) });
    let b = standing[0].iter().find(|group| group.group.name.as_str() == "b").unwrap();
    assert_eq!(b.standing, UpdateStanding::NotMatched);
    let held = bench.steered(|reply| Steer::Held {
        group: group("a"),
        key: None,
        after: Sequence(0),
        limit: 10,
        reply,
    });
    assert_eq!(held.unwrap().len(), 1);
}
