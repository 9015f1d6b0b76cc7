//! `switchboard groups create`.

use clap::{Args, ValueEnum};
use std::collections::HashMap;

use super::super::failure::Failure;
use super::super::moment::Position;
use super::super::session::Session;
use super::settings::{FilterArgs, SettingsArgs};
use crate::grpc::proto::client::create_group_request::Start;
use crate::grpc::proto::client::{CreateGroupRequest, Group, Ordering};

#[derive(Args, Clone, Debug)]
pub(super) struct CreateArgs {
    /// Its name: 1–63 of the characters a-z, 0-9, `-`, `_` and `.`, beginning with a letter or digit
    #[arg(value_name = "NAME")]
    name: String,

    /// Where it begins: earliest, latest, a sequence, a time (without a zone UTC), or so long ago like -1h [default: earliest for a bot's first group, latest
    /// for later ones]
    #[arg(long, value_name = "POSITION", allow_hyphen_values = true)]
    start: Option<Position>,

    /// What its order is kept by; never changes
    #[arg(long, value_enum, default_value_t)]
    ordering: OrderingArg,

    /// It gets what the filter of no other group matches; never changes
    #[arg(long)]
    fallback: bool,

    #[command(flatten)]
    filter: FilterArgs,

    #[command(flatten)]
    settings: SettingsArgs,
}

/// What a group's order is kept by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum OrderingArg {
    /// The chat, else the user
    #[default]
    Chat,
    /// The user, else the chat
    User,
    /// The topic inside the chat
    Topic,
    /// None: every update by itself
    None,
}

impl CreateArgs {
    pub(super) async fn run(self, session: &mut Session) -> Result<(), Failure> {
        let request = self.request(session)?;
        let group = session.client.create_group(request).await?.into_inner().group.unwrap_or_default();
        session.show(&group, |_| {
            vec![format!(
                "Created group {} of bot {}, from sequence {} on.",
                group.name, group.bot, group.start_sequence
            )]
        })
    }

    fn request(self, session: &Session) -> Result<CreateGroupRequest, Failure> {
        let (settings, named) = self.settings.named(HashMap::new());
        let ordering = match self.ordering {
            OrderingArg::Chat => Ordering::Chat,
            OrderingArg::User => Ordering::User,
            OrderingArg::Topic => Ordering::Topic,
            OrderingArg::None => Ordering::None,
        };
        let group = Group {
            bot: session.bot.clone(),
            name: self.name,
            filter: self.filter.applied_to(None),
            fallback: self.fallback,
            ordering: ordering.into(),
            settings: (!named.is_empty()).then_some(settings),
            ..Group::default()
        };
        let start = match self.start {
            None => None,
            Some(Position::Earliest) => Some(Start::StartEarliest(true)),
            Some(Position::Latest) => Some(Start::StartLatest(true)),
            Some(Position::Sequence(sequence)) => Some(Start::StartSequence(sequence)),
            Some(Position::Time(moment)) => Some(Start::StartTime(moment.begin(session.now(), "--start")?)),
        };
        Ok(CreateGroupRequest { group: Some(group), start })
    }
}
