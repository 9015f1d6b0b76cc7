//! ListDeadLetters and PurgeDeadLetters.

use tonic::Status;

use super::paging::{Page, Pager, Position};
use super::refused::{self, look, refused};
use super::selections;
use super::stored;
use crate::grpc::bots::{Bot, Bots};
use crate::grpc::fields;
use crate::grpc::messages::saturating_i64;
use crate::grpc::proto::server as pb;
use crate::inspect::Selection;
use crate::model::{GroupId, Sequence};

/// As many as one commit takes easily.
pub(super) const AT_ONCE: usize = 500;

pub(super) async fn list(
    bots: &Bots,
    mut request: pb::ListDeadLettersRequest,
) -> Result<pb::ListDeadLettersResponse, Status> {
    let pager = Pager::take(&mut request)?;
    let selection = selections::any(request.selection.as_ref())?;
    let view = selections::view(request.view)?;
    let bot = bots.find(&request.bot)?;
    let groups = match request.group.as_str() {
        "" => refused::groups(bot).await?,
        name => vec![refused::group(bot, fields::group(name)?).await?],
    };
    look(bot, move |inspector| {
        let mut page = Page::new(&pager);
        let answer = |page: Page<_>, next| {
            let next_page_token = pager.token(next);
            Ok(pb::ListDeadLettersResponse { dead_letters: page.results, next_page_token })
        };
        for group in groups.iter().filter(|group| group.dead_letters > 0) {
            let name = group.record.name.as_str();
            let from = match &pager.from {
                Some(from) if name < from.name.as_str() => continue,
                Some(from) if name == from.name => Sequence(from.number),
                _ => Sequence(u64::MAX),
            };
            let at = |next: Sequence| Position { name: name.to_owned(), number: next.0 };
            if page.room() == 0 {
                return answer(page, Some(at(from)));
            }
            let found = inspector.dead_letters_down(group.record.id, &selection, from, page.room())?;
            for letter in &found.letters {
                let message = stored::dead_letter(name, group.record.ordering, letter, view);
                if !page.add(message) {
                    return answer(page, Some(at(letter.head.sequence)));
                }
            }
            if let Some(next) = found.next {
                return answer(page, Some(at(next)));
            }
        }
        answer(page, None)
    })
    .await
}

pub(super) async fn purge(
    bots: &Bots,
    request: &pb::PurgeDeadLettersRequest,
) -> Result<pb::PurgeDeadLettersResponse, Status> {
    let selection = selections::required(request.selection.as_ref())?;
    let name = fields::group(&request.group)?;
    let bot = bots.find(&request.bot)?;
    let group = refused::group(bot, name.clone()).await?.record.id;
    let mut purged = 0;
    let mut from = Some(Sequence(0));
    while let Some(at) = from {
        let (sequences, next) = next(bot, group, &selection, at).await?;
        purged += sequences.len() as u64;
        if !request.dry_run
            && !sequences.is_empty()
            && let Err(why) = bot.handle.purge_dead_letters(name.clone(), sequences).await
        {
            return Err(refused(bot, why).await);
        }
        from = next;
    }
    Ok(pb::PurgeDeadLettersResponse { purged: saturating_i64(purged) })
}

/// The positions of the next dead letters of a group, oldest first, and where to go on.
pub(super) async fn next(
    bot: &Bot,
    group: GroupId,
    selection: &Selection,
    from: Sequence,
) -> Result<(Vec<Sequence>, Option<Sequence>), Status> {
    let selection = selection.clone();
    look(bot, move |inspector| {
        let page = inspector.dead_letters_up(group, &selection, from, AT_ONCE)?;
        Ok((page.letters.iter().map(|letter| letter.head.sequence).collect(), page.next))
    })
    .await
}
