//! Lists that come in pages.

use clap::Args;
use tonic::Status;

use super::failure::Failure;
use super::session::Session;

/// How much of a list is wanted.
#[derive(Args, Clone, Copy, Debug)]
pub struct Limit {
    /// Show at most so many
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..))]
    pub(super) limit: u32,
}

/// Up to the limit of a list, and whether there is more.
#[derive(Debug)]
pub(super) struct Listed<T> {
    pub(super) items: Vec<T>,
    pub(super) more: bool,
}

/// Asks for page after page until there is enough or no more. A page may be empty with more to come.
pub(super) async fn collect<T>(
    limit: Limit,
    mut page: impl AsyncFnMut(i32, String) -> Result<(Vec<T>, String), Status>,
) -> Result<Listed<T>, Failure> {
    let limit = usize::try_from(limit.limit).unwrap_or(usize::MAX);
    let (mut items, mut token) = (Vec::new(), String::new());
    loop {
        let size = (limit - items.len()).clamp(1, MAX_PAGE);
        // Never more than MAX_PAGE.
        let (more, next) = page(i32::try_from(size).unwrap_or(i32::MAX), token).await?;
        items.extend(more);
        if items.len() > limit || (items.len() == limit && !next.is_empty()) {
            items.truncate(limit);
            return Ok(Listed { items, more: true });
        }
        if next.is_empty() {
            return Ok(Listed { items, more: false });
        }
        token = next;
    }
}

impl Session {
    /// Says that there is nothing, or, to scripts, too, that there is more.
    pub(super) fn remark_on<T>(&mut self, listed: &Listed<T>, what: &str) {
        if listed.items.is_empty() {
            self.remark(&format!("No {what}."));
        } else if listed.more {
            self.console
                .note(&format!("There are more {what}; --limit {} shows more.", listed.items.len() * 10));
        }
    }
}

/// The API gives at most a thousand; with their JSON fewer keep a message small.
const MAX_PAGE: usize = 200;

#[cfg(test)]
mod tests {
    use super::*;

    /// Numbers from 0 to 9, with an empty page after the first one.
    async fn ten(limit: u32) -> (Vec<i32>, bool, Vec<i32>) {
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
        (listed.items, listed.more, sizes)
    }

    #[tokio::test]
    async fn pages_are_put_together_up_to_the_limit() {
        assert_eq!(ten(100).await, ((0..10).collect(), false, vec![100, 96, 96, 92]));
        assert_eq!(ten(10).await, ((0..10).collect(), false, vec![10, 6, 6, 2]));
        assert_eq!(ten(6).await, ((0..6).collect(), true, vec![6, 2, 2]));
        assert_eq!(ten(4).await, ((0..4).collect(), true, vec![4]));
    }
}
