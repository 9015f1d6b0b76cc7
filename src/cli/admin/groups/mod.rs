//! `switchboard groups`: the groups, and all that changes them.

mod create;
mod delete;
mod pause;
mod settings;
mod show;
mod update;

use clap::{Args, Subcommand};

use super::failure::Failure;
use super::pages::{self, Limit};
use super::session::{Session, Target};
use super::table::Column;
use super::times::Times;
use super::words;
use crate::grpc::proto::client::{Group, ListGroupsRequest};

/// List the groups, or look into one and change it
#[derive(Args, Clone, Debug)]
#[command(args_conflicts_with_subcommands = true)]
pub struct GroupsArgs {
    #[command(subcommand)]
    command: Option<GroupsCommand>,

    #[command(flatten)]
    limit: Limit,

    #[command(flatten)]
    pub(super) target: Target,
}

#[derive(Clone, Debug, Subcommand)]
enum GroupsCommand {
    /// Show a group: its settings, lag, consumers and blocked keys
    Show(show::ShowArgs),
    /// Create a group before a consumer does
    Create(create::CreateArgs),
    /// Change a group's filter and settings
    Update(update::UpdateArgs),
    /// Delete a group with its progress and its dead letters
    Delete(delete::DeleteArgs),
    /// Stop deliveries to a group, over restarts, too
    Pause(pause::PauseArgs),
    /// Let deliveries to a paused group go on
    Resume(pause::ResumeArgs),
}

impl GroupsArgs {
    pub(super) async fn run(self, session: &mut Session) -> Result<(), Failure> {
        match self.command {
            None => list(self.limit, session).await,
            Some(GroupsCommand::Show(args)) => args.run(session).await,
            Some(GroupsCommand::Create(args)) => args.run(session).await,
            Some(GroupsCommand::Update(args)) => args.run(session).await,
            Some(GroupsCommand::Delete(args)) => args.run(session).await,
            Some(GroupsCommand::Pause(args)) => args.run(session).await,
            Some(GroupsCommand::Resume(args)) => args.run(session).await,
        }
    }
}

async fn list(limit: Limit, session: &mut Session) -> Result<(), Failure> {
    let (client, bot) = (&mut session.client, &session.bot);
    let listed = pages::collect(limit, async |page_size, page_token| {
        let request = ListGroupsRequest { bot: bot.clone(), page_size, page_token };
        let page = client.list_groups(request).await?.into_inner();
        Ok((page.groups, page.next_page_token))
    })
    .await?;
    let mut table = session.table(vec![
        Column::left("BOT"),
        Column::left("GROUP"),
        Column::left("STATE"),
        Column::right("LAG"),
        Column::left("OLDEST"),
        Column::right("OUT"),
        Column::right("RETRY"),
        Column::right("DEAD"),
        Column::right("CONS"),
        Column::right("SETTLED/S"),
        Column::elastic("FILTER"),
    ]);
    session.show_list(&listed.items, &mut table, row)?;
    session.remark_on(&listed, "groups");
    Ok(())
}

fn row(times: &Times, group: &Group) -> Vec<String> {
    let status = group.status.clone().unwrap_or_default();
    vec![
        group.bot.clone(),
        group.name.clone(),
        state(group).to_owned(),
        lag(group),
        times.show(status.oldest_unsettled_time.as_ref()),
        status.outstanding.to_string(),
        status.backing_off.to_string(),
        status.dead_letter_count.to_string(),
        status.consumers.len().to_string(),
        status.rates.map_or_else(String::new, |rates| format!("{:.1}", rates.settled)),
        filter(group),
    ]
}

/// Whether it works, and if not, why.
fn state(group: &Group) -> &'static str {
    let alone = group.status.as_ref().is_none_or(|status| status.consumers.is_empty());
    match group {
        Group { pause_time: Some(_), .. } => "paused",
        Group { ephemeral: true, .. } => "ephemeral",
        _ if alone => "no consumer",
        _ => "active",
    }
}

fn lag(group: &Group) -> String {
    let status = group.status.clone().unwrap_or_default();
    // While it is still being counted, it is at least that.
    if status.lag_exact { status.lag.to_string() } else { format!("≥{}", status.lag) }
}

fn filter(group: &Group) -> String {
    let filter = words::filter(group.filter.as_ref());
    match (group.fallback, filter.as_str()) {
        (false, _) => filter,
        (true, "all") => "fallback".to_owned(),
        (true, _) => format!("fallback {filter}"),
    }
}

#[cfg(test)]
mod tests {
    use prost_types::Timestamp;

    use super::super::table::Table;
    use super::super::times::TimeStyle;
    use super::*;
    use crate::grpc::proto::client::{Consumer, Filter, GroupStatus};

    #[test]
    fn a_group_is_a_row_that_says_how_it_is_doing() {
        let group = Group {
            bot: "default".into(),
            name: "orders".into(),
            filter: Some(Filter { kinds: vec!["message".into()], ..Filter::default() }),
            status: Some(GroupStatus {
                lag: 12,
                lag_exact: true,
                oldest_unsettled_time: Some(Timestamp { seconds: 40, nanos: 0 }),
                outstanding: 2,
                backing_off: 1,
                consumers: vec![Consumer::default()],
                ..GroupStatus::default()
            }),
            ..Group::default()
        };
        let times = Times::new(TimeStyle::Relative, Timestamp { seconds: 100, nanos: 0 });
        let cells = row(&times, &group);
        assert_eq!(
            cells,
            ["default", "orders", "active", "12", "1m ago", "2", "1", "0", "1", "", "kinds=message"]
        );
        let columns: Vec<Column> = cells.iter().map(|_| Column::left("")).collect();
        assert_eq!(Table::new(columns, Some(100)).lines(&[cells]).len(), 2);
    }

    #[test]
    fn a_lag_that_is_still_being_counted_says_so() {
        let status = GroupStatus { lag: 7, ..GroupStatus::default() };
        assert_eq!(lag(&Group { status: Some(status), ..Group::default() }), "≥7");
    }

    #[test]
    fn a_paused_group_and_one_without_consumers_stand_out() {
        let paused = Group { pause_time: Some(Timestamp::default()), ..Group::default() };
        assert_eq!(state(&paused), "paused");
        assert_eq!(state(&Group::default()), "no consumer");
        assert_eq!(filter(&Group { fallback: true, ..Group::default() }), "fallback");
    }
}
