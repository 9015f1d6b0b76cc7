//! `switchboard outstanding`: what is delivered and not settled.

use clap::Args;

use super::failure::Failure;
use super::pages::{self, Limit};
use super::session::{Session, Target};
use super::table::Column;
use super::times::Times;
use super::{values, words};
use crate::grpc::proto::client::{ListOutstandingRequest, OutstandingDelivery};

/// List what is delivered and not settled, by group and position
#[derive(Args, Clone, Debug)]
pub struct OutstandingArgs {
    /// Of this group only
    #[arg(value_name = "GROUP")]
    group: Option<String>,

    /// Of this ordering key only, such as chat:42
    #[arg(long, value_name = "KEY", value_parser = values::word)]
    key: Option<String>,

    #[command(flatten)]
    limit: Limit,

    #[command(flatten)]
    pub(super) target: Target,
}

impl OutstandingArgs {
    pub(super) async fn run(self, session: &mut Session) -> Result<(), Failure> {
        let request = ListOutstandingRequest {
            bot: session.bot.clone(),
            group: self.group.unwrap_or_default(),
            ordering_key: self.key.unwrap_or_default(),
            ..ListOutstandingRequest::default()
        };
        let client = &mut session.client;
        let listed = pages::collect(self.limit, async |page_size, page_token| {
            let request = ListOutstandingRequest { page_size, page_token, ..request.clone() };
            let page = client.list_outstanding(request).await?.into_inner();
            Ok((page.deliveries, page.next_page_token))
        })
        .await?;
        let mut table = session.table(vec![
            Column::left("GROUP"),
            Column::right("SEQUENCE"),
            Column::left("KEY"),
            Column::left("STATE"),
            Column::right("TRY"),
            Column::right("FAILED"),
            Column::elastic("CONSUMER"),
            Column::left("UNTIL"),
            Column::elastic("LAST FAILURE"),
        ]);
        session.show_list(&listed.items, &mut table, row)?;
        session.remark_on(&listed, "outstanding deliveries");
        Ok(())
    }
}

fn row(times: &Times, delivery: &OutstandingDelivery) -> Vec<String> {
    let failure = delivery.last_failure.clone().map(|failure| match failure.reason.is_empty() {
        true => words::failure(failure.kind()).to_owned(),
        false => failure.reason,
    });
    vec![
        delivery.group.clone(),
        delivery.sequence.to_string(),
        delivery.ordering_key.clone(),
        words::state(delivery.state()).to_owned(),
        delivery.attempt.to_string(),
        delivery.failures.to_string(),
        delivery.consumer_id.clone(),
        times.show(delivery.lease_deadline.as_ref().or(delivery.next_attempt_time.as_ref())),
        failure.unwrap_or_default(),
    ]
}
