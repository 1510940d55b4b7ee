//! Reads: rows by key, a page of a partition, a whole view. There are no snapshots: ask for positions first.

use std::borrow::Cow;
use std::collections::BTreeMap;

use futures::{StreamExt, TryStreamExt, stream};
use headwater_engine::table::{Key, Row, Table};
use headwater_schemas::Value;
use scylla::deserialize::row::ColumnIterator;
use scylla::errors::ExecutionError;
use scylla::statement::prepared::PreparedStatement;

use super::CassandraStore;
use super::bound::Bound;
use super::connection::{Pages, unreadable};
use super::fault::{failed, has_no_table};
use super::layout::Layout;
use crate::{PageRequest, StoreError, order, shape};

const DOING: &str = "reading rows";
/// A page is read in steps of at least so many rows, for some may be hidden.
const STEP_ROWS: usize = 50;
const MOST_ROWS: usize = 5000;

/// What an error of a statement over this view means.
pub(super) fn table_failed(layout: &Layout, doing: &'static str, error: ExecutionError) -> StoreError {
    if has_no_table(&error) {
        let topology = format!("of view {}", layout.table.name);
        return StoreError::NoGeneration { topology, generation: layout.generation };
    }
    failed(doing, error)
}

async fn prepare(store: &CassandraStore, layout: &Layout, cql: &str) -> Result<PreparedStatement, StoreError> {
    store.inner.connection.prepare(cql).await.map_err(|error| table_failed(layout, DOING, error))
}

/// The rows of these keys as they are kept, guards and single parts, in their order.
pub(super) async fn kept_rows(
    store: &CassandraStore,
    layout: &Layout,
    keys: &[Key],
) -> Result<Vec<Option<Row>>, StoreError> {
    let bound = bind_keys(layout, shape::lookup_keys(&layout.table, keys)?)?;
    let prepared = prepare(store, layout, &layout.select(store.keyspace(), layout.table.key_len())).await?;
    let each = bound.into_iter().map(|bound| async {
        Ok::<_, StoreError>(match bound {
            Some(bound) => rows(store, layout, prepared.clone(), bound).await?.into_iter().next(),
            None => None,
        })
    });
    stream::iter(each).buffered(store.inner.concurrency).try_collect().await
}

/// Keys to look up; None where no row can have it.
fn bind_keys(layout: &Layout, keys: Vec<Option<Cow<'_, [Value]>>>) -> Result<Vec<Option<Bound>>, StoreError> {
    let possible = |key: Option<Cow<'_, [Value]>>| {
        let key = key.filter(|key| layout.misfit(key).is_none());
        key.map(|key| layout.bind_key(&key)).transpose()
    };
    keys.into_iter().map(possible).collect()
}

/// The rows of these keys as a reader sees them, in their order.
pub(super) async fn seen_rows(
    store: &CassandraStore,
    layout: &Layout,
    keys: &[Key],
) -> Result<Vec<Option<Row>>, StoreError> {
    let Some(whole) = &layout.whole else {
        let found = kept_rows(store, layout, keys).await?;
        return Ok(found.into_iter().map(|row| row.filter(|row| !row.hidden)).collect());
    };
    let bound = bind_keys(layout, shape::lookup_keys(whole, keys)?)?;
    let prepared = prepare(store, layout, &layout.select(store.keyspace(), whole.key_len())).await?;
    let each = bound.into_iter().map(|bound| async {
        let Some(bound) = bound else { return Ok(None) };
        let mut parts = rows(store, layout, prepared.clone(), bound).await?;
        parts.retain(|part| !part.hidden);
        Ok::<_, StoreError>(whole.merged(&parts))
    });
    stream::iter(each).buffered(store.inner.concurrency).try_collect().await
}

/// All rows of a small answer.
async fn rows(
    store: &CassandraStore,
    layout: &Layout,
    prepared: PreparedStatement,
    bound: Bound,
) -> Result<Vec<Row>, StoreError> {
    let mut pages = Pages::new(&store.inner.connection, prepared);
    let mut found = Vec::new();
    while let Some(page) = pages.next(&bound).await.map_err(|error| table_failed(layout, DOING, error))? {
        for row in page.rows::<ColumnIterator>().map_err(|error| unreadable(DOING, error))? {
            found.push(layout.read_row(row.map_err(|error| unreadable(DOING, error))?)?);
        }
    }
    Ok(found)
}

/// Makes the rows that a reader sees of those that are kept, which come in the order of their keys.
struct Seen<'l> {
    layout: &'l Layout,
    /// Of the row that is being put together.
    parts: Vec<Row>,
}

impl<'l> Seen<'l> {
    fn new(layout: &'l Layout) -> Self {
        Self { layout, parts: Vec::new() }
    }

