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
What is given takes the place of that part only: `--kinds message` leaves the chats as they are. To take a part
away, begin anew: `--reset filter --chats 42`.")]
pub(super) struct UpdateArgs {
    /// The group
    #[arg(value_name = "NAME")]
    name: String,

    #[command(flatten)]
    filter: FilterArgs,

    #[command(flatten)]
    settings: SettingsArgs,

    /// Never changes
    #[arg(long, hide = true)]
    ordering: Option<String>,

    /// Never changes
    #[arg(long, hide = true)]
    fallback: bool,

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
        for (flag, given) in [("--ordering", self.ordering.is_some()), ("--fallback", self.fallback)] {
            if given {
                return Err(Failure::Usage(format!(
                    "{flag} never changes: make another group with `switchboard groups create`, and delete this one"
                )));
            }
        }
        let now = show::get(session, self.name.clone()).await?;
        let (group, paths) = self.request(&now)?;
        let update_mask = Some(FieldMask { paths: paths.clone() });
        let request = UpdateGroupRequest { group: Some(group), update_mask };
        let group = session.client.update_group(request).await?.into_inner().group.unwrap_or_default();
        session.show(&group, |_| {
            vec![format!("Changed group {}: {}.", group.name, changed(&group, &paths).join(", "))]
        })
    }

    /// With what stays of the group as it is now.
    fn request(&self, now: &Group) -> Result<(Group, Vec<String>), Failure> {
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
        Ok((group, paths))
    }
}

/// What was changed, as it is now.
fn changed(group: &Group, paths: &[String]) -> Vec<String> {
    let is_changed = |name: &str| paths.iter().any(|path| path.strip_prefix("settings.") == Some(name));
    let mut changed = Vec::new();
    if paths.iter().any(|path| path == "filter") {
        changed.push(format!("it gets {}", super::filter(group)));
    }
    let flags = group.settings.as_ref().map(show::flags).unwrap_or_default();
    changed.extend(flags.into_iter().filter(|(name, _)| is_changed(name)).map(|(_, flag)| flag));
    if is_changed("max_age") && group.settings.as_ref().is_none_or(|settings| settings.max_age.is_empty()) {
        changed.push("no max-age".to_owned());
    }
    changed
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

    fn now() -> Group {
        Group {
            bot: "default".into(),
            name: "orders".into(),
            filter: Some(Filter { chat_ids: vec![7], ..Filter::default() }),
            settings: Some(GroupSettings {
                max_failures: Some(2),
                min_failure_span: Some(Duration { seconds: 0, nanos: 0 }),
                max_age: [("poll".to_owned(), Duration { seconds: 5, nanos: 0 })].into(),
                ..GroupSettings::default()
            }),
            ..Group::default()
        }
    }

    fn request(args: &[&str]) -> Result<(Group, Vec<String>), Failure> {
        let line = Line::try_parse_from(["x", "orders"].iter().chain(args)).unwrap();
        line.update.request(&now())
    }

    #[test]
    fn what_was_changed_is_shown_as_it_is_now() {
        let shown = |paths: &[&str]| {
            changed(&now(), &paths.iter().map(|path| (*path).to_owned()).collect::<Vec<_>>()).join(", ")
        };
        assert_eq!(
            shown(&["settings.max_failures", "settings.min_failure_span"]),
            "max-failures 2, min-failure-span 0s"
        );
        assert_eq!(shown(&["filter", "settings.max_age"]), "it gets chats=7, max-age poll=5s");
        let ageless = Group { settings: Some(GroupSettings::default()), ..now() };
        assert_eq!(changed(&ageless, &["settings.max_age".to_owned()]), ["no max-age"]);
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
