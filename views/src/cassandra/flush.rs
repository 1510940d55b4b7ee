//! A flush: an order of writes each of which may be made again, for there is no transaction.
//!
//! Markers and parked records first, then the views from the last to the first, so that what derives from a row is
//! acknowledged before the row is, then the positions. A worker that dies on the way leaves writes that its successor
//! makes again: every row carries the offset of the event that last touched it, as a column and as its timestamp, and
//! everything that is written is a function of the log alone.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use futures::{StreamExt, TryStreamExt, stream};
use headwater_engine::table::{Key, Row, RowPosition, Table, ViewWrites};
use headwater_schemas::Value;
use scylla::statement::batch::{Batch, BatchType};
use scylla::statement::prepared::PreparedStatement;

use super::bound::Bound;
use super::layout::{Layout, ROW_BYTES};
use super::lifetime::{self, Lifetime};
use super::{CassandraStore, catalog, parked, positions, read};
use crate::{FlushTarget, ParkedRecord, PositionMove, StoreError, shape};

const DOING: &str = "writing a flush";
/// What one request takes: rows of one partition of Cassandra's, in so many statements or bytes.
const BATCH_ROWS: usize = 64;
const BATCH_BYTES: usize = 128 * 1024;

/// See [`Flush`](crate::Flush).
pub struct CassandraFlush {
    store: CassandraStore,
    target: FlushTarget,
    moves: Vec<PositionMove>,
    started: Instant,
}

impl CassandraFlush {
    pub(super) async fn begin(
        store: &CassandraStore,
        target: &FlushTarget,
        moves: &[PositionMove],
    ) -> Result<Self, StoreError> {
        let started = Instant::now();
        let connection = &store.inner.connection;
        let (active, stored) = futures::future::try_join(
            catalog::active(connection, &target.topology),
            positions::all(connection, &target.topology, target.generation),
        )
        .await?;
        let FlushTarget { topology, generation } = target.clone();
        if active.is_none_or(|active| active.generation != generation) {
            return Err(StoreError::NoGeneration { topology, generation });
        }
        positions::compare(&stored, moves)?;
        Ok(Self { store: store.clone(), target: target.clone(), moves: moves.to_vec(), started })
    }

    pub(crate) async fn read(&mut self, table: &Table, keys: &[Key]) -> Result<Vec<Option<Row>>, StoreError> {
        let layout = self.store.inner.layouts.of(table, self.target.generation);
        read::kept_rows(&self.store, &layout, keys).await
    }

    pub(crate) async fn commit(
        self,
        writes: &[(&Table, &ViewWrites)],
        parked: &[ParkedRecord],
    ) -> Result<(), StoreError> {
        let done = self.write(writes, parked).await;
        let outcome = match &done {
            Ok(()) => "committed",
            Err(StoreError::Fenced { .. } | StoreError::TakenOver { .. } | StoreError::NoGeneration { .. }) => "fenced",
            Err(StoreError::Refused { .. }) => "refused",
            Err(_) => "failed",
        };
        metrics::counter!("headwater_store_flushes_total", "outcome" => outcome).increment(1);
        done?;
        metrics::histogram!("headwater_store_flush_seconds").record(self.started.elapsed());
        for (table, writes) in writes {
            count_rows(table, "put", writes.puts.len());
            count_rows(table, "delete", writes.deletes.len() + writes.partition_deletes.len());
        }
        metrics::counter!("headwater_store_parked_total").increment(parked.len() as u64);
        self.store.inner.changed.send_modify(|commits| *commits += 1);
        Ok(())
    }

    async fn write(&self, writes: &[(&Table, &ViewWrites)], parked: &[ParkedRecord]) -> Result<(), StoreError> {
        let layouts = &self.store.inner.layouts;
        let (guards, now) = (self.store.inner.guard_seconds, lifetime::now_micros(self.store.inner.clock));
        // All of it is known to fit before any of it is written: what is written cannot be taken back.
        let views = writes
            .iter()
            .map(|(table, writes)| Writes::of(layouts.of(table, self.target.generation), writes, guards, now));
        let views = views.collect::<Result<Vec<_>, _>>()?;
        let (connection, limits) = (&self.store.inner.connection, self.store.inner.limits);
        parked::add(connection, &self.target, &self.moves, parked, limits).await?;
        for view in views.into_iter().rev() {
            view.run(&self.store).await?;
        }
        positions::write(connection, &self.target, &self.moves).await
    }
}

impl fmt::Debug for CassandraFlush {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CassandraFlush").field("target", &self.target).finish_non_exhaustive()
    }
}

fn count_rows(table: &Table, kind: &'static str, rows: usize) {
    metrics::counter!("headwater_store_rows_written_total", "view" => table.name.clone(), "kind" => kind)
        .increment(rows as u64);
}

/// What is written to one view, in canonical form and known to fit.
struct Writes {
    layout: Arc<Layout>,
    partition_deletes: Vec<Bound>,
    deletes: Vec<Bound>,
    puts: Vec<Bound>,
}

