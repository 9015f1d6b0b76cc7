//! The one token that opens everything but health.

use std::fmt;

use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use tonic::service::Interceptor;
use tonic::{Request, Status};

use crate::connections::Guest;

/// The token that clients must show, kept as its SHA-256 only: comparing digests takes the same time wherever two
/// tokens differ, and however long they are.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct AccessToken {
    digest: [u8; 32],
}

/// The text cannot be an access token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("is not an access token: it must be one or more visible ASCII characters, without spaces")]
pub struct InvalidAccessToken;

/// A request came without the right token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Denied {
    #[error("this gateway asks for an access token: send it as metadata `authorization: Bearer <token>`")]
    Missing,
    #[error(
        "the access token is not the gateway's: send the configured one as metadata `authorization: Bearer <token>`"
    )]
    Wrong,
}

impl AccessToken {
    /// The token with this text.
    ///
    /// # Errors
    /// [`InvalidAccessToken`] if a client could not send it in a header; the text is not repeated.
    pub fn parse(text: &str) -> Result<Self, InvalidAccessToken> {
        if text.is_empty() || !text.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(InvalidAccessToken);
        }
        Ok(Self { digest: Sha256::digest(text).into() })
    }

    fn is(&self, text: &[u8]) -> bool {
        let digest: [u8; 32] = Sha256::digest(text).into();
        self.digest.ct_eq(&digest).into()
    }
}

impl fmt::Debug for AccessToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AccessToken([redacted])")
    }
}

/// Lets those in who show the token; everybody, if there is none.
#[derive(Clone, Copy, Debug)]
pub(super) struct Gate(pub(super) Option<AccessToken>);

impl Gate {
    fn check(&self, authorization: Option<&[u8]>) -> Result<(), Denied> {
        let Some(token) = &self.0 else { return Ok(()) };
        // The scheme's name is case-insensitive (RFC 9110, 11.1).
        let (scheme, shown) =
            authorization.and_then(|value| value.split_at_checked(7)).ok_or(Denied::Missing)?;
        if !scheme.eq_ignore_ascii_case(b"bearer ") {
            return Err(Denied::Missing);
        }
        if token.is(shown.trim_ascii()) { Ok(()) } else { Err(Denied::Wrong) }
    }
}

impl Interceptor for Gate {
    fn call(&mut self, request: Request<()>) -> Result<Request<()>, Status> {
        self.check(request.metadata().get("authorization").map(|value| value.as_bytes()))?;
        if let Some(guest) = request.extensions().get::<Guest>() {
            guest.is_known();
        }
        Ok(request)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_never_prints_and_must_fit_a_header() {
        let token = AccessToken::parse("s3cret").unwrap();
        assert_eq!(format!("{token:?}"), "AccessToken([redacted])");
        for bad in ["", "a b", "line\n", "schlüssel"] {
            assert_eq!(AccessToken::parse(bad), Err(InvalidAccessToken), "{bad}");
        }
    }

    #[test]
    fn only_the_right_bearer_token_opens() {
        let gate = Gate(Some(AccessToken::parse("s3cret").unwrap()));
        assert_eq!(gate.check(Some(b"Bearer s3cret")), Ok(()));
        assert_eq!(gate.check(Some(b"bearer  s3cret ")), Ok(()));
        assert_eq!(gate.check(None), Err(Denied::Missing));
        assert_eq!(gate.check(Some(b"Basic s3cret")), Err(Denied::Missing));
        assert_eq!(gate.check(Some(b"Bearer")), Err(Denied::Missing));
        assert_eq!(gate.check(Some(b"Bearer s3cre")), Err(Denied::Wrong));
        assert_eq!(gate.check(Some(b"Bearer ")), Err(Denied::Wrong));
        assert_eq!(Gate(None).check(None), Ok(()));
    }
}
