//! Claims: each change is one statement, durable when it returns.

use std::sync::Arc;

use sqlx::Row as _;

use super::connections::{Connections, Lease, failed};
use crate::{Claim, StoreError};

const DOING: &str = "changing a claim";
/// Claims that one sweep drops at most, so that it does not hold the writer for long.
const SWEPT: i64 = 1000;

pub(super) async fn read(lease: &mut Lease, kind: &str, key: &[u8]) -> Result<Option<Claim>, StoreError> {
    let sql = "SELECT version, body, expires_at_ms FROM _claims WHERE kind = ? AND key = ?";
    let found = sqlx::query(sql).bind(kind).bind(key).fetch_optional(lease.connection()?).await;
    let claim = found.and_then(|row| {
        row.map(|row| Ok(Claim { version: row.try_get(0)?, body: row.try_get(1)?, expires_at_ms: row.try_get(2)? }))
            .transpose()
    });
    claim.map_err(|error| failed("reading a claim", error))
}

pub(super) async fn swap(
    writer: &Arc<Connections>,
    kind: &str,
    key: &[u8],
    expected: Option<i64>,
    body: &[u8],
    expires_at_ms: Option<i64>,
) -> Result<bool, StoreError> {
    let mut lease = writer.lease("", DOING).await?;
    let query = match expected {
        None => sqlx::query(
            "INSERT INTO _claims (body, expires_at_ms, kind, key, version) VALUES (?, ?, ?, ?, 1) ON CONFLICT DO NOTHING",
        ),
        Some(_) => sqlx::query(
            "UPDATE _claims SET body = ?, expires_at_ms = ?, version = version + 1 WHERE kind = ? AND key = ? AND version = ?",
        ),
    };
    let mut query = query.bind(body).bind(expires_at_ms).bind(kind).bind(key);
    if let Some(expected) = expected {
        query = query.bind(expected);
    }
    let done = query.execute(lease.connection()?).await.map_err(|error| failed(DOING, error))?;
    lease.give_back();
    Ok(done.rows_affected() == 1)
}

pub(super) async fn remove(
    writer: &Arc<Connections>,
    kind: &str,
    key: &[u8],
    expected: i64,
) -> Result<bool, StoreError> {
    let mut lease = writer.lease("", DOING).await?;
    let query = sqlx::query("DELETE FROM _claims WHERE kind = ? AND key = ? AND version = ?");
    let done = query.bind(kind).bind(key).bind(expected).execute(lease.connection()?).await;
    let done = done.map_err(|error| failed(DOING, error))?;
    lease.give_back();
    Ok(done.rows_affected() == 1)
}

pub(super) async fn sweep(writer: &Arc<Connections>, now_ms: i64) -> Result<u64, StoreError> {
    let mut lease = writer.lease("", "sweeping claims").await?;
    let query = sqlx::query(
        "DELETE FROM _claims WHERE (kind, key) IN (SELECT kind, key FROM _claims WHERE expires_at_ms < ? LIMIT ?)",
    );
    let done = query.bind(now_ms).bind(SWEPT).execute(lease.connection()?).await;
    let done = done.map_err(|error| failed("sweeping claims", error))?;
    lease.give_back();
    Ok(done.rows_affected())
}
