//! `switchboard timeline`: what became of an update in every group, and why a chat got no answer.

mod advice;
mod chat;
mod one;

use clap::Args;

use super::failure::Failure;
use super::session::{Session, Target};
use super::values;
use crate::grpc::proto::client::get_update_request::Id;
use crate::grpc::proto::client::{GetUpdateRequest, GetUpdateResponse};

/// Find out what became of an update, or of a chat's newest ones
#[derive(Args, Clone, Debug)]
pub struct TimelineArgs {
    #[command(flatten)]
    which: Which,

    /// With --chat: so many of its newest updates
    #[arg(long, value_name = "N", default_value_t = 10, allow_negative_numbers = true,
        value_parser = clap::value_parser!(u32).range(1..=200))]
    limit: u32,

    #[command(flatten)]
    pub(super) target: Target,
}

#[derive(Args, Clone, Copy, Debug)]
#[group(required = true, multiple = false)]
struct Which {
    /// The update's sequence
    #[arg(value_name = "SEQUENCE", allow_negative_numbers = true, value_parser = values::sequence)]
    sequence: Option<i64>,

    /// By Telegram's id instead; of several the newest
    #[arg(long, value_name = "ID", allow_negative_numbers = true, value_parser = values::update_id)]
    update_id: Option<i64>,

    /// The newest updates of this chat
    #[arg(long, value_name = "ID", allow_negative_numbers = true)]
    chat: Option<i64>,
}

impl TimelineArgs {
    pub(super) async fn run(self, session: &mut Session) -> Result<(), Failure> {
        let Which { sequence, update_id, chat } = self.which;
        if let Some(chat) = chat {
            return chat::run(session, chat, self.limit).await;
        }
        let id = sequence.map(Id::Sequence).or(update_id.map(Id::UpdateId));
        let update = match (get(session, id).await, sequence) {
            (Err(failure), Some(sequence)) => return Err(failure.or_an_update_id(sequence)),
            (update, _) => update?,
        };
        session.show(&update, |session| one::lines(session, &update))
    }
}

async fn get(session: &mut Session, id: Option<Id>) -> Result<GetUpdateResponse, Failure> {
    let request = GetUpdateRequest { bot: session.bot.clone(), id };
    Ok(session.client.get_update(request).await?.into_inner())
}
