//! Reading: rows by key, pages, whole tables, positions.

use headwater_engine::table::{Key, Row};
use headwater_schemas::Value;
use sqlx::sqlite::{SqliteArguments, SqliteRow};
use sqlx::{Arguments, AssertSqlSafe, Row as _};

use super::connections::{Lease, failed};
use super::layout::{Layout, key_weight};
use super::statement::Statement;
use crate::{PageRequest, StoreError, StoredPosition, shape};

const DOING: &str = "reading rows";

/// The rows of these keys, in their order.
pub(super) async fn rows_of_keys(
    lease: &mut Lease,
    layout: &Layout,
    keys: &[Key],
) -> Result<Vec<Option<Row>>, StoreError> {
    let wanted = shape::lookup_keys(&layout.table, keys)?;
    let places: Vec<usize> = (0..keys.len()).filter(|i| wanted[*i].is_some()).collect();
    let mut rows = vec![None; keys.len()];
    let weights = places.iter().map(|i| key_weight(&keys[*i]));
    // Without key columns one row answers all.
    let most_at_once =
        if layout.table.key_len() == 0 { vec![1; places.len()] } else { Layout::runs(layout.table.key_len(), weights) };
    let mut start = 0;
    for run in most_at_once {
        let run_places = &places[start..start + run];
        start += run;
        let mut arguments = SqliteArguments::default();
        for key in run_places.iter().filter_map(|i| wanted[*i].as_ref()) {
            layout.bind_key(0, key, &mut arguments)?;
        }
        for found in fetch(lease, layout, Statement::Get, run, arguments).await? {
            let index: i64 = found.try_get(0).map_err(|error| failed(DOING, error))?;
            let place = usize::try_from(index).ok().and_then(|i| run_places.get(i));
            let place = place.ok_or_else(|| StoreError::corrupt(&layout.physical, "a row that was not asked for"))?;
            rows[*place] = Some(layout.read_row(&found, 1)?);
        }
    }
    metrics::counter!("headwater_store_rows_read_total", "view" => layout.table.name.clone())
        .increment(rows.iter().flatten().count() as u64);
    Ok(rows)
}

/// A page of one partition. Past a cursor it is up to one statement a clustering column, the innermost first: each is a
/// plain range of the primary key, in any mix of directions.
pub(super) async fn page(lease: &mut Lease, layout: &Layout, page: &PageRequest) -> Result<Vec<Row>, StoreError> {
    let table = &layout.table;
    let Some(partition) = shape::lookup(table, shape::partition_values(table, &page.partition))? else {
        return Ok(Vec::new());
    };
    let after = match &page.after {
        None => None,
        Some(after) => match shape::lookup(table, shape::clustering_values(table, after))? {
            None => return Ok(Vec::new()),
            Some(after) => Some(after),
        },
    };
    let mut rows = Vec::new();
    let Some(after) = after else {
        return range(lease, layout, Statement::PageFirst, &partition, &[], page.limit).await;
    };
    for same in (0..after.len()).rev() {
        let more = page.limit - rows.len();
        if more == 0 {
            break;
        }
        let cursor = &after[..=same];
        rows.extend(range(lease, layout, Statement::PageAfter(same), &partition, cursor, more).await?);
    }
    Ok(rows)
}

/// The first rows of the whole table, in key order.
pub(super) async fn all(lease: &mut Lease, layout: &Layout, limit: usize) -> Result<Vec<Row>, StoreError> {
    range(lease, layout, Statement::All, &[], &[], limit).await
}

async fn range(
    lease: &mut Lease,
    layout: &Layout,
    statement: Statement,
    partition: &[Value],
    cursor: &[Value],
    limit: usize,
) -> Result<Vec<Row>, StoreError> {
    let mut arguments = SqliteArguments::default();
    layout.bind_key(0, partition, &mut arguments)?;
    layout.bind_key(layout.table.partition, cursor, &mut arguments)?;
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    arguments.add(limit).map_err(|error| StoreError::corrupt("a page's limit", error.to_string()))?;
    let found = fetch(lease, layout, statement, 1, arguments).await?;
    metrics::counter!("headwater_store_rows_read_total", "view" => layout.table.name.clone())
        .increment(found.len() as u64);
    found.iter().map(|row| layout.read_row(row, 0)).collect()
}

async fn fetch(
    lease: &mut Lease,
    layout: &Layout,
    statement: Statement,
    rows: usize,
    arguments: SqliteArguments,
) -> Result<Vec<SqliteRow>, StoreError> {
    let sql = AssertSqlSafe(layout.sql(statement, rows));
    let found = sqlx::query_with(sql, arguments).fetch_all(lease.connection()?).await;
    found.map_err(|error| layout.failed(DOING, error))
}

/// The stored positions, by topic and partition.
pub(super) async fn positions(
    lease: &mut Lease,
    topology: &str,
    generation: u32,
) -> Result<Vec<StoredPosition>, StoreError> {
    let sql = "SELECT topic, partition, topic_id, next FROM _positions WHERE topology = ? AND generation = ? \
               ORDER BY topic, partition";
    let found = sqlx::query(sql).bind(topology).bind(generation).fetch_all(lease.connection()?).await;
    let position = |row: &SqliteRow| -> Result<StoredPosition, sqlx::Error> {
        let topic_id: Vec<u8> = row.try_get(2)?;
        let topic_id = topic_id.try_into().map_err(|_| sqlx::Error::Decode("a topic's id has 16 bytes".into()))?;
        Ok(StoredPosition { topic: row.try_get(0)?, partition: row.try_get(1)?, topic_id, next: row.try_get(3)? })
    };
    let found = found.and_then(|rows| rows.iter().map(position).collect());
    found.map_err(|error| failed("reading positions", error))
}
