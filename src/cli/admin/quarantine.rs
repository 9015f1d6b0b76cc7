//! `switchboard quarantine`: what Telegram sent and could not be read as an update.

use clap::Args;

use super::failure::Failure;
use super::pages::{self, Limit};
use super::session::{Session, Target};
use super::table::Column;
use super::times::Times;
use super::words;
use crate::grpc::proto::client::{ListQuarantinedRequest, QuarantinedElement};

/// List what Telegram sent and could not be read as an update, newest first
#[derive(Args, Clone, Debug)]
pub struct QuarantineArgs {
    #[command(flatten)]
    limit: Limit,

    #[command(flatten)]
    pub(super) target: Target,
}

impl QuarantineArgs {
    pub(super) async fn run(self, session: &mut Session) -> Result<(), Failure> {
        let (client, bot) = (&mut session.client, &session.bot);
        let listed = pages::collect(self.limit, async |page_size, page_token| {
            let request = ListQuarantinedRequest { bot: bot.clone(), page_size, page_token };
            let page = client.list_quarantined(request).await?.into_inner();
            Ok((page.elements, page.next_page_token))
        })
        .await?;
        let mut table = session.table(vec![
            Column::right("NUMBER"),
            Column::left("RECEIVED"),
            Column::right("SIZE"),
            Column::elastic("REASON"),
            Column::elastic("CONTENT"),
        ]);
        session.show_list(&listed.items, &mut table, row)?;
        session.remark_on(&listed, "quarantined elements");
        Ok(())
    }
}

fn row(times: &Times, element: &QuarantinedElement) -> Vec<String> {
    let shown = element.content.get(..SHOWN_BYTES).unwrap_or(&element.content);
    vec![
        element.number.to_string(),
        times.show(element.receive_time.as_ref()),
        words::bytes(element.size_bytes),
        element.reason.clone(),
        String::from_utf8_lossy(shown).into_owned(),
    ]
}

/// What a line has room for; all of it is in the JSON.
const SHOWN_BYTES: usize = 120;
