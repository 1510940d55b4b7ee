//! Claims: each change is one statement and its own transaction, durable when it returns.

use std::sync::Arc;

use sqlx::Row as _;
use sqlx::postgres::PgArguments;
use sqlx::query::Query;

use super::connections::Connections;
use super::fault::failed;
use crate::{Claim, StoreError};

/// Claims that one sweep drops at most, so that it does not hold their rows for long.
const SWEPT: i64 = 1000;

pub(super) async fn read(connections: &Arc<Connections>, kind: &str, key: &[u8]) -> Result<Option<Claim>, StoreError> {
    const DOING: &str = "reading a claim";
    let mut lease = connections.lease("", DOING).await?;
    let sql = "SELECT version, body, expires_at_ms FROM _claims WHERE kind = $1 AND key_hash = sha256($2) AND key = $2";
    let found = lease.fetch(sqlx::query(sql).bind(kind).bind(key)).await;
    let claim = found.and_then(|rows| {
        let claim = rows
            .first()
            .map(|row| Ok(Claim { version: row.try_get(0)?, body: row.try_get(1)?, expires_at_ms: row.try_get(2)? }));
        claim.transpose()
    });
    claim.map_err(|error| failed(DOING, error))
}

pub(super) async fn swap(
    connections: &Arc<Connections>,
    kind: &str,
    key: &[u8],
    expected: Option<i64>,
    body: &[u8],
    expires_at_ms: Option<i64>,
) -> Result<bool, StoreError> {
    let sql = match expected {
        None => {
            "INSERT INTO _claims (kind, key, body, expires_at_ms, version) VALUES ($1, $2, $3, $4, 1) \
             ON CONFLICT (kind, key_hash) DO NOTHING"
        }
        Some(_) => {
            "UPDATE _claims SET body = $3, expires_at_ms = $4, version = version + 1 \
             WHERE kind = $1 AND key_hash = sha256($2) AND key = $2 AND version = $5"
        }
    };
    let query = sqlx::query(sql).bind(kind).bind(key).bind(body).bind(expires_at_ms);
    let query = if let Some(expected) = expected { query.bind(expected) } else { query };
    Ok(change(connections, "changing a claim", query).await? == 1)
}

pub(super) async fn remove(
    connections: &Arc<Connections>,
    kind: &str,
    key: &[u8],
    expected: i64,
) -> Result<bool, StoreError> {
    let sql = "DELETE FROM _claims WHERE kind = $1 AND key_hash = sha256($2) AND key = $2 AND version = $3";
    let query = sqlx::query(sql).bind(kind).bind(key).bind(expected);
    Ok(change(connections, "changing a claim", query).await? == 1)
}

pub(super) async fn sweep(connections: &Arc<Connections>, now_ms: i64) -> Result<u64, StoreError> {
    // One that is being changed is left to the next sweep, by which time it may have another expiry.
    let sql = "DELETE FROM _claims WHERE (kind, key_hash) IN \
               (SELECT kind, key_hash FROM _claims WHERE expires_at_ms < $1 LIMIT $2 FOR UPDATE SKIP LOCKED)";
    change(connections, "sweeping claims", sqlx::query(sql).bind(now_ms).bind(SWEPT)).await
}

async fn change(
    connections: &Arc<Connections>,
    doing: &'static str,
    query: Query<'_, sqlx::Postgres, PgArguments>,
) -> Result<u64, StoreError> {
    let mut lease = connections.lease("", doing).await?;
    lease.execute(query).await.map_err(|error| failed(doing, error))
}
