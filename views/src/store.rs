//! The store that callers hold: a closed enum, one match a method. A new backend is a new variant; the compiler finds
//! the places.

use headwater_engine::table::{Key, Row, Table, ViewWrites};
use tokio::sync::watch;

use crate::cassandra::{CassandraFlush, CassandraOptions, CassandraStore};
use crate::memory::{MemoryFlush, MemoryStore};
use crate::postgres::{PostgresFlush, PostgresOptions, PostgresStore};
use crate::snapshot::{Moment, Snapshot};
use crate::sqlite::{SqliteFlush, SqliteOptions, SqliteStore};
use crate::{
    Active, Claim, Deployment, FlushTarget, Limits, PageRequest, Parked, ParkedFilter, ParkedKey, ParkedRecord,
    PositionMove, StoreError, StoredPosition,
};

/// A view store; cloning it is cheap and gives the same store.
#[derive(Clone, Debug)]
pub enum Store {
    Cassandra(CassandraStore),
    Postgres(PostgresStore),
    Sqlite(SqliteStore),
    Memory(MemoryStore),
}

/// A flush under way: positions compared, rows readable, nothing written yet that anyone else can see.
///
/// Dropping it undoes it. On SQLite it holds the one writer, on Postgres a connection and locks: keep it short.
#[derive(Debug)]
pub enum Flush {
    Cassandra(CassandraFlush),
    Postgres(PostgresFlush),
    Sqlite(SqliteFlush),
    Memory(MemoryFlush),
}

macro_rules! each {
    ($on:expr, $store:ident => $call:expr) => {
        match $on {
            Self::Cassandra($store) => $call,
            Self::Postgres($store) => $call,
            Self::Sqlite($store) => $call,
            Self::Memory($store) => $call,
        }
    };
}

impl Store {
    /// Opens a database file, made if missing. Several processes may open the same one.
    pub async fn open_sqlite(options: SqliteOptions) -> Result<Self, StoreError> {
        Ok(Store::Sqlite(SqliteStore::open(options).await?))
    }

    /// Opens a schema of a Postgres database, made if missing. Any number of processes may open the same one.
    ///
    /// # Errors
    /// [`StoreError::Setup`] where the URL, TLS, the role or its privileges do not do; [`StoreError::NotAStore`] where the
    /// schema holds something else.
    pub async fn open_postgres(options: PostgresOptions) -> Result<Self, StoreError> {
        Ok(Store::Postgres(PostgresStore::open(options).await?))
    }

    /// Opens a keyspace of a Cassandra cluster, which must exist. Any number of processes may open the same one.
    ///
    /// # Errors
    /// [`StoreError::Setup`] where the keyspace, TLS, the login or its rights do not do; [`StoreError::NotAStore`] where
    /// the keyspace holds something else.
    pub async fn open_cassandra(options: CassandraOptions) -> Result<Self, StoreError> {
        Ok(Store::Cassandra(CassandraStore::open(options).await?))
    }

    /// An empty store in memory: same semantics, gone with the process.
    pub fn memory() -> Self {
        Store::Memory(MemoryStore::new(Limits::default()))
    }

    /// Makes a generation's tables and its catalog row, and gives its number. Where the topology already runs with this
    /// fingerprint nothing is done, and the number is that generation's: every process may call it at its start.
    ///
    /// # Errors
    /// [`StoreError::Deployed`] where the topology runs as something else; [`StoreError::NoGeneration`] where this
    /// number belonged to a generation that a reset dropped; [`StoreError::Declaration`] where a name is taken or a view
    /// cannot be stored.
    pub async fn create(&self, deployment: &Deployment) -> Result<u32, StoreError> {
        each!(self, store => store.create(deployment).await)
    }

    /// What runs, if anything does.
    pub async fn active(&self, topology: &str) -> Result<Option<Active>, StoreError> {
        each!(self, store => store.active(topology).await)
    }

    /// A generation number that was never used for this topology. Numbers are not used twice: a worker of a dropped
    /// generation that wakes up late finds nothing to write to.
    pub async fn next_generation(&self, topology: &str) -> Result<u32, StoreError> {
        each!(self, store => store.next_generation(topology).await)
    }

