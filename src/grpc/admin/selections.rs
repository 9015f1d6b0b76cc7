//! Selections, between the API and the model.

use super::bounds;
use crate::grpc::fields::{InvalidField, invalid, unix_ms};
use crate::grpc::filters;
use crate::grpc::proto::server as pb;
use crate::inspect::Selection;
use crate::model::{KeyHash, Sequence};

/// The most positions in a selection.
const MAX_SEQUENCES: usize = 10_000;

/// The selection of a list: without one, everything.
pub(super) fn any(selection: Option<&pb::Selection>) -> Result<Selection, InvalidField> {
    selection.map(check_start).transpose()?;
    any_later(selection)
}

/// The same of a list that may be asked again and again, for what is still to come.
pub(super) fn any_later(selection: Option<&pb::Selection>) -> Result<Selection, InvalidField> {
    selection.map_or_else(|| Ok(Selection::default()), parse)
}

/// The selection of a change: nobody changes everything by leaving something empty.
pub(super) fn required(selection: Option<&pb::Selection>) -> Result<Selection, InvalidField> {
    let empty = || invalid("selection", "is empty; say which, or set `all`");
    let selection = selection.ok_or_else(empty)?;
    check_start(selection)?;
    let parsed = parse(selection)?;
    if parsed == Selection::default() && !selection.all { Err(empty()) } else { Ok(parsed) }
}

fn check_start(selection: &pb::Selection) -> Result<(), InvalidField> {
    selection.start_time.map_or(Ok(()), |time| bounds::since("selection.start_time", time).map(|_| ()))
}

fn parse(selection: &pb::Selection) -> Result<Selection, InvalidField> {
    let count = selection.sequences.len();
    if count > MAX_SEQUENCES {
        let problem = format!("has {count} positions; at most {MAX_SEQUENCES} are allowed");
        return Err(invalid("selection.sequences", problem));
    }
    let mut sequences = selection
        .sequences
        .iter()
        .map(|number| sequence("selection.sequences", *number))
        .collect::<Result<Vec<_>, _>>()?;
    sequences.sort_unstable();
    sequences.dedup();
    let start = selection.start_time.map(|time| unix_ms("selection.start_time", time)).transpose()?;
    let end = selection.end_time.map(|time| unix_ms("selection.end_time", time)).transpose()?;
    if start.zip(end).is_some_and(|(start, end)| end <= start) {
        return Err(invalid("selection.end_time", "is not after `start_time`: nothing is in between"));
    }
    let key = selection.ordering_key.as_str();
    let parsed = Selection {
        sequences,
        update_id: selection.update_id,
        chat: selection.chat_id.map(KeyHash::of_chat),
        user: selection.user_id.map(KeyHash::of_user),
        ordering_key: (!key.is_empty()).then(|| key.into()),
        kinds: filters::kinds("selection.kinds", &selection.kinds)?,
        start,
        end,
    };
    if selection.all && parsed != Selection::default() {
        return Err(invalid("selection.all", "is set with something else; leave out one of them"));
    }
    Ok(parsed)
}

/// A position.
pub(super) fn sequence(field: &'static str, number: i64) -> Result<Sequence, InvalidField> {
    u64::try_from(number)
        .map(Sequence)
        .map_err(|_| invalid(field, format!("has {number}; positions are 0 or more")))
}

/// Whether updates are to be sent with their JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum View {
    Basic,
    Full,
}

pub(super) fn view(view: i32) -> Result<View, InvalidField> {
    match pb::View::try_from(view) {
        Ok(pb::View::Unspecified | pb::View::Basic) => Ok(View::Basic),
        Ok(pb::View::Full) => Ok(View::Full),
        Err(_) => Err(invalid("view", format!("is {view}, which is no View"))),
    }
}
