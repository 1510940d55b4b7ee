//! The store on Postgres: one schema, any number of processes.
//!
//! A flush is one transaction; see [`flush`](PostgresFlush) and, for who waits for whom, `postgres/lock.rs`. Beside the
//! views' tables the schema holds:
//!
//! | table | what |
//! |---|---|
//! | `<view>_g<generation>` | a view's rows: visible columns, then `_s_<name>` (state), `_pos` and `_part` (the event that a row reflects) |
//! | `<view>` | an SQL view of the active generation's visible columns: what people and their tools read |
//! | `_format`, `_generations`, `_tables` | the store's format; the catalog |
//! | `_positions`, `_parked`, `_parked_keys`, `_claims` | what they say |
//!
//! Who may read is the server's affair: `ALTER DEFAULT PRIVILEGES … GRANT SELECT` outlasts a reset, a plain grant does not.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use headwater_engine::table::{Key, Row, Table};
use headwater_schemas::Value;
use secrecy::SecretString;
use tokio::sync::watch;

use crate::{
    Active, Claim, Deployment, FlushTarget, Limits, PageRequest, Parked, ParkedFilter, ParkedKey, PositionMove,
    StoreError, StoredPosition,
};

mod catalog;
mod cell;
mod claims;
mod connections;
mod facts;
mod fault;
mod flush;
mod layout;
mod lock;
mod numeric;
mod parked;
mod positions;
mod read;
mod statement;
mod sweep;

pub use facts::PostgresFacts;
pub(crate) use flush::PostgresFlush;

use connections::{Connections, Lease};
use layout::Layouts;

/// How to open a store.
#[derive(Clone, Debug)]
pub struct PostgresOptions {
    /// `postgres://USER:PASSWORD@HOST:PORT/DATABASE?sslmode=verify-full&sslrootcert=FILE`, as libpq has it. The
    /// `PG…` variables of the environment and `~/.pgpass` fill in what it leaves out.
    pub url: SecretString,
    /// The schema that holds everything; made if missing. A lower-case letter or underscore, then those and digits.
    pub schema: String,
    /// Connections of this process, at most. A flush, a snapshot and a claim each take one while they last.
    pub connections: u32,
    /// How long to wait for a connection, or for what another transaction has locked, before saying
    /// [`StoreError::Unavailable`].
    pub acquire_timeout: Duration,
    /// How long one statement may take.
    pub statement_timeout: Duration,
    /// How long a flush or snapshot may do nothing before the server ends it, so that a worker that hangs does not
    /// hold its locks for ever.
    pub idle_timeout: Duration,
    pub limits: Limits,
}

impl PostgresOptions {
    pub fn new(url: SecretString) -> Self {
        Self {
            url,
            schema: "headwater".to_owned(),
            connections: 10,
            acquire_timeout: Duration::from_secs(10),
            statement_timeout: Duration::from_secs(60),
            idle_timeout: Duration::from_secs(60),
            limits: Limits::default(),
        }
    }
}

/// See [`Store::open_postgres`](crate::Store::open_postgres).
#[derive(Clone)]
pub struct PostgresStore {
    inner: Arc<Inner>,
}

struct Inner {
    schema: String,
    limits: Limits,
    connections: Arc<Connections>,
    layouts: Layouts,
    /// Which generations have shared rows: it never changes, and numbers are not used twice.
    shared_rows: Mutex<HashMap<(String, u32), bool>>,
    changed: watch::Sender<u64>,
}

