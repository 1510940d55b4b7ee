//! A flush: one transaction from the comparison of the positions to the commit, under READ COMMITTED.
//!
//! The position's row is locked by the comparison, so of two workers with the same partitions the second waits and is
//! fenced. Rows that only one partition feeds are safe with that; for the others see [`super::lock`].

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use headwater_engine::table::{Key, Row, RowPosition, Table, ViewWrites};
use headwater_schemas::Value;
use sqlx::AssertSqlSafe;
use sqlx::postgres::PgArguments;

use super::connections::Lease;
use super::fault::is_refusal;
use super::layout::{Layout, key_weight, row_weight, runs};
use super::statement::Statement;
use super::{PostgresStore, lock, parked, positions, read};
use crate::{FlushTarget, ParkedRecord, PositionMove, StoreError, shape};

const DOING: &str = "writing a flush";

/// See [`Flush`](crate::Flush).
pub struct PostgresFlush {
    store: PostgresStore,
    target: FlushTarget,
    lease: Lease,
    started: Instant,
}

impl PostgresFlush {
    pub(super) async fn begin(
        store: &PostgresStore,
        target: &FlushTarget,
        moves: &[PositionMove],
    ) -> Result<Self, StoreError> {
        let started = Instant::now();
        let begun = Self::begin_transaction(store, target, moves).await;
        if let Err(error) = &begun {
            metrics::counter!("headwater_store_flushes_total", "outcome" => outcome(error)).increment(1);
        }
        Ok(Self { store: store.clone(), target: target.clone(), lease: begun?, started })
    }

    async fn begin_transaction(
        store: &PostgresStore,
        target: &FlushTarget,
        moves: &[PositionMove],
    ) -> Result<Lease, StoreError> {
        let FlushTarget { topology, generation } = target;
        let shared_rows = store.has_shared_rows(topology, *generation).await?;
        let begin = lock::begin_flush(&store.inner.schema, topology, *generation, shared_rows);
        let mut lease = store.inner.connections.lease(&begin, "starting a flush").await?;
        match positions::swap(&mut lease, target, moves).await {
            Ok(()) => Ok(lease),
            Err(error) => {
                // What it says matters more than whether the rollback, which also comes with closing, went well.
                let _ = lease.roll_back().await;
                Err(error)
            }
        }
    }

    pub(crate) async fn read(&mut self, table: &Table, keys: &[Key]) -> Result<Vec<Option<Row>>, StoreError> {
        let layout = self.store.inner.layouts.of(table, self.target.generation);
        read::rows_of_keys(&mut self.lease, &layout, keys).await
    }

    pub(crate) async fn commit(
        mut self,
        writes: &[(&Table, &ViewWrites)],
        parked: &[ParkedRecord],
    ) -> Result<(), StoreError> {
        let written = self.write(writes, parked).await;
        let done = match written {
            Ok(()) => self.lease.commit().await,
            Err(error) => {
                let _ = self.lease.roll_back().await;
                Err(error)
            }
        };
        let outcome = done.as_ref().map_or_else(outcome, |()| "committed");
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

    pub(crate) async fn abandon(self) {
        // Where it fails the connection closes, which undoes it just as well.
        let _ = self.lease.roll_back().await;
    }

    async fn write(&mut self, writes: &[(&Table, &ViewWrites)], parked: &[ParkedRecord]) -> Result<(), StoreError> {
        for (table, writes) in writes {
            let layout = self.store.inner.layouts.of(table, self.target.generation);
            Writes::of(layout, writes)?.run(&mut self.lease).await?;
        }
        let limits = self.store.inner.limits;
        parked::add(&mut self.lease, &self.target, parked, limits).await
    }
}

impl fmt::Debug for PostgresFlush {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresFlush").field("target", &self.target).finish_non_exhaustive()
    }
}

fn outcome(error: &StoreError) -> &'static str {
    match error {
        StoreError::Fenced { .. } | StoreError::TopicChanged { .. } | StoreError::NoGeneration { .. } => "fenced",
        StoreError::Refused { .. } => "refused",
        _ => "failed",
    }
}

fn count_rows(table: &Table, kind: &'static str, rows: usize) {
    metrics::counter!("headwater_store_rows_written_total", "view" => table.name.clone(), "kind" => kind)
        .increment(rows as u64);
}

/// What is written to one view, in canonical form and known to fit.
struct Writes<'w> {
    layout: Arc<Layout>,
    partitions: Vec<KeyAt<'w>>,
    deletes: Vec<KeyAt<'w>>,
    puts: Vec<Cow<'w, Row>>,
}

/// A key, or the leading columns of one, and the event that deletes it.
struct KeyAt<'w> {
    key: Cow<'w, [Value]>,
    at: RowPosition,
}

impl AsRef<[Value]> for KeyAt<'_> {
    fn as_ref(&self) -> &[Value] {
        &self.key
    }
}

