//! What a group's record remembers of its filters.

use tokio::sync::oneshot;

use super::bench::Bench;
use super::rig::group;
use crate::driver::{GroupChange, Input, Settings, Steer};
use crate::model::{Filter, FilterParts, GroupView};

fn chat(id: i64) -> Option<Filter> {
    Some(Filter::new(FilterParts { chat_ids: vec![id], ..FilterParts::default() }).unwrap())
}

fn change_filter(bench: &mut Bench, filter: Option<Filter>) -> GroupView {
    let (reply, mut answer) = oneshot::channel();
    let change = GroupChange::Settings { filter: Some(filter), settings: None, max_ages: None };
    bench.core.handle(bench.now, Input::Steer(Steer::ChangeGroup { group: group("a"), change, reply }));
    bench.settle_down();
    answer.try_recv().unwrap().unwrap()
}

#[test]
fn filters_under_which_nothing_was_stored_are_not_remembered() {
    let mut bench = Bench::new(Settings::default());
    // Its lag keeps the times of all its filters.
    let _stream = bench.subscribed("a");
    bench.append(&[(1, "chat:1")]);
    bench.settle_down();
    for id in 1..=100 {
        let view = change_filter(&mut bench, chat(id));
        assert_eq!((view.record.filters.len(), view.record.filter()), (1, chat(id).as_ref()));
        assert_eq!(view.status.lag, 1, "what came under no filter stays the group's business");
    }
    bench.append(&[(2, "chat:1")]);
    bench.settle_down();
    let view = change_filter(&mut bench, None);
    assert_eq!(view.record.filters.len(), 2);
}