impl PostgresStore {
    pub(crate) async fn open(options: PostgresOptions) -> Result<Self, StoreError> {
        check_schema(&options.schema)?;
        let connections = Connections::new(&options)?;
        catalog::migrate(&connections, &options.schema).await?;
        let inner = Inner {
            schema: options.schema,
            limits: options.limits,
            connections,
            layouts: Layouts::default(),
            shared_rows: Mutex::default(),
            changed: watch::Sender::new(0),
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    pub(crate) async fn create(&self, deployment: &Deployment) -> Result<u32, StoreError> {
        catalog::create(&self.inner.connections, &self.inner.schema, deployment).await
    }

    pub(crate) async fn active(&self, topology: &str) -> Result<Option<Active>, StoreError> {
        catalog::active(&mut self.reader("reading the catalog").await?, topology).await
    }

    pub(crate) async fn next_generation(&self, topology: &str) -> Result<u32, StoreError> {
        Ok(catalog::last_generation(&mut self.reader("reading the catalog").await?, topology).await? + 1)
    }

    pub(crate) async fn reset(&self, topology: &str) -> Result<u32, StoreError> {
        catalog::reset(&self.inner.connections, &self.inner.schema, topology).await
    }

    pub(crate) async fn positions(&self, topology: &str, generation: u32) -> Result<Vec<StoredPosition>, StoreError> {
        positions::all(&mut self.reader("reading positions").await?, topology, generation).await
    }

    pub(crate) async fn begin(
        &self,
        target: &FlushTarget,
        moves: &[PositionMove],
    ) -> Result<PostgresFlush, StoreError> {
        PostgresFlush::begin(self, target, moves).await
    }

    pub(crate) async fn snapshot(&self) -> Result<PostgresSnapshot, StoreError> {
        let begin = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";
        let lease = self.inner.connections.lease(begin, "starting to read").await?;
        Ok(PostgresSnapshot { store: self.clone(), lease })
    }

    pub(crate) async fn parked(
        &self,
        topology: &str,
        filter: &ParkedFilter,
        limit: usize,
    ) -> Result<Vec<Parked>, StoreError> {
        parked::list(&mut self.reader("reading parked records").await?, topology, filter, limit).await
    }

    pub(crate) async fn parked_keys(&self, topology: &str, generation: u32) -> Result<Vec<ParkedKey>, StoreError> {
        parked::keys(&mut self.reader("reading parked keys").await?, topology, generation).await
    }

    pub(crate) async fn claim(&self, kind: &str, key: &[u8]) -> Result<Option<Claim>, StoreError> {
        claims::read(&self.inner.connections, kind, key).await
    }

    pub(crate) async fn swap_claim(
        &self,
        kind: &str,
        key: &[u8],
        expected: Option<i64>,
        body: &[u8],
        expires_at_ms: Option<i64>,
    ) -> Result<bool, StoreError> {
        claims::swap(&self.inner.connections, kind, key, expected, body, expires_at_ms).await
    }

    pub(crate) async fn drop_claim(&self, kind: &str, key: &[u8], expected: i64) -> Result<bool, StoreError> {
        claims::remove(&self.inner.connections, kind, key, expected).await
    }

    pub(crate) async fn sweep_claims(&self, now_ms: i64) -> Result<u64, StoreError> {
        claims::sweep(&self.inner.connections, now_ms).await
    }

    pub(crate) async fn sweep_rows(&self, table: &Table, generation: u32, horizon: &Value) -> Result<u64, StoreError> {
        let layout = self.inner.layouts.of(table, generation);
        sweep::rows(&self.inner.connections, &layout, horizon).await
    }

    pub(crate) fn changed(&self) -> watch::Receiver<u64> {
        self.inner.changed.subscribe()
    }

    pub(crate) async fn destroy(&self) -> Result<(), StoreError> {
        catalog::drop_schema(&self.inner.connections, &self.inner.schema).await?;
        self.close().await;
        Ok(())
    }

    pub(crate) async fn close(&self) {
        self.inner.connections.close().await;
    }

    /// A connection to read one statement's worth from, which is one moment by itself.
    async fn reader(&self, doing: &'static str) -> Result<Lease, StoreError> {
        self.inner.connections.lease("", doing).await
    }

    async fn has_shared_rows(&self, topology: &str, generation: u32) -> Result<bool, StoreError> {
        let place = (topology.to_owned(), generation);
        let known = self.inner.shared_rows.lock().unwrap_or_else(PoisonError::into_inner).get(&place).copied();
        if let Some(known) = known {
            return Ok(known);
        }
        let found =
            catalog::has_shared_rows(&mut self.reader("reading the catalog").await?, topology, generation).await?;
        let found = found.ok_or_else(|| StoreError::NoGeneration { topology: topology.to_owned(), generation })?;
        self.inner.shared_rows.lock().unwrap_or_else(PoisonError::into_inner).insert(place, found);
        Ok(found)
    }
}

impl fmt::Debug for PostgresStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresStore").field("schema", &self.inner.schema).finish_non_exhaustive()
    }
}

fn check_schema(schema: &str) -> Result<(), StoreError> {
    let starts = schema.bytes().next().is_some_and(|byte| byte.is_ascii_lowercase() || byte == b'_');
    let plain = schema.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_');
    if starts && plain && schema.len() <= 63 && !schema.starts_with("pg_") && schema != "information_schema" {
        return Ok(());
    }
    let reason = format!(
        "{schema:?} is no schema for a store: a lower-case letter or underscore, then those and digits, at most 63 in \
         all, and not one of Postgres's own"
    );
    Err(StoreError::Setup { doing: "opening the store", reason })
}

/// See [`Snapshot`](crate::Snapshot). A read transaction, ended when it is dropped.
pub(crate) struct PostgresSnapshot {
    store: PostgresStore,
    lease: Lease,
}

impl PostgresSnapshot {
    pub(crate) async fn positions(
        &mut self,
        topology: &str,
        generation: u32,
    ) -> Result<Vec<StoredPosition>, StoreError> {
        positions::all(&mut self.lease, topology, generation).await
    }

    pub(crate) async fn active(&mut self, topology: &str) -> Result<Option<Active>, StoreError> {
        catalog::active(&mut self.lease, topology).await
    }

    pub(crate) async fn get(
        &mut self,
        table: &Table,
        generation: u32,
        keys: &[Key],
    ) -> Result<Vec<Option<Row>>, StoreError> {
        let layout = self.store.inner.layouts.of(table, generation);
        read::rows_of_keys(&mut self.lease, &layout, keys).await
    }

    pub(crate) async fn page(
        &mut self,
        table: &Table,
        generation: u32,
        page: &PageRequest,
    ) -> Result<Vec<Row>, StoreError> {
        let layout = self.store.inner.layouts.of(table, generation);
        read::page(&mut self.lease, &layout, page).await
    }

    pub(crate) async fn table_rows(
        &mut self,
        table: &Table,
        generation: u32,
        limit: usize,
    ) -> Result<Vec<Row>, StoreError> {
        let layout = self.store.inner.layouts.of(table, generation);
        read::all(&mut self.lease, &layout, limit).await
    }
}

impl fmt::Debug for PostgresSnapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresSnapshot").field("store", &self.store).finish_non_exhaustive()
    }
}