impl<'w> Writes<'w> {
    fn of(layout: Arc<Layout>, writes: &'w ViewWrites) -> Result<Self, StoreError> {
        let table = &layout.table;
        let refused = |key: &[Value], at, unfit: shape::Unfit| shape::refused(table, key, Some(at), unfit.reason());
        let mut partitions = Vec::with_capacity(writes.partition_deletes.len());
        for (key, at) in &writes.partition_deletes {
            let fitted = shape::partition_values(table, key).map_err(|unfit| refused(key, *at, unfit))?;
            partitions.push(KeyAt { key: fitted, at: *at });
        }
        let mut deletes = Vec::with_capacity(writes.deletes.len());
        for (key, at) in &writes.deletes {
            let fitted = shape::key_values(table, key).map_err(|unfit| refused(key, *at, unfit))?;
            deletes.push(KeyAt { key: fitted, at: *at });
        }
        let mut puts = Vec::with_capacity(writes.puts.len());
        for row in &writes.puts {
            let key = &row.values[..table.key_len().min(row.values.len())];
            let fitted = shape::row(table, row).map_err(|unfit| refused(key, row.position, unfit))?;
            if row.hidden {
                deletes.push(KeyAt { key: Cow::Owned(fitted.key(table).to_vec()), at: row.position });
                continue;
            }
            if let Some(reason) = layout.misfit(&fitted) {
                return Err(shape::refused(table, key, Some(row.position), reason));
            }
            puts.push(fitted);
        }
        Ok(Self { layout, partitions, deletes, puts })
    }

    async fn run(&self, lease: &mut Lease) -> Result<(), StoreError> {
        let table = &self.layout.table;
        self.delete(lease, Statement::DeletePartitions, table.partition, &self.partitions).await?;
        self.delete(lease, Statement::Delete, table.key_len(), &self.deletes).await?;
        let puts = Set {
            layout: &self.layout,
            statement: Statement::Put,
            arguments: |rows: &[Cow<'_, Row>]| self.layout.row_arrays(rows),
            item: |row: &Cow<'_, Row>| (row.key(table).to_vec(), row.position),
        };
        puts.run(lease, &self.puts, |row| row_weight(row)).await
    }

    async fn delete(
        &self,
        lease: &mut Lease,
        statement: Statement,
        columns: usize,
        mut keys: &[KeyAt<'w>],
    ) -> Result<(), StoreError> {
        if columns == 0 {
            // Without columns there is one key, and it has every row.
            keys = &keys[..keys.len().min(1)];
        }
        let deletes = Set {
            layout: &self.layout,
            statement,
            arguments: |keys: &[KeyAt<'_>]| self.layout.key_arrays(columns, keys),
            item: |key: &KeyAt<'_>| (key.key.to_vec(), key.at),
        };
        deletes.run(lease, keys, |key| key_weight(&key.key)).await
    }
}

/// One statement over sets of items.
struct Set<'l, A, I> {
    layout: &'l Layout,
    statement: Statement,
    /// The arrays of some items.
    arguments: A,
    /// The key of an item, and the event to park where it is refused.
    item: I,
}

impl<A, I> Set<'_, A, I> {
    async fn run<T>(&self, lease: &mut Lease, items: &[T], weight: impl Fn(&T) -> usize) -> Result<(), StoreError>
    where
        A: Fn(&[T]) -> Result<PgArguments, StoreError>,
        I: Fn(&T) -> (Vec<Value>, RowPosition),
    {
        let mut rest = items;
        for run in runs(items.iter().map(weight)) {
            let (now, later) = rest.split_at(run);
            rest = later;
            match self.execute(lease, now).await? {
                Ok(()) => {}
                Err(error) if is_refusal(&error) => return Err(self.refused(lease, now).await),
                Err(error) => return Err(self.layout.failed(DOING, error)),
            }
        }
        Ok(())
    }

    async fn execute<T>(&self, lease: &mut Lease, items: &[T]) -> Result<Result<(), sqlx::Error>, StoreError>
    where
        A: Fn(&[T]) -> Result<PgArguments, StoreError>,
    {
        let sql = AssertSqlSafe(self.layout.sql(self.statement));
        let arguments = (self.arguments)(items)?;
        Ok(lease.execute(sqlx::query_with(sql, arguments)).await.map(|_| ()))
    }

    /// Postgres does not say which of a statement's rows it refuses. The flush is lost by now, so in a transaction that is
    /// undone in any case the one is searched for by halves.
    async fn refused<T>(&self, lease: &mut Lease, items: &[T]) -> StoreError
    where
        A: Fn(&[T]) -> Result<PgArguments, StoreError>,
        I: Fn(&T) -> (Vec<Value>, RowPosition),
    {
        let mut among = items;
        let mut reason = None;
        while among.len() > 1 || reason.is_none() {
            let (first, second) = among.split_at(among.len() / 2);
            let tried = if first.is_empty() { second } else { first };
            if let Err(error) = lease.run("ROLLBACK; BEGIN".to_owned()).await {
                return self.layout.failed(DOING, error);
            }
            match self.execute(lease, tried).await {
                Err(error) => return error,
                Ok(Err(error)) if is_refusal(&error) => (among, reason) = (tried, Some(error.to_string())),
                Ok(Err(error)) => return self.layout.failed(DOING, error),
                Ok(Ok(())) if first.is_empty() => {
                    return StoreError::unavailable(DOING, "the server refused rows together that it takes one by one");
                }
                Ok(Ok(())) => (among, reason) = (second, None),
            }
        }
        let (key, at) = (self.item)(&among[0]);
        shape::refused_by_server(&self.layout.table, &key, at, reason.unwrap_or_default())
    }
}
