//! A flush: one transaction that holds the writer from the comparison of the positions to the commit.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use headwater_engine::table::{Key, Row, RowPosition, Table, ViewWrites};
use headwater_schemas::Value;
use sqlx::AssertSqlSafe;
use sqlx::sqlite::SqliteArguments;

use super::connections::{Lease, failed, is_refusal};
use super::layout::{Layout, key_weight, row_weight};
use super::statement::{Statement, tuple};
use super::{SqliteStore, catalog, parked, read};
use crate::{FlushTarget, ParkedRecord, PositionMove, StoreError, shape};

const DOING: &str = "writing a flush";

/// See [`Flush`](crate::Flush).
pub struct SqliteFlush {
    store: SqliteStore,
    target: FlushTarget,
    lease: Lease,
    started: Instant,
}

impl SqliteFlush {
    pub(super) async fn begin(
        store: &SqliteStore,
        target: &FlushTarget,
        moves: &[PositionMove],
    ) -> Result<Self, StoreError> {
        let started = Instant::now();
        let mut lease = store.inner.writer.lease("BEGIN IMMEDIATE", "starting a flush").await?;
        match move_positions(&mut lease, target, moves).await {
            Ok(()) => Ok(Self { store: store.clone(), target: target.clone(), lease, started }),
            Err(error) => {
                metrics::counter!("headwater_store_flushes_total", "outcome" => outcome(&error)).increment(1);
                // What it says matters more than whether the rollback, which also comes with closing, went well.
                let _ = lease.end("ROLLBACK").await;
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
            Ok(()) => self.lease.end("COMMIT").await,
            Err(error) => {
                let _ = self.lease.end("ROLLBACK").await;
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
        let _ = self.lease.end("ROLLBACK").await;
    }

    async fn write(&mut self, writes: &[(&Table, &ViewWrites)], parked: &[ParkedRecord]) -> Result<(), StoreError> {
        for (table, writes) in writes {
            let layout = self.store.inner.layouts.of(table, self.target.generation);
            Writes::of(layout, writes)?.run(&mut self.lease).await?;
        }
        let limits = self.store.inner.options.limits;
        parked::add(&mut self.lease, &self.target, parked, limits).await
    }
}

impl fmt::Debug for SqliteFlush {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteFlush").field("target", &self.target).finish_non_exhaustive()
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

/// The compare-and-swap. The transaction already holds the only write lock, so comparing first and writing then is one
/// step to everyone else.
async fn move_positions(lease: &mut Lease, target: &FlushTarget, moves: &[PositionMove]) -> Result<(), StoreError> {
    let FlushTarget { topology, generation } = target;
    if !catalog::is_active(lease, topology, *generation).await? {
        return Err(StoreError::NoGeneration { topology: topology.clone(), generation: *generation });
    }
    let stored = read::positions(lease, topology, *generation).await?;
    for step in moves {
        let found = stored.iter().find(|found| found.topic == step.topic && found.partition == step.partition);
        step.compare(found.map(|found| (found.topic_id, found.next)).as_ref())?;
    }
    let mut rest = moves;
    for run in Layout::runs(6, moves.iter().map(|_| 64)) {
        let (now, later) = rest.split_at(run);
        rest = later;
        let sql = format!(
            "REPLACE INTO _positions (topology, generation, topic, partition, topic_id, next) VALUES {}",
            vec![tuple(6); run].join(", ")
        );
        let mut query = sqlx::query(AssertSqlSafe(sql));
        for step in now {
            query = query.bind(topology).bind(*generation).bind(&step.topic).bind(step.partition);
            query = query.bind(step.topic_id.to_vec()).bind(step.to);
        }
        query.execute(lease.connection()?).await.map_err(|error| failed("moving positions", error))?;
    }
    Ok(())
}

/// What is written to one view, in canonical form.
struct Writes<'w> {
    layout: Arc<Layout>,
    partitions: Vec<(Cow<'w, [Value]>, RowPosition)>,
    deletes: Vec<(Cow<'w, [Value]>, RowPosition)>,
    puts: Vec<Cow<'w, Row>>,
}

impl<'w> Writes<'w> {
    fn of(layout: Arc<Layout>, writes: &'w ViewWrites) -> Result<Self, StoreError> {
        let table = &layout.table;
        let refused = |key: &[Value], at, unfit: shape::Unfit| shape::refused(table, key, Some(at), unfit.reason());
        let mut partitions = Vec::with_capacity(writes.partition_deletes.len());
        for (key, at) in &writes.partition_deletes {
            let fitted = shape::partition_values(table, key).map_err(|unfit| refused(key, *at, unfit))?;
            partitions.push((fitted, *at));
        }
        let mut deletes = Vec::with_capacity(writes.deletes.len());
        for (key, at) in &writes.deletes {
            deletes.push((shape::key_values(table, key).map_err(|unfit| refused(key, *at, unfit))?, *at));
        }
        let mut puts = Vec::with_capacity(writes.puts.len());
        for row in &writes.puts {
            let key = &row.values[..table.key_len().min(row.values.len())];
            let fitted = shape::row(table, row).map_err(|unfit| refused(key, row.position, unfit))?;
            match row.hidden {
                true => deletes.push((Cow::Owned(fitted.key(table).to_vec()), row.position)),
                false => puts.push(fitted),
            }
        }
        Ok(Self { layout, partitions, deletes, puts })
    }

    async fn run(&self, lease: &mut Lease) -> Result<(), StoreError> {
        let table = &self.layout.table;
        self.delete(lease, Statement::DeletePartitions, table.partition, &self.partitions).await?;
        self.delete(lease, Statement::Delete, table.key_len(), &self.deletes).await?;
        self.put(lease).await
    }

    async fn delete(
        &self,
        lease: &mut Lease,
        statement: Statement,
        columns: usize,
        mut keys: &[(Cow<'w, [Value]>, RowPosition)],
    ) -> Result<(), StoreError> {
        if columns == 0 {
            // Without columns there is one key, and it has every row.
            keys = &keys[..keys.len().min(1)];
        }
        for run in Layout::runs(columns, keys.iter().map(|(key, _)| key_weight(key))) {
            let (now, later) = keys.split_at(run);
            keys = later;
            let mut arguments = SqliteArguments::default();
            for (key, _) in now {
                self.layout.bind_key(0, key, &mut arguments)?;
            }
            self.execute(lease, statement, run, arguments).await.map_err(|error| match now {
                [(key, at)] if is_refusal(&error) => self.refused(key, *at, &error),
                _ => self.layout.failed(DOING, error),
            })?;
        }
        Ok(())
    }

    async fn put(&self, lease: &mut Lease) -> Result<(), StoreError> {
        let mut rows = self.puts.as_slice();
        for run in Layout::runs(self.layout.width(), rows.iter().map(|row| row_weight(row))) {
            let (now, later) = rows.split_at(run);
            rows = later;
            match self.put_run(lease, now).await {
                Err(error) if is_refusal(&error) => self.put_singly(lease, now).await?,
                Err(error) => return Err(self.layout.failed(DOING, error)),
                Ok(()) => {}
            }
        }
        Ok(())
    }

    /// A statement over many rows does not say which one it refuses, and leaves none of them: write them one by one.
    async fn put_singly(&self, lease: &mut Lease, rows: &[Cow<'w, Row>]) -> Result<(), StoreError> {
        for row in rows {
            self.put_run(lease, std::slice::from_ref(row)).await.map_err(|error| {
                if is_refusal(&error) {
                    return self.refused(row.key(&self.layout.table), row.position, &error);
                }
                self.layout.failed(DOING, error)
            })?;
        }
        Ok(())
    }

    async fn put_run(&self, lease: &mut Lease, rows: &[Cow<'w, Row>]) -> Result<(), sqlx::Error> {
        let mut arguments = SqliteArguments::default();
        for row in rows {
            self.layout.bind_row(row, &mut arguments).map_err(|error| sqlx::Error::Encode(error.into()))?;
        }
        self.execute(lease, Statement::Put, rows.len(), arguments).await
    }

    async fn execute(
        &self,
        lease: &mut Lease,
        statement: Statement,
        rows: usize,
        arguments: SqliteArguments,
    ) -> Result<(), sqlx::Error> {
        let sql = AssertSqlSafe(self.layout.sql(statement, rows));
        let connection = lease.connection().map_err(|error| sqlx::Error::Io(std::io::Error::other(error)))?;
        sqlx::query_with(sql, arguments).execute(connection).await.map(|_| ())
    }

    fn refused(&self, key: &[Value], at: RowPosition, error: &sqlx::Error) -> StoreError {
        shape::refused_by_server(&self.layout.table, key, at, error.to_string())
    }
}
