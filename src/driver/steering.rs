//! How operators look into a driver and steer it.

use super::handle::{BotHandle, Input, Reply};
use crate::model::{
    Filter, GroupId, GroupName, GroupSettings, GroupView, Head, HeldView, KeyHash, Ordering, Sequence, Start,
    UpdateInGroup,
};
use crate::update::KindCode;

/// What an operator can ask of a driver. Changes are answered when they are durable.
#[derive(Debug)]
pub enum Steer {
    /// Make a durable group.
    CreateGroup {
        /// Which.
        group: NewGroup,
        /// As it is then.
        reply: Reply<Result<GroupView, SteerError>>,
    },
    /// Change a durable group.
    ChangeGroup {
        /// Which.
        group: GroupName,
        /// What.
        change: GroupChange,
        /// As it is then.
        reply: Reply<Result<GroupView, SteerError>>,
    },
    /// Delete a durable group.
    DeleteGroup {
        /// Which.
        group: GroupName,
        /// Even if that gives up unsettled updates or dead letters.
        force: bool,
        /// How many updates it had not settled.
        reply: Reply<Result<u64, SteerError>>,
    },
    /// Hand updates to a group that it is done with. Those that are not settled, and those that are neither stored nor
    /// among the group's dead letters, are left alone.
    Replay {
        /// Which group.
        group: GroupName,
        /// Which updates.
        sequences: Vec<Sequence>,
        /// Whether they are to be removed from the dead letters.
        from_dead_letters: bool,
        /// How many are handed over.
        reply: Reply<Result<u64, SteerError>>,
    },
    /// Remove dead letters.
    PurgeDeadLetters {
        /// Whose.
        group: GroupName,
        /// Which.
        sequences: Vec<Sequence>,
        /// Done.
        reply: Reply<Result<(), SteerError>>,
    },
    /// Remove updates for good, from everywhere.
    Purge {
        /// Which; some may be among the dead letters only.
        sequences: Vec<Sequence>,
        /// Done.
        reply: Reply<Result<(), SteerError>>,
    },
    /// Show the groups.
    Groups {
        /// Only this one.
        only: Option<GroupName>,
        /// By name.
        reply: Reply<Vec<GroupView>>,
    },
    /// Show what is delivered and not settled.
    Held {
        /// Of this group.
        group: GroupName,
        /// Of this ordering key only.
        key: Option<KeyHash>,
        /// After this sequence.
        after: Sequence,
        /// At most so many.
        limit: usize,
        /// Ascending.
        reply: Reply<Result<Vec<HeldView>, SteerError>>,
    },
    /// Show what updates are at, in every durable group.
    Standing {
        /// Which updates.
        heads: Vec<Head>,
        /// Only in this group.
        only: Option<GroupId>,
        /// For each of them, by group.
        reply: Reply<Vec<Vec<UpdateInGroup>>>,
    },
}

/// A group to be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewGroup {
    /// Its name.
    pub name: GroupName,
    /// Which updates it gets.
    pub filter: Option<Filter>,
    /// Whether it gets only what no other group's filter claims.
    pub fallback: bool,
    /// What its order is kept by.
    pub ordering: Ordering,
    /// How it treats its updates; without, as configured for new groups.
    pub settings: Option<GroupSettings>,
    /// See [`crate::model::GroupRecord::max_ages`].
    pub max_ages: Vec<(KindCode, u64)>,
    /// Where it begins.
    pub start: Start,
}

/// What to change in a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GroupChange {
    /// Its filter and how it treats its updates. What is `None` stays.
    Settings {
        /// The filter for new updates; `Some(None)` for none.
        filter: Option<Option<Filter>>,
        /// How it treats its updates.
        settings: Option<GroupSettings>,
        /// See [`crate::model::GroupRecord::max_ages`].
        max_ages: Option<Vec<(KindCode, u64)>>,
    },
    /// Deliver nothing, or do so again.
    Paused(bool),
    /// Begin anew, with the current filter, at this sequence or the next one that exists.
    Seek(Sequence),
}

/// Why an operator's wish was not granted. Nothing has changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SteerError {
    /// There is no such group.
    #[error("group `{0}` does not exist")]
    UnknownGroup(GroupName),
    /// The name is taken.
    #[error("group `{0}` exists already; `switchboard groups update` or UpdateGroup changes it")]
    Exists(GroupName),
    /// The group lives only as long as its streams.
    #[error("group `{0}` is ephemeral: it lives as long as its streams, as its first one asked for")]
    Ephemeral(GroupName),
    /// It has something to lose.
    #[error("group `{group}` has {}; force gives up what it has", losses(*unsettled, *dead_letters))]
    NotEmpty {
        /// The group.
        group: GroupName,
        /// Updates that it has not settled.
        unsettled: u64,
        /// Its dead letters.
        dead_letters: u64,
    },
    /// The bot has as many groups as it may.
    #[error("the bot has {limit} groups already, the most there can be")]
    TooManyGroups {
        /// How many.
        limit: usize,
    },
    /// The group has as many replayed updates as it may, not yet settled; try again when some are.
    #[error("group `{group}` has {limit} replayed updates that are not settled yet, the most there can be")]
    TooManyReplays {
        /// The group.
        group: GroupName,
        /// How many.
        limit: usize,
    },
    /// It could not be made durable now.
    #[error("the journal has no room at the moment; try again")]
    NoRoom,
    /// The journal could not be read.
    #[error("{0}")]
    Unreadable(String),
    /// The driver has stopped; it is not known whether it was done.
    #[error("the gateway is stopping")]
    Stopped,
}