    /// Drops the topology's tables, positions and parked records in one step. Claims stay: they are of commands, not of
    /// views. Gives the next generation number.
    pub async fn reset(&self, topology: &str) -> Result<u32, StoreError> {
        each!(self, store => store.reset(topology).await)
    }

    /// The stored positions, by topic and partition; a partition that was never flushed has none.
    pub async fn positions(&self, topology: &str, generation: u32) -> Result<Vec<StoredPosition>, StoreError> {
        each!(self, store => store.positions(topology, generation).await)
    }

    /// Whether shared rows are kept in parts here, one a partition that feeds them, as a store without transactions has
    /// to: the fold then asks for parts and writes parts.
    pub fn keeps_parts(&self) -> bool {
        matches!(self, Store::Cassandra(_))
    }

    /// Takes partitions over, before their positions and parked keys are read: who had them before parks nothing of them
    /// any more. Gives the epoch of each, for its moves. Where a flush is one transaction, that alone sees to it.
    pub async fn take_over(&self, target: &FlushTarget, places: &[(String, i32)]) -> Result<Vec<i64>, StoreError> {
        match self {
            Store::Cassandra(store) => store.take_over(target, places).await,
            Store::Postgres(_) | Store::Sqlite(_) | Store::Memory(_) => Ok(vec![0; places.len()]),
        }
    }

    /// Starts a flush: compares every position with its `from`, first.
    ///
    /// # Errors
    /// [`StoreError::Fenced`], [`StoreError::TopicChanged`], [`StoreError::NoGeneration`]; nothing was changed then.
    pub async fn begin(&self, target: &FlushTarget, moves: &[PositionMove]) -> Result<Flush, StoreError> {
        Ok(match self {
            Store::Cassandra(store) => Flush::Cassandra(store.begin(target, moves).await?),
            Store::Postgres(store) => Flush::Postgres(store.begin(target, moves).await?),
            Store::Sqlite(store) => Flush::Sqlite(store.begin(target, moves).await?),
            Store::Memory(store) => Flush::Memory(store.begin(target, moves).await?),
        })
    }

    /// One moment of the store, with all rows that it has. It holds a connection until it is dropped.
    pub async fn snapshot(&self) -> Result<Snapshot, StoreError> {
        Ok(Snapshot::of(match self {
            Store::Cassandra(store) => Moment::Cassandra(store.snapshot()),
            Store::Postgres(store) => Moment::Postgres(store.snapshot().await?),
            Store::Sqlite(store) => Moment::Sqlite(store.snapshot().await?),
            Store::Memory(store) => Moment::Memory(store.snapshot()),
        }))
    }

    /// The rows of these keys, in their order; see [`Snapshot::get`].
    pub async fn get(&self, table: &Table, generation: u32, keys: &[Key]) -> Result<Vec<Option<Row>>, StoreError> {
        self.snapshot().await?.get(table, generation, keys).await
    }

    /// A page of one partition; see [`Snapshot::page`].
    pub async fn page(&self, table: &Table, generation: u32, page: &PageRequest) -> Result<Vec<Row>, StoreError> {
        self.snapshot().await?.page(table, generation, page).await
    }

    /// The first rows of a whole view, by key; see [`Snapshot::table_rows`].
    pub async fn table_rows(&self, table: &Table, generation: u32, limit: usize) -> Result<Vec<Row>, StoreError> {
        self.snapshot().await?.table_rows(table, generation, limit).await
    }

    /// Parked records by generation, topic, partition and offset, at most `limit`.
    pub async fn parked(&self, topology: &str, filter: &ParkedFilter, limit: usize) -> Result<Vec<Parked>, StoreError> {
        each!(self, store => store.parked(topology, filter, limit).await)
    }

    /// Every message key that is parked: what a worker loads before it goes on.
    pub async fn parked_keys(&self, topology: &str, generation: u32) -> Result<Vec<ParkedKey>, StoreError> {
        each!(self, store => store.parked_keys(topology, generation).await)
    }

    /// The claim of this kind and key, expired or not.
    pub async fn claim(&self, kind: &str, key: &[u8]) -> Result<Option<Claim>, StoreError> {
        each!(self, store => store.claim(kind, key).await)
    }

