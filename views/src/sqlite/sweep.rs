//! Deleting rows that are past their `retain`: one statement and its own transaction, which takes the writer between two
//! flushes.

use std::sync::Arc;

use headwater_schemas::Value;
use sqlx::sqlite::SqliteArguments;
use sqlx::{Arguments, AssertSqlSafe};

use super::connections::Connections;
use super::layout::Layout;
use super::statement::Statement;
use crate::StoreError;

const DOING: &str = "sweeping rows";
/// Rows that one sweep deletes at most, so that it does not hold the writer for long.
const SWEPT: i64 = 1000;

pub(super) async fn rows(writer: &Arc<Connections>, layout: &Layout, horizon: &Value) -> Result<u64, StoreError> {
    let Some(retain) = layout.table.retain else { return Ok(0) };
    let mut arguments = SqliteArguments::default();
    layout.cells[retain.column].bind(horizon, &mut arguments)?;
    arguments.add(SWEPT).map_err(|error| StoreError::corrupt("a sweep's limit", error.to_string()))?;
    let mut lease = writer.lease("", DOING).await?;
    let query = sqlx::query_with(AssertSqlSafe(layout.sql(Statement::Sweep, 1)), arguments);
    let done = query.execute(lease.connection()?).await.map_err(|error| layout.failed(DOING, error))?;
    lease.give_back();
    Ok(done.rows_affected())
}