/// `1 unsettled update and 2 dead letters`.
fn losses(unsettled: u64, dead_letters: u64) -> String {
    let count = |number, one: &str| match number {
        0 => None,
        1 => Some(format!("1 {one}")),
        number => Some(format!("{number} {one}s")),
    };
    let losses = [count(unsettled, "unsettled update"), count(dead_letters, "dead letter")];
    losses.into_iter().flatten().collect::<Vec<_>>().join(" and ")
}

impl BotHandle {
    /// Makes a durable group.
    ///
    /// # Errors
    /// [`SteerError`].
    pub async fn create_group(&self, group: NewGroup) -> Result<GroupView, SteerError> {
        self.steer(|reply| Steer::CreateGroup { group, reply }).await.unwrap_or(Err(SteerError::Stopped))
    }

    /// Changes a durable group.
    ///
    /// # Errors
    /// [`SteerError`].
    pub async fn change_group(&self, group: GroupName, change: GroupChange) -> Result<GroupView, SteerError> {
        self.steer(|reply| Steer::ChangeGroup { group, change, reply })
            .await
            .unwrap_or(Err(SteerError::Stopped))
    }

    /// Deletes a durable group; answers how many updates it had not settled.
    ///
    /// # Errors
    /// [`SteerError`].
    pub async fn delete_group(&self, group: GroupName, force: bool) -> Result<u64, SteerError> {
        self.steer(|reply| Steer::DeleteGroup { group, force, reply })
            .await
            .unwrap_or(Err(SteerError::Stopped))
    }

    /// Hands settled updates to a group again; answers how many.
    ///
    /// # Errors
    /// [`SteerError`].
    pub async fn replay(
        &self,
        group: GroupName,
        sequences: Vec<Sequence>,
        from_dead_letters: bool,
    ) -> Result<u64, SteerError> {
        self.steer(|reply| Steer::Replay { group, sequences, from_dead_letters, reply })
            .await
            .unwrap_or(Err(SteerError::Stopped))
    }

    /// Removes dead letters.
    ///
    /// # Errors
    /// [`SteerError`].
    pub async fn purge_dead_letters(
        &self,
        group: GroupName,
        sequences: Vec<Sequence>,
    ) -> Result<(), SteerError> {
        self.steer(|reply| Steer::PurgeDeadLetters { group, sequences, reply })
            .await
            .unwrap_or(Err(SteerError::Stopped))
    }

    /// Removes updates for good, from everywhere.
    ///
    /// # Errors
    /// [`SteerError`].
    pub async fn purge(&self, sequences: Vec<Sequence>) -> Result<(), SteerError> {
        self.steer(|reply| Steer::Purge { sequences, reply }).await.unwrap_or(Err(SteerError::Stopped))
    }

    /// The groups, or one of them, by name; `None` once the driver has stopped.
    pub async fn groups(&self, only: Option<GroupName>) -> Option<Vec<GroupView>> {
        self.steer(|reply| Steer::Groups { only, reply }).await
    }

    /// What is delivered to a group and not settled, ascending.
    ///
    /// # Errors
    /// [`SteerError`].
    pub async fn held(
        &self,
        group: GroupName,
        key: Option<KeyHash>,
        after: Sequence,
        limit: usize,
    ) -> Result<Vec<HeldView>, SteerError> {
        self.steer(|reply| Steer::Held { group, key, after, limit, reply })
            .await
            .unwrap_or(Err(SteerError::Stopped))
    }

    /// For each update what it is at in every durable group, or in one of them; `None` once the driver has stopped.
    pub async fn standing(&self, heads: Vec<Head>, only: Option<GroupId>) -> Option<Vec<Vec<UpdateInGroup>>> {
        self.steer(|reply| Steer::Standing { heads, only, reply }).await
    }

    async fn steer<T>(&self, steer: impl FnOnce(Reply<T>) -> Steer) -> Option<T> {
        self.ask(|reply| Input::Steer(steer(reply))).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_be_lost_is_counted_in_words() {
        assert_eq!(losses(1, 0), "1 unsettled update");
        assert_eq!(losses(0, 2), "2 dead letters");
        assert_eq!(losses(12, 1), "12 unsettled updates and 1 dead letter");
    }
}
