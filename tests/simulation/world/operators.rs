//! What operators do.

use switchboard::driver::{GroupChange, NewGroup, Reply, Steer, SteerError};
use switchboard::model::{
    Filter, FilterParts, GroupName, GroupSettings, Ordering, Sequence, Start, UnixMillis,
};
use switchboard::update::{ChatType, KindCode};
use tokio::sync::oneshot;

use super::World;
use crate::checker::Wish;
use crate::op::{By, From, Op, Which};
use crate::scene::group_name;

impl World {
    pub(super) fn operate(&mut self, op: &Op) {
        match *op {
            Op::Create { group, which, by, fallback, from } => {
                let name = group_name(group);
                let new = NewGroup {
                    name: name.clone(),
                    filter: self.filter(which),
                    fallback,
                    ordering: ordering(by),
                    settings: None,
                    max_ages: vec![],
                    start: self.begin_of(from),
                };
                self.ask(Wish::Create(name), |reply| Steer::CreateGroup { group: new, reply });
            }
            Op::Change { group, which, settings } => {
                let name = group_name(group);
                let change = GroupChange::Settings {
                    filter: (settings != 1).then(|| self.filter(which)),
                    settings: (settings > 0).then(|| self.other_settings(settings)),
                    max_ages: (settings == 3).then(|| vec![(KindCode::CALLBACK_QUERY, 60_000)]),
                };
                self.change(Wish::Change(name.clone()), name, change);
            }
            Op::Pause { group, on } => {
                let name = group_name(group);
                self.change(Wish::Pause(name.clone(), on), name, GroupChange::Paused(on));
            }
            Op::Seek { group, to } => {
                let name = group_name(group);
                let to = self.some(to);
                self.change(Wish::Seek(name.clone(), to.0), name, GroupChange::Seek(to));
            }
            Op::Delete { group, force } => {
                let group = group_name(group);
                let wish = Wish::Delete(group.clone(), force);
                self.ask(wish, |reply| Steer::DeleteGroup { group, force, reply });
            }
            Op::Replay { group, from, count, dead } => {
                let group = group_name(group);
                let sequences = if dead { self.dead(&group, from, count) } else { self.several(from, count) };
                let wish = Wish::Replay(group.clone(), sequences.clone(), dead);
                self.ask(wish, |reply| Steer::Replay { group, sequences, from_dead_letters: dead, reply });
            }
            Op::Bury { group, from, count } => {
                let group = group_name(group);
                let sequences = self.dead(&group, from, count);
                let wish = Wish::Bury(group.clone(), sequences.clone());
                self.ask(wish, |reply| Steer::PurgeDeadLetters { group, sequences, reply });
            }
            Op::Purge { from, count } => {
                let sequences = self.several(from, count);
                self.ask(Wish::Purge(sequences.clone()), |reply| Steer::Purge { sequences, reply });
            }
            _ => {}
        }
    }

    fn change(&mut self, wish: Wish, group: GroupName, change: GroupChange) {
        self.ask(wish, |reply| Steer::ChangeGroup { group, change, reply });
    }

    /// Asks the newest gateway.
    fn ask<T: 'static>(&mut self, wish: Wish, steer: impl FnOnce(Reply<Result<T, SteerError>>) -> Steer) {
        let Some(gateway) = self.gateways.last_mut() else { return };
        let (reply, mut answer) = oneshot::channel::<Result<T, SteerError>>();
        let read = move || match answer.try_recv() {
            Ok(answer) => Some(answer.map(|_| ()).map_err(|error| error.to_string())),
            Err(_) => None,
        };
        gateway.steer(wish, steer(reply), Box::new(read));
    }

    /// A stored update somewhere, or the place after the newest.
    fn some(&self, which: u64) -> Sequence {
        Sequence(1 + which % (self.checker.books.tail.0 + 1))
    }

    fn several(&self, from: u64, count: u64) -> Vec<Sequence> {
        let first = self.some(from);
        (first.0..first.0 + count).map(Sequence).collect()
    }

    /// Dead letters of a group.
    fn dead(&self, group: &GroupName, from: u64, count: u64) -> Vec<Sequence> {
        let books = &self.checker.books;
        let dead = books.group(group).map(|id| &books.groups[&id].dead);
        let dead: Vec<_> = dead.into_iter().flat_map(|dead| dead.keys().copied()).collect();
        if dead.is_empty() {
            return self.several(from, count);
        }
        (from..from + count).map(|at| dead[(at % dead.len() as u64) as usize]).collect()
    }

    fn filter(&self, which: Which) -> Option<Filter> {
        let mut parts = FilterParts::default();
        let kind = |name: &str| KindCode::from_name(name).expect("a kind");
        match which {
            Which::Everything => return None,
            Which::Messages => parts.kinds = vec![kind("message"), KindCode::UNKNOWN],
            Which::Callbacks => parts.kinds = vec![KindCode::CALLBACK_QUERY, KindCode::INLINE_QUERY],
            Which::SomeChats => parts.chat_ids = self.chats.iter().copied().step_by(2).collect(),
            Which::Commands => parts.commands = vec!["start".into()],
            Which::Prefixes => parts.callback_data_prefixes = vec!["order:".into()],
            Which::PrivateChats => parts.chat_types = vec![ChatType::Private],
        }
        Filter::new(parts).ok()
    }

    fn other_settings(&self, number: u64) -> GroupSettings {
        let settings = self.scene.group_settings();
        match number {
            1 => GroupSettings { max_failures: settings.max_failures + 1, ..settings },
            2 => GroupSettings { min_failure_span_ms: 1_000, ..settings },
            _ => settings,
        }
    }

    fn begin_of(&self, from: From) -> Start {
        match from {
            From::Default => Start::Default,
            From::Earliest => Start::Earliest,
            From::Latest => Start::Latest,
            From::Middle => Start::Sequence(Sequence(self.checker.books.tail.0 / 2)),
            From::Hour => Start::Time(UnixMillis(self.wall() - 3_600_000)),
        }
    }
}

fn ordering(by: By) -> Ordering {
    match by {
        By::Chat => Ordering::Chat,
        By::User => Ordering::User,
        By::Topic => Ordering::Topic,
        By::Nothing => Ordering::None,
    }
}