impl Writes {
    fn of(layout: Arc<Layout>, writes: &ViewWrites, guard_seconds: i32, now_micros: i64) -> Result<Self, StoreError> {
        let mut made = Writes {
            layout: Arc::clone(&layout),
            partition_deletes: Vec::with_capacity(writes.partition_deletes.len()),
            deletes: Vec::new(),
            puts: Vec::with_capacity(writes.puts.len() + writes.deletes.len()),
        };
        let table = &layout.table;
        let refused = |key: &[Value], at, reason| Err(shape::refused(table, key, Some(at), reason));
        for (key, at) in &writes.partition_deletes {
            match shape::partition_values(table, key) {
                Err(unfit) => return refused(key, *at, unfit.reason()),
                Ok(fitted) => made.partition_deletes.push(deletion(&layout, &fitted, *at)?),
            }
        }
        for (key, at) in &writes.deletes {
            match shape::key_values(table, key) {
                Err(unfit) => return refused(key, *at, unfit.reason()),
                Ok(fitted) => made.gone(&fitted, *at, guard_seconds)?,
            }
        }
        for row in &writes.puts {
            let key = &row.values[..table.key_len().min(row.values.len())];
            let fitted = match shape::row(table, row) {
                Err(unfit) => return refused(key, row.position, unfit.reason()),
                Ok(fitted) => fitted,
            };
            if let Some(reason) = layout.misfit(fitted.key(table)) {
                return refused(key, row.position, reason);
            }
            let lifetime = lifetime::of(table, &fitted, now_micros);
            let ttl = if let Lifetime::Seconds(ttl) = lifetime { ttl } else { 0 };
            let bound = layout.bind_row(&fitted, ttl)?;
            // What is refused does not depend on when it is written.
            if bound.len() > ROW_BYTES && !row.hidden {
                let reason = format!("Cassandra takes rows of up to {} MiB", ROW_BYTES >> 20);
                return refused(key, row.position, reason);
            }
            match lifetime {
                _ if row.hidden => {
                    made.puts.push(layout.bind_guard(fitted.key(table), row.position, guard_seconds)?);
                }
                Lifetime::Over => made.gone(fitted.key(table), row.position, guard_seconds)?,
                Lifetime::Seconds(_) => made.puts.push(bound),
            }
        }
        Ok(made)
    }

    /// Takes a row that is gone.
    fn gone(&mut self, key: &[Value], at: RowPosition, guard_seconds: i32) -> Result<(), StoreError> {
        if self.layout.keeps_guards() {
            self.puts.push(self.layout.bind_guard(key, at, guard_seconds)?);
        } else {
            self.deletes.push(deletion(&self.layout, key, at)?);
        }
        Ok(())
    }

    async fn run(self, store: &CassandraStore) -> Result<(), StoreError> {
        let Writes { layout, partition_deletes, deletes, puts } = self;
        let (keyspace, partition) = (store.keyspace(), layout.partition_values());
        let runs = [
            (layout.delete(keyspace, layout.table.partition), partition_deletes, 1),
            (layout.delete(keyspace, layout.table.key_len()), deletes, 1),
            (layout.insert(keyspace), puts, 0),
        ];
        for (cql, rows, first) in runs {
            if rows.is_empty() {
                continue;
            }
            let prepared = store.inner.connection.prepare(&cql).await;
            let prepared = prepared.map_err(|error| read::table_failed(&layout, DOING, error))?;
            let batches = batches(rows, first..first + partition);
            let each = stream::iter(batches.into_iter().map(|rows| write(store, &layout, &prepared, rows)));
            each.buffer_unordered(store.inner.concurrency).try_collect::<()>().await?;
        }
        Ok(())
    }
}

/// A timestamp, then the leading columns of a key.
fn deletion(layout: &Layout, key: &[Value], at: RowPosition) -> Result<Bound, StoreError> {
    let mut bound = Bound::with_capacity(key.len() + 2);
    bound.push_bytes(&at.offset.to_be_bytes());
    layout.push_key(&mut bound, key)?;
    Ok(bound)
}

/// Rows by their partition of Cassandra's, cut where a request grows large: what one request writes, one node takes as one
/// mutation.
fn batches(rows: Vec<Bound>, partition: std::ops::Range<usize>) -> Vec<Vec<Bound>> {
    let mut open: HashMap<Vec<u8>, (usize, usize)> = HashMap::new();
    let mut batches: Vec<Vec<Bound>> = Vec::new();
    for row in rows {
        let size = row.len();
        let place = open.entry(row.part(partition.clone())).or_insert((usize::MAX, 0));
        let full = place.0 == usize::MAX || batches[place.0].len() >= BATCH_ROWS || place.1 + size > BATCH_BYTES;
        if full {
            *place = (batches.len(), 0);
            batches.push(Vec::new());
        }
        place.1 += size;
        batches[place.0].push(row);
    }
    batches
}

async fn write(
    store: &CassandraStore,
    layout: &Layout,
    prepared: &PreparedStatement,
    mut rows: Vec<Bound>,
) -> Result<(), StoreError> {
    let session = store.inner.connection.session();
    let done = if rows.len() == 1 {
        session.execute_unpaged(prepared, rows.remove(0)).await
    } else {
        let mut batch = Batch::new(BatchType::Unlogged);
        batch.set_is_idempotent(true);
        rows.iter().for_each(|_| batch.append_statement(prepared.clone()));
        session.batch(&batch, rows).await
    };
    done.map(drop).map_err(|error| read::table_failed(layout, DOING, error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_hold_rows_of_one_partition_and_stay_small() {
        let row = |partition: u8, bytes: usize| {
            let mut bound = Bound::default();
            bound.push_bytes(&[partition]);
            bound.push_bytes(&vec![0; bytes]);
            bound
        };
        let rows: Vec<Bound> = (0..200).map(|i| row(i % 2, 10)).chain([row(7, BATCH_BYTES), row(7, 1)]).collect();
        let cut = batches(rows, 0..1);
        for batch in &cut {
            let partitions: Vec<Vec<u8>> = batch.iter().map(|row| row.part(0..1)).collect();
            assert!(partitions.windows(2).all(|pair| pair[0] == pair[1]), "one partition a request");
            assert!(batch.len() <= BATCH_ROWS);
        }
        let mut sizes: Vec<usize> = cut.iter().map(Vec::len).collect();
        sizes.sort_unstable();
        assert_eq!(sizes, [1, 1, 36, 36, 64, 64]);
    }
}
