//! `switchboard groups delete`.

use clap::Args;

use super::super::failure::Failure;
use super::super::session::Session;
use super::super::words::count;
use super::show;
use crate::grpc::proto::client::{DeleteGroupRequest, Group};

#[derive(Args, Clone, Debug)]
pub(super) struct DeleteArgs {
    /// The group
    #[arg(value_name = "NAME")]
    name: String,

    /// Give up its unsettled updates and its dead letters
    #[arg(long)]
    force: bool,

    /// Do not ask
    #[arg(long)]
    yes: bool,
}

impl DeleteArgs {
    pub(super) async fn run(self, session: &mut Session) -> Result<(), Failure> {
        let group = show::get(session, self.name.clone()).await?;
        // Without force the gateway refuses what would be lost, and says so: there is nothing to confirm yet.
        if self.force || is_empty(&group) {
            session.console.confirm(&question(&group), self.yes)?;
        }
        let request = DeleteGroupRequest { bot: group.bot, group: group.name, force: self.force };
        let deleted = session.client.delete_group(request).await?.into_inner();
        let name = self.name;
        session.show(&deleted, |_| {
            let with = match deleted.unsettled {
                0 => String::new(),
                unsettled => format!(" with {}", count(unsettled, "unsettled update")),
            };
            vec![format!("Deleted group {name}{with}.")]
        })
    }
}

fn is_empty(group: &Group) -> bool {
    group.status.as_ref().is_none_or(|status| status.lag == 0 && status.dead_letter_count == 0)
}

fn question(group: &Group) -> String {
    let status = group.status.clone().unwrap_or_default();
    let unsettled = match (status.lag, status.lag_exact) {
        (0, true) => String::new(),
        (lag, true) => count(lag, "unsettled update"),
        (lag, false) => format!("at least {}", count(lag, "unsettled update")),
    };
    let dead = match status.dead_letter_count {
        0 => String::new(),
        dead => count(dead, "dead letter"),
    };
    let losses: Vec<String> = [unsettled, dead].into_iter().filter(|words| !words.is_empty()).collect();
    let with = if losses.is_empty() { String::new() } else { format!(" with {}", losses.join(" and ")) };
    format!("Delete group {}{with}?", group.name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::grpc::proto::client::GroupStatus;

    #[test]
    fn the_question_says_what_would_be_lost() {
        let asked = |lag, dead_letter_count| {
            let status = GroupStatus { lag, lag_exact: true, dead_letter_count, ..GroupStatus::default() };
            question(&Group { name: "orders".into(), status: Some(status), ..Group::default() })
        };
        assert_eq!(asked(12, 0), "Delete group orders with 12 unsettled updates?");
        assert_eq!(asked(1, 2), "Delete group orders with 1 unsettled update and 2 dead letters?");
        assert_eq!(asked(0, 0), "Delete group orders?");
    }
}
