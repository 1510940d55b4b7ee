//! Who is calling: a JSON Web Token, signed with Ed25519, whose subject is the caller.
//!
//! The algorithm is pinned, `iss`, `aud`, `exp` and `nbf` are checked, and a token that does not hold is refused even
//! where anyone may call. A verified token is remembered until it expires, so that the signature is checked once.

mod keys;

use axum::extract::{FromRef, FromRequestParts};
use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use headwater_engine::allow::Who;

pub use keys::{KeyError, Keys};

use crate::Problem;

/// Both `iss` and `aud` of the tokens that Headwater signs and accepts.
pub const ISSUER: &str = "headwater";

/// A token may have at most this many bytes.
pub const TOKEN_BYTES: usize = 8 * 1024;

/// Somebody signed in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The subject: `actor()`.
    pub sub: String,
    pub roles: Vec<String>,
}

impl Identity {
    /// As `allow:` rules see it.
    pub fn who(&self) -> Who<'_> {
        Who { sub: &self.sub, roles: &self.roles }
    }
}

/// Why a token is refused.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum TokenError {
    #[error("it has more than {TOKEN_BYTES} bytes")]
    TooLong,
    #[error("it is not a JSON Web Token of three parts, signed with EdDSA, with the claims sub, iss, aud and exp")]
    Malformed,
    #[error("it is signed with a key that is not known here")]
    UnknownKey,
    #[error("its signature is wrong")]
    Signature,
    #[error("it has expired")]
    Expired,
    #[error("it is not valid yet")]
    NotYet,
    #[error("it is not for {ISSUER}")]
    NotForUs,
}

/// The caller, where somebody is signed in. As an extractor it needs the router's state to give [`Keys`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller(pub Option<Identity>);

impl Caller {
    /// Reads `Authorization: Bearer …`. No such header is nobody; one that does not hold is a 401.
    pub fn of(headers: &HeaderMap, keys: &Keys) -> Result<Self, Problem> {
        let mut sent = headers.get_all(AUTHORIZATION).iter();
        let Some(value) = sent.next() else { return Ok(Self(None)) };
        if sent.next().is_some() {
            return Err(Problem::bad_token("Authorization was sent more than once"));
        }
        let token = value.to_str().ok().and_then(|text| {
            let (scheme, token) = text.split_once(' ')?;
            scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
        });
        let Some(token) = token.filter(|token| !token.is_empty()) else {
            return Err(Problem::bad_token("Authorization must be `Bearer <token>`"));
        };
        keys.verify(token).map(|identity| Self(Some(identity))).map_err(Problem::bad_token)
    }

    pub fn who(&self) -> Option<Who<'_>> {
        self.0.as_ref().map(Identity::who)
    }
}

impl<S> FromRequestParts<S> for Caller
where
    S: Send + Sync,
    Keys: FromRef<S>,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        Self::of(&parts.headers, &Keys::from_ref(state))
    }
}
