//! PurgeUpdates.

use tonic::Status;

use super::dead_letters;
use super::refused::{self, NotFound, look, refused};
use super::selections::sequence;
use crate::grpc::bots::{Bot, Bots};
use crate::grpc::fields::invalid;
use crate::grpc::messages::saturating_i64;
use crate::grpc::proto::server as pb;
use crate::inspect::Selection;
use crate::model::{GroupId, KeyHash, Sequence};

/// As many as one commit takes easily.
const AT_ONCE: usize = 500;

pub(super) async fn purge(
    bots: &Bots,
    request: &pb::PurgeUpdatesRequest,
) -> Result<pb::PurgeUpdatesResponse, Status> {
    use pb::purge_updates_request::Whose;
    let whose = match request.whose {
        None => {
            let problem = "is missing; set one of `chat_id`, `user_id` and `sequence`";
            return Err(invalid("whose", problem).into());
        }
        Some(Whose::ChatId(id)) => Selection { chat: Some(KeyHash::of_chat(id)), ..Selection::default() },
        Some(Whose::UserId(id)) => Selection { user: Some(KeyHash::of_user(id)), ..Selection::default() },
        Some(Whose::Sequence(number)) => {
            Selection { sequences: vec![sequence("sequence", number)?], ..Selection::default() }
        }
    };
    let bot = bots.find(&request.bot)?;
    let groups: Vec<_> = refused::groups(bot)
        .await?
        .iter()
        .filter(|group| group.dead_letters > 0)
        .map(|group| group.record.id)
        .collect();
    // Counted first: a purged update's dead letters go with it.
    let dead_letters = dead_letters(bot, &groups, &whose, Act::Count).await?;
    let act = if request.dry_run { Act::Count } else { Act::Purge };
    let updates = updates(bot, &whose, act).await?;
    if let (Some(Whose::Sequence(value)), 0, 0) = (&request.whose, updates, dead_letters) {
        return Err(NotFound::Update { key: "sequence", value: *value }.into());
    }
    if !request.dry_run {
        // Those whose updates were trimmed long ago.
        self::dead_letters(bot, &groups, &whose, Act::Purge).await?;
    }
    Ok(pb::PurgeUpdatesResponse {
        updates: saturating_i64(updates),
        dead_letters: saturating_i64(dead_letters),
    })
}

/// What to do with what is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Act {
    Count,
    Purge,
}

async fn updates(bot: &Bot, whose: &Selection, act: Act) -> Result<u64, Status> {
    let mut count = 0;
    let mut from = Some(Sequence(0));
    while let Some(at) = from {
        let selection = whose.clone();
        let (heads, next) =
            look(bot, move |inspector| inspector.matching(&selection, Some(at), AT_ONCE)).await?;
        count += heads.len() as u64;
        act_on(bot, heads.iter().map(|head| head.sequence).collect(), act).await?;
        from = next;
    }
    Ok(count)
}

async fn dead_letters(bot: &Bot, groups: &[GroupId], whose: &Selection, act: Act) -> Result<u64, Status> {
    let mut count = 0;
    for group in groups {
        let mut from = Some(Sequence(0));
        while let Some(at) = from {
            let (sequences, next) = dead_letters::next(bot, *group, whose, at).await?;
            count += sequences.len() as u64;
            act_on(bot, sequences, act).await?;
            from = next;
        }
    }
    Ok(count)
}

async fn act_on(bot: &Bot, sequences: Vec<Sequence>, act: Act) -> Result<(), Status> {
    if act == Act::Purge
        && !sequences.is_empty()
        && let Err(why) = bot.handle.purge(sequences).await
    {
        return Err(refused(bot, why).await);
    }
    Ok(())
}