    /// Compare-and-swap: writes the body if the claim has version `expected` (None: if there is none). True: it is
    /// written and durable, with version `expected + 1`, or 1. False: someone else was first, nothing changed.
    pub async fn swap_claim(
        &self,
        kind: &str,
        key: &[u8],
        expected: Option<i64>,
        body: &[u8],
        expires_at_ms: Option<i64>,
    ) -> Result<bool, StoreError> {
        each!(self, store => store.swap_claim(kind, key, expected, body, expires_at_ms).await)
    }

    /// Drops the claim if it has version `expected`; whether it did.
    pub async fn drop_claim(&self, kind: &str, key: &[u8], expected: i64) -> Result<bool, StoreError> {
        each!(self, store => store.drop_claim(kind, key, expected).await)
    }

    /// Drops claims that expired before `now_ms`, a bounded number; how many. Call again until it gives 0.
    pub async fn sweep_claims(&self, now_ms: i64) -> Result<u64, StoreError> {
        match self {
            // Cassandra drops them by itself.
            Store::Cassandra(_) => Ok(0),
            Store::Postgres(store) => store.sweep_claims(now_ms).await,
            Store::Sqlite(store) => store.sweep_claims(now_ms).await,
            Store::Memory(store) => store.sweep_claims(now_ms).await,
        }
    }

    /// Deletes rows of a table that are past their `retain`, a bounded number; how many. Call again until it gives 0.
    /// Where rows are only hidden it deletes none.
    pub async fn sweep_rows(&self, table: &Table, generation: u32, now_ms: i64) -> Result<u64, StoreError> {
        let Some(retain) = table.retain.filter(|retain| retain.pruned) else { return Ok(0) };
        let horizon = retain.horizon(&table.columns[retain.column].ty.ty, now_ms);
        let swept = match self {
            // Cassandra drops them by itself: they are written with a time to live.
            Store::Cassandra(_) => return Ok(0),
            Store::Postgres(store) => store.sweep_rows(table, generation, &horizon).await?,
            Store::Sqlite(store) => store.sweep_rows(table, generation, &horizon).await?,
            Store::Memory(store) => store.sweep_rows(table, generation, now_ms)?,
        };
        metrics::counter!("headwater_store_rows_pruned_total", "view" => table.name.clone()).increment(swept);
        Ok(swept)
    }

    /// Fires after each commit of a flush made through this store in this process. Commits of other processes do not
    /// show here: also poll.
    pub fn changed(&self) -> watch::Receiver<u64> {
        each!(self, store => store.changed())
    }

    /// Drops all that the store holds, and the schema or file that held it, and closes the store. For what was made to be
    /// thrown away.
    pub async fn destroy(&self) -> Result<(), StoreError> {
        match self {
            Store::Cassandra(store) => store.destroy().await,
            Store::Postgres(store) => store.destroy().await,
            Store::Sqlite(store) => store.destroy().await,
            Store::Memory(_) => Ok(()),
        }
    }

    /// Waits for what is under way and closes the connections. Calls after it fail with [`StoreError::Unavailable`].
    pub async fn close(&self) {
        match self {
            Store::Postgres(store) => store.close().await,
            Store::Sqlite(store) => store.close().await,
            Store::Cassandra(_) | Store::Memory(_) => {}
        }
    }
}

impl Flush {
    /// The rows of these keys, in their order, without what this flush is going to write.
    pub async fn read(&mut self, table: &Table, keys: &[Key]) -> Result<Vec<Option<Row>>, StoreError> {
        each!(self, flush => flush.read(table, keys).await)
    }

    /// Writes rows, parked records and the positions that `begin` compared. `writes` are in the order of the topology's
    /// views, what is derived after what it derives from: a store without transactions writes them from the last to the
    /// first.
    ///
    /// # Errors
    /// [`StoreError::Refused`] names the row to park; nothing was written. After [`StoreError::Unavailable`] it may or
    /// may not be committed, as after a call that was cancelled: reload the positions.
    pub async fn commit(self, writes: &[(&Table, &ViewWrites)], parked: &[ParkedRecord]) -> Result<(), StoreError> {
        each!(self, flush => flush.commit(writes, parked).await)
    }

    /// Undoes it, and waits until that is done; dropping does the same behind the scenes.
    pub async fn abandon(self) {
        match self {
            Flush::Postgres(flush) => flush.abandon().await,
            Flush::Sqlite(flush) => flush.abandon().await,
            Flush::Cassandra(_) | Flush::Memory(_) => {}
        }
    }
}
