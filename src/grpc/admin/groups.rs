//! Looking at groups, making and changing them.

use prost_types::FieldMask;
use tonic::Status;

use super::bounds;
use super::group_message::{self, one, whole};
use super::paging::{Page, Pager, Position};
use super::refused::{self, look, refused};
use super::treatment::{self, Treatment};
use crate::driver::{GroupChange, NewGroup};
use crate::grpc::bots::{Bot, Bots};
use crate::grpc::fields::{self, InvalidField, invalid};
use crate::grpc::filters;
use crate::grpc::proto::server as pb;
use crate::model::{Filter, GroupName, GroupRecord, GroupSettings, GroupView, Ordering, Start};

pub(super) async fn list(
    bots: &Bots,
    mut request: pb::ListGroupsRequest,
) -> Result<pb::ListGroupsResponse, Status> {
    let pager = Pager::take(&mut request)?;
    let asked = if request.bot.is_empty() { bots.by_name() } else { vec![bots.find(&request.bot)?] };
    let mut page = Page::new(&pager);
    for bot in asked {
        // Below every character of a name: so these texts are in the order of the bots, then of the groups.
        let position = |view: &GroupView| format!("{}\0{}", bot.handle.bot(), view.record.name);
        let mut views = refused::groups(bot).await?;
        views.retain(|view| pager.from.as_ref().is_none_or(|from| position(view) >= from.name));
        let on_page = views.len().min(page.room());
        let shown = views.get(..on_page).unwrap_or_default();
        let mut full_at = views.get(on_page);
        for (view, group) in shown.iter().zip(group_message::messages(bot, shown).await?) {
            if !page.add(group) {
                full_at = Some(view);
                break;
            }
        }
        if let Some(next) = full_at {
            let next = Position { name: position(next), number: 0 };
            let next_page_token = pager.token(Some(next));
            return Ok(pb::ListGroupsResponse { groups: page.results, next_page_token });
        }
    }
    Ok(pb::ListGroupsResponse { groups: page.results, next_page_token: String::new() })
}

pub(super) async fn get(bots: &Bots, request: &pb::GetGroupRequest) -> Result<pb::GetGroupResponse, Status> {
    let bot = bots.find(&request.bot)?;
    let view = refused::group(bot, fields::group(&request.group)?).await?;
    Ok(pb::GetGroupResponse { group: Some(whole(bot, &view).await?) })
}

pub(super) async fn create(
    bots: &Bots,
    request: pb::CreateGroupRequest,
) -> Result<pb::CreateGroupResponse, Status> {
    let group = named(request.group)?;
    let bot = bots.find(&group.bot)?;
    let default = &bot.inspector.configured().group;
    let mut treatment = Treatment::new(*default);
    for field in treatment::FIELDS {
        treatment.take(field, &group.settings.clone().unwrap_or_default(), default)?;
    }
    treatment.check_backoff(|field| present(&group).contains(&field))?;
    let group = NewGroup {
        name: name(&group)?,
        filter: filter(&group)?,
        fallback: group.fallback,
        ordering: ordering(group.ordering)?,
        settings: Some(treatment.settings),
        max_ages: treatment.max_ages,
        start: start(bot, request.start).await?,
    };
    let made = refused::create(bot, group).await?;
    Ok(pb::CreateGroupResponse { group: Some(one(bot, &made).await?) })
}

pub(super) async fn update(
    bots: &Bots,
    request: pb::UpdateGroupRequest,
) -> Result<pb::UpdateGroupResponse, Status> {
    let group = named(request.group)?;
    let bot = bots.find(&group.bot)?;
    let name = name(&group)?;
    // What cannot be right is refused before the group is looked for.
    let fields = match &request.update_mask {
        Some(mask) => masked(mask)?,
        None => present(&group),
    };
    let parsed = filter(&group)?;
    ordering(group.ordering)?;
    let current = refused::group(bot, name.clone()).await?.record;
    if request.update_mask.is_none() {
        unchanged(&group, &current)?;
    }
    if fields.is_empty() {
        return Err(invalid("group", "has nothing to change; set `filter` or `settings`").into());
    }
    let treatment = changed(&fields, &group, &current, &bot.inspector.configured().group)?;
    let change = GroupChange::Settings {
        filter: fields.contains(&"filter").then_some(parsed),
        settings: treatment.as_ref().map(|treatment| treatment.settings),
        max_ages: treatment.map(|treatment| treatment.max_ages),
    };
    Ok(pb::UpdateGroupResponse { group: Some(self::change(bot, name, change).await?) })
}

pub(super) async fn delete(
    bots: &Bots,
    request: &pb::DeleteGroupRequest,
) -> Result<pb::DeleteGroupResponse, Status> {
    let bot = bots.find(&request.bot)?;
    match bot.handle.delete_group(fields::group(&request.group)?, request.force).await {
        Ok(unsettled) => {
            Ok(pb::DeleteGroupResponse { unsettled: i64::try_from(unsettled).unwrap_or(i64::MAX) })
        }
        Err(why) => Err(refused(bot, why).await),
    }
}

pub(super) async fn pause(
    bots: &Bots,
    request: &pb::PauseGroupRequest,
) -> Result<pb::PauseGroupResponse, Status> {
    let bot = bots.find(&request.bot)?;
    let group = change(bot, fields::group(&request.group)?, GroupChange::Paused(true)).await?;
    Ok(pb::PauseGroupResponse { group: Some(group) })
}

