//! Why a request was not granted, as far as names can be suggested.

use std::fmt;

use tonic::Status;

use crate::driver::{NewGroup, SteerError};
use crate::grpc::bots::Bot;
use crate::grpc::nearest::nearest;
use crate::grpc::status;
use crate::inspect::{InspectError, Inspector};
use crate::model::{GroupName, GroupView};

/// A driver's refusal, with the group that may have been meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::grpc) struct Refused {
    pub(in crate::grpc) why: SteerError,
    pub(in crate::grpc) nearest: Option<String>,
}

/// What a request names and what is not there.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(in crate::grpc) enum NotFound {
    #[error("there is no update with the {key} {value}: neither in the journal nor among the dead letters")]
    Update { key: &'static str, value: i64 },
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.nearest {
            Some(nearest) => write!(f, "{}; did you mean `{nearest}`?", self.why),
            None => self.why.fmt(f),
        }
    }
}

impl From<SteerError> for Refused {
    fn from(why: SteerError) -> Self {
        Self { why, nearest: None }
    }
}

/// A refusal as the client gets it.
pub(super) async fn refused(bot: &Bot, why: SteerError) -> Status {
    let nearest = match &why {
        SteerError::UnknownGroup(name) => {
            let groups = bot.handle.groups(None).await.unwrap_or_default();
            nearest(name.as_str(), groups.iter().map(|group| group.record.name.as_str()))
        }
        _ => None,
    };
    Refused { why, nearest }.into()
}

/// The group of this name.
pub(super) async fn group(bot: &Bot, name: GroupName) -> Result<GroupView, Status> {
    let found = bot.handle.groups(Some(name.clone())).await.ok_or_else(stopped)?.into_iter().next();
    match found {
        Some(found) => Ok(found),
        None => Err(refused(bot, SteerError::UnknownGroup(name)).await),
    }
}

/// The durable group of this name: what streams come and go with is neither sought nor replayed to.
pub(super) async fn durable_group(bot: &Bot, name: GroupName) -> Result<GroupView, Status> {
    let found = group(bot, name).await?;
    if found.ephemeral {
        Err(Refused::from(SteerError::Ephemeral(found.record.name)).into())
    } else {
        Ok(found)
    }
}

/// All groups, by name.
pub(super) async fn groups(bot: &Bot) -> Result<Vec<GroupView>, Status> {
    bot.handle.groups(None).await.ok_or_else(stopped)
}

pub(super) fn stopped() -> Status {
    Refused::from(SteerError::Stopped).into()
}

/// Looks into the journal, where that may block.
pub(super) async fn look<T: Send + 'static>(
    bot: &Bot,
    look: impl FnOnce(&Inspector) -> Result<T, InspectError> + Send + 'static,
) -> Result<T, Status> {
    let inspector = bot.inspector.clone();
    match tokio::task::spawn_blocking(move || look(&inspector)).await {
        Ok(seen) => Ok(seen?),
        Err(_) => Err(status::looking_failed()),
    }
}

/// Makes a group.
pub(super) async fn create(bot: &Bot, group: NewGroup) -> Result<GroupView, Status> {
    match bot.handle.create_group(group).await {
        Ok(made) => Ok(made),
        Err(why) => Err(refused(bot, why).await),
    }
}
