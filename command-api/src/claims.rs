//! Claims as the command API keeps them: JSON bodies under a kind and a key, changed only by compare-and-swap.
//!
//! No claim is dropped while someone may still hold its version: what is given up is swapped to a body that says so, and
//! swept long after, so versions of one key only ever rise.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use headwater_http::Problem;
use headwater_views::{Store, StoreError};
use serde::Serialize;
use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};

/// Keys up to this long stand as they are, for whoever looks into the store.
const READABLE_KEY_BYTES: usize = 200;
/// How long a claim that was given up stays.
pub(crate) const GIVEN_UP_KEPT: Duration = Duration::from_secs(24 * 60 * 60);
/// How long a claim stays that a crash left, and that nobody came to finish: nobody was told that it would be.
pub(crate) const UNFINISHED_KEPT: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// A claim's place: what kind it is, and of what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ClaimKey {
    pub(crate) kind: &'static str,
    pub(crate) key: Vec<u8>,
}

/// A claim as it was read.
#[derive(Clone, Debug)]
pub(crate) struct Found<B> {
    pub(crate) version: i64,
    pub(crate) body: B,
    pub(crate) expired: bool,
}

impl ClaimKey {
    /// The key of these parts, of which only the last may hold a NUL.
    pub(crate) fn new(kind: &'static str, parts: &[&[u8]]) -> Self {
        let mut key = parts.join(&0u8);
        if key.len() > READABLE_KEY_BYTES {
            key = Sha256::digest(&key).to_vec();
        }
        Self { kind, key }
    }

    pub(crate) async fn read<B: DeserializeOwned>(&self, store: &Store) -> Result<Option<Found<B>>, Problem> {
        let Some(claim) = store.claim(self.kind, &self.key).await? else { return Ok(None) };
        let body = serde_json::from_slice(&claim.body).map_err(|error| {
            Problem::internal(format!(
                "the {} claim {:?} cannot be read: {error}",
                self.kind,
                self.key.escape_ascii().to_string()
            ))
        })?;
        let expired = claim.expires_at_ms.is_some_and(|at| at <= now_ms());
        Ok(Some(Found { version: claim.version, body, expired }))
    }

    /// Writes the body if the claim still has this version (None: if there is none). The new version; None where somebody
    /// else was first.
    pub(crate) async fn swap<B: Serialize>(
        &self,
        store: &Store,
        expected: Option<i64>,
        body: &B,
        keep: Option<Duration>,
    ) -> Result<Option<i64>, StoreError> {
        let body = serde_json::to_vec(body).map_err(|error| StoreError::Corrupt {
            place: format!("a {} claim", self.kind),
            reason: error.to_string(),
        })?;
        let expires = keep.map(|keep| now_ms().saturating_add(i64::try_from(keep.as_millis()).unwrap_or(i64::MAX)));
        let swapped = store.swap_claim(self.kind, &self.key, expected, &body, expires).await?;
        Ok(swapped.then(|| expected.map_or(1, |version| version + 1)))
    }
}

/// Milliseconds since 1970-01-01T00:00:00Z.
pub(crate) fn now_ms() -> i64 {
    now_us() / 1000
}

/// Microseconds since 1970-01-01T00:00:00Z.
pub(crate) fn now_us() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| i64::try_from(d.as_micros()).unwrap_or(i64::MAX))
}