    /// Takes one; gives the row that is complete with it, if any is.
    fn take(&mut self, kept: Row) -> Option<Row> {
        if kept.hidden {
            return None;
        }
        let Some(whole) = &self.layout.whole else { return Some(kept) };
        let key = whole.key_len();
        let same = self.parts.first().is_none_or(|part| part.values[..key] == kept.values[..key]);
        let complete = if same { None } else { self.finish() };
        self.parts.push(kept);
        complete
    }

    /// The last row.
    fn finish(&mut self) -> Option<Row> {
        let parts = std::mem::take(&mut self.parts);
        self.layout.whole.as_ref()?.merged(&parts)
    }
}

pub(super) async fn page(
    store: &CassandraStore,
    layout: &Layout,
    request: &PageRequest,
) -> Result<Vec<Row>, StoreError> {
    let table = layout.read_table();
    let Some(partition) = shape::lookup(table, shape::partition_values(table, &request.partition))? else {
        return Ok(Vec::new());
    };
    let after = match &request.after {
        None => None,
        Some(after) => match shape::lookup(table, shape::clustering_values(table, after))? {
            None => return Ok(Vec::new()),
            after => after,
        },
    };
    if layout.misfit(&partition).is_some() || request.limit == 0 {
        return Ok(Vec::new());
    }
    let mut found = Vec::new();
    for (cql, values) in ranges(store.keyspace(), layout, &partition, after.as_deref()) {
        range(store, layout, &cql, &values, request.limit, &mut found).await?;
        if found.len() >= request.limit {
            break;
        }
    }
    Ok(found)
}

/// The statements that together give what comes after a row, in clustering order: first what shares all but its last
/// clustering column, then what shares all but two, and so on. CQL compares several columns at once only where all of them
/// have one direction.
fn ranges(keyspace: &str, layout: &Layout, partition: &[Value], after: Option<&[Value]>) -> Vec<(String, Vec<Value>)> {
    let columns = partition.len();
    let Some(after) = after else { return vec![(layout.select(keyspace, columns), partition.to_vec())] };
    let ranges = (0..after.len()).rev().map(|shared| {
        let mut values = partition.to_vec();
        values.extend_from_slice(&after[..=shared]);
        (layout.select_after(keyspace, columns + shared), values)
    });
    ranges.collect()
}

async fn range(
    store: &CassandraStore,
    layout: &Layout,
    cql: &str,
    values: &[Value],
    limit: usize,
    found: &mut Vec<Row>,
) -> Result<(), StoreError> {
    let mut prepared = prepare(store, layout, cql).await?;
    let step = (limit - found.len()).clamp(STEP_ROWS, MOST_ROWS);
    prepared.set_page_size(i32::try_from(step).unwrap_or(i32::MAX));
    let bound = layout.bind_key(values)?;
    let mut seen = Seen::new(layout);
    let mut pages = Pages::new(&store.inner.connection, prepared);
    while let Some(page) = pages.next(&bound).await.map_err(|error| table_failed(layout, DOING, error))? {
        for row in page.rows::<ColumnIterator>().map_err(|error| unreadable(DOING, error))? {
            let kept = layout.read_row(row.map_err(|error| unreadable(DOING, error))?)?;
            found.extend(seen.take(kept));
            if found.len() >= limit {
                return Ok(());
            }
        }
    }
    found.extend(seen.finish());
    Ok(())
}

/// The first rows by key. Cassandra gives partitions in the order of their hashes, so all of them are read; no more than
/// `limit` rows are held.
pub(super) async fn all(store: &CassandraStore, layout: &Layout, limit: usize) -> Result<Vec<Row>, StoreError> {
    let prepared = prepare(store, layout, &layout.select_all(store.keyspace())).await?;
    let table: &Table = layout.read_table();
    let mut first: BTreeMap<Vec<u8>, Row> = BTreeMap::new();
    let mut keep = |row: Row| {
        first.insert(order::key_bytes(table, row.key(table)), row);
        if first.len() > limit {
            first.pop_last();
        }
    };
    let mut seen = Seen::new(layout);
    let mut pages = Pages::new(&store.inner.connection, prepared);
    let nothing = Bound::default();
    while let Some(page) = pages.next(&nothing).await.map_err(|error| table_failed(layout, DOING, error))? {
        for row in page.rows::<ColumnIterator>().map_err(|error| unreadable(DOING, error))? {
            let kept = layout.read_row(row.map_err(|error| unreadable(DOING, error))?)?;
            seen.take(kept).into_iter().for_each(&mut keep);
        }
    }
    seen.finish().into_iter().for_each(&mut keep);
    Ok(first.into_values().collect())
}