pub(super) async fn resume(
    bots: &Bots,
    request: &pb::ResumeGroupRequest,
) -> Result<pb::ResumeGroupResponse, Status> {
    let bot = bots.find(&request.bot)?;
    let group = change(bot, fields::group(&request.group)?, GroupChange::Paused(false)).await?;
    Ok(pb::ResumeGroupResponse { group: Some(group) })
}

/// Changes a group; answers it as it is then.
pub(super) async fn change(bot: &Bot, name: GroupName, change: GroupChange) -> Result<pb::Group, Status> {
    match bot.handle.change_group(name, change).await {
        Ok(view) => one(bot, &view).await,
        Err(why) => Err(refused(bot, why).await),
    }
}

fn named(group: Option<pb::Group>) -> Result<pb::Group, InvalidField> {
    group.ok_or_else(|| invalid("group", "is missing; name the group in it"))
}

fn name(group: &pb::Group) -> Result<GroupName, InvalidField> {
    fields::group_at("group.name", &group.name)
}

fn filter(group: &pb::Group) -> Result<Option<Filter>, InvalidField> {
    Ok(group.filter.as_ref().map(|filter| filters::parse("group.filter", filter)).transpose()?.flatten())
}

fn ordering(ordering: i32) -> Result<Ordering, InvalidField> {
    match pb::Ordering::try_from(ordering) {
        Ok(pb::Ordering::Unspecified | pb::Ordering::Chat) => Ok(Ordering::Chat),
        Ok(pb::Ordering::User) => Ok(Ordering::User),
        Ok(pb::Ordering::Topic) => Ok(Ordering::Topic),
        Ok(pb::Ordering::None) => Ok(Ordering::None),
        Err(_) => Err(invalid("group.ordering", format!("is {ordering}, which is no Ordering"))),
    }
}

/// Where a group begins. A handler's own clock may be ahead, and Subscribe takes what it says; an operator made a mistake.
async fn start(bot: &Bot, start: Option<pb::create_group_request::Start>) -> Result<Start, Status> {
    use pb::create_group_request::Start as Asked;
    use pb::subscribe_request::Start as Same;
    if let Some(Asked::StartTime(time)) = &start {
        bounds::begun("start_time", *time)?;
    }
    let start = fields::start(start.map(|start| match start {
        Asked::StartEarliest(set) => Same::StartEarliest(set),
        Asked::StartLatest(set) => Same::StartLatest(set),
        Asked::StartSequence(sequence) => Same::StartSequence(sequence),
        Asked::StartTime(time) => Same::StartTime(time),
    }))?;
    if let Start::Sequence(sequence) = start {
        let newest = look(bot, |inspector| Ok(inspector.holdings()?.newest)).await?;
        bounds::reached("start_sequence", sequence, newest)?;
    }
    Ok(start)
}

/// The fields that a mask names: `filter`, and settings by their own names.
fn masked(mask: &FieldMask) -> Result<Vec<&'static str>, InvalidField> {
    let mut fields = Vec::new();
    for path in &mask.paths {
        let setting = path.strip_prefix("settings.");
        match (path.as_str(), treatment::FIELDS.into_iter().find(|field| setting == Some(field))) {
            ("filter", _) => fields.push("filter"),
            ("settings", _) => fields.extend(treatment::FIELDS),
            (_, Some(field)) => fields.push(field),
            _ => {
                let all = treatment::FIELDS.map(|field| format!("settings.{field}")).join(", ");
                let problem = format!("has `{path}`; what can be changed is filter, settings, {all}");
                return Err(invalid("update_mask", problem));
            }
        }
    }
    if fields.is_empty() {
        return Err(invalid("update_mask", "is empty; leave it out to take all that is set in `group`"));
    }
    Ok(fields)
}

/// The fields that are set in a group.
fn present(group: &pb::Group) -> Vec<&'static str> {
    let settings =
        |field: &&str| group.settings.as_ref().is_some_and(|settings| treatment::has(field, settings));
    let mut fields: Vec<_> = treatment::FIELDS.into_iter().filter(settings).collect();
    fields.extend(group.filter.is_some().then_some("filter"));
    fields
}

/// Without a mask, what was read may be sent back whole: what can never change must then be as it is.
fn unchanged(group: &pb::Group, current: &GroupRecord) -> Result<(), InvalidField> {
    let unspecified = group.ordering == i32::from(pb::Ordering::Unspecified);
    if !unspecified && ordering(group.ordering)? != current.ordering {
        return Err(invalid("group.ordering", "never changes; make another group"));
    }
    if group.fallback && !current.fallback {
        return Err(invalid("group.fallback", "never changes; make another group"));
    }
    Ok(())
}

/// The settings after the change; `None` if they stay.
fn changed(
    fields: &[&'static str],
    group: &pb::Group,
    current: &GroupRecord,
    default: &GroupSettings,
) -> Result<Option<Treatment>, InvalidField> {
    let settings = group.settings.clone().unwrap_or_default();
    let mut treatment = Treatment::of(current);
    let mut changes = fields.iter().filter(|field| **field != "filter").peekable();
    if changes.peek().is_none() {
        return Ok(None);
    }
    for field in changes {
        treatment.take(field, &settings, default)?;
    }
    treatment.check_backoff(|field| fields.contains(&field))?;
    Ok(Some(treatment))
}
