//! Lists in pages (AIP-158).

use prost::Message;

use crate::grpc::fields::{InvalidField, invalid};
use crate::grpc::messages::MESSAGE_BYTES;
use crate::grpc::proto::server as pb;
use crate::model::base64url;

/// Results on a page where the request says nothing.
const DEFAULT_SIZE: usize = 50;
/// The most results on a page; more than that asked for gets this.
const MAX_SIZE: usize = 1_000;

/// A request for a page of a list.
pub(super) trait Paged: Message {
    /// The method that it is for: tokens are good for one method only.
    const METHOD: &'static str;

    /// Takes the page's size and token out: what is left is the query.
    fn take_page(&mut self) -> (i32, String);
}

macro_rules! paged {
    ($($request:ident),*) => {$(
        impl Paged for pb::$request {
            const METHOD: &'static str = stringify!($request);

            fn take_page(&mut self) -> (i32, String) {
                (std::mem::take(&mut self.page_size), std::mem::take(&mut self.page_token))
            }
        }
    )*};
}

paged!(
    ListBotsRequest,
    ListGroupsRequest,
    ListDeadLettersRequest,
    ListUpdatesRequest,
    ListOutstandingRequest,
    ListQuarantinedRequest
);

/// The first result that was not on the page before.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Position {
    /// The name of what it belongs to, or its own.
    pub(super) name: String,
    /// Its number.
    pub(super) number: u64,
}

/// What page is asked for.
#[derive(Debug)]
pub(super) struct Pager {
    /// As many results as fit.
    pub(super) size: usize,
    /// Where it begins; `None` for the first one.
    pub(super) from: Option<Position>,
    /// A hash of the query.
    query: u64,
}

impl Pager {
    /// The page that a request asks for; leaves its query.
    pub(super) fn take<R: Paged>(request: &mut R) -> Result<Self, InvalidField> {
        let (size, token) = request.take_page();
        let size = match usize::try_from(size) {
            Ok(0) => DEFAULT_SIZE,
            Ok(size) => size.min(MAX_SIZE),
            Err(_) => return Err(invalid("page_size", format!("is {size}; it must be 0 or more"))),
        };
        let mut query = R::METHOD.as_bytes().to_vec();
        query.extend(request.encode_to_vec());
        let query = xxhash_rust::xxh3::xxh3_64(&query);
        let from = match token.as_str() {
            "" => None,
            token => Some(parse(token, query)?),
        };
        Ok(Self { size, from, query })
    }

    /// The token of the page that begins here; empty if there is none.
    pub(super) fn token(&self, next: Option<Position>) -> String {
        next.map_or_else(String::new, |next| encode(&next, self.query))
    }
}

/// The query's hash, the number, the name, and before all of it a hash over it.
fn encode(position: &Position, query: u64) -> String {
    let mut fields = query.to_be_bytes().to_vec();
    fields.extend(position.number.to_be_bytes());
    fields.extend(position.name.bytes());
    let mut raw = xxhash_rust::xxh3::xxh3_64(&fields).to_be_bytes().to_vec();
    raw.extend(fields);
    base64url::encode(&raw)
}

fn parse(token: &str, query: u64) -> Result<Position, InvalidField> {
    let malformed = || {
        invalid("page_token", "is no page token; pass the `next_page_token` of the page before, unchanged")
    };
    let raw = base64url::decode(token).ok_or_else(malformed)?;
    let (check, fields) = raw.split_first_chunk().ok_or_else(malformed)?;
    if xxhash_rust::xxh3::xxh3_64(fields).to_be_bytes() != *check {
        return Err(malformed());
    }
    let (of_query, rest) = fields.split_first_chunk().ok_or_else(malformed)?;
    let (number, name) = rest.split_first_chunk().ok_or_else(malformed)?;
    if u64::from_be_bytes(*of_query) != query {
        return Err(invalid(
            "page_token",
            "belongs to another query; pass the same fields as for the page before, or begin anew without it",
        ));
    }
    let name = String::from_utf8(name.to_vec()).map_err(|_| malformed())?;
    Ok(Position { name, number: u64::from_be_bytes(*number) })
}

/// Results on their way into one page, which must not be larger than clients accept.
#[derive(Debug)]
pub(super) struct Page<T> {
    pub(super) results: Vec<T>,
    size: usize,
    bytes: usize,
}

impl<T: Message> Page<T> {
    pub(super) fn new(pager: &Pager) -> Self {
        Self { results: Vec::new(), size: pager.size, bytes: 0 }
    }

    /// How many more there may be.
    pub(super) fn room(&self) -> usize {
        self.size.saturating_sub(self.results.len())
    }

    /// Adds a result; false if there is no room for it. The first one always fits.
    pub(super) fn add(&mut self, result: T) -> bool {
        let bytes = self.bytes + result.encoded_len();
        let fits = self.results.is_empty() || self.room() > 0 && bytes <= MESSAGE_BYTES;
        if fits {
            self.bytes = bytes;
            self.results.push(result);
        }
        fits
    }
}

/// Any text as the token of a page, for the fuzzer: taken only if it is what [`encode`] makes.
#[cfg(feature = "fuzzing")]
pub fn fuzz_page_token(data: &[u8]) {
    if let Ok(text) = std::str::from_utf8(data) {
        let mut request = pb::ListGroupsRequest { page_token: text.to_owned(), ..Default::default() };
        if let Ok(Pager { from: Some(from), query, .. }) = Pager::take(&mut request) {
            assert_eq!(encode(&from, query), text);
        }
        let position = Position { name: text.to_owned(), number: data.len() as u64 };
        assert_eq!(parse(&encode(&position, 7), 7).ok(), Some(position));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(bot: &str, token: String) -> pb::ListGroupsRequest {
        pb::ListGroupsRequest { bot: bot.into(), page_size: 0, page_token: token }
    }

    fn take(mut request: pb::ListGroupsRequest) -> Result<Pager, InvalidField> {
        Pager::take(&mut request)
    }

    #[test]
    fn a_token_goes_on_in_its_own_query_only() {
        let first = take(request("shop", String::new())).unwrap();
        assert_eq!((first.size, &first.from), (50, &None));
        let next = Position { name: "orders".into(), number: 17 };
        let token = first.token(Some(next.clone()));
        let same = pb::ListGroupsRequest { page_size: 7, ..request("shop", token.clone()) };
        assert_eq!(take(same).unwrap().from, Some(next.clone()));
        let other = take(request("support", token.clone())).unwrap_err();
        assert!(other.field == "page_token" && other.problem.contains("another query"), "{other}");
        let mut other_method = pb::ListBotsRequest { page_size: 0, page_token: token.clone() };
        assert!(Pager::take(&mut other_method).is_err());
        for wrong in [&token[1..], "x", "!", &format!("A{}", &token[1..])] {
            let error = take(request("shop", wrong.into())).unwrap_err();
            assert!(error.problem.contains("no page token"), "{wrong}: {error}");
        }
        assert_eq!(first.token(None), "");
    }

    #[test]
    fn sizes_are_bounded_and_a_large_first_result_still_fits() {
        let size = |page_size| take(pb::ListGroupsRequest { page_size, ..request("", String::new()) });
        assert_eq!(size(5_000).unwrap().size, 1_000);
        assert_eq!(size(-1).unwrap_err().field, "page_size");
        let mut page = Page::new(&size(2).unwrap());
        let chunk = |bytes| pb::BackupResponse { chunk: vec![0; bytes] };
        assert!(page.add(chunk(MESSAGE_BYTES * 2)));
        assert!(!page.add(chunk(1)));
    }
}
