//! `switchboard groups update`.

use clap::{Args, ValueEnum};
use prost_types::FieldMask;

use super::super::failure::Failure;
use super::super::session::Session;
use super::settings::{FilterArgs, SettingsArgs};
use super::show;
use crate::grpc::proto::client::{Group, UpdateGroupRequest};

#[derive(Args, Clone, Debug)]
#[command(after_help = "\
A changed filter applies to updates that are stored from then on; `switchboard seek` applies it to earlier ones.
What is given takes the place of that part only: `--kinds message` leaves the chats as they are, `--kinds ''`
takes the kinds away.")]
pub(super) struct UpdateArgs {
    /// The group
    #[arg(value_name = "NAME")]
    name: String,

    #[command(flatten)]
    filter: FilterArgs,

    #[command(flatten)]
    settings: SettingsArgs,

    /// Bring these back to their default (of the filter: all updates), several with commas
    #[arg(long, value_name = "SETTING,…", value_enum, value_delimiter = ',')]
    reset: Vec<Resettable>,
}

/// What can be brought back to its default.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Resettable {
    Filter,
    MaxFailures,
    MinFailureSpan,
    BackoffInitial,
    BackoffMax,
    MemberGrace,
    MaxLease,
    MaxUnsettledAge,
    MaxAge,
}

impl Resettable {
    fn path(self) -> &'static str {
        match self {
            Self::Filter => "filter",
            Self::MaxFailures => "settings.max_failures",
            Self::MinFailureSpan => "settings.min_failure_span",
            Self::BackoffInitial => "settings.backoff_initial",
            Self::BackoffMax => "settings.backoff_max",
            Self::MemberGrace => "settings.member_grace",
            Self::MaxLease => "settings.max_lease",
            Self::MaxUnsettledAge => "settings.max_unsettled_age",
            Self::MaxAge => "settings.max_age",
        }
    }
}

impl UpdateArgs {
    pub(super) async fn run(self, session: &mut Session) -> Result<(), Failure> {
        let now = show::get(session, self.name.clone()).await?;
        let request = self.request(&now)?;
        let group = session.client.update_group(request).await?.into_inner().group.unwrap_or_default();
        session.show(&group, |_| {
            vec![format!("Changed group {}: it gets {}.", group.name, super::filter(&group))]
        })
    }

    /// With what stays of the group as it is now.
    fn request(&self, now: &Group) -> Result<UpdateGroupRequest, Failure> {
        let resets = |what| self.reset.contains(&what);
        let had = if resets(Resettable::Filter) { None } else { now.filter.as_ref() };
        let filter = self.filter.applied_to(had);
        let ages = now.settings.as_ref().map(|settings| settings.max_age.clone()).unwrap_or_default();
        let ages = if resets(Resettable::MaxAge) { Default::default() } else { ages };
        let (settings, named) = self.settings.named(ages);
        let mut paths: Vec<String> = named.iter().map(|name| format!("settings.{name}")).collect();
        if filter.is_some() {
            paths.push("filter".to_owned());
        }
        for reset in self.reset.iter().map(|reset| reset.path()) {
            let given = paths.iter().any(|path| path == reset);
            // A filter and the ages of kinds can be begun anew; one value cannot be both given and the default.
            if given && ![Resettable::Filter.path(), Resettable::MaxAge.path()].contains(&reset) {
                return Err(Failure::Usage(format!(
                    "{reset} is both given and reset; leave out one of them"
                )));
            }
            if !given {
                paths.push(reset.to_owned());
            }
        }
        if paths.is_empty() {
            return Err(Failure::Usage("say what to change: a filter, a setting, or --reset".to_owned()));
        }
        let group = Group {
            bot: now.bot.clone(),
            name: now.name.clone(),
            filter,
            settings: Some(settings),
            ..Group::default()
        };
        Ok(UpdateGroupRequest { group: Some(group), update_mask: Some(FieldMask { paths }) })
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use prost_types::Duration;

    use super::*;
    use crate::grpc::proto::client::{Filter, GroupSettings};

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        update: UpdateArgs,
    }

    fn request(args: &[&str]) -> Result<(Group, Vec<String>), Failure> {
        let now = Group {
            bot: "default".into(),
            name: "orders".into(),
            filter: Some(Filter { chat_ids: vec![7], ..Filter::default() }),
            settings: Some(GroupSettings {
                max_age: [("poll".to_owned(), Duration { seconds: 5, nanos: 0 })].into(),
                ..GroupSettings::default()
            }),
            ..Group::default()
        };
        let line = Line::try_parse_from(["x", "orders"].iter().chain(args)).unwrap();
        let request = line.update.request(&now)?;
        Ok((request.group.unwrap(), request.update_mask.unwrap().paths))
    }

    #[test]
    fn what_is_given_is_in_the_mask_and_the_rest_stays() {
        let (group, paths) =
            request(&["--max-failures", "3", "--kinds", "message", "--reset", "max-lease"]).unwrap();
        assert_eq!(paths, ["settings.max_failures", "filter", "settings.max_lease"]);
        let filter = group.filter.unwrap();
        assert_eq!((filter.chat_ids, filter.kinds), (vec![7], vec!["message".to_owned()]));
        let settings = group.settings.unwrap();
        assert_eq!((settings.max_failures, settings.max_lease), (Some(3), None));
    }

    #[test]
    fn a_reset_begins_a_filter_and_the_ages_anew() {
        let (group, paths) =
            request(&["--reset", "filter,max-age", "--kinds", "poll", "--max-age", "message=1h"]).unwrap();
        assert_eq!(paths, ["settings.max_age", "filter"]);
        assert!(group.filter.unwrap().chat_ids.is_empty());
        assert_eq!(group.settings.unwrap().max_age.len(), 1);
        assert_eq!(request(&["--reset", "filter"]).unwrap(), request(&["--reset", "filter,filter"]).unwrap());
    }

    #[test]
    fn nothing_to_change_and_a_contradiction_are_refused() {
        assert!(request(&[]).unwrap_err().to_string().contains("what to change"));
        assert!(request(&["--max-failures", "3", "--reset", "max-failures"]).is_err());
    }
}
