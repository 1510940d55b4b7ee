//! Deleting rows that are past their `retain`: one statement and its own transaction.

use std::sync::Arc;

use headwater_schemas::Value;
use sqlx::AssertSqlSafe;

use super::connections::Connections;
use super::layout::Layout;
use super::statement::Statement;
use crate::StoreError;

const DOING: &str = "sweeping rows";
/// Rows that one sweep deletes at most, so that it does not hold them for long.
const SWEPT: i64 = 1000;

pub(super) async fn rows(connections: &Arc<Connections>, layout: &Layout, horizon: &Value) -> Result<u64, StoreError> {
    let Some(retain) = layout.table.retain else { return Ok(0) };
    let arguments = layout.up_to(retain.column, horizon, SWEPT)?;
    let mut lease = connections.lease("", DOING).await?;
    let query = sqlx::query_with(AssertSqlSafe(layout.sql(Statement::Sweep)), arguments);
    lease.execute(query).await.map_err(|error| layout.failed(DOING, error))
}
