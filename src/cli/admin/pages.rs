//! Lists that come in pages.

use clap::Args;
use tonic::Status;

use super::failure::Failure;
use super::session::Session;

/// How much of a list is wanted.
#[derive(Args, Clone, Copy, Debug)]
pub struct Limit {
    /// Show at most so many
    #[arg(long, value_name = "N", default_value_t = 50, allow_negative_numbers = true,
        value_parser = clap::value_parser!(u32).range(1..))]
    pub(super) limit: u32,
}

/// Up to the limit of a list, and whether there is more.
#[derive(Debug)]
pub(super) struct Listed<T> {
    pub(super) items: Vec<T>,
    pub(super) rest: Rest,
}

/// What a list has beyond its limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rest {
    /// Nothing.
    None,
    /// One more at least.
    Some,
    /// To find out, more would have to be looked through.
    Unknown,
}

/// Asks for page after page until there is enough or no more, at first for one more than enough: that tells whether it is
/// all. A page may be empty with more to come.
pub(super) async fn collect<T>(
    limit: Limit,
    mut page: impl AsyncFnMut(i32, String) -> Result<(Vec<T>, String), Status>,
) -> Result<Listed<T>, Failure> {
    let limit = usize::try_from(limit.limit).unwrap_or(usize::MAX);
    let (mut items, mut token) = (Vec::new(), String::new());
    loop {
        let size = (limit.saturating_add(1) - items.len()).clamp(1, MAX_PAGE);
        // Never more than MAX_PAGE.
        let (more, next) = page(i32::try_from(size).unwrap_or(i32::MAX), token).await?;
        items.extend(more);
        let rest = match (items.len() > limit, next.is_empty()) {
            (true, _) => Rest::Some,
            (false, true) => Rest::None,
            (false, false) if items.len() == limit => Rest::Unknown,
            (false, false) => {
                token = next;
                continue;
            }
        };
        items.truncate(limit);
        return Ok(Listed { items, rest });
    }
}

impl Session {
    /// Says that there is nothing, or, to scripts, too, that there is more.
    pub(super) fn remark_on<T>(&mut self, listed: &Listed<T>, what: &str) {
        let larger = listed.items.len() * 10;
        match listed.rest {
            Rest::None if listed.items.is_empty() => self.remark(&format!("No {what}.")),
            Rest::None => {}
            Rest::Some => self.console.note(&format!("There are more {what}; --limit {larger} shows more.")),
            Rest::Unknown => {
                self.console.note(&format!("There may be more {what}; --limit {larger} would show them."));
            }
        }
    }
}

/// The API gives at most a thousand; with their JSON fewer keep a message small.
const MAX_PAGE: usize = 200;

#[cfg(test)]
mod tests {
    use super::*;

    /// Numbers from 0 to 9, with an empty page after the first one.
    async fn ten(limit: u32) -> (Vec<i32>, Rest, Vec<i32>) {
        let mut sizes = Vec::new();
        let listed = collect(Limit { limit }, async |size, token: String| {
            sizes.push(size);
            let (from, empty) = match token.strip_suffix('e') {
                Some(from) => (from.parse().unwrap_or(0), true),
                None => (token.parse().unwrap_or(0), false),
            };
            if empty {
                return Ok((Vec::new(), from.to_string()));
            }
            let to = (from + size.min(4)).min(10);
            let next = match to {
                10 => String::new(),
                4 => "4e".to_owned(),
                to => to.to_string(),
            };
            Ok(((from..to).collect(), next))
        });
        let listed = listed.await.unwrap();
        (listed.items, listed.rest, sizes)
    }

    #[tokio::test]
    async fn pages_are_put_together_up_to_the_limit() {
        assert_eq!(ten(100).await, ((0..10).collect(), Rest::None, vec![101, 97, 97, 93]));
        assert_eq!(ten(10).await, ((0..10).collect(), Rest::None, vec![11, 7, 7, 3]));
        assert_eq!(ten(6).await, ((0..6).collect(), Rest::Some, vec![7, 3, 3]));
        assert_eq!(ten(2).await, ((0..2).collect(), Rest::Some, vec![3]));
        assert_eq!(ten(4).await, ((0..4).collect(), Rest::Unknown, vec![5]));
    }
}
