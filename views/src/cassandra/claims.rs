//! Claims: each change is one conditional statement. An error of one leaves open whether it was applied.
//!
//! A claim that expires is dropped by Cassandra itself, a day after its time, so a sweep finds nothing to do.

use std::time::{SystemTime, UNIX_EPOCH};

use super::connection::Connection;
use crate::{Claim, StoreError};

/// How long a claim outlives its expiry: more than clocks differ.
const GRACE_SECONDS: i64 = 86_400;
/// Cassandra's bound on a TTL: 20 years.
const MOST_SECONDS: i64 = 20 * 365 * 86_400;

/// Version, body, expiry.
type Columns = (Option<i64>, Option<Vec<u8>>, Option<i64>);

pub(super) async fn read(connection: &Connection, kind: &str, key: &[u8]) -> Result<Option<Claim>, StoreError> {
    let cql =
        format!("SELECT version, body, expires_at_ms FROM {} WHERE kind = ? AND key = ?", connection.name("_claims"));
    // What is left of a claim that was dropped has no version.
    let found: Option<Columns> = connection.first_settled(&cql, (kind, key), "reading a claim").await?;
    Ok(found.and_then(|(version, body, expires_at_ms)| {
        Some(Claim { version: version?, body: body.unwrap_or_default(), expires_at_ms })
    }))
}

pub(super) async fn swap(
    connection: &Connection,
    kind: &str,
    key: &[u8],
    expected: Option<i64>,
    body: &[u8],
    expires_at_ms: Option<i64>,
) -> Result<bool, StoreError> {
    const DOING: &str = "changing a claim";
    let (name, ttl) = (connection.name("_claims"), ttl(expires_at_ms));
    match expected {
        None => {
            let cql = format!(
                "INSERT INTO {name} (kind, key, version, body, expires_at_ms) VALUES (?, ?, 1, ?, ?) \
                 IF NOT EXISTS USING TTL ?"
            );
            connection.swap(&cql, (kind, key, body, expires_at_ms, ttl), DOING).await
        }
        Some(version) => {
            let cql = format!(
                "UPDATE {name} USING TTL ? SET version = ?, body = ?, expires_at_ms = ? WHERE kind = ? AND key = ? \
                 IF version = ?"
            );
            connection.swap(&cql, (ttl, version + 1, body, expires_at_ms, kind, key, version), DOING).await
        }
    }
}

pub(super) async fn remove(connection: &Connection, kind: &str, key: &[u8], expected: i64) -> Result<bool, StoreError> {
    let cql = format!("DELETE FROM {} WHERE kind = ? AND key = ? IF version = ?", connection.name("_claims"));
    connection.swap(&cql, (kind, key, expected), "changing a claim").await
}

/// In seconds; 0 is for ever.
fn ttl(expires_at_ms: Option<i64>) -> i32 {
    let Some(at) = expires_at_ms else { return 0 };
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |age| age.as_millis());
    let left = at.saturating_sub(i64::try_from(now).unwrap_or(i64::MAX)) / 1000;
    let seconds = left.max(0).saturating_add(GRACE_SECONDS).min(MOST_SECONDS);
    i32::try_from(seconds).unwrap_or(i32::MAX)
}
