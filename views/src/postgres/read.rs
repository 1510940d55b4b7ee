//! Reading: rows by key, pages, whole tables.

use std::borrow::Cow;

use headwater_engine::table::{Key, Row};
use headwater_schemas::Value;
use sqlx::postgres::{PgArguments, PgRow};
use sqlx::{AssertSqlSafe, Row as _};

use super::connections::Lease;
use super::layout::{Layout, key_weight, runs};
use super::statement::Statement;
use crate::{PageRequest, StoreError, shape};

const DOING: &str = "reading rows";

/// The rows of these keys, in their order.
pub(super) async fn rows_of_keys(
    lease: &mut Lease,
    layout: &Layout,
    keys: &[Key],
) -> Result<Vec<Option<Row>>, StoreError> {
    let table = &layout.table;
    let wanted = shape::lookup_keys(table, keys)?;
    let mut rows = vec![None; keys.len()];
    let (places, wanted): (Vec<usize>, Vec<Cow<'_, [Value]>>) =
        wanted.into_iter().enumerate().filter_map(|(place, key)| Some((place, key?))).unzip();
    let mut start = 0;
    for run in runs(wanted.iter().map(|key| key_weight(key))) {
        let places = &places[start..start + run];
        let arguments = layout.key_arrays(table.key_len(), &wanted[start..start + run])?;
        start += run;
        for found in fetch(lease, layout, Statement::Get, arguments).await? {
            let row = layout.read_row(&found, 1)?;
            if table.key_len() == 0 {
                // One row answers all.
                places.iter().for_each(|place| rows[*place] = Some(row.clone()));
                continue;
            }
            let index: i64 = found.try_get(0).map_err(|error| layout.failed(DOING, error))?;
            let place = usize::try_from(index - 1).ok().and_then(|i| places.get(i));
            let place = place.ok_or_else(|| StoreError::corrupt(&layout.physical, "a row that was not asked for"))?;
            rows[*place] = Some(row);
        }
    }
    metrics::counter!("headwater_store_rows_read_total", "view" => table.name.clone())
        .increment(rows.iter().flatten().count() as u64);
    Ok(rows)
}

/// A page of one partition. Past a cursor it is up to one statement a clustering column, the innermost first: each is a
/// plain range of the key's index, in any mix of directions.
pub(super) async fn page(lease: &mut Lease, layout: &Layout, page: &PageRequest) -> Result<Vec<Row>, StoreError> {
    let table = &layout.table;
    let Some(partition) = shape::lookup(table, shape::partition_values(table, &page.partition))? else {
        return Ok(Vec::new());
    };
    let Some(after) = &page.after else {
        return range(lease, layout, Statement::PageFirst, &partition, &[], page.limit).await;
    };
    let Some(after) = shape::lookup(table, shape::clustering_values(table, after))? else {
        return Ok(Vec::new());
    };
    let mut rows = Vec::new();
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
    let values: Vec<&Value> = partition.iter().chain(cursor).collect();
    let found = fetch(lease, layout, statement, layout.range(&values, limit)?).await?;
    metrics::counter!("headwater_store_rows_read_total", "view" => layout.table.name.clone())
        .increment(found.len() as u64);
    found.iter().map(|row| layout.read_row(row, 0)).collect()
}

async fn fetch(
    lease: &mut Lease,
    layout: &Layout,
    statement: Statement,
    arguments: PgArguments,
) -> Result<Vec<PgRow>, StoreError> {
    let query = sqlx::query_with(AssertSqlSafe(layout.sql(statement)), arguments);
    lease.fetch(query).await.map_err(|error| layout.failed(DOING, error))
}
