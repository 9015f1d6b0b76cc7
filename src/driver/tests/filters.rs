//! Groups' filters as they come, change, and are compared with what subscriptions ask for.

use super::bench::Bench;
use super::steering::{kinds, new_group};
use crate::driver::{GroupChange, Settings, Steer, SubscribeError};
use crate::model::Sequence;
use crate::update::KindCode;

#[test]
fn a_subscription_that_waited_for_the_commit_of_another_filter_is_refused_as_any_later_one() {
    let mut bench = Bench::new(Settings::default());
    let polls = new_group("a", Some(kinds(&[KindCode::POLL])));
    let _created = bench.steer(|reply| Steer::CreateGroup { group: polls, reply });
    let members = Some(kinds(&[KindCode::CHAT_MEMBER]));
    let mut refused = bench.subscribe_with("a", members);
    bench.settle_down();
    assert!(matches!(refused.try_recv().unwrap(), Err(SubscribeError::OtherFilter { .. })));
}

#[test]
fn filters_that_no_update_has_come_under_are_not_kept() {
    let mut bench = Bench::new(Settings::default());
    bench.create("a", Some(kinds(&[KindCode::POLL]))).unwrap();
    for kind in [KindCode::CHAT_MEMBER, KindCode::POLL, KindCode::CHAT_MEMBER] {
        let filter = Some(Some(kinds(&[kind])));
        let change = GroupChange::Settings { filter, settings: None, max_ages: None };
        let filters = bench.change("a", change).unwrap().record.filters;
        assert_eq!(filters, [(Sequence(1), Some(kinds(&[kind])))]);
    }
}
