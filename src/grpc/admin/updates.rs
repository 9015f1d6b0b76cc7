//! ListUpdates and ListQuarantined.

use tonic::Status;

use super::paging::{Page, Pager, Position};
use super::refused::look;
use super::selections;
use super::stored;
use crate::grpc::bots::Bots;
use crate::grpc::messages::{saturating_i64, timestamp};
use crate::grpc::proto::server as pb;
use crate::inspect::{Direction, UpdateQuery};
use crate::model::{Ordering, Sequence};

pub(super) async fn list(
    bots: &Bots,
    mut request: pb::ListUpdatesRequest,
) -> Result<pb::ListUpdatesResponse, Status> {
    let pager = Pager::take(&mut request)?;
    let selection = match request.oldest_first {
        true => selections::any_later(request.selection.as_ref())?,
        false => selections::any(request.selection.as_ref())?,
    };
    let view = selections::view(request.view)?;
    let bot = bots.find(&request.bot)?;
    let query = UpdateQuery {
        selection,
        contains: request.contains.into(),
        direction: if request.oldest_first { Direction::Up } else { Direction::Down },
    };
    look(bot, move |inspector| {
        let from = pager.from.as_ref().map(|from| Sequence(from.number));
        let found = inspector.updates(&query, from, pager.size)?;
        let mut page = Page::new(&pager);
        let mut next = found.next;
        for (head, payload) in found.updates {
            // Messages are made one by one: JSON that does not fit is not kept twice.
            if !page.add(stored::update(&head, &payload, Ordering::Chat, view)) {
                next = Some(head.sequence);
                break;
            }
        }
        let next = next.map(|next| Position { name: String::new(), number: next.0 });
        Ok(pb::ListUpdatesResponse { updates: page.results, next_page_token: pager.token(next) })
    })
    .await
}

pub(super) async fn list_quarantined(
    bots: &Bots,
    mut request: pb::ListQuarantinedRequest,
) -> Result<pb::ListQuarantinedResponse, Status> {
    let pager = Pager::take(&mut request)?;
    let bot = bots.find(&request.bot)?;
    look(bot, move |inspector| {
        let mut page = Page::new(&pager);
        let mut from = Some(pager.from.as_ref().map_or(u64::MAX, |from| from.number));
        // Each may have a megabyte: they are read a few at a time, until a page is full.
        while let Some(at) = from.take() {
            for (number, element) in inspector.quarantined(at, ELEMENTS_AT_ONCE)? {
                let clipped = element.bytes.len().min(QUARANTINED_BYTES);
                let element = pb::QuarantinedElement {
                    number: saturating_i64(number),
                    receive_time: Some(timestamp(element.received)),
                    reason: element.reason.to_string(),
                    size_bytes: saturating_i64(element.bytes.len() as u64),
                    content: element.bytes.slice(..clipped).into(),
                };
                if page.room() == 0 || !page.add(element) {
                    let next = Some(Position { name: String::new(), number });
                    let next_page_token = pager.token(next);
                    return Ok(pb::ListQuarantinedResponse { elements: page.results, next_page_token });
                }
                from = number.checked_sub(1);
            }
        }
        Ok(pb::ListQuarantinedResponse { elements: page.results, next_page_token: String::new() })
    })
    .await
}

/// As the proto promises.
const QUARANTINED_BYTES: usize = 64 * 1024;
const ELEMENTS_AT_ONCE: usize = 16;
